//! `Det`: determinants of square matrices, by cofactors.
//!
//! <https://onnx.ai/onnx/operators/onnx__Det.html>
//! Versions: 11, 22.
//! Limits: matrices above 6 by 6.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let n = shape.last().copied().unwrap_or(0);
    if shape.len() < 2 || shape.at(shape.len() - 2)? != n {
        return invalid(format!("{shape:?} is not square"));
    }
    if n == 0 || n > 6 {
        return unsupported(format!("determinants of {n} by {n}"));
    }
    let batch = shape.part(..shape.len() - 2)?.to_vec();
    let element = |i: usize, j: usize| -> One {
        let row = cx.slice_dim(x, shape.len() - 2, i, i + 1)?;
        cx.reshaped(cx.slice_dim(row, shape.len() - 1, j, j + 1)?, batch.clone())
    };
    one(minor(cx, &element, 0, &(0..n).collect::<Vec<_>>())?)
}

fn minor(cx: &Cx<'_, '_>, element: &dyn Fn(usize, usize) -> One, row: usize, columns: &[usize]) -> One {
    if let [column] = columns {
        return element(row, *column);
    }
    let mut total: Option<Value> = None;
    for (i, &column) in columns.iter().enumerate() {
        let rest: Vec<usize> = columns.iter().copied().filter(|&c| c != column).collect();
        let term = cx.multiply(element(row, column)?, minor(cx, element, row + 1, &rest)?)?;
        total = Some(match total {
            Some(so_far) if i % 2 == 1 => cx.subtract(so_far, term)?,
            Some(so_far) => cx.add(so_far, term)?,
            None => term,
        });
    }
    match total {
        Some(total) => Ok(total),
        None => invalid("a matrix without columns"),
    }
}
