//! Estimates a compiled program that another frontend had compiled: `estimate TARGET FILE`, where FILE is a
//! serialized `HloProto` or `HloModuleProtoWithConfig`. Writes the estimate as JSON.
//!
//! `ci/bench/jax` puts programs that JAX compiled beside Porter's with it, so that one estimator judges both.

use std::{env, error::Error, fs, io};

use porter_plan::{Estimate, Inputs, Target, hlo::Module};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [target, file] = &arguments[..] else { return Err("usage: estimate TARGET FILE".into()) };
    let target: Target = target.parse()?;
    let module = Module::decode(&fs::read(file)?)?;
    let estimate = Estimate::new(&module, &target, &Inputs::default())?;
    if estimate.window_seconds == 0.0 {
        return Err(format!("{file} has no cycles: it was written before code was generated").into());
    }
    Ok(serde_json::to_writer(io::stdout(), &estimate)?)
}
