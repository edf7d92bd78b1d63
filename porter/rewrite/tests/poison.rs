//! What stands in the padding of a weight reaches no result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Run, client, load, logits, model, poison, port, write_checkpoint};
use porter_ir::DType;
use porter_rewrite::{PadExperts, PadHeads, PadIntermediate, PadVocab, Rewrite, apply};
use porter_zoo::Precision;
use serde_json::json;

const RUN: Run = Run { bucket: 32, cache: 48, vocab: 321 };

fn bits(logits: &[Vec<f32>]) -> Vec<Vec<u32>> {
    logits.iter().map(|row| row.iter().map(|v| v.to_bits()).collect()).collect()
}

#[test]
fn padding_may_hold_anything() {
    let folder = tempfile::tempdir().unwrap();
    let client = client();
    let (vocab, inner) = (PadVocab { tensor: 4 }, PadIntermediate { tensor: 4 });
    let (repeated, added) = (PadHeads { tensor: 4 }, PadHeads { tensor: 3 });
    let experts = PadExperts { expert: 4 };
    let llama = |tied: bool| {
        json!({
            "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 642, "vocab_size": 321,
            "num_hidden_layers": 2, "tie_word_embeddings": tied
        })
    };
    let mixture = json!({
        "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "intermediate_size": 48, "vocab_size": 321,
        "num_hidden_layers": 2, "tie_word_embeddings": false, "num_local_experts": 5, "num_experts_per_tok": 2
    });
    let cases: [(serde_json::Value, DType, &[&dyn Rewrite]); 6] = [
        (llama(false), DType::F32, &[&vocab]),
        (llama(false), DType::F32, &[&inner]),
        (llama(false), DType::F32, &[&repeated]),
        (llama(false), DType::F32, &[&added]),
        (llama(true), DType::BF16, &[&repeated, &vocab, &inner]),
        (mixture, DType::F32, &[&experts]),
    ];
    for (changes, dtype, rewrites) in cases {
        let path = folder.path().join("model.safetensors");
        let model = model(&changes);
        write_checkpoint(&model, &path);
        let checkpoint = porter_weights::open(&path).unwrap();
        let plain = port(&model, Precision::uniform(dtype), &*checkpoint, &RUN);
        assert_eq!(poison(&mut load(&plain, &*checkpoint), 1.0), 0, "no weight is zero by itself");
        let names: Vec<&str> = rewrites.iter().map(|rewrite| rewrite.name()).collect();
        let (padded, _) = apply(rewrites, plain).unwrap();
        let clean = logits(&padded, &load(&padded, &*checkpoint), &client, &RUN);
        assert!(clean.iter().flatten().all(|v| v.is_finite()));
        for value in [f32::NAN, 1e30] {
            let mut weights = load(&padded, &*checkpoint);
            assert!(poison(&mut weights, value) > 0, "{names:?} pads nothing");
            let poisoned = logits(&padded, &weights, &client, &RUN);
            assert!(bits(&poisoned) == bits(&clean), "{names:?} in {dtype}: {value} reaches a logit");
        }
    }
}
