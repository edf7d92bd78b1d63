//! `top_k`: the largest elements of each row, the first of equal ones first.

use porter_ir::ops::TopK;

use super::sort::descending;
use crate::{array::Array, failure::Outcome, interpreter::Call, lane::Lane};

pub(super) fn execute(op: &TopK, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x] = call.operands()?;
    let length = x.shape().last().copied().unwrap_or(0);
    let lane = x.lane();
    let mut positions = Vec::new();
    for row in 0..x.elements().checked_div(length).unwrap_or(0) {
        let mut order: Vec<usize> = (row * length..(row + 1) * length).collect();
        match &lane {
            Lane::Floats(values) => order.sort_by(|&i, &j| descending(values[i], values[j])),
            Lane::Integers(values) => order.sort_by(|&i, &j| values[j].cmp(&values[i])),
        }
        positions.extend(&order[..op.k.min(order.len())]);
    }
    let numbers = Lane::Integers(positions.iter().map(|&i| (i % length.max(1)) as i128).collect());
    let [values, indices] = &call.results[..] else { return Err("has two results".into()) };
    Ok(vec![Array::of_lane(values, &lane.picked(&positions))?, Array::of_lane(indices, &numbers)?])
}
