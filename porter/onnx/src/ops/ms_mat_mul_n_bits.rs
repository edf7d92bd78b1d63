//! `MatMulNBits`: a product with a matrix that is quantised in blocks of 2, 4 or 8 bits.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits>
//! Versions: 1 of `com.microsoft`. `g_idx` is refused.

use crate::{contrib::count, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (a, packed) = (cx.x(0)?, cx.x(1)?);
    let (depth, columns) = (count(cx, "K")?, count(cx, "N")?);
    let (bits, block) = (cx.int("bits", 4), count(cx, "block_size")?);
    cx.ignore(&["accuracy_level", "weight_prepacked"]);
    if cx.opt(4)?.is_some() {
        return unsupported("g_idx");
    }
    let bits = usize::try_from(bits).ok().filter(|b| matches!(b, 2 | 4 | 8));
    let Some(bits) = bits else { return unsupported(format!("{} bits", cx.int("bits", 4))) };
    let blocks = depth.div_ceil(block);
    let whole = cx.cast(unpacked(cx, packed, bits, [columns, blocks, block])?, DType::F32)?;
    let shape = [columns, blocks, block];
    let rows =
        |x: Value| -> One { Ok(cx.broadcast_in_dim(cx.reshaped(x, [columns, blocks])?, shape, &[0, 1])?) };
    let zero = match cx.opt(3)? {
        None => cx.full(TensorType::new(DType::F32, shape), f64::from(1_u32 << (bits - 1)))?,
        Some(zero) if cx.dtype(zero) == DType::U8 => {
            let padded = (blocks * bits).div_ceil(8) * 8 / bits;
            let zero = unpacked(cx, zero, bits, [columns, 1, padded])?;
            rows(cx.cast(cx.slice_dim(cx.reshaped(zero, [columns, padded])?, 1, 0, blocks)?, DType::F32)?)?
        }
        Some(zero) => rows(cx.cast(zero, DType::F32)?)?,
    };
    let scale = rows(cx.cast(cx.x(2)?, DType::F32)?)?;
    let weights = cx.multiply(cx.subtract(whole, zero)?, scale)?;
    let weights = cx.slice_dim(cx.reshaped(weights, [columns, blocks * block])?, 1, 0, depth)?;
    let weights = cx.transpose(cx.cast(weights, cx.dtype(a))?, &[1, 0])?;
    let y = matmul(cx, a, weights, cx.dtype(a))?;
    match cx.opt(5)? {
        Some(bias) => one(cx.pair(y, bias, Builder::add)?),
        None => one(y),
    }
}

/// Numbers of so many bits, the lowest first in each byte, as `u8` in `shape`.
fn unpacked(cx: &Cx<'_, '_>, bytes: Value, bits: usize, shape: [usize; 3]) -> One {
    let bytes = cx.reshaped(bytes, [cx.shape(bytes).elements()])?;
    let part = |i: usize| -> One {
        let amount = cx.full_like(bytes, (i * bits) as f64)?;
        let low = cx.full_like(bytes, f64::from((1_u32 << bits) - 1))?;
        Ok(cx.and(cx.shift_right_logical(bytes, amount)?, low)?)
    };
    let parts: Vec<Value> = (0..8 / bits).map(part).collect::<Result<_, _>>()?;
    cx.reshaped(stack(cx, &parts, 1)?, shape)
}
