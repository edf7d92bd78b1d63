//! Models whose sizes divide over eight devices, with random weights.

use std::path::Path;

use porter_ir::Shape;
use porter_zoo::Model;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

/// Decoders of two layers, one of them with experts, with eight query heads and four key-value heads, and a BERT.
#[allow(non_snake_case)]
pub(crate) fn MODELS() -> Vec<(&'static str, Value)> {
    let decoder = |class: &str, model_type: &str, more: Value| {
        let mut config = json!({
            "architectures": [class], "model_type": model_type, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 16,
            "vocab_size": 320, "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "rope_theta": 1e4,
            "hidden_act": "silu", "tie_word_embeddings": false
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let bert = json!({
        "architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 320, "max_position_embeddings": 32,
        "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12
    });
    vec![
        ("llama", decoder("LlamaForCausalLM", "llama", json!({}))),
        ("qwen3", decoder("Qwen3ForCausalLM", "qwen3", json!({ "tie_word_embeddings": true }))),
        ("mistral", decoder("MistralForCausalLM", "mistral", json!({ "sliding_window": 5 }))),
        (
            "qwen3_moe",
            decoder(
                "Qwen3MoeForCausalLM",
                "qwen3_moe",
                json!({ "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 48, "norm_topk_prob": true }),
            ),
        ),
        ("bert", bert),
    ]
}

/// Uniform numbers whose products keep the scale of what they multiply.
fn random(name: &str, shape: &Shape) -> Vec<u8> {
    let mut state =
        name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let (scale, centre) = if shape.rank() == 1 { (0.2, 1.0) } else { ((3.0 / shape[1] as f32).sqrt(), 0.0) };
    (0..shape.elements()).flat_map(|_| (centre + scale * uniform()).to_le_bytes()).collect()
}

/// Writes a model folder.
pub(crate) fn write(config: &Value, folder: &Path) {
    let parameters = Model::from_hf(config, &[]).unwrap().parameters().unwrap();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> =
        parameters.iter().map(|(name, shape)| (name.clone(), shape.to_vec(), random(name, shape))).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}
