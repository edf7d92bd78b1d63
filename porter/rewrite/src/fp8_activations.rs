//! # 8-bit floats
//!
//! **What.** Weights of linear layers become floats of 8 bits (E4M3) with one scale an output channel, and what they
//! are multiplied with is rounded to such floats with one scale a row (a token), taken from the row as it comes. The
//! product is one of `f8E4M3FN` with a sum in f32, scaled afterwards. FP8 W8A8 with dynamic activations, as vLLM and
//! compressed-tensors call it.
//!
//! **Why on TPU.** The matrix units of 7x multiply 8-bit floats at twice the rate of bf16 and have no integers; a step of
//! few rows reads half the bytes. v5p and v6e take such floats but multiply them at the rate of bf16, v4 and v5e have none:
//! take `int8_activations` there.
//!
//! **Before and after.** `y = x·Wᵀ` becomes `y = (R·Qᵀ)·r·s`: `R: f8[.., in]` is `x / r` rounded to nearest, ties to
//! even, `r: f32[..]` the largest magnitude of each row over 448, `Q: f8[out, in]` and `s: f32[out]` likewise
//! (`Expr::Quantise`). Layers over one value round it once.
//!
//! **Effect on the numbers.** Approximate: a weight or an activation is off by at most 1/16 of itself, or, where it is
//! less than 2^-15 of its row's largest, by 2^-19 of that. Rows of a few outliers lose less than with integers.
//! Embeddings, the head, norms and biases keep their type.
//!
//! **Undo.** None: rounding loses the weights. The checkpoint has them.
//!
//! **Evidence.** docs/rewrites.md, "Precision".

use porter_ir::DType;
use porter_weights::QuantisedTo;

use crate::{Patch, Port, Rewrite, quantised::RowForm};

const FORM: RowForm = RowForm {
    to: QuantisedTo::Fp8,
    most_columns: usize::MAX,
    numbers: "floats",
    sum: DType::F32,
    round: |site, steps| {
        // What a division rounds up past the range would be NaN.
        let b = &site.b;
        let [low, high] = QuantisedTo::Fp8.range().map(|bound| b.full_like(steps, f64::from(bound)));
        b.convert(b.clamp(low?, steps, high?)?, DType::F8E4M3FN)
    },
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Fp8Activations;

impl Rewrite for Fp8Activations {
    fn name(&self) -> &'static str {
        "fp8_activations"
    }

    fn propose(&self, port: &Port) -> Patch {
        FORM.propose(self.name(), port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, Op, TensorType};
    use porter_weights::{Expr, WeightMap};

    #[test]
    fn a_layer_multiplies_floats_of_eight_bits_and_sums_in_f32() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [2, 3, 8])).unwrap();
        let w = b.scope("mlp.up_proj").weight("weight", TensorType::new(DType::F32, [6, 8])).unwrap();
        b.result("y", b.linear(x, w, DType::BF16).unwrap()).unwrap();
        let mut weights = WeightMap::new();
        weights.insert("mlp.up_proj.weight", [6, 8], Expr::source("w"));
        let port = Port::new(vec![b.finish()], weights);
        let quantised = Fp8Activations.propose(&port).apply(&port).unwrap();
        let program = &quantised.programs[0];
        assert!(program.verify().is_empty(), "{:?}", program.verify());
        let dot = program.ops().find(|(_, data)| matches!(data.op, Op::DotGeneral(_))).unwrap().1;
        let types: Vec<DType> =
            dot.operands.iter().chain(&dot.results).map(|value| program.ty(*value).dtype).collect();
        assert_eq!(types, [DType::F8E4M3FN, DType::F8E4M3FN, DType::F32]);
        let (_, _, expr) = quantised.weights.resolve("mlp.up_proj.weight").unwrap();
        assert_eq!(*expr, Expr::source("w").cast(DType::F32).quantised_values(QuantisedTo::Fp8));
    }
}
