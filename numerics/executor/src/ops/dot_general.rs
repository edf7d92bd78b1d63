//! `dot_general`: matrix products. Floats go through Burn's batched product, integers are summed exactly.

use burn_backend::ops::FloatTensorOps;
use burn_flex::Flex;
use porter_ir::{DType, ops::DotGeneral};
use rayon::prelude::*;

use crate::{
    array::{Array, allocate},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
    shapes::{count, others, pick},
};

/// `[batch, rows, summed]`, with the summed dimension last, or the rows where `summed_first`.
struct Matrices {
    array: Array,
    summed_first: bool,
}

pub(super) fn execute(op: &DotGeneral, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [lhs, rhs] = call.operands()?;
    let result = call.result()?.clone();
    let d = &op.dimensions;
    let summed = count(&pick(lhs.shape(), &d.lhs_contracting));
    if summed == 0 {
        return Ok(vec![Array::splat(&result, vec![0; result.dtype.host_bytes()])]);
    }
    let exact = !(lhs.dtype().is_float() || rhs.dtype().is_float() || result.dtype.is_float());
    let (lhs, rhs) = if exact {
        (lhs, rhs)
    } else {
        let wide = [lhs.dtype(), rhs.dtype(), result.dtype].contains(&DType::F64);
        let dtype = if wide { DType::F64 } else { DType::F32 };
        (lhs.as_float(dtype)?, rhs.as_float(dtype)?)
    };
    let lhs = matrices(&lhs, &d.lhs_batching, &d.lhs_contracting, summed);
    let rhs = matrices(&rhs, &d.rhs_batching, &d.rhs_contracting, summed);
    if exact {
        return Ok(vec![integer_product(&lhs, &rhs, &result)?]);
    }
    let lhs_view = if lhs.summed_first { lhs.array.permuted(&[0, 2, 1]) } else { lhs.array };
    let rhs_view = if rhs.summed_first { rhs.array } else { rhs.array.permuted(&[0, 2, 1]) };
    let dtype = lhs_view.dtype();
    let product = Flex::float_matmul(lhs_view.into_flex(), rhs_view.into_flex());
    let ty = porter_ir::TensorType::new(dtype, result.shape.clone());
    let product = product.to_contiguous().reshape(crate::array::burn_shape(&result.shape));
    let product = Array::from_flex(ty, &product);
    Ok(vec![product.as_float(result.dtype)?])
}

/// The operand as matrices, without a copy where its order allows it.
fn matrices(x: &Array, batching: &[usize], contracting: &[usize], summed: usize) -> Matrices {
    let free = others(x.shape().rank(), &[batching, contracting].concat());
    let batch = count(&pick(x.shape(), batching));
    let rows = count(&pick(x.shape(), &free));
    let first = x.permuted(&[batching, contracting, &free].concat());
    if first.layout().is_contiguous() && rows > 1 {
        return Matrices { array: first.reshaped([batch, summed, rows]), summed_first: true };
    }
    let last = x.permuted(&[batching, &free, contracting].concat());
    Matrices { array: last.reshaped([batch, rows, summed]), summed_first: false }
}

/// Sums wrap around in 64 bits, and so in every narrower type.
fn integer_product(lhs: &Matrices, rhs: &Matrices, result: &porter_ir::TensorType) -> Outcome<Array> {
    let (lhs, rhs) = (rows_of(lhs), rows_of(rhs));
    let (&[_, m, k], &[_, n, _]) = (&lhs.shape()[..], &rhs.shape()[..]) else {
        return Err("the operands are no matrices".into());
    };
    let wide = |x: &Array| -> Vec<i64> { x.integers().into_iter().map(|value| value as i64).collect() };
    let (lhs, rhs) = (wide(&lhs), wide(&rhs));
    let mut bytes = allocate(result)?;
    bytes.par_chunks_mut(n * result.dtype.host_bytes()).enumerate().for_each(|(row, slot)| {
        let (l, matrix) = (&lhs[row * k..(row + 1) * k], &rhs[row / m * n * k..(row / m + 1) * n * k]);
        let sum =
            |r: &[i64]| l.iter().zip(r).fold(0_i64, |sum, (&l, &r)| sum.wrapping_add(l.wrapping_mul(r)));
        let sums = matrix.chunks_exact(k).map(|r| i128::from(sum(r))).collect();
        Lane::Integers(sums).encode(result.dtype, slot);
    });
    Ok(Array::new(result.clone(), bytes))
}

/// `[batch, rows, summed]`.
fn rows_of(matrices: &Matrices) -> Array {
    if matrices.summed_first {
        matrices.array.permuted(&[0, 2, 1]).contiguous()
    } else {
        matrices.array.clone()
    }
}
