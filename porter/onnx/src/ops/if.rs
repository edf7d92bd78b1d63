//! `If`: one of two subgraphs; both are in the program where the condition is not known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__If.html>
//! Versions: 1, 11, 13, 16, 19, 21, 23, 24, 25.
//! Limits: the branches of an unknown condition must give tensors of the same types.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let condition = cx.x(0)?;
    let (yes, no) = (cx.graph("then_branch")?, cx.graph("else_branch")?);
    let unknown = match cx.known(condition) {
        Ok(known) => {
            let taken = if known.to_ints().is_some_and(|c| c.first() != Some(&0)) { yes } else { no };
            return cx.run(cx, taken, Vec::new());
        }
        Err(fault) => fault,
    };
    let branch = |graph| {
        cx.region_of(&[], |b, _| {
            let items = cx.run(b, graph, Vec::new())?;
            items.iter().map(value).collect()
        })
    };
    let (Ok(yes), Ok(no)) = (branch(yes), branch(no)) else { return Err(unknown) };
    let regions = [yes, no];
    let condition = cx.reshaped(condition, [])?;
    match cx.push(porter_ir::ops::If, &[condition], &regions) {
        Ok(values) => Ok(values.into_iter().map(Item::from).collect()),
        Err(_) => Err(unknown),
    }
}

/// The tensor that an output of a branch must be.
pub(crate) fn value(item: &Item) -> One {
    match item {
        Item::Tensor(value) => Ok(*value),
        _ => unsupported("a result of a branch or loop that is no tensor"),
    }
}
