//! `Range`: `start, start + delta, ..`, whose bounds are known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__Range.html>
//! Versions: 11, 27.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (start, limit, delta) = (cx.known(cx.x(0)?)?, cx.known(cx.x(1)?)?, cx.known(cx.x(2)?)?);
    let ty = |n: usize| TensorType::new(start.ty.dtype, [n]);
    if let (Data::Ints(s), Data::Ints(l), Data::Ints(d)) = (&start.data, &limit.data, &delta.data) {
        let (&[s], &[l], &[d]) = (&s[..], &l[..], &d[..]) else { return invalid("start, limit and delta are scalars") };
        if d == 0 {
            return invalid("delta is 0");
        }
        let n = usize::try_from(((l - s) + d - d.signum()) / d).unwrap_or(0);
        return one(cx.host_constant(&Host { ty: limited(ty(n))?, data: Data::Ints((0..n as i128).map(|i| s + i * d).collect()) })?);
    }
    let (s, l, d) = (start.to_floats(), limit.to_floats(), delta.to_floats());
    let (&[s], &[l], &[d]) = (&s[..], &l[..], &d[..]) else { return invalid("start, limit and delta are scalars") };
    let n = ((l - s) / d).ceil().max(0.0) as usize;
    let ty = limited(ty(n))?;
    one(cx.host_constant(&Host { ty, data: Data::Floats((0..n).map(|i| s + i as f64 * d).collect()) })?)
}

fn limited(ty: TensorType) -> Result<TensorType, Fault> {
    listed(&ty.shape)?;
    Ok(ty)
}
