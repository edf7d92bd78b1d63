//! Where each parameter lies in `MaxText`'s tree, and how.

use porter_ir::Shape;
use porter_weights::Expr;

use super::Block;
/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Same,
    /// `[out, in]` to `[in, out]`.
    Kernel,
    /// The query: `[heads * head_dim, in]` to `[in, heads, head_dim]`, rotated pairs as the block wants
    /// them, and scaled where the block does not scale.
    Query,
    /// The key: as the query, never scaled.
    Key,
    /// The value: as the key, never rotated.
    Value,
    /// `[out, heads * head_dim]` to `[heads, head_dim, out]`.
    Out,
    /// A vector over a head, in the order of its rotated pairs.
    Head,
}

/// When a block has a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Biases,
    HeadNorms,
}

/// A parameter's place.
#[derive(Debug)]
pub(super) struct Place {
    /// Hugging Face's name; in a layer, what follows the layer's number.
    hf: &'static str,
    /// `MaxText`'s modules, with `/` between them; those of a layer below the layer.
    keys: &'static str,
    form: Form,
    when: When,
}

const fn place(hf: &'static str, keys: &'static str, form: Form, when: When) -> Place {
    Place { hf, keys, form, when }
}

/// Hugging Face's prefix of what lies in a layer.
const LAYERS: &str = "model.layers.";

/// Around the layers.
#[rustfmt::skip]
const MODEL: &[Place] = &[
    place("model.embed_tokens.weight", "token_embedder/embedding", Form::Same, When::Always),
    place("model.norm.weight", "decoder/decoder_norm/scale", Form::Same, When::Always),
    place("lm_head.weight", "decoder/logits_dense/kernel", Form::Kernel, When::Always),
];

/// In a layer of any of the blocks.
#[rustfmt::skip]
const LAYER: &[Place] = &[
    place("input_layernorm.weight", "pre_self_attention_layer_norm/scale", Form::Same, When::Always),
    place("self_attn.q_proj.weight", "self_attention/query/kernel", Form::Query, When::Always),
    place("self_attn.k_proj.weight", "self_attention/key/kernel", Form::Key, When::Always),
    place("self_attn.v_proj.weight", "self_attention/value/kernel", Form::Value, When::Always),
    place("self_attn.o_proj.weight", "self_attention/out/kernel", Form::Out, When::Always),
    place("self_attn.q_proj.bias", "self_attention/query/bias", Form::Query, When::Biases),
    place("self_attn.k_proj.bias", "self_attention/key/bias", Form::Key, When::Biases),
    place("self_attn.v_proj.bias", "self_attention/value/bias", Form::Value, When::Biases),
    place("self_attn.q_norm.weight", "self_attention/query_norm/scale", Form::Head, When::HeadNorms),
    place("self_attn.k_norm.weight", "self_attention/key_norm/scale", Form::Head, When::HeadNorms),
    place("post_attention_layernorm.weight", "post_self_attention_layer_norm/scale", Form::Same, When::Always),
    place("mlp.gate_proj.weight", "mlp/wi_0/kernel", Form::Kernel, When::Always),
    place("mlp.up_proj.weight", "mlp/wi_1/kernel", Form::Kernel, When::Always),
    place("mlp.down_proj.weight", "mlp/wo/kernel", Form::Kernel, When::Always),
];

/// The layer that a parameter lies in.
pub(super) fn layer(name: &str) -> Option<usize> {
    name.strip_prefix(LAYERS)?.split_once('.')?.0.parse().ok()
}

/// The place that `block` has for the parameter `name`.
pub(super) fn find(name: &str, block: &Block) -> Option<&'static Place> {
    let in_layer = name.strip_prefix(LAYERS).and_then(|rest| rest.split_once('.'));
    let (places, name) = in_layer.map_or((MODEL, name), |(_, rest)| (LAYER, rest));
    places.iter().find(|place| {
        let has = match place.when {
            When::Always => true,
            When::Biases => block.biases,
            When::HeadNorms => block.head_norms,
        };
        has && place.hf == name
    })
}

/// The sizes that forms need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Whether the two numbers that are rotated together lie side by side.
    interleaved: bool,
}

impl Sizes {
    pub(super) fn new(block: &Block) -> Self {
        let c = &block.backbone;
        Self {
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            interleaved: block.interleaved(),
        }
    }

    /// The factor of scores, `1 / sqrt(head_dim)`.
    fn score_factor(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }
}

impl Place {
    /// The keys from the root of the tree.
    pub(super) fn keys(&self, layer: Option<usize>, scan_layers: bool) -> Vec<String> {
        let mut keys = vec!["params".to_owned(), "params".to_owned()];
        match layer {
            Some(_) if scan_layers => keys.extend(["decoder".to_owned(), "layers".to_owned()]),
            Some(layer) => keys.extend(["decoder".to_owned(), format!("layers_{layer}")]),
            None => {}
        }
        keys.extend(self.keys.split('/').map(str::to_owned));
        keys
    }

    /// What the parameter is multiplied by.
    pub(super) fn scale(&self, block: &Block, sizes: &Sizes) -> Option<f32> {
        (self.form == Form::Query && block.scales_query).then(|| sizes.score_factor() as f32)
    }

    /// What `MaxText`'s parameter is multiplied by to have this one back.
    pub(super) fn unscale(&self, block: &Block, sizes: &Sizes) -> Option<f32> {
        (self.form == Form::Query && block.scales_query).then(|| (sizes.head_dim as f64).sqrt() as f32)
    }

    /// The elements of the parameter `expr` of `shape` in `MaxText`'s order, and their shape.
    pub(super) fn apply(&self, expr: Expr, shape: &Shape, sizes: &Sizes) -> (Expr, Shape) {
        let Sizes { heads, kv_heads, head_dim, interleaved } = *sizes;
        let rotated = |expr: Expr, heads| if interleaved { expr.permute_rope(heads, shape) } else { expr };
        match self.form {
            Form::Same => (expr, shape.clone()),
            Form::Kernel => (expr.transpose(), shape.iter().rev().copied().collect::<Vec<_>>().into()),
            Form::Query => by_head(rotated(expr, heads), shape, heads, head_dim),
            Form::Key => by_head(rotated(expr, kv_heads), shape, kv_heads, head_dim),
            Form::Value => by_head(expr, shape, kv_heads, head_dim),
            Form::Out => {
                let to = [heads, head_dim, shape.first().copied().unwrap_or(1)];
                (expr.transpose().reshape(to), to.into())
            }
            Form::Head => (rotated(expr, 1), shape.clone()),
        }
    }
}

/// `[heads * head_dim, in]` as `[in, heads, head_dim]`, and `[heads * head_dim]` as `[heads, head_dim]`.
fn by_head(expr: Expr, shape: &Shape, heads: usize, head_dim: usize) -> (Expr, Shape) {
    match shape.get(1) {
        Some(&features) => {
            let to = [features, heads, head_dim];
            (expr.transpose().reshape(to), to.into())
        }
        None => (expr.reshape([heads, head_dim]), [heads, head_dim].into()),
    }
}
