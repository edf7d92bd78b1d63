//! What is recognised in tiny transformers that torch.onnx exported (`ci/onnx/transformers/generate.py`), and that they
//! give what they gave.
//!
//! Both forms compute in f32 with sums in another order, so they may differ as much as a port may from torch:
//! [`Budget::of_twin`], with torch's own f32-against-f64 error.
use std::collections::BTreeMap;

use crate::support::{client, compared, fixtures, run, tensors, with_weights, within};
use porter_numerics::{Budget, Positions};
use porter_onnx::{Model, Options, import, recognise, weight};

/// What is found in both exports of `name`, each as often as it says; and both forms of the program agree.
fn lifted(name: &str, expected: &[(&str, usize)]) {
    let expected: BTreeMap<&str, usize> = expected.iter().copied().collect();
    let bytes = std::fs::read(fixtures().join(format!("{name}.safetensors"))).unwrap();
    let inputs = tensors(&bytes, "input.");
    let (outputs, twins) = (tensors(&bytes, "output."), tensors(&bytes, "output_f64."));
    let client = client();
    for exporter in ["script", "dynamo"] {
        let model = Model::open(&fixtures().join(format!("{name}.{exporter}.onnx"))).unwrap();
        let program = import(&model, &Options::default()).unwrap();
        let (lifted, found) = recognise(&program, &|name| weight(&model, name)).unwrap();
        assert_eq!(lifted.verify(), []);
        let mut counts = BTreeMap::new();
        for one in &found {
            *counts.entry(one.composite.strip_prefix("porter.").unwrap()).or_insert(0) += 1;
        }
        assert_eq!(counts, expected, "{name}.{exporter}");
        assert_eq!(
            program.inputs().iter().filter(|i| i.role == porter_ir::InputRole::Argument).count(),
            lifted.inputs().iter().filter(|i| i.role == porter_ir::InputRole::Argument).count(),
        );
        let given = with_weights(&model, &program, &inputs);
        let (before, after) = (run(&client, &program, &given), run(&client, &lifted, &given));
        for (output, (ty, bytes)) in &outputs {
            let (before, after) = (&before[output], &after[output]);
            let label = format!("{name}.{exporter} {output}");
            let (twin_ty, twin) = &twins[output];
            let own = compared(&label, (ty, bytes), (twin_ty, twin), &Positions::All);
            let forms =
                compared(&label, (after.ty(), after.bytes()), (before.ty(), before.bytes()), &Positions::All);
            within(&Budget::of_twin(own.max_abs, own.scale), &forms);
        }
    }
}

macro_rules! architectures {
    ($($name:ident: $($composite:ident $count:literal),*;)*) => {
        $(#[test]
        fn $name() {
            lifted(stringify!($name), &[$((stringify!($composite), $count)),*]);
        })*
    };
}

architectures! {
    bert: attention 2, layer_norm 5, gelu 2;
    clip_vision: attention 2, layer_norm 6, quick_gelu 2;
    distilbert: attention 2, layer_norm 5, gelu 2;
    gemma2: biased_attention 2, rms_norm 9, rotary 4, gelu_tanh 2;
    gpt2: attention 2, layer_norm 5, gelu_tanh 2;
    llama: attention 2, rms_norm 5, rotary 4, silu 2;
    mistral: attention 2, rms_norm 5, rotary 4, silu 2;
    phi3: attention 2, rms_norm 5, rotary 4, silu 2;
    qwen2: attention 2, rms_norm 5, rotary 4, silu 2;
    qwen3: attention 2, rms_norm 9, rotary 4, silu 2;
    t5_encoder: biased_attention 2, rms_norm 5, gelu_tanh 2;
    vit: attention 2, layer_norm 5, gelu 2;
    whisper_encoder: attention 2, layer_norm 5, gelu 4;
}
