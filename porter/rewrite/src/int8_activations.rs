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

use porter_ir::DType;
use porter_weights::QuantisedTo;

use crate::{Patch, Port, Rewrite, quantised::RowForm};

/// The largest integer of an activation.
const LARGEST: i32 = 127;

const FORM: RowForm = RowForm {
    to: QuantisedTo::Int8,
    // Products of -127..=127 and -128..=128, as many as an i32 holds the sum of.
    most_columns: (i32::MAX / (LARGEST * 128)) as usize,
    numbers: "integers",
    sum: DType::I32,
    round: |site, steps| site.b.convert(site.b.round_nearest_even(steps)?, DType::I8),
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Int8Activations;

impl Rewrite for Int8Activations {
    fn name(&self) -> &'static str {
        "int8_activations"
    }

    fn propose(&self, port: &Port) -> Patch {
        FORM.propose(self.name(), port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, Op, TensorType, Value};
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
