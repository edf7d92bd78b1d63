//! `triangular_solve`: each right side solved row by row.

use porter_ir::ops::TriangularSolve;

use crate::{array::Array, failure::Outcome, interpreter::Call, lane::Lane};

pub(super) fn execute(op: &TriangularSolve, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [a, b] = call.operands()?;
    let n = a.shape().last().copied().unwrap_or(0);
    let &[.., rows, columns] = &b.shape()[..] else { return Err("the right side is no matrix".into()) };
    let (a, mut values) = (a.floats(), b.floats());
    for (a, b) in a.chunks_exact(n * n).zip(values.chunks_exact_mut(rows * columns)) {
        if op.left_side {
            // The columns of b, one by one.
            (0..columns).for_each(|i| solve(op, op.transpose, a, n, b, |k| k * columns + i));
        } else {
            // x op(a) = b is op(a)ᵀ xᵀ = bᵀ: the rows of b.
            (0..rows).for_each(|i| solve(op, !op.transpose, a, n, b, |k| i * columns + k));
        }
    }
    Ok(vec![Array::of_lane(call.result()?, &Lane::Floats(values))?])
}

/// Solves `a x = b`, or `aᵀ x = b`, in place; element `k` of b is at `at(k)`.
fn solve(
    op: &TriangularSolve,
    transpose: bool,
    a: &[f64],
    n: usize,
    b: &mut [f64],
    at: impl Fn(usize) -> usize,
) {
    let entry = |i: usize, k: usize| if transpose { a[k * n + i] } else { a[i * n + k] };
    let from_the_top = op.lower != transpose;
    for step in 0..n {
        let i = if from_the_top { step } else { n - 1 - step };
        let known = if from_the_top { 0..i } else { i + 1..n };
        let sum: f64 = known.map(|k| entry(i, k) * b[at(k)]).sum();
        let left = b[at(i)] - sum;
        b[at(i)] = if op.unit_diagonal { left } else { left / entry(i, i) };
    }
}
