//! `Loop`: a subgraph repeated: unrolled where trips and condition are known at import, else a loop of the program.
//!
//! <https://onnx.ai/onnx/operators/onnx__Loop.html>
//! Versions: 1, 11, 13, 16, 19, 21, 23, 24, 25.
//! Limits: a loop of the program needs carried tensors of fixed types, and no outputs that are
//! collected.

use crate::help::prelude::*;
use onnx_protobuf::GraphProto;
use super::r#if::value;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let body = cx.graph("body")?;
    let trips = match cx.item(0) {
        Item::Absent => Ok(None),
        _ => cx.known_ints(0).map(|t| t.first().copied()),
    };
    let start = match cx.item(1) {
        Item::Absent => Ok(true),
        _ => cx.known_ints(1).map(|c| c.first() != Some(&0)),
    };
    let carried: Vec<Item> = cx.inputs.iter().skip(2).cloned().collect();
    match (trips, start) {
        (Ok(trips), Ok(start)) => unrolled(cx, body, trips, start, carried),
        (Err(fault), _) | (_, Err(fault)) => repeated(cx, body, &carried).map_err(|_| fault),
    }
}


/// The most trips that are unrolled.
const TRIPS: i64 = 4096;

fn unrolled<'m>(cx: &Cx<'_, 'm>, body: &'m GraphProto, trips: Option<i64>, mut more: bool, mut carried: Vec<Item>) -> Out {
    let count = carried.len();
    let mut scanned: Vec<Vec<Value>> = vec![Vec::new(); body.output.len().saturating_sub(1 + count)];
    let mut trip = 0;
    while more && trips.is_none_or(|trips| trip < trips) {
        if trip >= TRIPS {
            return unsupported(format!("more than {TRIPS} trips"));
        }
        let at = cx.reshaped(cx.constant_ints(&[trip])?, [])?;
        let going = cx.full(TensorType::scalar(DType::Bool), 1.0)?;
        let arguments = [Item::Tensor(at), Item::Tensor(going)].into_iter().chain(carried).collect();
        let mut results = cx.run(cx, body, arguments)?.into_iter();
        match results.next() {
            Some(Item::Tensor(condition)) if condition != going => {
                more = cx.known(condition)?.to_ints().is_some_and(|c| c.first() != Some(&0));
            }
            _ => {}
        }
        carried = results.by_ref().take(count).collect();
        for (list, item) in scanned.iter_mut().zip(results) {
            list.push(value(&item)?);
        }
        trip += 1;
    }
    for list in scanned {
        if list.is_empty() {
            return unsupported("collected outputs of no trips");
        }
        carried.push(stack(cx, &list, 0)?.into());
    }
    Ok(carried)
}

fn repeated<'m>(cx: &Cx<'_, 'm>, body: &'m GraphProto, carried: &[Item]) -> Out {
    if body.output.len() != carried.len() + 1 {
        return unsupported("collected outputs of an unknown number of trips");
    }
    let zero = cx.reshaped(cx.constant_ints(&[0])?, [])?;
    let limit = match cx.opt(0)? {
        Some(trips) => cx.cast(cx.reshaped(trips, [])?, DType::I64)?,
        None => cx.reshaped(cx.constant_ints(&[i64::MAX])?, [])?,
    };
    let going = match cx.opt(1)? {
        Some(going) => cx.reshaped(going, [])?,
        None => cx.full(TensorType::scalar(DType::Bool), 1.0)?,
    };
    let mut init = vec![zero, going];
    for item in carried {
        init.push(value(item)?);
    }
    let types: Vec<TensorType> = init.iter().map(|&v| cx.ty(v)).collect();
    let condition = cx.region_of(&types, |b, args| {
        Ok(vec![b.and(b.compare(args.at(0)?, limit, Direction::Lt)?, args.at(1)?)?])
    })?;
    let body = cx.region_of(&types, |b, args| {
        let results = cx.run(b, body, args.iter().map(|&v| v.into()).collect())?;
        let mut next = vec![b.add_scalar(args.at(0)?, 1.0)?];
        for item in &results {
            next.push(value(item)?);
        }
        *next.slot(1)? = b.reshape(next.at(1)?, [])?;
        Ok(next)
    })?;
    let results = cx.push(porter_ir::ops::While, &init, &[condition, body])?;
    Ok(results.into_iter().skip(2).map(Item::from).collect())
}
