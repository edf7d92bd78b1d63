//! Every fixture model: its config in both spellings, its programs, and its parameters.

use std::collections::BTreeSet;

use porter_ir::{DType, InputRole, OutputRole, Program};
use porter_zoo::{Dimensions, Model, Phase, Precision, ProgramError, Taps, Task};

use crate::common::{self, MODELS, config, folder, model};

fn phases(model: &Model) -> Vec<Phase> {
    let mut phases = vec![
        Phase::Forward { batch: 2, tokens: 7, taps: Taps::None },
        Phase::Forward { batch: 1, tokens: 1, taps: Taps::HiddenStates },
    ];
    if model.task() == Task::Generate {
        phases.push(Phase::Prefill { batch: 2, tokens: 5, cache: 9 });
        phases.push(Phase::Extend { batch: 2, tokens: 3, cache: 9 });
        phases.push(Phase::Decode { batch: 3, cache: 9 });
    }
    phases
}

fn names(program: &Program, role: InputRole) -> BTreeSet<String> {
    program.inputs().iter().filter(|i| i.role == role).map(|i| i.name.clone()).collect()
}

#[test]
fn both_spellings_of_a_config_mean_the_same() {
    for name in MODELS {
        let [new, old] = ["config.json", "config_legacy.json"].map(|file| {
            Model::from_hf(&config(&format!("{name}/{file}")), &[])
                .unwrap_or_else(|e| panic!("{name}/{file}: {e}"))
        });
        // `Debug` shows every field of the configuration.
        assert_eq!(format!("{new:?}"), format!("{old:?}"), "{name}");
    }
}

#[test]
fn every_program_takes_the_parameters_and_no_others() {
    let bf16 = Precision { weights: DType::BF16, activations: DType::F32, cache: DType::F16 };
    for name in MODELS {
        let model = model(name);
        let parameters: BTreeSet<String> = model.parameters().unwrap().into_keys().collect();
        for phase in phases(&model) {
            for precision in [Precision::uniform(DType::F32), Precision::uniform(DType::BF16), bf16] {
                let program = model.program(&phase, &precision).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(names(&program, InputRole::Weight), parameters, "{name}: {phase:?}");
                assert_eq!(program.verify(), [], "{name}: {phase:?}");
                for output in program.outputs().iter().filter(|o| o.role == OutputRole::Result) {
                    assert_eq!(program.ty(output.value).dtype, DType::F32, "{name}: {}", output.name);
                }
            }
        }
    }
}

#[test]
fn parameters_are_the_tensors_of_the_checkpoint() {
    for name in MODELS {
        let checkpoint = porter_weights::open(&folder(name)).unwrap();
        let report = model(name).weight_map(checkpoint.as_ref()).unwrap().check(checkpoint.as_ref());
        assert!(report.fits(), "{name}: {report}");
        assert!(report.tolerated.is_empty(), "{name}: {report}");
    }
}

#[test]
fn the_parameters_of_a_gguf_are_those_of_its_config() {
    for name in common::GGUFS {
        let checkpoint = porter_weights::open(&common::gguf(name)).unwrap();
        let from_gguf = Model::from_gguf(checkpoint.as_ref(), &[]).unwrap();
        assert_eq!(from_gguf.parameters().unwrap(), model("llama").parameters().unwrap());
        // The file keeps the stretched frequencies, not the positions from which they are stretched.
        let positions = |model: &Model| Dimensions { original_positions: None, ..model.dimensions() };
        assert_eq!(positions(&from_gguf), positions(&model("llama")));
        let report = from_gguf.weight_map(checkpoint.as_ref()).unwrap().check(checkpoint.as_ref());
        assert!(report.fits(), "{name}: {report}");
    }
}

#[test]
fn the_cache_is_one_donated_pair_a_layer() {
    let program = model("llama")
        .program(&Phase::Decode { batch: 3, cache: 9 }, &Precision::uniform(DType::BF16))
        .unwrap();
    let expected: BTreeSet<String> =
        (0..3).flat_map(|i| [format!("cache.{i}.key"), format!("cache.{i}.value")]).collect();
    assert_eq!(names(&program, InputRole::State), expected);
    for output in program.outputs().iter().filter(|o| o.role == OutputRole::State) {
        assert_eq!(program.ty(output.value).to_string(), "bf16[3, 2, 9, 20]");
    }
    assert_eq!(
        names(&program, InputRole::Argument),
        ["input_ids", "offset", "padding"].map(str::to_owned).into()
    );
}

#[test]
fn impossible_phases_are_refused() {
    let refused = |name: &str, phase| match model(name).program(&phase, &Precision::uniform(DType::F32)) {
        Err(error) => error,
        Ok(_) => panic!("{name}: {phase:?} was built"),
    };
    let decode = refused("bert", Phase::Decode { batch: 1, cache: 8 });
    assert!(matches!(decode, ProgramError::NoPhase { .. }), "{decode}");
    for (name, phase) in [
        ("llama", Phase::Prefill { batch: 1, tokens: 9, cache: 8 }),
        ("llama", Phase::Forward { batch: 0, tokens: 8, taps: Taps::None }),
        ("llama", Phase::Decode { batch: 1, cache: usize::MAX }),
        ("bert", Phase::Forward { batch: 1, tokens: 65, taps: Taps::None }),
    ] {
        let error = refused(name, phase);
        assert!(matches!(error, ProgramError::Sizes { .. }), "{name}: {phase:?}: {error}");
    }
    let phase = Phase::Forward { batch: 1, tokens: 1, taps: Taps::None };
    let error = model("llama").program(&phase, &Precision::uniform(DType::I8)).unwrap_err();
    assert!(matches!(error, ProgramError::Precision { .. }), "{error}");
}
