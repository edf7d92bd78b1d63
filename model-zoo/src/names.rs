//! What checkpoints call a model's parameters.
//!
//! Parameters are named as the Hugging Face class names them. This module finds each in a
//! checkpoint that follows the same names, an older spelling of them, or GGUF's.

use std::collections::BTreeMap;

use porter_ir::Shape;
use porter_weights::{Checkpoint, Expr, Format, WeightMap, holds};

/// What is the same in every checkpoint of an architecture, and what GGUF calls it.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The module that the base model is in the classes with a head ("model.", "bert."). Older
    /// checkpoints, and those of the base class, lack it.
    pub(crate) prefix: &'static str,
    /// GGUF's names.
    pub(crate) gguf: GgufNames,
    /// Parameters that checkpoints store under another name, or in parts.
    pub(crate) stored: &'static [Stored],
    /// Tensors that may be there and are not parameters, with the reason.
    pub(crate) tolerated: Vec<(&'static str, &'static str)>,
}

/// The end of a parameter's name, and what stands there in a checkpoint, where `{}` is the number of a slice: a stack of
/// as many tensors.
pub(crate) type Stored = (&'static str, &'static str);

/// GGUF's names of an architecture's modules.
#[derive(Clone, Debug, Default)]
pub(crate) struct GgufNames {
    /// Hugging Face module paths and GGUF's names of them; `{}` stands for the layer.
    pub(crate) modules: &'static [(&'static str, &'static str)],
    /// The modules whose rows llama.cpp's converter permutes, and how many heads each has.
    pub(crate) permuted: Vec<(&'static str, usize)>,
}

/// The decoders' modules, as `gguf-py`'s `TensorNameMap` has them.
pub(crate) const DECODER: &[(&str, &str)] = &[
    ("model.embed_tokens", "token_embd"),
    ("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    ("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    ("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
    ("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    ("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    ("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
    ("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
    ("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    ("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    ("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
];

impl Names {
    /// The expression of every parameter over `checkpoint`. A parameter that is in it under none of
    /// its names gets the first, so that the map's check reports it as missing.
    pub(crate) fn weight_map(
        &self,
        parameters: &BTreeMap<String, Shape>,
        checkpoint: &dyn Checkpoint,
    ) -> WeightMap {
        let mut map = WeightMap::new();
        for (name, shape) in parameters {
            let expr = match checkpoint.format() {
                Format::Gguf { .. } => self.gguf.expr(name, shape),
                _ => self.expr(name, shape, checkpoint),
            };
            map.insert(name, shape.clone(), expr);
        }
        for &(pattern, reason) in &self.tolerated {
            map.tolerate(pattern, reason);
        }
        map
    }

    /// The parameter `name` of `shape`, by the names of Hugging Face.
    fn expr(&self, name: &str, shape: &Shape, checkpoint: &dyn Checkpoint) -> Expr {
        let source = |name: &str| Expr::source(self.spelling(name, checkpoint));
        // Where the stack itself is stored, it is taken.
        let elsewhere = self.stored.iter().find_map(|(end, stored)| Some((name.strip_suffix(end)?, stored)));
        let Some((module, stored)) = elsewhere.filter(|_| !holds(checkpoint, name)) else {
            return source(name);
        };
        let stored = format!("{module}{stored}");
        match stored.split_once("{}") {
            None => source(&stored),
            Some((before, after)) => {
                let slices = 0..shape.first().copied().unwrap_or(0);
                Expr::stack(slices.map(|i| source(&format!("{before}{i}{after}"))).collect::<Vec<_>>())
            }
        }
    }

    /// The spelling of the parameter `name` that `checkpoint` has.
    fn spelling(&self, name: &str, checkpoint: &dyn Checkpoint) -> String {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        let spellings = [name, bare, &format!("{}{bare}", self.prefix)];
        let known = spellings.into_iter().flat_map(|s| [s.to_owned(), tensorflow_norm(s)]);
        let found = known.into_iter().find(|s| holds(checkpoint, s));
        found.unwrap_or_else(|| name.to_owned())
    }
}

/// The names that layer norms have in checkpoints converted from TensorFlow.
fn tensorflow_norm(name: &str) -> String {
    if let Some(module) = name.strip_suffix("LayerNorm.weight") {
        format!("{module}LayerNorm.gamma")
    } else if let Some(module) = name.strip_suffix("LayerNorm.bias") {
        format!("{module}LayerNorm.beta")
    } else {
        name.to_owned()
    }
}

/// What GGUF calls a parameter.
pub(crate) struct GgufName {
    pub(crate) name: String,
    /// How many heads' rows are interleaved, where they are.
    pub(crate) permuted: Option<usize>,
}

impl GgufNames {
    fn expr(&self, name: &str, shape: &Shape) -> Expr {
        let Some(gguf) = self.name(name) else { return Expr::source(name) };
        let source = Expr::source(gguf.name);
        match gguf.permuted {
            Some(heads) => source.unpermute_rope(heads, shape),
            None => source,
        }
    }

    /// GGUF's name of the parameter `name`, if it has one.
    pub(crate) fn name(&self, name: &str) -> Option<GgufName> {
        let (pattern, layer) = split_layer(name);
        let (module, parameter) = pattern.rsplit_once('.')?;
        let (_, gguf) = self.modules.iter().find(|(hf, _)| *hf == module)?;
        let permuted = self.permuted.iter().find(|(hf, _)| *hf == module).map(|&(_, heads)| heads);
        Some(GgufName { name: format!("{}.{parameter}", gguf.replace("{}", &layer)), permuted })
    }
}

/// `a.7.b` as `a.{}.b` and `7`; a name without a number is its own pattern.
fn split_layer(name: &str) -> (String, String) {
    let is_number = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let layer = name.split('.').find(|part| is_number(part)).unwrap_or_default();
    let pattern: Vec<&str> = name.split('.').map(|part| if is_number(part) { "{}" } else { part }).collect();
    (pattern.join("."), layer.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gguf_names_of_layers_and_of_what_lies_around_them() {
        let names = GgufNames { modules: DECODER, permuted: vec![("model.layers.{}.self_attn.q_proj", 6)] };
        let expr = |name, shape: &[usize]| names.expr(name, &Shape::new(shape));
        assert_eq!(expr("lm_head.weight", &[9, 4]), Expr::source("output.weight"));
        assert_eq!(expr("model.layers.12.mlp.up_proj.bias", &[4]), Expr::source("blk.12.ffn_up.bias"));
        let query = expr("model.layers.0.self_attn.q_proj.weight", &[120, 96]);
        assert_eq!(query, Expr::source("blk.0.attn_q.weight").unpermute_rope(6, &[120, 96]));
        assert_eq!(expr("unknown.weight", &[1]), Expr::source("unknown.weight"));
    }

    #[test]
    fn old_norm_names() {
        assert_eq!(tensorflow_norm("embeddings.LayerNorm.weight"), "embeddings.LayerNorm.gamma");
        assert_eq!(tensorflow_norm("pooler.dense.bias"), "pooler.dense.bias");
    }
}
