//! `sort`: rows put in the order of a comparator, equal elements in their own.

use std::cmp::Ordering;

use porter_ir::ops::Sort;

use crate::{
    array::Array,
    body::Body,
    failure::{Failure, Outcome},
    interpreter::Call,
    lane::Lane,
    shapes::{inverse, others},
};

pub(super) fn execute(op: &Sort, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let first = call.operands.first().ok_or("takes at least one tensor")?;
    let rank = first.shape().rank();
    let length = first.shape()[op.dimension];
    // Rows along the sorted dimension.
    let order = [others(rank, &[op.dimension]), vec![op.dimension]].concat();
    let rows: Vec<Array> = call.operands.iter().map(|x| x.permuted(&order).contiguous()).collect();
    let lanes: Vec<Lane> = rows.iter().map(Array::lane).collect();
    let body = Body::new(call.interpreter, call.region(0)?);
    let mut sorted: Vec<usize> = Vec::with_capacity(first.elements());
    for row in 0..first.elements().checked_div(length).unwrap_or(0) {
        let positions: Vec<usize> = (row * length..(row + 1) * length).collect();
        sorted.extend(merge_sort(positions, &mut |a, b| {
            let pair = |lane: &Lane| [lane.repeated(a, 1), lane.repeated(b, 1)];
            let before = body.call(lanes.iter().flat_map(pair).collect(), 1)?;
            Ok(before.first().is_some_and(|before| before.truth(0)))
        })?);
    }
    let back = inverse(&order);
    let mut arrays = Vec::with_capacity(rows.len());
    for (row, lane) in rows.iter().zip(&lanes) {
        arrays.push(Array::of_lane(row.ty(), &lane.picked(&sorted))?.permuted(&back));
    }
    Ok(arrays)
}

/// Stable, with any comparator: one that contradicts itself gives some order.
fn merge_sort(
    items: Vec<usize>,
    before: &mut impl FnMut(usize, usize) -> Result<bool, Failure>,
) -> Outcome<Vec<usize>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let (left, right) = (merge_sort(left, before)?, merge_sort(right, before)?);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(&l), Some(&r)) = (left.peek(), right.peek()) {
        let next = if before(r, l)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

/// Floats from large to small as XLA orders them for `top_k`: NaN above everything.
pub(super) fn descending(x: f64, y: f64) -> Ordering {
    y.total_cmp(&x)
}
