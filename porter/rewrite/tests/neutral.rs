//! Lowered for a target, a model gives what it gives as the zoo writes it, on a real plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Run, client, distances, load, logits, model, port, write_checkpoint};
use porter_ir::DType;
use porter_rewrite::{
    BlockedAttention, FuseParallelDots, Int8Weights, OrderParallelDots, PadHeads, PadIntermediate, PadVocab,
    Rewrite, SplitWeights, Target, WeightsInOut, apply,
};
use porter_zoo::Precision;
use serde_json::json;

const SHORT: Run = Run { bucket: 160, cache: 256, vocab: 320 };
const LONG: Run = Run { bucket: 384, cache: 448, vocab: 321 };

/// f32 sums in another order differ by some roundings of 6e-8. With bf16 weights the operands of a product are rounded
/// to bf16 too, and a difference in the last bit of f32 can turn one over: 2^-9 of one operand among hundreds.
fn tolerance(weights: DType) -> f32 {
    if weights == DType::F32 { 2e-5 } else { 2e-2 }
}

#[test]
fn the_cpu_form_of_a_model_gives_the_same_logits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (model, client) = (model(&json!({})), client());
    write_checkpoint(&model, &path);
    let checkpoint = porter_weights::open(&path).unwrap();
    for weights in [DType::F32, DType::BF16] {
        let precision = Precision { weights, activations: DType::F32, cache: DType::F32 };
        let plain = port(&model, precision, &*checkpoint, &SHORT);
        let (lowered, applied) = Target::Cpu.lower(plain.clone()).unwrap();
        let applied: Vec<&str> = applied.iter().map(|a| a.rewrite).collect();
        assert_eq!(
            applied,
            [
                "fuse_parallel_dots",
                "roll_layers",
                "matvec_as_reduce",
                "batched_dots_as_reduce",
                "pin_state_updates"
            ]
        );
        let plain = logits(&plain, &load(&plain, &*checkpoint), &client, &SHORT);
        let lowered = logits(&lowered, &load(&lowered, &*checkpoint), &client, &SHORT);
        assert_eq!(plain.len(), common::STEPS);
        for (step, distance) in distances(&lowered, &plain).into_iter().enumerate() {
            assert!(distance <= tolerance(weights), "{weights} step {step}: {distance}");
        }
    }
}

/// Two heads of three, three numbers too few for four devices, and a head of its own.
fn uneven() -> serde_json::Value {
    json!({"num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 642, "vocab_size": 321,
           "tie_word_embeddings": false})
}

#[test]
fn every_rewrite_for_tpu_gives_the_same_logits_alone_and_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (model, client) = (model(&uneven()), client());
    write_checkpoint(&model, &path);
    let checkpoint = porter_weights::open(&path).unwrap();
    let plain = port(&model, Precision::uniform(DType::F32), &*checkpoint, &LONG);
    let expected = logits(&plain, &load(&plain, &*checkpoint), &client, &LONG);

    let (heads, vocab, inner) =
        (PadHeads { tensor: 4 }, PadVocab { tensor: 4 }, PadIntermediate { tensor: 4 });
    let more_heads = PadHeads { tensor: 3 };
    let blocked = BlockedAttention { least_tokens: 256 };
    let fuse = FuseParallelDots { most_bytes: usize::MAX, least_divided_bytes: 0 };
    let split = SplitWeights { most_bytes: 1 << 16, most_pieces: 16, tile: 32 };
    let order = OrderParallelDots { least_bytes: 0, least_rows: 0, most_bytes: usize::MAX };
    let all: [&dyn Rewrite; 8] = [&heads, &vocab, &inner, &blocked, &fuse, &split, &order, &WeightsInOut];
    let alone = all.iter().copied().chain([&more_heads as &dyn Rewrite]).map(|rewrite| vec![rewrite]);
    for rewrites in alone.chain([all.to_vec()]) {
        let names: Vec<&str> = rewrites.iter().map(|rewrite| rewrite.name()).collect();
        let (rewritten, applied) = apply(&rewrites, plain.clone()).unwrap();
        assert_eq!(applied.iter().map(|a| a.rewrite).collect::<Vec<_>>(), names, "each has something to do");
        let found = logits(&rewritten, &load(&rewritten, &*checkpoint), &client, &LONG);
        for (step, distance) in distances(&found, &expected).into_iter().enumerate() {
            assert!(distance <= tolerance(DType::F32), "{names:?} step {step}: {distance}");
        }
    }
}

/// A key-value head of one query head: its copies have a head of zeros each but one.
#[test]
fn heads_of_their_own_are_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let heads = json!({"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1});
    let (model, client) = (model(&heads), client());
    write_checkpoint(&model, &path);
    let checkpoint = porter_weights::open(&path).unwrap();
    let plain = port(&model, Precision::uniform(DType::F32), &*checkpoint, &SHORT);
    let expected = logits(&plain, &load(&plain, &*checkpoint), &client, &SHORT);
    let (padded, applied) = apply(&[&PadHeads { tensor: 4 }], plain).unwrap();
    assert_eq!(applied.len(), 1);
    let found = logits(&padded, &load(&padded, &*checkpoint), &client, &SHORT);
    for (step, distance) in distances(&found, &expected).into_iter().enumerate() {
        assert!(distance <= tolerance(DType::F32), "step {step}: {distance}");
    }
}

#[test]
fn eight_bit_weights_drift_by_what_rounding_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (model, client) = (model(&uneven()), client());
    write_checkpoint(&model, &path);
    let checkpoint = porter_weights::open(&path).unwrap();
    let plain = port(&model, Precision::uniform(DType::F32), &*checkpoint, &SHORT);
    let expected = logits(&plain, &load(&plain, &*checkpoint), &client, &SHORT);
    let (quantised, _) = apply(&[&Int8Weights], plain.clone()).unwrap();
    let found = logits(&quantised, &load(&quantised, &*checkpoint), &client, &SHORT);
    // Weights uniform in ±m are off by a uniform error in ±m/255: 1/255 of their own deviation. A layer adds two branches
    // of three products one after the other, three layers 18 products in all, whose errors are independent: 18^0.5 / 255
    // = 0.017 of the deviation of the logits. The largest of 2000 is below five times that.
    for (step, distance) in distances(&found, &expected).into_iter().enumerate() {
        assert!((1e-4..5.0 * 0.017).contains(&distance), "step {step}: {distance}");
    }
}
