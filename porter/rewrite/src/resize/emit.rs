//! Ops at their new sizes.

use porter_ir::{
    Builder, InputRole, Literal, Op, OpId, Program, Result, Value,
    ops::{BroadcastInDim, Iota, Reshape, Slice},
};

use super::{Factor, Sizes, factor::masked};

impl Sizes {
    /// Adds the counterpart of `id` to `b`: its attributes follow the new sizes, and what is summed over padding is
    /// masked first, so that nothing that stands there can reach a result.
    pub(crate) fn push(
        &self,
        program: &Program,
        b: &Builder,
        id: OpId,
        operands: &[Value],
        regions: &[porter_ir::RegionId],
    ) -> Result<Vec<Value>> {
        let data = program.op(id);
        let result = data.results.first().map(|&result| self.ty(program, result));
        let operands = self.safe(program, b, id, operands)?;
        let op = match (&data.op, result) {
            (Op::Constant(constant), Some(ty)) if ty != *constant.value.ty() => {
                return Ok(vec![filled(b, &constant.value, ty)?]);
            }
            (Op::BroadcastInDim(op), Some(ty)) => {
                BroadcastInDim { shape: ty.shape, dimensions: op.dimensions.clone() }.into()
            }
            (Op::Reshape(_), Some(ty)) => Reshape { shape: ty.shape }.into(),
            (Op::Iota(op), Some(ty)) => Iota { ty, dimension: op.dimension }.into(),
            (Op::Slice(op), Some(ty)) => {
                let (Some(&x), limits) = (data.operands.first(), op.limits.iter().enumerate()) else {
                    return b.push(data.op.clone(), &operands, regions);
                };
                let resized = |dim| self.factors(x, dim).and(ty.shape.get(dim).copied());
                let limits = limits.map(|(dim, &limit)| resized(dim).unwrap_or(limit)).collect();
                Slice { limits, ..op.clone() }.into()
            }
            (op, _) => op.clone(),
        };
        b.push(op, &operands, regions)
    }

    /// The operands, with zeros in the padding that the op sums over.
    fn safe(&self, program: &Program, b: &Builder, id: OpId, operands: &[Value]) -> Result<Vec<Value>> {
        let data = program.op(id);
        let summed: [&[usize]; 2] = match &data.op {
            Op::DotGeneral(dot) => [&dot.dimensions.lhs_contracting, &dot.dimensions.rhs_contracting],
            Op::Reduce(reduce) => {
                let over = |x: &Value| reduce.dimensions.iter().any(|&dim| self.factors(*x, dim).is_some());
                if data.operands.iter().take(data.results.len()).any(over) {
                    return Err(b.error("stablehlo.reduce", operands, "reduces a dimension that is resized"));
                }
                return Ok(operands.to_vec());
            }
            _ => return Ok(operands.to_vec()),
        };
        let mut safe = operands.to_vec();
        for ((value, &old), dims) in safe.iter_mut().zip(&data.operands).zip(summed) {
            for &dim in dims {
                if let Some(factors) = self.factors(old, dim) {
                    *value = masked(b, *value, dim, factors)?;
                }
            }
        }
        Ok(safe)
    }

    /// What a result of the program is to its caller: without its padding.
    pub(crate) fn result(&self, program: &Program, b: &Builder, old: Value, new: Value) -> Result<Value> {
        (0..program.ty(old).shape.rank()).try_fold(new, |new, dim| {
            let Some(factors) = self.factors(old, dim) else { return Ok(new) };
            let Some(size) = program.ty(old).shape.get(dim).filter(|_| at_end(factors)) else {
                return Err(b.error("resize", &[new], "a result is resized otherwise than at its end"));
            };
            b.slice_dim(new, dim, 0, *size)
        })
    }

    /// Inputs that the caller gives, which must keep their sizes.
    pub(crate) fn refused<'a>(&self, program: &'a Program) -> Option<&'a str> {
        let argument = |input: &&porter_ir::Input| {
            let rank = program.ty(input.value).shape.rank();
            let changes = |dim| self.factors(input.value, dim).is_some();
            input.role == InputRole::Argument && (0..rank).any(changes)
        };
        program.inputs().iter().find(argument).map(|input| input.name.as_str())
    }
}

/// Whether all padding is behind everything else.
fn at_end(factors: &[Factor]) -> bool {
    matches!(factors, [first, ..] if first.kind != super::Kind::KvHeads || first.new < 2 * first.old)
        && factors.iter().skip(1).all(|factor| factor.old == factor.new)
}

/// A constant of one value, at another size.
fn filled(b: &Builder, value: &Literal, ty: porter_ir::TensorType) -> Result<Value> {
    let refuse = |problem: String| b.error("stablehlo.constant", &[], problem);
    let bytes =
        value.splat_bytes().ok_or_else(|| refuse("is resized, and has more than one value".into()))?;
    let scalar = Literal::from_bytes(porter_ir::TensorType::scalar(ty.dtype), bytes);
    b.broadcast_in_dim(b.constant(scalar.map_err(|e| refuse(e.to_string()))?)?, ty.shape, &[])
}
