//! # 4-bit weights
//!
//! **What.** Weights of linear layers become 4-bit integers with one scale for each group of 128 inputs of an output
//! channel (of fewer where 128 do not divide those that a device has). Programs of few rows take a product a group and sum the scaled
//! products; those of many make the weight wide first.
//!
//! **Why on TPU.** A step of few rows is bound by the bytes of its weights, and these fall to a quarter. The integers
//! become bf16 inside the product, which takes no memory. With few rows the products of all groups stay in vector
//! memory; with many they would not, and there a wide copy of a weight is small beside the work on it.
//!
//! **Before and after.** `y = x·Wᵀ` becomes `y = Σg (xg·Qg)·sg` or `y = x·(Q·s)`, `Q: i4[groups, group, out]` and
//! `s: f32[groups, out]`.
//!
//! **Effect on the numbers.** Approximate: a weight is off by at most half a step, `max|group| / 15`. The scales are
//! those of compressed-tensors' `group` strategy. Embeddings, the head, norms and biases keep their type.
//!
//! **Undo.** None: rounding loses the weights. The checkpoint has them.
//!
//! **Evidence.** docs/rewrites.md, "Precision".

use std::ops::RangeInclusive;

use porter_ir::{DType, LogicalAxis, OpId, Program, Result, Sharding, TensorType, Value, ops::DotDimensions};
use porter_weights::QuantisedTo;

use crate::{
    Edit, Effect, Patch, Port, Rewrite, Site,
    linear::{Linear, LinearWeight},
    new_weight::NewWeight,
    quantised::{quantisable, scale_name},
    shard::gcd,
};

/// How many inputs share a scale: the most of them that divide those that a device has.
const GROUP: RangeInclusive<usize> = 16..=128;

/// What the dimensions of a value mean.
type Axes = Vec<Option<LogicalAxis>>;

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Int4Weights {
    /// The most rows of programs that take a product a group.
    pub few_rows: usize,
}

impl Rewrite for Int4Weights {
    fn name(&self) -> &'static str {
        "int4_weights"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Approximate, port);
        let (mut count, mut left, mut saved) = (0, 0, 0);
        for weight in quantisable(port) {
            let Some(grouped) = Grouped::add(&weight, port, &mut patch) else {
                left += 1;
                continue;
            };
            let bytes = grouped.numbers.ty.device_bytes() + grouped.scales.ty.device_bytes();
            (count, saved) =
                (count + 1, saved + weight.device_bytes().saturating_sub(bytes / weight.devices()));
            for (at, op, layer) in &weight.layers {
                patch.edits[*at].push(self.edit(&port.programs[*at], *op, grouped.clone(), layer));
            }
        }
        let stay = match left {
            0 => String::new(),
            _ => format!(
                "; {left} stay: their inputs are in no groups of {} to {}",
                GROUP.start(),
                GROUP.end()
            ),
        };
        patch.reason =
            format!("{count} weights take {} MiB a device less as 4-bit integers{stay}", saved >> 20);
        patch
    }
}

impl Int4Weights {
    fn edit(self, program: &Program, op: OpId, grouped: Grouped, layer: &Linear) -> Edit {
        let (input, output, few) = (layer.input, layer.output.dtype, layer.input_rows <= self.few_rows);
        let result = program.op(op).results.first();
        let axes = result.and_then(|&result| program.value(result).axes.clone());
        Edit::one(program, op, move |site| {
            let x = site.value(input)?;
            let y = if few {
                grouped.product_by_group(site, x, axes.as_ref())
            } else {
                grouped.wide_product(site, x)
            }?;
            Ok(vec![site.b.convert(y, output)?])
        })
    }
}

/// The two inputs that a weight becomes.
#[derive(Clone)]
struct Grouped {
    /// `i4[groups, group, out]`.
    numbers: NewWeight,
    /// `f32[groups, out]`.
    scales: NewWeight,
}

impl Grouped {
    /// Adds both to `patch`; none where no group divides the columns of a device.
    fn add(weight: &LinearWeight, port: &Port, patch: &mut Patch) -> Option<Self> {
        let [_, parts] = weight.parts;
        let group = GROUP.rev().find(|group| weight.columns.is_multiple_of(group * parts))?;
        let (groups, out) = (weight.columns / group, weight.rows);
        let (_, _, expr) = port.weights.resolve(&weight.name)?;
        let wide = expr.clone().cast(DType::F32).reshape([out, groups, group]);
        let numbers = wide.clone().quantised_values(QuantisedTo::Int4);
        let numbers = numbers.reshape([out, weight.columns]).transpose().reshape([groups, group, out]);
        let scales = wide.quantised_scales(QuantisedTo::Int4).reshape([out, groups]).transpose();

        let named = |rank| {
            let mut axes = grouped(weight.axes.as_ref()?, rank);
            if let Some(Some(axis)) = axes.first_mut() {
                axis.parts = axis.parts.map(|parts| gcd(parts, groups));
            }
            Some(axes)
        };
        let lying = |rank| Some(Sharding { dims: grouped(&weight.sharding.as_ref()?.dims, rank) });
        let input = |name: String, ty: TensorType| {
            let rank = ty.shape.rank();
            NewWeight { name, ty, axes: named(rank), sharding: lying(rank) }
        };
        let grouped = Self {
            numbers: input(weight.name.clone(), TensorType::new(DType::I4, [groups, group, out])),
            scales: input(scale_name(&weight.name), TensorType::new(DType::F32, [groups, out])),
        };
        for (new, expr) in [(&grouped.numbers, numbers), (&grouped.scales, scales)] {
            patch.weights.push((new.name.clone(), new.ty.shape.clone(), expr));
        }
        Some(grouped)
    }

    /// `x·(Q·s)`, `f32[.., out]`.
    fn wide_product(&self, site: &Site<'_>, x: Value) -> Result<Value> {
        let b = &site.b;
        let (numbers, scales) = (self.numbers.read(site)?, self.scales.read(site)?);
        let [groups, group, out] = self.sizes();
        let wide = b.convert(numbers, b.dtype(x))?;
        let scales = b.convert(scales, b.dtype(x))?;
        let wide = b.multiply(wide, b.broadcast_in_dim(scales, b.shape(wide), &[0, 2])?)?;
        let last = b.shape(x).rank().saturating_sub(1);
        let dimensions = DotDimensions {
            lhs_contracting: vec![last],
            rhs_contracting: vec![0],
            ..DotDimensions::default()
        };
        b.dot_general(x, b.reshape(wide, [groups * group, out])?, dimensions, DType::F32)
    }

    /// `Σg (xg·Qg)·sg`, `f32[.., out]`.
    fn product_by_group(&self, site: &Site<'_>, x: Value, axes: Option<&Axes>) -> Result<Value> {
        let b = &site.b;
        let (numbers, scales) = (self.numbers.read(site)?, self.scales.read(site)?);
        let [groups, group, out] = self.sizes();
        let rows = b.shape(x).rank().saturating_sub(1);
        let mut shape = b.shape(x).to_vec();
        shape.truncate(rows);
        let of_rows = shape.clone();
        shape.extend([groups, group]);
        let dimensions = DotDimensions {
            lhs_batching: vec![rows],
            rhs_batching: vec![0],
            lhs_contracting: vec![rows + 1],
            rhs_contracting: vec![1],
        };
        let numbers = b.convert(numbers, b.dtype(x))?;
        let products = b.dot_general(b.reshape(x, shape)?, numbers, dimensions, DType::F32)?;
        if let (Some([groups, ..]), Some(axes)) = (self.numbers.axes.as_deref(), axes) {
            b.logical_axes(products, &[std::slice::from_ref(groups), axes].concat())?;
        }
        let sizes = [&[groups][..], &of_rows, &[out]].concat();
        let scales = b.broadcast_in_dim(scales, sizes, &[0, rows + 1])?;
        b.reduce_sum(b.multiply(products, scales)?, &[0])
    }

    /// Groups, inputs of each, outputs.
    fn sizes(&self) -> [usize; 3] {
        self.numbers.ty.shape[..].try_into().unwrap_or_default()
    }
}

/// Of the dimensions of `[out, in]`, those of `[groups, out]` or `[groups, group, out]`.
fn grouped<T: Clone + Default>(matrix: &[T], rank: usize) -> Vec<T> {
    let mut dims = vec![T::default(); rank];
    if let ([out, inputs], [first, .., last]) = (matrix, &mut dims[..]) {
        (*first, *last) = (inputs.clone(), out.clone());
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, Op};
    use porter_weights::{Expr, WeightMap};

    fn port(columns: usize, rows: [usize; 2]) -> Port {
        let program = |rows| {
            let b = Builder::new("main");
            let x = b.argument("x", TensorType::new(DType::BF16, [rows, 1, columns])).unwrap();
            let ty = TensorType::new(DType::BF16, [6, columns]);
            let w = b.scope("mlp.up_proj").weight("weight", ty).unwrap();
            b.result("y", b.linear(x, w, DType::BF16).unwrap()).unwrap();
            b.finish()
        };
        let mut weights = WeightMap::new();
        weights.insert("mlp.up_proj.weight", [6, columns], Expr::source("w"));
        Port::new(rows.map(program).to_vec(), weights)
    }

    #[test]
    fn few_rows_take_a_product_a_group_and_many_a_wide_weight() {
        let port = port(256, [2, 64]);
        let quantised = Int4Weights { few_rows: 16 }.propose(&port).apply(&port).unwrap();
        for (program, batched) in quantised.programs.iter().zip([true, false]) {
            assert!(program.verify().is_empty(), "{:?}", program.verify());
            let ty = |name: &str| {
                program.ty(program.inputs().iter().find(|input| input.name == name).unwrap().value).clone()
            };
            assert_eq!(ty("mlp.up_proj.weight"), TensorType::new(DType::I4, [2, 128, 6]));
            assert_eq!(ty("mlp.up_proj.weight_scale"), TensorType::new(DType::F32, [2, 6]));
            let dot = program.ops().find_map(|(_, data)| match &data.op {
                Op::DotGeneral(dot) => Some(!dot.dimensions.lhs_batching.is_empty()),
                _ => None,
            });
            assert_eq!(dot, Some(batched));
        }
    }

    #[test]
    fn groups_divide_the_columns_or_the_weight_stays() {
        for (columns, group) in [(128, Some(128)), (192, Some(96)), (140, Some(70)), (131, None)] {
            let port = port(columns, [1, 1]);
            let patch = Int4Weights { few_rows: 16 }.propose(&port);
            let found = patch.weights.first().map(|(_, shape, _)| shape[1]);
            assert_eq!(found, group, "{columns}");
            assert_eq!(patch.reason.contains("1 stay"), group.is_none());
        }
    }
}
