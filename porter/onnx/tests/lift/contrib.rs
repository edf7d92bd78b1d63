//! ONNX Runtime's own operators give what it gives (`ci/onnx/contrib/generate.py`).
//!
//! Floats may be off by 1e-4 of the output's standard deviation ([`Budget::recorded`]): both sides are f32 and sum in
//! another order. Integers must be equal.

use std::collections::BTreeSet;

use porter_numerics::{Budget, Positions};
use porter_onnx::{Model, Options, import, operators};

use crate::support::{client, compared, contrib, run, tensors, with_weights};

#[test]
fn every_case_gives_what_onnx_runtime_gives() {
    let client = client();
    let (mut wrong, mut covered) = (Vec::new(), BTreeSet::new());
    let files = std::fs::read_dir(contrib()).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "onnx")).collect();
    files.sort();
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let model = Model::open(file).unwrap();
        let node = &model.proto().graph.as_ref().unwrap().node[0];
        covered.insert((node.domain().to_owned(), node.op_type().to_owned()));
        let bytes = std::fs::read(file.with_extension("safetensors")).unwrap();
        let program = match import(&model, &Options::default()) {
            Ok(program) => program,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!(program.verify(), [], "{name}");
        let results = run(&client, &program, &with_weights(&model, &program, &tensors(&bytes, "input.")));
        for (output, (ty, expected)) in &tensors(&bytes, "output.") {
            let found = &results[output];
            if found.ty() != ty {
                wrong.push(format!("{name} {output}: {}, expected {ty}", found.ty()));
            } else if !ty.dtype.is_float() {
                let differ = found.bytes().iter().zip(expected).filter(|(a, b)| a != b).count();
                if differ > 0 {
                    wrong.push(format!("{name} {output}: {differ} of {} bytes differ", expected.len()));
                }
            } else {
                let ours = (found.ty(), found.bytes());
                let comparison = compared(&name, ours, (ty, expected), &Positions::All);
                let budget = Budget::recorded(None, comparison.scale);
                if !budget.allows(&comparison) {
                    wrong.push(format!("{name} {output}: off by {:e}, {}", comparison.max_abs, budget.why));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let own = operators().into_iter().filter(|(domain, _)| *domain == "com.microsoft");
    for (domain, op) in own {
        assert!(covered.contains(&(domain.to_owned(), op.to_owned())), "{op} has no case");
    }
}
