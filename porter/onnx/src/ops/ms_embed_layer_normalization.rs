//! `EmbedLayerNormalization`: word, position and segment embeddings, summed and normalised.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.EmbedLayerNormalization>
//! Versions: 1 of `com.microsoft`.

use crate::{contrib::normed, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let ids = cx.x(0)?;
    let &[batch, tokens] = &cx.dims(ids)[..] else { return invalid("ids have two dimensions") };
    cx.ignore(&["mask_index_type"]);
    let positions = match cx.opt(8)? {
        Some(positions) => cx.spread(positions, &[batch, tokens])?,
        None => arange(cx, DType::I64, &[batch, tokens], 1)?,
    };
    let rows = |table: Value, ids: Value| crate::ops::gather::gather(cx, table, ids, 0);
    let mut x = cx.add(rows(cx.x(2)?, ids)?, rows(cx.x(3)?, positions)?)?;
    if let (Some(segments), Some(table)) = (cx.opt(1)?, cx.opt(4)?) {
        x = cx.add(x, rows(table, segments)?)?;
    }
    let y = normed(cx, x, cx.x(5)?, cx.opt(6)?, cx.float("epsilon", 1e-12))?;
    let lengths = match cx.opt(7)? {
        Some(mask) => cx.fold(cx.cast(mask, DType::I32)?, &[1], Fold::Sum)?,
        None => cx.full(TensorType::new(DType::I32, [batch]), 0.0)?,
    };
    Ok(vec![y.into(), lengths.into(), x.into()])
}
