//! What quantised operators share.

use onnx_protobuf::DataType;
use porter_ir::{Builder, DType, Value};

use crate::place::Places;
use crate::{
    context::{Cx, One, Out},
    error::{Fault, invalid},
    help::spread_axis,
    item::Item,
    ops::cast,
};

/// The least and the largest value of an integer type; `None` for a float type.
pub(crate) fn range(ty: DataType) -> Option<(f64, f64)> {
    let bits = ty.bits()? as i32;
    let span = 2.0_f64.powi(bits);
    match ty {
        DataType::Int2 | DataType::Int4 | DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            Some((-span / 2.0, span / 2.0 - 1.0))
        }
        DataType::Uint2 | DataType::Uint4 | DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => {
            Some((0.0, span - 1.0))
        }
        _ => None,
    }
}

/// A scale, as numbers.
pub(crate) fn scale(cx: &Cx<'_, '_>, index: usize) -> One {
    match cx.item(index).clone() {
        Item::Carried(value, ty) => cast::decoded(cx, value, ty),
        _ => cx.x(index),
    }
}

/// A scale or zero point over `shape`: one for all, one for each index of `axis`, or one for each block
/// along it.
pub(crate) fn spread(cx: &Cx<'_, '_>, v: Value, shape: &[usize]) -> One {
    let (axis, block) = (cx.int("axis", 1), cx.int("block_size", 0));
    let own = cx.dims(v);
    if matches!(own[..], [] | [1]) {
        return cx.spread(cx.reshaped(v, [])?, shape);
    }
    let axis = cx.axis(axis, shape.len())?;
    if own.len() == 1 && shape.len() != 1 {
        return spread_axis(cx, v, shape, axis);
    }
    if own == shape {
        return Ok(v);
    }
    let Some(block) = usize::try_from(block).ok().filter(|&b| b > 0 && own.len() == shape.len()) else {
        return invalid(format!("a scale of {own:?} for {shape:?}"));
    };
    let mut wide = own.clone();
    wide.insert(axis + 1, block);
    let dims: Vec<usize> = (0..wide.len()).filter(|&i| i != axis + 1).collect();
    let repeated = cx.broadcast_in_dim(v, wide, &dims)?;
    let mut flat = own;
    let place = flat.slot(axis)?;
    *place = place.saturating_mul(block);
    let flat = cx.reshaped(repeated, flat)?;
    Ok(cx.slice_dim(flat, axis, 0, shape.at(axis)?)?)
}

/// Numbers in range as `ty`.
pub(crate) fn narrow(cx: &Cx<'_, '_>, x: Value, ty: DataType) -> Out {
    let saturate = cx.int("saturate", 1) != 0;
    if let Some(dtype) = crate::item::dtype(ty) {
        return Ok(vec![cast::narrowed(cx, x, dtype, saturate)?.into()]);
    }
    let Some(held) = crate::item::carrier(ty) else {
        return Err(Fault::Unsupported(format!("quantised to {ty}")));
    };
    Ok(vec![Item::Carried(cast::encoded(cx, x, ty, held, saturate)?, ty)])
}

/// Scaled floats as the integer type of the zero point at input `index`.
pub(crate) fn requantised(cx: &Cx<'_, '_>, x: Value, index: usize) -> Out {
    let zero = cx.x(index)?;
    let dtype = cx.dtype(zero);
    let Some((least, most)) = range(crate::item::data_type(dtype)) else {
        return Err(Fault::Unsupported(format!("quantised to {dtype}")));
    };
    let shape = cx.dims(x);
    let zero = cx.cast(zero, DType::F32)?;
    let zero = match (cx.shape(zero).elements(), cx.rank(zero)) {
        (1, _) => cx.spread(cx.reshaped(zero, [])?, &shape)?,
        (_, 1) => spread_axis(cx, zero, &shape, shape.len() - 1)?,
        _ => cx.spread(zero, &shape)?,
    };
    let whole = cx.add(cx.round_nearest_even(x)?, zero)?;
    let bounded = cx.with(cx.with(whole, least, Builder::maximum)?, most, Builder::minimum)?;
    Ok(vec![cx.cast(cx.cast(bounded, DType::I32)?, dtype)?.into()])
}
