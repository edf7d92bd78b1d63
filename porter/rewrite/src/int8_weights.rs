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

use porter_ir::{DType, OpId, Program, Sharding, TensorType};

use crate::{
    Edit, Effect, Patch, Port, Rewrite,
    linear::{Linear, LinearWeight, sharded_weight},
};

/// Parts of the names of weights that keep their type: those that compressed-tensors' recipes leave alone.
pub(crate) const LEFT_ALONE: [&str; 4] = ["embed", "lm_head", "classifier", "predictions"];

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
            let Some(quantised) = Quantised::add(&weight, port, &mut patch) else { continue };
            (count, saved) = (count + 1, saved + weight.device_bytes() / 2);
            for (at, op, layer) in &weight.layers {
                patch.edits[*at].push(edit(&port.programs[*at], *op, quantised.clone(), layer));
            }
        }
        patch.reason = format!("{count} weights take {} MiB a device less as 8-bit integers", saved >> 20);
        patch
    }
}

/// The weights of linear layers that a policy of precision may narrow.
pub(crate) fn quantisable(port: &Port) -> impl Iterator<Item = LinearWeight> {
    let narrow = |weight: &LinearWeight| matches!(weight.dtype, DType::BF16 | DType::F32);
    let named = |weight: &LinearWeight| LEFT_ALONE.iter().any(|part| weight.name.contains(part));
    LinearWeight::all(port).into_iter().filter(move |weight| narrow(weight) && !named(weight))
}

/// The two inputs that a weight becomes.
#[derive(Clone)]
pub(crate) struct Quantised {
    values: (String, TensorType, Option<Sharding>),
    scales: (String, TensorType, Option<Sharding>),
}

impl Quantised {
    /// Adds both to `patch`.
    pub(crate) fn add(weight: &LinearWeight, port: &Port, patch: &mut Patch) -> Option<Self> {
        let (_, _, expr) = port.weights.resolve(&weight.name)?;
        let wide = expr.clone().cast(DType::F32);
        let of_rows =
            |sharding: &Sharding| Sharding { dims: sharding.dims.iter().take(1).cloned().collect() };
        let values = TensorType::new(DType::I8, [weight.rows, weight.columns]);
        let scales = TensorType::new(DType::F32, [weight.rows]);
        let scale_name = scale_name(&weight.name);
        patch.weights.push((weight.name.clone(), values.shape.clone(), wide.clone().quantised_values()));
        let column = wide.quantised_scales().reshape([weight.rows]);
        patch.weights.push((scale_name.clone(), scales.shape.clone(), column));
        Some(Self {
            values: (weight.name.clone(), values, weight.sharding.clone()),
            scales: (scale_name, scales, weight.sharding.as_ref().map(of_rows)),
        })
    }

    pub(crate) fn values(&self, site: &crate::Site<'_>) -> porter_ir::Result<porter_ir::Value> {
        let (name, ty, sharding) = &self.values;
        sharded_weight(site, name, ty.clone(), sharding.as_ref())
    }

    /// `y` (`f32[.., out]`) times the scale of each column.
    pub(crate) fn scaled(
        &self,
        site: &crate::Site<'_>,
        y: porter_ir::Value,
    ) -> porter_ir::Result<porter_ir::Value> {
        let (name, ty, sharding) = &self.scales;
        let scales = sharded_weight(site, name, ty.clone(), sharding.as_ref())?;
        let shape = site.b.shape(y);
        let last = shape.rank().saturating_sub(1);
        site.b.multiply(y, site.b.broadcast_in_dim(scales, shape, &[last])?)
    }
}

/// `q_proj.weight[0:256]` → `q_proj.weight_scale[0:256]`.
fn scale_name(name: &str) -> String {
    match name.rsplit_once("weight") {
        Some((module, piece)) => format!("{module}weight_scale{piece}"),
        None => format!("{name}_scale"),
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
    use porter_ir::Builder;
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
        assert_eq!(*expr, wide.quantised_values());
    }
}
