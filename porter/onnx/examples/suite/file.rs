//! One model on recorded inputs.

use std::{path::Path, process::ExitCode};

use porter_ir::TensorType;
use porter_onnx::{Host, Model, Options, Recorded};
use porter_runtime::Client;

use crate::{
    cases::specialised,
    engines::{self, Failure},
};

/// Runs one model on recorded inputs; prints the largest difference of each output.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let [model, bundle] = arguments else { return ExitCode::from(2) };
    let client = engines::client();
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
    let results = engines::plugin(client, &model, &program, &given)?;
    for Recorded { name, ty, bytes } in read("outputs.safetensors")? {
        let Some(found) = results.get(&name) else { return Err(("mismatch", format!("no output {name:?}"))) };
        let values = |bytes: &[u8]| Host::from_bytes(ty.clone(), bytes).expect("all bytes").to_floats();
        let (expected, found) = (values(&bytes), values(&found.1));
        let far = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let large = expected.iter().map(|a| a.abs()).fold(0.0, f64::max);
        println!("{name} {ty}: differs by at most {far:e}, largest value {large:e}");
    }
    Ok(())
}
