//! One case: import, run on both engines, compare.

use std::{
    collections::BTreeSet,
    io::{BufRead, Write},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use onnx_protobuf::{GraphProto, TensorProto, TypeProto, ValueInfoProto};
use porter_ir::TensorType;
use porter_onnx::{Host, ImportError, Model, Options, ProblemKind, Program, Recorded, Value};
use porter_runtime::Client;

use crate::{
    engines::{self, Failure, Outputs},
    parent::{Outcome, Results},
};

/// `numpy.testing.assert_allclose` as `onnx.backend.test.runner` calls it.
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-7;

/// A model, and what it is run on.
struct Case {
    model: Model,
    sets: Vec<Set>,
    /// Which inputs were fixed.
    note: String,
}

/// A program specialised to recorded inputs, and the outputs that belong to them.
struct Set {
    program: Program,
    given: Vec<Recorded>,
    expected: Vec<Recorded>,
}

/// Reads case folders from standard input; writes the folder and its results for each.
pub(crate) fn child() -> ExitCode {
    let client = engines::client();
    for line in std::io::stdin().lock().lines() {
        let folder = line.expect("a folder");
        let results = results(&client, Path::new(&folder));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{folder}\t{}", results.line()).expect("a pipe");
        out.flush().expect("a pipe");
    }
    ExitCode::SUCCESS
}

fn results(client: &Client, folder: &Path) -> Results {
    let case = if folder.extension().is_some_and(|e| e == "onnx") { light(folder) } else { node(folder) };
    let case = match case {
        Ok(case) => case,
        Err((_, what)) if what.contains("STRING") => return Results::both("strings", &what),
        Err((kind, what)) => return Results::both(kind, &what),
    };
    Results {
        plugin: case.outcome(|program, given| engines::plugin(client, &case.model, program, given)),
        executor: case.outcome(|program, given| engines::executor(&case.model, program, given)),
    }
}

impl Case {
    fn outcome(&self, run: impl Fn(&Program, &[Recorded]) -> Result<Outputs, Failure>) -> Outcome {
        let start = Instant::now();
        let compared =
            self.sets.iter().try_for_each(|set| agree(&set.expected, &run(&set.program, &set.given)?));
        let (kind, note) = match compared {
            Ok(()) if self.note.contains("all fixed") => ("folded", self.note.as_str()),
            Ok(()) => ("pass", self.note.as_str()),
            Err((kind, ref what)) => (kind, what.as_str()),
        };
        Outcome { millis: start.elapsed().as_millis() as u64, ..Outcome::new(kind, note) }
    }
}

/// A folder of a model and its data.
fn node(folder: &Path) -> Result<Case, Failure> {
    let model = Model::open(&folder.join("model.onnx")).map_err(|e| ("open", e.to_string()))?;
    let graph = model.proto().graph.as_ref().expect("an opened model has a graph");
    let inputs = inputs(graph);
    let (mut sets, mut notes) = (Vec::new(), BTreeSet::new());
    while folder.join(format!("test_data_set_{}", sets.len())).exists() {
        let set = folder.join(format!("test_data_set_{}", sets.len()));
        let read = |kind: &str, index: usize, name: &str, ty: Option<&TypeProto>| -> Result<Value, Failure> {
            let bytes =
                std::fs::read(set.join(format!("{kind}_{index}.pb"))).map_err(|e| ("data", e.to_string()))?;
            Value::decode(&model, &bytes, name, ty).map_err(|e| ("data", e))
        };
        let (mut given, mut expected, mut options) = (Vec::new(), Vec::new(), Options::default());
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
        notes.extend(fixed(&options, &given));
        for (index, output) in graph.output.iter().enumerate() {
            expected.extend(read("output", index, output.name(), output.r#type.as_ref())?.tensors);
        }
        sets.push(Set { program, given, expected });
    }
    if sets.is_empty() {
        return Err(("data", "no test data".to_owned()));
    }
    let note = notes.into_iter().collect::<Vec<_>>().join("; ");
    Ok(Case { model, sets, note })
}

/// What of the inputs the program was made for, in words.
fn fixed(options: &Options, given: &[Recorded]) -> Vec<String> {
    let mut notes = Vec::new();
    let listed: Vec<&str> = options.lengths.keys().map(String::as_str).collect();
    if !listed.is_empty() {
        notes.push(format!("lengths fixed: {}", listed.join(" ")));
    }
    if !options.values.is_empty() {
        let names: Vec<&str> = options.values.keys().map(String::as_str).collect();
        let all = given.iter().all(|input| options.values.contains_key(&input.name));
        notes.push(format!("{}{}", if all { "all fixed: " } else { "fixed: " }, names.join(" ")));
    }
    notes
}

/// A model whose input is `0, 1, .. / n`, as the suite's runner makes it, and whose output lies beside it.
fn light(path: &Path) -> Result<Case, Failure> {
    let model = Model::open(path).map_err(|e| ("open", e.to_string()))?;
    let graph = model.proto().graph.as_ref().expect("an opened model has a graph");
    let (mut options, mut given, mut expected) = (Options::default(), Vec::new(), Vec::new());
    for input in inputs(graph) {
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
    for (index, output) in graph.output.iter().enumerate() {
        let file =
            path.with_file_name(format!("{}_output_{index}.pb", path.file_stem().expect("a name").display()));
        let bytes = std::fs::read(file).map_err(|e| ("data", e.to_string()))?;
        let value = Value::decode(&model, &bytes, output.name(), None).map_err(|e| ("data", e))?;
        expected.extend(value.tensors);
    }
    Ok(Case { model, sets: vec![Set { program, given, expected }], note: String::new() })
}

/// The inputs that are to be given: those without an initial value.
fn inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let initial: BTreeSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    graph.input.iter().filter(|i| !initial.contains(i.name())).collect()
}

/// The program; inputs that shapes depend on are fixed to the values of the case.
pub(crate) fn specialised(
    model: &Model,
    options: &mut Options,
    given: &[Recorded],
) -> Result<Program, Failure> {
    porter_onnx::import_for(model, given, options).map_err(|error| (kind(&error), error.to_string()))
}

fn kind(error: &ImportError) -> &'static str {
    match error.problems.iter().map(|p| p.kind).min() {
        Some(ProblemKind::Invalid) | None => "invalid",
        Some(ProblemKind::Unsupported) => "unsupported",
        Some(ProblemKind::Dynamic) => "dynamic",
    }
}

fn agree(expected: &[Recorded], results: &Outputs) -> Result<(), Failure> {
    for Recorded { name, ty, bytes } in expected {
        let (found, data) = results.get(name).ok_or_else(|| ("mismatch", format!("no output {name:?}")))?;
        if found != ty {
            return Err(("mismatch", format!("output {name:?} is {found}, expected {ty}")));
        }
        compare(name, ty, bytes, data).map_err(|e| ("mismatch", e))?;
    }
    Ok(())
}

fn compare(name: &str, ty: &TensorType, bytes: &[u8], found: &[u8]) -> Result<(), String> {
    let values =
        |bytes: &[u8]| Host::from_bytes(ty.clone(), bytes).map(|h| h.to_floats()).ok_or("too few bytes");
    let (expected, found) = (values(bytes)?, values(found)?);
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
