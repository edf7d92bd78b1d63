//! `Gradient`: partial derivatives of one tensor of the graph, at the values that it was computed from.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Gradient.html>
//! Versions: 1.
//! Limits: the inputs are the tensors that `xs` and `zs` name, not others in their place; between them and `y`
//! lie only ops that [`pull`] knows.

use std::collections::{HashMap, HashSet};

use porter_ir::{Op, program::OpData};

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let names = |name: &'static str| cx.strings(name).unwrap_or_default();
    let (xs, zs) = (names("xs"), names("zs"));
    for (i, name) in xs.iter().chain(&zs).enumerate() {
        if cx.named(name)? != cx.x(i)? {
            return unsupported(format!("input {i} is another tensor than {name:?}"));
        }
    }
    let xs = xs.iter().map(|name| cx.named(name)).collect::<Result<Vec<_>, _>>()?;
    let y = cx.named(&cx.string("y", ""))?;
    let mut slopes = HashMap::from([(y, cx.full_like(y, 1.0)?)]);
    let ops = ops_from(cx, &xs);
    for op in ops.iter().rev() {
        let Some(&slope) = op.results.first().and_then(|result| slopes.get(result)) else { continue };
        for (&operand, part) in op.operands.iter().zip(pull(cx, op, slope)?) {
            let sum = match slopes.get(&operand) {
                Some(&so_far) => cx.add(so_far, part)?,
                None => part,
            };
            slopes.insert(operand, sum);
        }
    }
    xs.iter().map(|x| Ok(slopes.get(x).copied().map_or_else(|| cx.full_like(*x, 0.0), Ok)?.into())).collect()
}

/// The ops so far that depend on `xs`, in their order.
fn ops_from(cx: &Cx<'_, '_>, xs: &[Value]) -> Vec<OpData> {
    let mut reached: HashSet<Value> = xs.iter().copied().collect();
    let program = cx.program();
    let depends = program.ops().map(|(_, op)| op).filter(|op| {
        let depends = op.operands.iter().any(|operand| reached.contains(operand));
        if depends {
            reached.extend(&op.results);
        }
        depends
    });
    depends.cloned().collect()
}

/// What a result's slope gives its operands.
fn pull(cx: &Cx<'_, '_>, op: &OpData, slope: Value) -> Result<Vec<Value>, Fault> {
    let (Some(&y), Some(&a)) = (op.results.first(), op.operands.first()) else { return Ok(Vec::new()) };
    let b = op.operands.get(1).copied().unwrap_or(a);
    Ok(match &op.op {
        Op::Add(_) => vec![slope, slope],
        Op::Subtract(_) => vec![slope, cx.negate(slope)?],
        Op::Multiply(_) => vec![cx.multiply(slope, b)?, cx.multiply(slope, a)?],
        Op::Divide(_) => {
            let first = cx.divide(slope, b)?;
            vec![first, cx.negate(cx.multiply(first, y)?)?]
        }
        Op::Negate(_) => vec![cx.negate(slope)?],
        Op::Exponential(_) => vec![cx.multiply(slope, y)?],
        Op::Log(_) => vec![cx.divide(slope, a)?],
        Op::Reshape(_) => vec![cx.reshaped(slope, cx.shape(a))?],
        Op::BroadcastInDim(op) if op.dimensions.is_sorted() => {
            let (from, to) = (cx.dims(a), cx.dims(y));
            let kept = |d: usize| op.dimensions.iter().position(|&to| to == d).and_then(|i| from.get(i).copied());
            let summed: Vec<usize> = (0..to.len()).filter(|&d| kept(d) != to.get(d).copied()).collect();
            vec![cx.reshaped(cx.fold(slope, &summed, Fold::Sum)?, from)?]
        }
        other => return unsupported(format!("no derivative of {}", other.as_operation().name())),
    })
}
