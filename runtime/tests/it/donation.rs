//! Arguments whose memory the program reuses.

use porter_ir::{DType, TensorType};
use porter_runtime::{Arg, CompileOptions, LoadedExecutable, Result, Signature};

use crate::common::{client, device, f32s, tensor};

const LEN: usize = 4096;

/// `state + step`, in the memory of `state`.
fn counter() -> LoadedExecutable {
    counter_with(vec![0]).unwrap()
}

/// The same, with a signature that donates these arguments.
fn counter_with(donated: Vec<usize>) -> Result<LoadedExecutable> {
    let (state, step) = (f32s([LEN]), TensorType::scalar(DType::F32));
    let (s, t) = (state.mlir(), step.mlir());
    let program = format!(
        "func.func @main(%state: {s} {{tf.aliasing_output = 0 : i32}}, %step: {t}) -> {s} {{
  %0 = stablehlo.broadcast_in_dim %step, dims = [] : ({t}) -> {s}
  %1 = stablehlo.add %state, %0 : {s}
  return %1 : {s}
}}"
    );
    let signature = Signature { inputs: vec![state.clone(), step], donated, outputs: vec![state] };
    client().compile(&program, &signature, &CompileOptions::default())
}

#[test]
fn a_donated_state_stays_where_it_is() {
    let program = counter();
    assert_eq!(program.executable().memory().unwrap().aliased, 4 * LEN as i64);
    let step = device().upload(&tensor(&[], &[1.0_f32])).unwrap();
    let start = device().upload(&tensor(&[LEN], &[0.0_f32; LEN])).unwrap();
    // The first step leaves the host's memory; from then on the state is the plugin's.
    let mut state = program.execute(vec![Arg::Donate(start), Arg::Keep(&step)]).unwrap().remove(0);
    let address = state.address().unwrap();
    for _ in 0..5 {
        state = program.execute(vec![Arg::Donate(state), Arg::Keep(&step)]).unwrap().remove(0);
        assert_eq!(state.address().unwrap(), address);
    }
    assert_eq!(state.download().unwrap().to_vec::<f32>().unwrap(), [6.0; LEN]);
}

#[test]
fn a_kept_state_keeps_its_value_although_the_program_would_reuse_it() {
    let program = counter();
    let step = device().upload(&tensor(&[], &[1.0_f32])).unwrap();
    let start = device().upload(&tensor(&[LEN], &[0.0_f32; LEN])).unwrap();
    let state = program.execute(vec![Arg::Donate(start), Arg::Keep(&step)]).unwrap().remove(0);
    for _ in 0..2 {
        let next = program.execute(vec![Arg::Keep(&state), Arg::Keep(&step)]).unwrap().remove(0);
        assert_ne!(next.address().unwrap(), state.address().unwrap());
        assert_eq!(next.download().unwrap().to_vec::<f32>().unwrap(), [2.0; LEN]);
        assert_eq!(state.download().unwrap().to_vec::<f32>().unwrap(), [1.0; LEN]);
    }
}

/// A program must not write into memory that the host lent for reading.
#[test]
fn lent_memory_is_not_written_to() {
    let program = counter();
    let step = device().upload(&tensor(&[], &[1.0_f32])).unwrap();
    let host = tensor(&[LEN], &[5.0_f32; LEN]);
    let lent = device().upload(&host).unwrap();
    assert_eq!(lent.address().unwrap(), host.bytes().as_ptr().addr());
    let next = program.execute(vec![Arg::Donate(lent), Arg::Keep(&step)]).unwrap().remove(0);
    assert_eq!(next.download().unwrap().to_vec::<f32>().unwrap(), [6.0; LEN]);
    assert_eq!(host.to_vec::<f32>().unwrap(), [5.0; LEN]);
}

#[test]
fn an_argument_that_the_program_does_not_reuse_may_be_given_away_too() {
    let program = counter();
    let step = device().upload(&tensor(&[], &[1.0_f32])).unwrap();
    let start = device().upload(&tensor(&[LEN], &[0.0_f32; LEN])).unwrap();
    let state = program.execute(vec![Arg::Donate(start), Arg::Donate(step)]).unwrap().remove(0);
    assert_eq!(state.download().unwrap().to_vec::<f32>().unwrap(), [1.0; LEN]);
}

#[test]
fn program_and_signature_must_agree_on_what_is_donated() {
    let none = counter_with(vec![]).unwrap_err().to_string();
    assert!(none.ends_with("argument 0 is reused by the program, but not donated"), "{none}");
    let both = counter_with(vec![0, 1]).unwrap_err().to_string();
    assert!(both.ends_with("argument 1 is donated, but the program does not reuse it"), "{both}");
}
