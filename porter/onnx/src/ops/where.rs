//! `Where`: one of two, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Where.html>
//! Versions: 9, 16.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    one(cx.choose(cx.x(0)?, cx.x(1)?, cx.x(2)?)?)
}
