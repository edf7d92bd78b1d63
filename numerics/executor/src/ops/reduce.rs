//! `reduce`: dimensions folded by a function.

use porter_ir::ops::Reduce;
use rayon::prelude::*;

use super::float;
use crate::{
    array::{Array, allocate},
    body::{Body, Fold},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
    shapes::{count, others, pick},
};

pub(super) fn execute(op: &Reduce, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let (inputs, inits) = call.operands.split_at(call.operands.len() / 2);
    let first = inputs.first().ok_or("takes at least one tensor")?;
    let kept = others(first.shape().rank(), &op.dimensions);
    let order = [&kept[..], &op.dimensions].concat();
    let length = count(&pick(first.shape(), &op.dimensions));
    // Every element of the result is folded from one row.
    let rows: Vec<Array> = inputs.iter().map(|x| x.permuted(&order).contiguous()).collect();
    let body = Body::new(call.interpreter, call.region(0)?);
    if let (Some(fold), [x], [init]) = (body.fold(), &rows[..], inits) {
        return Ok(vec![by_rows(fold, x, init, length, call)?]);
    }
    general(&body, &rows, inits, length, call)
}

/// A fold of one op: sums and products of floats are rounded once, at the end.
fn by_rows(fold: Fold, x: &Array, init: &Array, length: usize, call: &Call<'_>) -> Outcome<Array> {
    let (ty, init) = (call.result()?, init.lane());
    let mut bytes = allocate(ty)?;
    let (size, row) = (ty.dtype.host_bytes(), length * x.dtype().host_bytes());
    let rows = x.as_bytes();
    let parts = bytes.par_chunks_mut(size).enumerate();
    parts.for_each(|(i, slot)| {
        let row = rows.get(i * row..(i + 1) * row).unwrap_or_default();
        let folded = match (Lane::decode(x.dtype(), row), &init) {
            (Lane::Floats(row), Lane::Floats(init)) => Lane::Floats(
                init.iter().map(|&init| row.iter().fold(init, |l, &r| combine(fold).0(l, r))).collect(),
            ),
            (Lane::Integers(row), Lane::Integers(init)) => Lane::Integers(
                init.iter().map(|&init| row.iter().fold(init, |l, &r| combine(fold).1(l, r))).collect(),
            ),
            (_, init) => init.clone(),
        };
        folded.encode(ty.dtype, slot);
    });
    Ok(Array::new(ty.clone(), bytes))
}

/// All rows at once, one column after another.
fn general(
    body: &Body<'_>,
    rows: &[Array],
    inits: &[Array],
    length: usize,
    call: &Call<'_>,
) -> Outcome<Vec<Array>> {
    let n = call.result()?.shape.elements();
    let lanes: Vec<Lane> = rows.iter().map(Array::lane).collect();
    let mut folded: Vec<Lane> = inits.iter().map(|init| init.lane().repeated(0, n)).collect();
    for column in 0..length {
        let at: Vec<usize> = (0..n).map(|row| row * length + column).collect();
        folded.extend(lanes.iter().map(|lane| lane.picked(&at)));
        folded = body.call(folded, n)?;
    }
    let arrays = folded.iter().zip(&call.results).map(|(lane, ty)| Array::of_lane(ty, lane));
    Ok(arrays.collect::<Result<_, _>>()?)
}

type Combine = (fn(f64, f64) -> f64, fn(i128, i128) -> i128);

/// The op of two floats and of two integers or booleans. What wraps around may do so at the end.
pub(super) fn combine(fold: Fold) -> Combine {
    let never = |x: f64, _: f64| x;
    match fold {
        Fold::Add => (|x, y| x + y, i128::wrapping_add),
        Fold::Multiply => (|x, y| x * y, i128::wrapping_mul),
        Fold::Maximum => (float::maximum, i128::max),
        Fold::Minimum => (float::minimum, i128::min),
        Fold::And => (never, |x, y| x & y),
        Fold::Or => (never, |x, y| x | y),
        Fold::Xor => (never, |x, y| x ^ y),
    }
}
