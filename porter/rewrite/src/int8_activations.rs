//! # 8-bit activations
//!
//! **What.** Weights of linear layers become 8-bit integers with one scale an output channel, and what they are
//! multiplied with is rounded to 8-bit integers with one scale a row (a token), taken from the row as it comes. The
//! product is one of integers, `s8 x s8 -> s32`, scaled afterwards in f32. W8A8, as vLLM and compressed-tensors
//! call it.
//!
//! **Why on TPU.** The matrix units of v5e, v5p and v6e multiply 8-bit integers at twice the rate of bf16, which is
//! what bounds a prefill. Steps of few rows read as many bytes as with 8-bit weights alone. v4 gains no rate and 7x
//! has no 8-bit integer units: take `int8_weights` there.
//!
//! **Before and after.** `y = x·Wᵀ` becomes `y = (R·Qᵀ)·r·s`: `R: i8[.., in]` is `x / r` rounded to nearest, ties to
//! even, `r: f32[..]` the largest magnitude of each row over 127, `Q: i8[out, in]` and `s: f32[out]` as in
//! `int8_weights`. Layers over one value round it once.
//!
//! **Effect on the numbers.** Approximate: beside the weights' rounding an activation is off by at most half a step,
//! `max|row| / 254`. The sum is exact up to 132 104 columns; longer rows keep their type. A row of a few outliers
//! rounds the rest coarsely, which no budget here foresees: compare with a reference (`--reference`).
//!
//! **Undo.** None: rounding loses the weights. The checkpoint has them.
//!
//! **Evidence.** docs/rewrites.md, "Precision".

use std::collections::BTreeMap;

use porter_ir::{DType, OpId, Program, Result, Value};

use crate::{
    Edit, Effect, Patch, Port, Rewrite, Site,
    linear::Linear,
    quantised::{Quantised, quantisable},
};

/// The largest integer of an activation.
const LARGEST: i32 = 127;
/// The most products of `-127..=127` and `-128..=127` whose sum an i32 holds.
const MOST_COLUMNS: usize = (i32::MAX / (LARGEST * 128)) as usize;

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Int8Activations;

impl Rewrite for Int8Activations {
    fn name(&self) -> &'static str {
        "int8_activations"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Approximate, port);
        let (mut count, mut saved) = (0, 0);
        let mut over: BTreeMap<(usize, Value), Vec<Layer>> = BTreeMap::new();
        for weight in quantisable(port).filter(|weight| weight.columns <= MOST_COLUMNS) {
            let Some(quantised) = Quantised::add(&weight, port, &mut patch) else { continue };
            (count, saved) = (count + 1, saved + weight.device_bytes() / 2);
            for (at, op, layer) in &weight.layers {
                let layer = Layer { op: *op, linear: layer.clone(), quantised: quantised.clone() };
                over.entry((*at, layer.linear.input)).or_default().push(layer);
            }
        }
        for ((at, input), mut layers) in over {
            layers.sort_by_key(|layer| layer.op);
            patch.edits[at].push(edit(&port.programs[at], input, layers));
        }
        patch.reason = format!(
            "{count} weights take {} MiB a device less as 8-bit integers and are multiplied with such",
            saved >> 20
        );
        patch
    }
}

struct Layer {
    op: OpId,
    linear: Linear,
    quantised: Quantised,
}

/// Layers over one value.
fn edit(program: &Program, input: Value, layers: Vec<Layer>) -> Edit {
    Edit {
        ops: layers.iter().map(|layer| layer.op).collect(),
        results: layers.iter().flat_map(|layer| program.op(layer.op).results.clone()).collect(),
        replacement: Box::new(move |site| {
            let rows = Rows::of(site, site.value(input)?)?;
            layers.iter().map(|layer| rows.product(site, layer)).collect()
        }),
    }
}

/// Rows as integers with a scale each.
struct Rows {
    /// `i8[.., in]`.
    values: Value,
    /// `f32[..]`.
    scales: Value,
}

impl Rows {
    fn of(site: &Site<'_>, x: Value) -> Result<Self> {
        let b = &site.b;
        let x = b.convert(x, DType::F32)?;
        let shape = b.shape(x);
        let last = shape.rank().saturating_sub(1);
        let scales = b.multiply_scalar(b.reduce_max(b.abs(x)?, &[last])?, 1.0 / f64::from(LARGEST))?;
        // A row of zeros has a scale too.
        let scales = b.maximum(scales, b.full_like(scales, f64::from(f32::MIN_POSITIVE))?)?;
        let dims: Vec<usize> = (0..last).collect();
        let steps = b.divide(x, b.broadcast_in_dim(scales, shape, &dims)?)?;
        Ok(Self { values: b.convert(b.round_nearest_even(steps)?, DType::I8)?, scales })
    }

    fn product(&self, site: &Site<'_>, layer: &Layer) -> Result<Value> {
        let b = &site.b;
        let product = b.linear(self.values, layer.quantised.values(site)?, DType::I32)?;
        let product = b.convert(product, DType::F32)?;
        let shape = b.shape(product);
        let dims: Vec<usize> = (0..shape.rank().saturating_sub(1)).collect();
        let product = b.multiply(product, b.broadcast_in_dim(self.scales, shape, &dims)?)?;
        b.convert(layer.quantised.scaled(site, product)?, layer.linear.output.dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, Op, TensorType};
    use porter_weights::{Expr, WeightMap};

    #[test]
    fn layers_over_one_value_multiply_integers_and_round_it_once() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [2, 3, 8])).unwrap();
        let mut weights = WeightMap::new();
        for module in ["mlp.up_proj", "mlp.gate_proj", "lm_head"] {
            let w = b.scope(module).weight("weight", TensorType::new(DType::BF16, [6, 8])).unwrap();
            b.result(module, b.linear(x, w, DType::BF16).unwrap()).unwrap();
            weights.insert(format!("{module}.weight"), [6, 8], Expr::source(module));
        }
        let port = Port::new(vec![b.finish()], weights);
        let quantised = Int8Activations.propose(&port).apply(&port).unwrap();
        let program = &quantised.programs[0];
        assert!(program.verify().is_empty(), "{:?}", program.verify());
        let ops = || program.ops().map(|(_, data)| data);
        assert_eq!(ops().filter(|data| matches!(data.op, Op::RoundNearestEven(_))).count(), 1);
        let dots = ops().filter(|data| matches!(data.op, Op::DotGeneral(_)));
        let types = dots.map(|data| {
            let dtype = |value: Value| program.ty(value).dtype;
            (dtype(data.operands[0]), dtype(data.operands[1]), dtype(data.results[0]))
        });
        let integers = (DType::I8, DType::I8, DType::I32);
        let wide = (DType::BF16, DType::BF16, DType::BF16);
        assert_eq!(types.collect::<Vec<_>>(), [integers, integers, wide]);
    }
}
