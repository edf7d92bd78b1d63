//! `Scan`: a subgraph over the slices of tensors, unrolled.
//!
//! <https://onnx.ai/onnx/operators/onnx__Scan.html>
//! Versions: 8, 9, 11, 16, 19, 21, 23, 24, 25.
//! Limits: sequence lengths of version 8.

use crate::help::prelude::*;
use super::r#if::value;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let body = cx.graph("body")?;
    let scans = usize::try_from(cx.int("num_scan_inputs", 0)).unwrap_or(0).min(cx.inputs.len());
    if cx.opset < 9 {
        return batched(cx, scans);
    }
    let states = cx.inputs.len().saturating_sub(scans);
    let outs = body.output.len().saturating_sub(states);
    let list = |name: &'static str, n: usize| cx.ints(name).unwrap_or_else(|| vec![0; n]);
    let (in_axes, in_back) = (list("scan_input_axes", scans), list("scan_input_directions", scans));
    let (out_axes, out_back) = (list("scan_output_axes", outs), list("scan_output_directions", outs));
    let carried: Vec<Item> = cx.inputs.iter().take(states).cloned().collect();
    let inputs: Vec<Value> = (states..cx.inputs.len()).map(|i| cx.x(i)).collect::<Result<_, _>>()?;
    let mut slices = Vec::new();
    for (i, &x) in inputs.iter().enumerate() {
        let axis = cx.axis(in_axes.get(i).copied().unwrap_or(0), cx.rank(x))?;
        slices.push((x, axis, in_back.get(i) == Some(&1)));
    }
    let (mut carried, collected) = over(cx, carried, &slices, outs)?;
    for (i, mut list) in collected.into_iter().enumerate() {
        if out_back.get(i) == Some(&1) {
            list.reverse();
        }
        let Some(&first) = list.first() else { return unsupported("a scan over nothing") };
        let axis = cx.axis(out_axes.get(i).copied().unwrap_or(0), cx.rank(first) + 1)?;
        carried.push(stack(cx, &list, axis)?.into());
    }
    Ok(carried)
}


/// A tensor, the dimension that is scanned, and whether backwards.
type Scanned = (Value, usize, bool);

/// The final states, and what was collected in each trip.
fn over(cx: &Cx<'_, '_>, mut carried: Vec<Item>, slices: &[Scanned], outs: usize) -> Result<(Vec<Item>, Vec<Vec<Value>>), Fault> {
    let body = cx.graph("body")?;
    let states = carried.len();
    let lengths = slices.iter().map(|&(x, axis, _)| cx.dims(x).at(axis)).collect::<Result<Vec<usize>, Fault>>()?;
    let trips = lengths.first().copied().unwrap_or(0);
    if lengths.iter().any(|&length| length != trips) {
        return invalid("the scanned inputs differ in length");
    }
    let mut collected = vec![Vec::new(); outs];
    for trip in 0..unrolled(trips)? {
        let mut arguments = carried;
        for &(x, axis, back) in slices {
            let at = if back { trips - 1 - trip } else { trip };
            let mut shape = cx.dims(x);
            shape.remove(axis);
            arguments.push(cx.reshaped(cx.slice_dim(x, axis, at, at + 1)?, shape)?.into());
        }
        let mut results = cx.run(cx, body, arguments)?.into_iter();
        carried = results.by_ref().take(states).collect();
        for (list, item) in collected.iter_mut().zip(results) {
            list.push(value(&item)?);
        }
    }
    Ok((carried, collected))
}

/// Version 8: a scan of each element of the batch, the first dimension of everything.
fn batched(cx: &Cx<'_, '_>, scans: usize) -> Out {
    let body = cx.graph("body")?;
    if !matches!(cx.item(0), Item::Absent) {
        return unsupported("sequence lengths");
    }
    let all: Vec<Value> = (1..cx.inputs.len()).map(|i| cx.x(i)).collect::<Result<_, _>>()?;
    let states = all.len().saturating_sub(scans);
    let outs = body.output.len().saturating_sub(states);
    let backwards = cx.ints("directions").unwrap_or_default();
    let batch = all.first().map_or(Ok(0), |&x| cx.dims(x).at(0))?;
    let mut columns: Vec<Vec<Value>> = vec![Vec::new(); states + outs];
    for b in 0..batch {
        let part = |x: Value| -> One { cx.reshaped(cx.slice_dim(x, 0, b, b + 1)?, cx.dims(x).part(1..)?.to_vec()) };
        let carried = all.part(..states)?.iter().map(|&x| Ok(part(x)?.into())).collect::<Result<Vec<Item>, Fault>>()?;
        let mut slices = Vec::new();
        for (i, &x) in all.part(states..)?.iter().enumerate() {
            slices.push((part(x)?, 0, backwards.get(i) == Some(&1)));
        }
        let (carried, collected) = over(cx, carried, &slices, outs)?;
        for (column, item) in columns.iter_mut().zip(&carried) {
            column.push(value(item)?);
        }
        for (column, list) in columns.iter_mut().skip(states).zip(collected) {
            column.push(stack(cx, &list, 0)?);
        }
    }
    columns.iter().map(|column| Ok(stack(cx, column, 0)?.into())).collect()
}
