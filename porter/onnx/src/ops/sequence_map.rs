//! `SequenceMap`: a subgraph for each tensor of a sequence.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceMap.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let body = cx.graph("body")?;
    let first = crate::ops::sequence_length::sequence(cx, 0)?;
    let mut columns = vec![Vec::new(); body.output.len()];
    for i in 0..first.len() {
        let pick = |item: &Item| match item {
            Item::Sequence(items) => items.get(i).cloned().unwrap_or(Item::Absent),
            other => other.clone(),
        };
        let results = cx.run(cx, body, cx.inputs.iter().map(pick).collect())?;
        for (column, item) in columns.iter_mut().zip(results) {
            column.push(item);
        }
    }
    Ok(columns.into_iter().map(Item::Sequence).collect())
}
