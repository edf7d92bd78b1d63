//! One case: import, compile, run, compare.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use onnx_protobuf::{TensorProto, TypeProto};
use porter_ir::TensorType;
use porter_onnx::{Host, ImportError, Model, Options, ProblemKind, Program, Recorded, Value};
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Devices, Flag, HostTensor, Placement, Plugin, SINGLE_YNN_OPS,
    Signature, States, Step, Weights, plugins,
};

/// `numpy.testing.assert_allclose` as `onnx.backend.test.runner` calls it.
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-7;

/// Reads case folders from standard input; writes `CASE <tab> OUTCOME <tab> NOTE` for each.
pub(crate) fn child() -> ExitCode {
    let client = client();
    for line in std::io::stdin().lock().lines() {
        let folder = line.expect("a folder");
        let (outcome, note) = match case(&client, Path::new(&folder)) {
            Ok(note) if note.contains("all fixed") => ("folded".to_owned(), note),
            Ok(note) => ("pass".to_owned(), note),
            Err((_, what)) if what.contains("STRING") => ("strings".to_owned(), what),
            Err((kind, what)) => (kind.to_owned(), what),
        };
        let note: String = note.replace(['\n', '\t'], " ").chars().take(400).collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{folder}\t{outcome}\t{note}").expect("a pipe");
        out.flush().expect("a pipe");
    }
    ExitCode::SUCCESS
}

/// Runs one model on recorded inputs; prints the largest difference of each output.
pub(crate) fn file(arguments: &[String]) -> ExitCode {
    let [model, bundle] = arguments else { return ExitCode::from(2) };
    let client = client();
    match against(&client, Path::new(model), Path::new(bundle)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((kind, what)) => {
            println!("{kind}: {what}");
            ExitCode::FAILURE
        }
    }
}

fn against(client: &Client, model: &Path, bundle: &Path) -> Result<(), Failure> {
    let model = Model::open(model).map_err(|e| ("open", e.to_string()))?;
    let read = |name: &str| -> Result<Vec<Recorded>, Failure> {
        let bytes = std::fs::read(bundle.join(name)).map_err(|e| ("data", e.to_string()))?;
        let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|e| ("data", e.to_string()))?;
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let dtype: porter_ir::DType =
                format!("{:?}", view.dtype()).to_lowercase().parse().expect("a dtype");
            Recorded { name, ty: TensorType::new(dtype, view.shape()), bytes: view.data().to_vec() }
        };
        Ok(file.tensors().into_iter().map(tensor).collect())
    };
    let given = read("inputs.safetensors")?;
    let mut options = Options::default();
    let program = specialised(&model, &mut options, &given)?;
    let fixed: Vec<&String> = options.values.keys().collect();
    println!("{} ops, inputs fixed: {fixed:?}", program.ops().count());
    let results = execute(client, &model, &program, &given)?;
    for Recorded { name, ty, bytes } in read("outputs.safetensors")? {
        let Some(found) = results.get(&name) else { return Err(("mismatch", format!("no output {name:?}"))) };
        let values = |bytes: &[u8]| Host::from_bytes(ty.clone(), bytes).expect("all bytes").to_floats();
        let (expected, found) = (values(&bytes), values(found.bytes()));
        let far = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let large = expected.iter().map(|a| a.abs()).fold(0.0, f64::max);
        println!("{name} {ty}: differs by at most {far:e}, largest value {large:e}");
    }
    Ok(())
}

fn client() -> Client {
    let located = plugins::ensure(Some("cpu"), &mut |_| {}).expect("a CPU plugin");
    let options = ClientOptions { cpu_device_count: Some(1), ..ClientOptions::default() };
    Client::create(&Plugin::load(&located.path).expect("a plugin"), &options).expect("a client")
}

type Failure = (&'static str, String);

fn case(client: &Client, folder: &Path) -> Result<String, Failure> {
    if folder.extension().is_some_and(|e| e == "onnx") {
        return light(client, folder);
    }
    let model = Model::open(&folder.join("model.onnx")).map_err(|e| ("open", e.to_string()))?;
    let graph = model.proto().graph.as_ref().expect("an opened model has a graph");
    let initial: BTreeSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let inputs: Vec<_> = graph.input.iter().filter(|i| !initial.contains(i.name())).collect();
    let mut notes = BTreeSet::new();
    let mut sets = 0;
    while folder.join(format!("test_data_set_{sets}")).exists() {
        let set = folder.join(format!("test_data_set_{sets}"));
        sets += 1;
        let read = |kind: &str, index: usize, name: &str, ty: Option<&TypeProto>| -> Result<Value, Failure> {
            let bytes =
                std::fs::read(set.join(format!("{kind}_{index}.pb"))).map_err(|e| ("data", e.to_string()))?;
            Value::decode(&model, &bytes, name, ty).map_err(|e| ("data", e))
        };
        let mut given = Vec::new();
        let mut options = Options::default();
        for (index, input) in inputs.iter().enumerate() {
            if !set.join(format!("input_{index}.pb")).exists() {
                continue;
            }
            let data = read("input", index, input.name(), input.r#type.as_ref())?;
            if let Some(length) = data.length {
                options.lengths.insert(input.name().to_owned(), length);
            }
            given.extend(data.tensors);
        }
        let program = specialised(&model, &mut options, &given)?;
        let listed: Vec<&str> = options.lengths.keys().map(String::as_str).collect();
        if !listed.is_empty() {
            notes.insert(format!("lengths fixed: {}", listed.join(" ")));
        }
        if !options.values.is_empty() {
            let names: Vec<&str> = options.values.keys().map(String::as_str).collect();
            let all = given.iter().all(|input| options.values.contains_key(&input.name));
            notes.insert(format!("{}{}", if all { "all fixed: " } else { "fixed: " }, names.join(" ")));
        }
        let results = execute(client, &model, &program, &given)?;
        for (index, output) in graph.output.iter().enumerate() {
            let expected = read("output", index, output.name(), output.r#type.as_ref())?;
            for Recorded { name, ty, bytes } in &expected.tensors {
                let Some(found) = results.get(name) else {
                    return Err(("mismatch", format!("no output {name:?}")));
                };
                compare(name, ty, bytes, found).map_err(|e| ("mismatch", e))?;
            }
        }
    }
    if sets == 0 {
        return Err(("data", "no test data".to_owned()));
    }
    Ok(notes.into_iter().collect::<Vec<_>>().join("; "))
}

/// A model whose input is `0, 1, .. / n`, as the suite's runner makes it, and whose output lies beside it.
fn light(client: &Client, path: &Path) -> Result<String, Failure> {
    let model = Model::open(path).map_err(|e| ("open", e.to_string()))?;
    let graph = model.proto().graph.as_ref().expect("an opened model has a graph");
    let initial: BTreeSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let (mut options, mut given) = (Options::default(), Vec::new());
    for input in graph.input.iter().filter(|i| !initial.contains(i.name())) {
        let tensor =
            input.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref()).and_then(|ty| ty.shape.as_ref());
        let dims = tensor.ok_or(("data", "no shape".to_owned()))?.dim.iter();
        let shape: Vec<usize> = dims.map(|d| d.dim_value.map_or(1, |d| d as usize)).collect();
        let count: usize = shape.iter().product();
        let bytes = (0..count).flat_map(|i| ((i as f64 / count as f64) as f32).to_le_bytes()).collect();
        let ty = TensorType::new(porter_ir::DType::F32, shape);
        given.push(Recorded { name: input.name().to_owned(), ty, bytes });
    }
    let program = specialised(&model, &mut options, &given)?;
    let results = execute(client, &model, &program, &given)?;
    for (index, output) in graph.output.iter().enumerate() {
        let file =
            path.with_file_name(format!("{}_output_{index}.pb", path.file_stem().expect("a name").display()));
        let bytes = std::fs::read(file).map_err(|e| ("data", e.to_string()))?;
        let expected = Value::decode(&model, &bytes, output.name(), None).map_err(|e| ("data", e))?;
        for Recorded { name, ty, bytes } in &expected.tensors {
            let Some(found) = results.get(name) else {
                return Err(("mismatch", format!("no output {name:?}")));
            };
            compare(name, ty, bytes, found).map_err(|e| ("mismatch", e))?;
        }
    }
    Ok(String::new())
}

/// The program; inputs that shapes depend on are fixed to the values of the case.
fn specialised(model: &Model, options: &mut Options, given: &[Recorded]) -> Result<Program, Failure> {
    porter_onnx::import_for(model, given, options).map_err(|error| (kind(&error), error.to_string()))
}

fn kind(error: &ImportError) -> &'static str {
    match error.problems.iter().map(|p| p.kind).min() {
        Some(ProblemKind::Invalid) | None => "invalid",
        Some(ProblemKind::Unsupported) => "unsupported",
        Some(ProblemKind::Dynamic) => "dynamic",
    }
}

fn execute(
    client: &Client,
    model: &Model,
    program: &Program,
    given: &[Recorded],
) -> Result<BTreeMap<String, HostTensor>, Failure> {
    let devices = Devices::of(client);
    let tensor = |ty: &TensorType, bytes: &[u8]| {
        HostTensor::new(ty.clone(), Arc::new(bytes.to_vec())).map_err(|e| ("execute", e.to_string()))
    };
    let mut weights = Weights::new();
    for (name, (ty, bytes)) in porter_onnx::weights(model, program).map_err(|e| ("execute", e))? {
        let weight =
            devices.upload(&tensor(&ty, &bytes)?, &Placement::One).map_err(|e| ("execute", e.to_string()))?;
        weights.insert(name, Arc::new(weight));
    }
    let (flag, value) = SINGLE_YNN_OPS;
    let options = CompileOptions::default()
        .flag(flag, Flag::String(value.to_owned()))
        // The suite rounds f16 after every op.
        .flag("xla_allow_excess_precision", Flag::Bool(false));
    let executable = client
        .compile(&program.to_string(), &Signature::of(&program.entry()), &options)
        .map_err(|e| ("compile", e.to_string()))?;
    let step = Step::new(&program.entry(), executable, &devices, &weights)
        .map_err(|e| ("execute", e.to_string()))?;
    let mut states = States::zeros(&devices, &program.entry()).map_err(|e| ("execute", e.to_string()))?;
    let arguments = given.iter().map(|given| Ok((given.name.as_str(), tensor(&given.ty, &given.bytes)?)));
    let taken: BTreeSet<&str> = program.inputs().iter().map(|i| i.name.as_str()).collect();
    let arguments: Vec<_> = arguments.collect::<Result<Vec<_>, Failure>>()?;
    let arguments: Vec<_> = arguments.into_iter().filter(|(name, _)| taken.contains(name)).collect();
    step.run(&arguments, &mut states).map_err(|e| ("execute", e.to_string()))
}

fn compare(name: &str, ty: &TensorType, bytes: &[u8], found: &HostTensor) -> Result<(), String> {
    if found.ty() != ty {
        return Err(format!("output {name:?} is {}, expected {ty}", found.ty()));
    }
    let values =
        |bytes: &[u8]| Host::from_bytes(ty.clone(), bytes).map(|h| h.to_floats()).ok_or("too few bytes");
    let (expected, found) = (values(bytes)?, values(found.bytes())?);
    let close =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= ATOL + RTOL * b.abs();
    let wrong: Vec<usize> = (0..expected.len()).filter(|&i| !close(found[i], expected[i])).collect();
    match wrong.first() {
        None => Ok(()),
        Some(&i) => Err(format!(
            "output {name:?} {ty}: {} of {} differ, element {i} is {:e}, expected {:e}",
            wrong.len(),
            expected.len(),
            found[i],
            expected[i]
        )),
    }
}
