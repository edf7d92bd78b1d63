//! # 8-bit experts
//!
//! **What.** The weights of a mixture's experts become 8-bit integers with one scale an output channel of an expert.
//!
//! **Why on TPU.** Nearly all bytes of a mixture are its experts': in 8 bits Qwen3-30B-A3B fits one v6e, in bf16 it does not. A
//! step of few tokens reads half the bytes.
//!
//! **Before and after.** `experts(x, W)` becomes `experts(x, Q·s)`, `Q: i8[experts, out, in]` and `s: f32[experts, out]`. Where
//! each token's own experts are taken (`gathered_experts`, `grouped_experts`) the product is with the integers and scaled
//! afterwards; where all are, the weight is widened inside the product.
//!
//! **Effect on the numbers.** Approximate: as of [`Int8Weights`](crate::Int8Weights), with whose scales these are one. The router
//! keeps its type.
//!
//! **Undo.** None: rounding loses the weights. The checkpoint has them.
//!
//! **Evidence.** docs/rewrites.md, "Experts".

use std::collections::BTreeMap;

use porter_ir::{DType, Input, Op, OpId, Program, Result, Sharding, TensorType, Value};
use porter_weights::QuantisedTo;

use crate::{
    Edit, Effect, Patch, Port, Rewrite, Site,
    experts::{EXPERTS, wide_weight},
    linear::read_only_as,
    new_weight::NewWeight,
    quantised::scale_name,
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Int8Experts;

impl Rewrite for Int8Experts {
    fn name(&self) -> &'static str {
        "int8_experts"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Approximate, port);
        let mut saved = 0;
        let mut by_mixture: BTreeMap<(usize, OpId), Vec<(Value, Narrow)>> = BTreeMap::new();
        for (program, input, readers) in read_only_as(port, weight_of_experts) {
            let Some(narrow) = Narrow::add(program, input, port, &mut patch) else { continue };
            saved += program.ty(input.value).device_bytes() - narrow.values.ty.device_bytes();
            for (at, op, value) in readers {
                by_mixture.entry((at, op)).or_default().push((value, narrow.clone()));
            }
        }
        patch.reason = format!(
            "{} weights of experts take {} MiB less as 8-bit integers",
            patch.weights.len() / 2,
            saved >> 20
        );
        for ((at, op), narrow) in by_mixture {
            patch.edits[at].push(edit(&port.programs[at], op, narrow));
        }
        patch
    }
}

/// `weight`, if the op is a mixture that has it as a projection of its experts.
fn weight_of_experts(program: &Program, op: OpId, weight: Value) -> Option<Value> {
    let data = program.op(op);
    let is_mixture = matches!(&data.op, Op::Composite(composite) if composite.name == EXPERTS);
    let [_, _, _, projections @ ..] = &data.operands[..] else { return None };
    (is_mixture && projections.contains(&weight)).then_some(weight)
}

fn edit(program: &Program, op: OpId, narrow: Vec<(Value, Narrow)>) -> Edit {
    let operands = program.op(op).operands.clone();
    Edit::one(program, op, move |site| {
        let operand = |&old: &Value| match narrow.iter().find(|(wide, _)| *wide == old) {
            Some((_, narrow)) => narrow.wide(site),
            None => site.value(old),
        };
        let operands: Vec<Value> = operands.iter().map(operand).collect::<Result<_>>()?;
        site.repeat(&site.b, op, &operands)
    })
}

/// The two inputs that a weight becomes.
#[derive(Clone)]
struct Narrow {
    /// `i8[experts, out, in]`.
    values: NewWeight,
    /// `f32[experts, out]`.
    scales: NewWeight,
    /// The weight's own type.
    dtype: DType,
}

impl Narrow {
    /// Adds both to `patch`; none of a weight that keeps its type.
    fn add(program: &Program, input: &Input, port: &Port, patch: &mut Patch) -> Option<Self> {
        let (name, ty) = (&input.name, program.ty(input.value));
        let &[experts, rows, _] = &ty.shape[..] else { return None };
        if port.keeps(name) || !matches!(ty.dtype, DType::BF16 | DType::F32) {
            return None;
        }
        let (_, _, expr) = port.weights.resolve(name)?;
        let wide = expr.clone().cast(DType::F32);
        let axes = program.value(input.value).axes.clone();
        let sharding = input.sharding.clone();
        let scales = NewWeight {
            name: scale_name(name),
            ty: TensorType::new(DType::F32, [experts, rows]),
            axes: axes.as_ref().map(|axes| axes.iter().take(2).cloned().collect()),
            sharding: sharding
                .as_ref()
                .map(|lying| Sharding { dims: lying.dims.iter().take(2).cloned().collect() }),
        };
        let to = QuantisedTo::Int8;
        let values = NewWeight {
            name: name.clone(),
            ty: TensorType::new(DType::I8, ty.shape.clone()),
            axes,
            sharding,
        };
        patch.weights.push((name.clone(), ty.shape.clone(), wide.clone().quantised_values(to)));
        let column = wide.quantised_scales(to).reshape([experts, rows]);
        patch.weights.push((scales.name.clone(), scales.ty.shape.clone(), column));
        Some(Self { values, scales, dtype: ty.dtype })
    }

    fn wide(&self, site: &Site<'_>) -> Result<Value> {
        let wide = wide_weight(&site.b, self.values.read(site)?, self.scales.read(site)?, self.dtype)?;
        if let Some(axes) = &self.values.axes {
            site.b.logical_axes(wide, axes)?;
        }
        Ok(wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{AttributeValue, Builder};
    use porter_weights::{Expr, WeightMap};

    #[test]
    fn a_mixture_reads_integers_and_scales_of_its_experts() {
        let b = Builder::new("main");
        let weight =
            |name: &str, shape: [usize; 3]| b.weight(name, TensorType::new(DType::BF16, shape)).unwrap();
        let x = b.argument("x", TensorType::new(DType::BF16, [1, 3, 4])).unwrap();
        let shares = b.argument("shares", TensorType::new(DType::F32, [1, 3, 2])).unwrap();
        let chosen = b.argument("chosen", TensorType::new(DType::I32, [1, 3, 2])).unwrap();
        let shapes = [("gate_proj", [5, 6, 4]), ("up_proj", [5, 6, 4]), ("down_proj", [5, 4, 6])];
        let mut operands = vec![x, shares, chosen];
        let mut weights = WeightMap::new();
        for (name, shape) in shapes {
            operands.push(weight(name, shape));
            weights.insert(name, shape, Expr::source(name));
        }
        let silu = vec![("activation".to_owned(), AttributeValue::String("silu".to_owned()))];
        let mixed = b.composite(EXPERTS, silu, &operands, |_, operands| Ok(vec![operands[0]])).unwrap();
        b.result("y", mixed[0]).unwrap();
        let port = Port::new(vec![b.finish()], weights);
        let kept = Port { keep: vec!["*_proj".to_owned()], ..port.clone() };
        assert!(Int8Experts.propose(&kept).is_empty());

        let narrow = Int8Experts.propose(&port).apply(&port).unwrap();
        let program = &narrow.programs[0];
        assert!(program.verify().is_empty(), "{:?}", program.verify());
        let ty =
            |name: &str| program.ty(program.inputs().iter().find(|i| i.name == name).unwrap().value).clone();
        for (name, [experts, rows, columns]) in shapes {
            assert_eq!(ty(name), TensorType::new(DType::I8, [experts, rows, columns]));
            assert_eq!(ty(&scale_name(name)), TensorType::new(DType::F32, [experts, rows]));
        }
        let wide = Expr::source("up_proj").cast(DType::F32);
        let (_, _, expr) = narrow.weights.resolve("up_proj").unwrap();
        assert_eq!(*expr, wide.quantised_values(QuantisedTo::Int8));
    }
}
