//! `Mod`: remainder, broadcast: of the divisor's sign, or of the dividend's with `fmod`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mod.html>
//! Versions: 10, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    if cx.int("fmod", 0) != 0 {
        return binary(cx, Builder::remainder);
    }
    binary(cx, |b, x, y| {
        let rest = b.remainder(x, y)?;
        if b.dtype(x).kind() == Kind::Unsigned {
            return Ok(rest);
        }
        let zero = b.full_like(x, 0.0)?;
        let differ = b.compare(b.compare(rest, zero, Direction::Lt)?, b.compare(y, zero, Direction::Lt)?, Direction::Ne)?;
        let wrong = b.and(differ, b.compare(rest, zero, Direction::Ne)?)?;
        b.select(wrong, b.add(rest, y)?, rest)
    })
}
