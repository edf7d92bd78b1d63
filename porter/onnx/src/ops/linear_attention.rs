//! `LinearAttention`: attention as a recurrence over a state, unrolled over time.
//!
//! <https://onnx.ai/onnx/operators/onnx__LinearAttention.html>
//! Versions: 27.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (q_heads, kv_heads) = (cx.int("q_num_heads", 0), cx.int("kv_num_heads", 0));
    cx.ignore(&["chunk_size"]);
    let dtype = cx.dtype(cx.x(0)?);
    let heads = |i: usize, n: i64| -> One { cx.cast(attention::split(cx, cx.x(i)?, n)?, DType::F32) };
    let (q, k, v) = (heads(0, q_heads)?, heads(1, kv_heads)?, heads(2, kv_heads)?);
    let (&[batch, queries, time, width], &[_, groups, _, deep]) = (&cx.dims(q)[..], &cx.dims(v)[..]) else {
        return invalid("queries, keys and values have three dimensions");
    };
    let shape = [batch, groups, width, deep];
    let rule = cx.string("update_rule", "gated_delta");
    let scale = match cx.float("scale", 0.0) {
        0.0 => 1.0 / (width as f64).sqrt(),
        scale => scale,
    };
    let (mut state, held) = match cx.opt(3)? {
        Some(state) => (cx.cast(state, DType::F32)?, cx.dtype(state)),
        None => (cx.full(TensorType::new(DType::F32, shape), 0.0)?, dtype),
    };
    let gate = match cx.opt(4)? {
        Some(decay) if rule.starts_with("gated") => Some(cx.exponential(cx.cast(attention::split(cx, decay, kv_heads)?, DType::F32)?)?),
        _ => None,
    };
    let beta = match cx.opt(5)? {
        Some(beta) if rule.ends_with("delta") => {
            let last = cx.dims(beta).at(2)?;
            Some(cx.cast(attention::split(cx, beta, last as i64)?, DType::F32)?)
        }
        _ => None,
    };
    let row = |x: Value, t: usize| -> One {
        let &[b, h, _, w] = &cx.dims(x)[..] else { return invalid("four dimensions") };
        cx.reshaped(cx.slice_dim(x, 2, t, t + 1)?, [b, h, w])
    };
    let along = |x: Value, dims: &[usize]| -> One {
        // A size of 1 repeats over what the state has there.
        let own = cx.dims(x);
        let (mut sizes, mut places) = (Vec::new(), Vec::new());
        for (&size, &dim) in own.iter().zip(dims) {
            if size == shape.at(dim)? {
                sizes.push(size);
                places.push(dim);
            }
        }
        let x = cx.reshaped(x, sizes)?;
        Ok(cx.broadcast_to(x, shape, &places)?)
    };
    let mut outputs = Vec::new();
    for t in 0..unrolled(time)? {
        let key = along(row(k, t)?, &[0, 1, 2])?;
        let mut value = row(v, t)?;
        if let Some(gate) = gate {
            state = cx.multiply(state, along(row(gate, t)?, &[0, 1, 2])?)?;
        }
        if let Some(beta) = beta {
            let found = cx.fold(cx.multiply(state, key)?, &[2], Fold::Sum)?;
            value = cx.pair(row(beta, t)?, cx.subtract(value, found)?, Builder::multiply)?;
        }
        state = cx.add(state, cx.multiply(key, along(value, &[0, 1, 3])?)?)?;
        let read = attention::repeated(cx, state, queries, groups)?;
        let query = cx.broadcast_in_dim(row(q, t)?, [batch, queries, width, deep], &[0, 1, 2])?;
        outputs.push(cx.with(cx.fold(cx.multiply(read, query)?, &[2], Fold::Sum)?, scale, Builder::multiply)?);
    }
    let y = attention::merged(cx, stack(cx, &outputs, 2)?)?;
    Ok(vec![cx.cast(y, dtype)?.into(), cx.cast(state, held)?.into()])
}

use crate::ops::attention;
