//! `Cast`: another element type; narrow floats saturate unless `saturate` is 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__Cast.html>
//! Versions: 1, 6, 9, 13, 19, 21, 23, 24, 25.
//! Limits: strings.

use crate::help::prelude::*;
use onnx_protobuf::DataType;
use crate::item::{carrier, dtype};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["round_mode"]);
    let Some(ty) = DataType::new(cx.int("to", 0)) else { return invalid(format!("to {}", cx.int("to", 0))) };
    convert(cx, ty)
}


/// The element type of a program for a number of ONNX's.
pub(crate) fn target(number: i64) -> Result<DType, Fault> {
    match DataType::new(number).and_then(dtype) {
        Some(dtype) => Ok(dtype),
        None => unsupported(format!("element type {number}")),
    }
}

/// Input 0 as `ty`.
pub(crate) fn convert(cx: &Cx<'_, '_>, ty: DataType) -> Out {
    let saturate = cx.int("saturate", 1) != 0;
    let x = match cx.item(0) {
        Item::Carried(value, from) if *from == ty => return Ok(vec![Item::Carried(*value, ty)]),
        Item::Carried(value, from) => decoded(cx, *value, *from)?,
        _ => cx.x(0)?,
    };
    if let Some(to) = dtype(ty) {
        return one(narrowed(cx, x, to, saturate)?);
    }
    match carrier(ty) {
        Some(held) => Ok(vec![Item::Carried(encoded(cx, x, ty, held, saturate)?, ty)]),
        None => unsupported(format!("to {ty}")),
    }
}

/// The largest finite value of a float narrower than 16 bits.
fn largest(ty: DataType) -> Option<f64> {
    Some(match ty {
        DataType::Float8E4M3FN => 448.0,
        DataType::Float8E4M3FNUZ => 240.0,
        DataType::Float8E5M2 | DataType::Float8E5M2FNUZ => 57344.0,
        DataType::Float4E2M1 => 6.0,
        _ => return None,
    })
}

/// `x` kept within `±most`; what is no number stays that.
fn saturated(cx: &Cx<'_, '_>, x: Value, most: f64) -> One {
    let inside = cx.with(cx.with(x, most, Builder::minimum)?, -most, Builder::maximum)?;
    Ok(cx.select(cx.compare(x, x, Direction::Eq)?, inside, x)?)
}

pub(crate) fn narrowed(cx: &Cx<'_, '_>, x: Value, to: DType, saturate: bool) -> One {
    let from = cx.dtype(x);
    if from == to {
        return Ok(x);
    }
    let narrow = largest(crate::item::data_type(to));
    if let Some(most) = narrow {
        let x = cx.cast(x, if from.is_float() { cx.wide(from) } else { DType::F32 })?;
        let x = if saturate || to == DType::F4E2M1FN { saturated(cx, x, most)? } else { x };
        return cx.cast(x, to);
    }
    if from.is_float() && to.is_integer() && to.bits() < 32 {
        // A conversion to a narrow integer wraps around, as it does by way of a wide one.
        let whole = cx.cast(cx.cast(x, cx.wide(from))?, DType::I32)?;
        return cx.cast(whole, to);
    }
    if largest(crate::item::data_type(from)).is_some() && to != DType::F32 {
        return narrowed(cx, cx.cast(x, DType::F32)?, to, saturate);
    }
    cx.cast(x, to)
}

/// The value of each bit pattern of an 8-bit float that programs lack.
fn table(ty: DataType) -> Vec<f64> {
    (0..256_u32)
        .map(|bits| {
            let (exponent, mantissa) = match ty {
                DataType::Float8E4M3FNUZ => ((bits >> 3) & 15, f64::from(bits & 7) / 8.0),
                DataType::Float8E5M2FNUZ => ((bits >> 2) & 31, f64::from(bits & 3) / 4.0),
                _ => return if bits == 255 { f64::NAN } else { 2.0_f64.powi(bits as i32 - 127) },
            };
            let bias = if ty == DataType::Float8E4M3FNUZ { 8 } else { 16 };
            let sign = if bits & 128 == 0 { 1.0 } else { -1.0 };
            match (bits, exponent) {
                (128, _) => f64::NAN,
                (_, 0) => sign * mantissa * 2.0_f64.powi(1 - bias),
                (_, e) => sign * (1.0 + mantissa) * 2.0_f64.powi(e as i32 - bias),
            }
        })
        .collect()
}

/// Carried elements as numbers: `f32`, or 8-bit integers.
pub(crate) fn decoded(cx: &Cx<'_, '_>, x: Value, from: DataType) -> One {
    if matches!(from, DataType::Int2 | DataType::Uint2) {
        return Ok(x);
    }
    let values = Host { ty: TensorType::new(DType::F32, [256]), data: Data::Floats(table(from)) };
    crate::ops::gather::gather(cx, cx.host_constant(&values)?, cx.cast(x, DType::I32)?, 0)
}

/// Numbers as carried elements, rounded to the nearest, ties to even.
pub(crate) fn encoded(cx: &Cx<'_, '_>, x: Value, ty: DataType, held: DType, saturate: bool) -> One {
    if matches!(ty, DataType::Int2 | DataType::Uint2) {
        // The low two bits, with their sign where the type has one.
        let whole = narrowed(cx, x, DType::I32, true)?;
        let up = cx.with(whole, 30.0, Builder::shift_left)?;
        let shift = if ty == DataType::Int2 { Builder::shift_right_arithmetic } else { Builder::shift_right_logical };
        return cx.cast(cx.with(up, 30.0, shift)?, held);
    }
    let x = cx.cast(x, DType::F32)?;
    if ty == DataType::Float8E8M0 {
        return powers(cx, x);
    }
    let (mantissa, bias, most) = if ty == DataType::Float8E4M3FNUZ { (3, 8, 240.0) } else { (2, 16, 57344.0) };
    let finite = cx.is_finite(x)?;
    let size = cx.abs(x)?;
    // Past the largest value by half a unit or more is too much.
    let clipped = cx.with(size, most, Builder::minimum)?;
    let bits = cx.bitcast_convert(clipped, DType::I32)?;
    let exponent = cx.with(cx.with(bits, 23.0, Builder::shift_right_logical)?, 127.0, Builder::subtract)?;
    let exponent = cx.with(exponent, f64::from(1 - bias), Builder::maximum)?;
    // 2^(mantissa - exponent), put together from its bits, makes a unit of the last place 1.
    let scale = cx.with(cx.negate(exponent)?, f64::from(127 + mantissa), Builder::add)?;
    let scale = cx.bitcast_convert(cx.with(scale, 23.0, Builder::shift_left)?, DType::F32)?;
    let units = cx.cast(cx.round_nearest_even(cx.multiply(clipped, scale)?)?, DType::I32)?;
    let field = cx.with(exponent, f64::from(bias - 1), Builder::add)?;
    let magnitude = cx.add(cx.with(field, f64::from(mantissa), Builder::shift_left)?, units)?;
    let negative = cx.with(cx.bitcast_convert(x, DType::I32)?, 31.0, Builder::shift_right_logical)?;
    let signed = cx.add(magnitude, cx.with(negative, 7.0, Builder::shift_left)?)?;
    // There is no negative zero: its pattern is the one that is no number.
    let zero = cx.full_like(signed, 0.0)?;
    let nan = cx.full_like(signed, 128.0)?;
    let some = cx.select(cx.is(magnitude, Direction::Eq, 0.0)?, zero, signed)?;
    let number = if saturate {
        cx.select(cx.compare(x, x, Direction::Eq)?, some, nan)?
    } else {
        let limit = most * (1.0 + 0.5 / f64::from((1 << (mantissa + 1)) - 1));
        let fits = cx.is(size, Direction::Lt, limit)?;
        cx.select(cx.and(fits, finite)?, some, nan)?
    };
    cx.cast(number, held)
}

/// The exponents of powers of two, rounded up unless `round_mode` says otherwise.
fn powers(cx: &Cx<'_, '_>, x: Value) -> One {
    let mode = cx.string("round_mode", "up");
    let bits = cx.bitcast_convert(x, DType::I32)?;
    let exponent = cx.with(cx.with(bits, 23.0, Builder::shift_right_logical)?, 255.0, Builder::and)?;
    let mantissa = cx.with(bits, 8_388_607.0, Builder::and)?;
    let up = match &*mode {
        "up" => cx.is(mantissa, Direction::Gt, 0.0)?,
        "down" => cx.is(mantissa, Direction::Lt, 0.0)?,
        "nearest" => cx.is(mantissa, Direction::Ge, 4_194_304.0)?,
        other => return invalid(format!("round_mode {other:?}")),
    };
    let rounded = cx.add(exponent, cx.cast(up, DType::I32)?)?;
    let capped = cx.with(rounded, 254.0, Builder::minimum)?;
    let special = cx.is(exponent, Direction::Eq, 255.0)?;
    cx.cast(cx.select(special, exponent, capped)?, DType::U8)
}
