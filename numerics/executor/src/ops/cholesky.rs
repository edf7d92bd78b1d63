//! `cholesky`: the triangular factor of each matrix. The other triangle of the result is zero.

use porter_ir::ops::Cholesky;

use crate::{array::Array, failure::Outcome, interpreter::Call, lane::Lane};

pub(super) fn execute(op: &Cholesky, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [a] = call.operands()?;
    let n = a.shape().last().copied().unwrap_or(0);
    let mut values = a.floats();
    for matrix in values.chunks_exact_mut(n * n) {
        factor(matrix, n, op.lower);
    }
    Ok(vec![Array::of_lane(call.result()?, &Lane::Floats(values))?])
}

/// In place. A matrix that is not positive definite gives NaN.
fn factor(matrix: &mut [f64], n: usize, lower: bool) {
    let at = |row: usize, column: usize| if lower { row * n + column } else { column * n + row };
    for j in 0..n {
        for i in 0..j {
            matrix[at(i, j)] = 0.0;
        }
        for i in j..n {
            let known: f64 = (0..j).map(|k| matrix[at(i, k)] * matrix[at(j, k)]).sum();
            let left = matrix[at(i, j)] - known;
            matrix[at(i, j)] = if i == j { left.sqrt() } else { left / matrix[at(j, j)] };
        }
    }
}
