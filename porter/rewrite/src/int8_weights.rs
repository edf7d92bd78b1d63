//! # 8-bit weights
//!
//! **What.** Weights of linear layers become 8-bit integers with one scale an output channel. The product is taken
//! with the integers and scaled afterwards, in f32.
//!
//! **Why on TPU.** A step of few rows is bound by the bytes of its weights, and these halve. The integers become
//! bf16 inside the product, which takes no memory. The scale is one number a column of the result, so it need not
//! touch the weight. On v4 and v5e to v6e; 7x has no 8-bit integer units but reads the same bytes.
//!
//! **Before and after.** `y = x·Wᵀ` becomes `y = (x·Qᵀ)·s`, `Q: i8[out, in]` and `s: f32[out]`.
//!
//! **Effect on the numbers.** Approximate: a weight is off by at most half a step, `max|row| / 255`. The scales are
//! those of compressed-tensors (`Expr::Quantise`), so a checkpoint that `porter convert --quantize int8` wrote has
//! the same integers. Embeddings, the head, norms and biases keep their type.
//!
//! **Undo.** None: rounding loses the weights. The checkpoint has them.
//!
//! **Evidence.** docs/rewrites.md, "Precision".

use porter_ir::{DType, OpId, Program};
use porter_weights::QuantisedTo;

use crate::{
    Edit, Effect, Patch, Port, Rewrite,
    linear::Linear,
    quantised::{Quantised, quantisable},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Int8Weights;

impl Rewrite for Int8Weights {
    fn name(&self) -> &'static str {
        "int8_weights"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Approximate, port);
        let (mut count, mut saved) = (0, 0);
        for weight in quantisable(port) {
            let Some(quantised) = Quantised::add(&weight, QuantisedTo::Int8, port, &mut patch) else {
                continue;
            };
            (count, saved) = (count + 1, saved + weight.device_bytes() / 2);
            for (at, op, layer) in &weight.layers {
                patch.edits[*at].push(edit(&port.programs[*at], *op, quantised.clone(), layer));
            }
        }
        patch.reason = format!("{count} weights take {} MiB a device less as 8-bit integers", saved >> 20);
        patch
    }
}

fn edit(program: &Program, op: OpId, quantised: Quantised, layer: &Linear) -> Edit {
    let (input, output) = (layer.input, layer.output.dtype);
    Edit::one(program, op, move |site| {
        let x = site.value(input)?;
        let product = site.b.linear(x, quantised.values(site)?, DType::F32)?;
        Ok(vec![site.b.convert(quantised.scaled(site, product)?, output)?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, TensorType};
    use porter_weights::{Expr, WeightMap};

    #[test]
    fn layers_read_integers_and_scales_and_the_head_stays() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [2, 8])).unwrap();
        let mut weights = WeightMap::new();
        for module in ["mlp.up_proj", "lm_head"] {
            let w = b.scope(module).weight("weight", TensorType::new(DType::BF16, [6, 8])).unwrap();
            b.result(module, b.linear(x, w, DType::BF16).unwrap()).unwrap();
            weights.insert(format!("{module}.weight"), [6, 8], Expr::source(module));
        }
        let port = Port::new(vec![b.finish()], weights);
        let kept = Port { keep: vec!["mlp.*".to_owned()], ..port.clone() };
        assert!(Int8Weights.propose(&kept).is_empty());
        let quantised = Int8Weights.propose(&port).apply(&port).unwrap();
        let program = &quantised.programs[0];
        assert!(program.verify().is_empty(), "{:?}", program.verify());
        let ty =
            |name: &str| program.ty(program.inputs().iter().find(|i| i.name == name).unwrap().value).clone();
        assert_eq!(ty("mlp.up_proj.weight"), TensorType::new(DType::I8, [6, 8]));
        assert_eq!(ty("mlp.up_proj.weight_scale"), TensorType::new(DType::F32, [6]));
        assert_eq!(ty("lm_head.weight"), TensorType::new(DType::BF16, [6, 8]));
        let wide = Expr::source("mlp.up_proj").cast(DType::F32);
        let (_, _, expr) = quantised.weights.resolve("mlp.up_proj.weight").unwrap();
        assert_eq!(*expr, wide.quantised_values(QuantisedTo::Int8));
    }
}
