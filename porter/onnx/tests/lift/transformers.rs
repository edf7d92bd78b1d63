//! Tiny transformers that torch.onnx exported (`ci/onnx/transformers/generate.py`) give what torch gives.
//!
//! An output may be as far from torch's as [`Budget::of_twin`] says: twenty times torch's own f32-against-f64
//! error, at least 1e-4 of the output's standard deviation.
//!
//! Two rows of the decoders see nothing, as their mask hides what lies before them (padding on the left). What
//! torch's SDPA gives there is not what its dynamo export says (ONNX Runtime computes the export as Porter does), so
//! these rows are left out where a decoder with SDPA is exported by it.
use crate::support::{Tensors, client, compared, fixtures, run, tensors, with_weights, within};
use porter_numerics::{Budget, Positions};
use porter_onnx::{Model, Options, import};

/// Decoders with SDPA.
const SDPA: [&str; 3] = ["llama", "phi3", "qwen3"];

/// What of an export is compared.
fn positions(name: &str, exporter: &str, inputs: &Tensors) -> Positions {
    if exporter == "script" || !SDPA.contains(&name) {
        return Positions::All;
    }
    let (_, mask) = &inputs["attention_mask"];
    Positions::Rows(mask.chunks(8).map(|word| word != [0; 8]).collect())
}

/// Both exports of an architecture against torch.
fn matches_torch(name: &str) {
    let bytes = std::fs::read(fixtures().join(format!("{name}.safetensors"))).unwrap();
    let inputs = tensors(&bytes, "input.");
    let (outputs, twins) = (tensors(&bytes, "output."), tensors(&bytes, "output_f64."));
    assert!(!outputs.is_empty());
    let client = client();
    for exporter in ["script", "dynamo"] {
        let model = Model::open(&fixtures().join(format!("{name}.{exporter}.onnx"))).unwrap();
        let program =
            import(&model, &Options::default()).unwrap_or_else(|e| panic!("{name}.{exporter}: {e}"));
        assert_eq!(program.verify(), []);
        let positions = positions(name, exporter, &inputs);
        let results = run(&client, &program, &with_weights(&model, &program, &inputs));
        for (output, (ty, bytes)) in &outputs {
            let found = &results[output];
            let label = format!("{name}.{exporter} {output}");
            let (twin_ty, twin) = &twins[output];
            let own = compared(&label, (ty, bytes), (twin_ty, twin), &positions);
            let ours = compared(&label, (found.ty(), found.bytes()), (ty, bytes), &positions);
            within(&Budget::of_twin(own.max_abs, own.scale), &ours);
        }
    }
}

macro_rules! architectures {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            matches_torch(stringify!($name));
        })*
    };
}

architectures! {
    bert, clip_vision, distilbert, gemma2, gpt2, llama, mistral, phi3, qwen2, qwen3, t5_encoder, vit,
    whisper_encoder,
}
