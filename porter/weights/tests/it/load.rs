//! Whole weight maps over real files: one model from GGUF and from safetensors.

use std::{collections::BTreeMap, sync::Arc};

use porter_ir::DType;
use porter_weights::{Checkpoint, Error, ErrorKind, Expr, WeightMap};

use crate::common::{assert_same_bits, f32s, open};

/// The tiny llama of the fixtures (`tiny/llama/config.json`).
const HEADS: usize = 6;
const KV_HEADS: usize = 2;

/// Hugging Face's names over llama.cpp's tensors.
fn llama_from_gguf(gguf: &dyn Checkpoint) -> WeightMap {
    let mut map = WeightMap::new();
    let mut add = |name: String, source: &str, expr: fn(Expr, &[usize]) -> Expr| {
        let shape = gguf.tensors()[source].shape.clone();
        let expr = expr(Expr::source(source), &shape);
        map.insert(name, shape, expr);
    };
    let same: fn(Expr, &[usize]) -> Expr = |expr, _| expr;
    add("model.embed_tokens.weight".into(), "token_embd.weight", same);
    add("model.norm.weight".into(), "output_norm.weight", same);
    add("lm_head.weight".into(), "output.weight", same);
    for layer in 0..3 {
        let mut layer_add = |name: &str, source: &str, expr: fn(Expr, &[usize]) -> Expr| {
            add(format!("model.layers.{layer}.{name}.weight"), &format!("blk.{layer}.{source}.weight"), expr);
        };
        layer_add("input_layernorm", "attn_norm", same);
        layer_add("post_attention_layernorm", "ffn_norm", same);
        layer_add("mlp.down_proj", "ffn_down", same);
        layer_add("mlp.gate_proj", "ffn_gate", same);
        layer_add("mlp.up_proj", "ffn_up", same);
        layer_add("self_attn.v_proj", "attn_v", same);
        layer_add("self_attn.o_proj", "attn_output", same);
        layer_add("self_attn.q_proj", "attn_q", |expr, shape| expr.unpermute_rope(HEADS, shape));
        layer_add("self_attn.k_proj", "attn_k", |expr, shape| expr.unpermute_rope(KV_HEADS, shape));
    }
    map.tolerate("rope_freqs.*", "rotary frequencies come from the config");
    map
}

#[test]
fn a_model_from_gguf_has_the_weights_of_its_safetensors() {
    let (gguf, safetensors) = (open("gguf/llama_open_F32.gguf"), open("tiny/llama"));
    let map = llama_from_gguf(gguf.as_ref());
    let mut seen = Vec::new();
    let weights =
        map.load(gguf.as_ref(), |_, _| DType::F32, |loaded| seen.push((loaded.done, loaded.total))).unwrap();
    assert_eq!(seen, (1..=30).map(|done| (done, 30)).collect::<Vec<_>>());
    assert!(weights.keys().eq(safetensors.tensors().keys()));
    for (name, tensor) in &weights {
        let values: Vec<f32> = tensor.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_same_bits(&values, &f32s(safetensors.as_ref(), name), name);
    }
}

#[test]
fn the_inverse_of_the_gguf_map_gives_the_gguf_back() {
    let (gguf, safetensors) = (open("gguf/llama_open_F32.gguf"), open("tiny/llama"));
    for name in llama_from_gguf(gguf.as_ref()).parameters().keys() {
        let map = llama_from_gguf(gguf.as_ref());
        let (_, _, expr) = map.resolve(name).unwrap();
        for (source, back) in expr.inverse(name, gguf.as_ref()).unwrap() {
            let mut bytes = vec![0; gguf.tensors()[&source].bytes];
            back.evaluate(safetensors.as_ref(), DType::F32, &mut bytes).unwrap();
            assert_eq!(bytes, *gguf.tensor(&source).unwrap().bytes, "{source}");
        }
    }
}

#[test]
fn everything_that_does_not_fit_is_reported_at_once() {
    let gguf = open("gguf/llama_open_F32.gguf");
    let mut map = llama_from_gguf(gguf.as_ref());
    map.insert("extra.one", [2], Expr::source("absent.one"));
    map.insert(
        "extra.two",
        [2],
        Expr::concat([Expr::source("absent.two"), Expr::source("output_norm.weight")], 0),
    );
    map.insert("model.norm.weight", [97], Expr::source("output_norm.weight"));
    map.insert("lm_head.weight", [997, 96], Expr::source("token_embd.weight").slice([0..998, 0..96]));
    map.tie("tied", "nothing");
    map.tie("twice", "tied");
    let report = map.check(gguf.as_ref());
    assert!(!report.fits());
    assert_eq!(
        report.missing.iter().map(|m| m.source.as_str()).collect::<Vec<_>>(),
        ["absent.one", "absent.two"]
    );
    assert_eq!(report.mis_shaped.len(), 1);
    assert_eq!(
        report.unfit.iter().map(|u| u.parameter.as_str()).collect::<Vec<_>>(),
        ["lm_head.weight", "tied", "twice"]
    );
    assert_eq!(report.unused, ["output.weight"]);
    assert_eq!(report.tolerated.len(), 1);
    let error = map.load(gguf.as_ref(), |_, _| DType::F32, |_| ()).err().unwrap();
    assert!(matches!(error, Error::Map { .. }));
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    for named in ["absent.one", "absent.two", "[97]", "tied", "output.weight"] {
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn tied_parameters_share_their_bytes() {
    let file = open("tiny/llama");
    let mut map = WeightMap::new();
    map.tie("a", "b");
    map.insert("b", [96], Expr::source("model.norm.weight"));
    map.tolerate("*", "only ties are tested");
    let weights: BTreeMap<_, _> = map.load(file.as_ref(), |_, _| DType::BF16, |_| ()).unwrap();
    assert!(Arc::ptr_eq(&weights["a"].bytes, &weights["b"].bytes));
    assert_eq!(weights["a"].bytes.len(), 96 * 2);
}
