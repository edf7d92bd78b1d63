//! `GridSample`: samples at places that a grid gives.
//!
//! <https://onnx.ai/onnx/operators/onnx__GridSample.html>
//! Versions: 16, 20, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, grid) = (cx.x(0)?, cx.x(1)?);
    let shape = cx.dims(x);
    let places = cx.dims(grid);
    let n = shape.len().saturating_sub(2);
    if n == 0 || places.len() != shape.len() || places.at(n + 1)? != n {
        return invalid(format!("a grid of {places:?} over {shape:?}"));
    }
    let (mode, padding) = (cx.string("mode", "linear"), cx.string("padding_mode", "zeros"));
    let align = cx.int("align_corners", 0) != 0;
    let sampler = Sampler { sizes: shape.part(2..)?.to_vec(), padding, align };
    let mut axes = Vec::with_capacity(n);
    for d in 0..n {
        // The last of a grid's coordinates is the first dimension of space.
        let at = cx.slice_dim(grid, n + 1, n - 1 - d, n - d)?;
        let at = cx.reshaped(at, [places.at(0)?, elements(places.part(1..=n)?)])?;
        let size = sampler.sizes.at(d)? as f64;
        let unit = cx.with(at, 1.0, Builder::add)?;
        let at = if align {
            cx.with(unit, (size - 1.0) / 2.0, Builder::multiply)?
        } else {
            cx.with(cx.with(cx.with(unit, size, Builder::multiply)?, 1.0, Builder::subtract)?, 0.5, Builder::multiply)?
        };
        axes.push(taps(cx, &sampler, d, at, &mode)?);
    }
    let flat = cx.reshaped(x, [shape.at(0)?, shape.at(1)?, elements(shape.part(2..)?)])?;
    let mut total: Option<Value> = None;
    let counts: Vec<usize> = axes.iter().map(Vec::len).collect();
    for pick in crate::host::indices(&counts) {
        let (mut index, mut weight): (Option<Value>, Option<Value>) = (None, None);
        for (d, (&k, taps)) in pick.iter().zip(&axes).enumerate() {
            let (at, w) = taps.at(k)?;
            index = Some(match index {
                Some(so_far) => cx.add(cx.with(so_far, sampler.sizes.at(d)? as f64, Builder::multiply)?, at)?,
                None => at,
            });
            weight = Some(match weight {
                Some(so_far) => cx.multiply(so_far, w)?,
                None => w,
            });
        }
        let (Some(index), Some(weight)) = (index, weight) else { return invalid("no dimension") };
        let wide = [shape.at(0)?, shape.at(1)?, cx.dims(index).at(1)?];
        let index = cx.broadcast_in_dim(index, wide, &[0, 2])?;
        let weight = cx.broadcast_in_dim(weight, wide, &[0, 2])?;
        let taken = gather_points(cx, flat, index_points(cx, index, 2, cx.dims(flat).at(2)?)?)?;
        let zero = cx.full_like(taken, 0.0)?;
        let part = cx.select(cx.is(weight, Direction::Eq, 0.0)?, zero, cx.multiply(taken, cx.cast(weight, cx.dtype(x))?)?)?;
        total = Some(match total {
            Some(so_far) => cx.add(so_far, part)?,
            None => part,
        });
    }
    let Some(total) = total else { return invalid("no dimension") };
    let out: Vec<usize> = shape.part(..2)?.iter().chain(places.part(1..=n)?).copied().collect();
    one(cx.reshaped(total, out)?)
}

struct Sampler {
    sizes: Vec<usize>,
    padding: String,
    align: bool,
}

impl Sampler {
    /// Coordinates brought into the input as the padding says.
    fn inside(&self, cx: &Cx<'_, '_>, d: usize, at: Value) -> One {
        let last = self.sizes.at(d)? as f64 - 1.0;
        match &*self.padding {
            "border" => cx.with(cx.with(at, 0.0, Builder::maximum)?, last, Builder::minimum),
            "reflection" => {
                let (low, high) = if self.align { (0.0, last) } else { (-0.5, last + 0.5) };
                let range = high - low;
                if range <= 0.0 {
                    return Ok(cx.full_like(at, 0.0)?);
                }
                let over = cx.abs(cx.with(at, low, Builder::subtract)?)?;
                let over = cx.with(over, 2.0 * range, Builder::remainder)?;
                let back = cx.subtract(cx.full_like(over, 2.0 * range)?, over)?;
                cx.with(cx.minimum(over, back)?, low, Builder::add)
            }
            _ => Ok(at),
        }
    }
}

/// The indices along one dimension that each place reads, and what each weighs.
fn taps(cx: &Cx<'_, '_>, sampler: &Sampler, d: usize, at: Value, mode: &str) -> Result<Vec<(Value, Value)>, Fault> {
    let last = sampler.sizes.at(d)? as f64 - 1.0;
    let tap = |index: Value, weight: Value| -> Result<(Value, Value), Fault> {
        let zeros = sampler.padding == "zeros";
        let index = if zeros { index } else { sampler.inside(cx, d, index)? };
        let low = cx.is(index, Direction::Ge, 0.0)?;
        let seen = cx.and(low, cx.is(index, Direction::Le, last)?)?;
        let weight = if zeros { cx.select(seen, weight, cx.full_like(weight, 0.0)?)? } else { weight };
        let index = cx.with(cx.with(index, 0.0, Builder::maximum)?, last, Builder::minimum)?;
        Ok((cx.cast(index, DType::I64)?, weight))
    };
    let ones = cx.full_like(at, 1.0)?;
    match mode {
        "nearest" => {
            let at = sampler.inside(cx, d, at)?;
            Ok(vec![tap(cx.round_nearest_even(at)?, ones)?])
        }
        "linear" | "bilinear" => {
            let at = sampler.inside(cx, d, at)?;
            let first = cx.floor(at)?;
            let rest = cx.subtract(at, first)?;
            let next = cx.with(first, 1.0, Builder::add)?;
            Ok(vec![tap(first, cx.subtract(ones, rest)?)?, tap(next, rest)?])
        }
        "cubic" | "bicubic" => {
            let first = cx.floor(at)?;
            let rest = cx.subtract(at, first)?;
            (-1..3)
                .map(|k| {
                    let index = cx.with(first, f64::from(k), Builder::add)?;
                    let away = cx.abs(cx.with(rest, f64::from(k), Builder::subtract)?)?;
                    tap(index, cubic(cx, away, k == 0 || k == 1)?)
                })
                .collect()
        }
        other => invalid(format!("mode {other:?}")),
    }
}

/// Keys's kernel with a = -0.75 at a distance below 1, or from 1 to 2.
fn cubic(cx: &Cx<'_, '_>, away: Value, near: bool) -> One {
    let a = -0.75;
    let coefficients = if near { [a + 2.0, -(a + 3.0), 0.0, 1.0] } else { [a, -5.0 * a, 8.0 * a, -4.0 * a] };
    let mut sum = cx.full_like(away, coefficients[0])?;
    for c in &coefficients[1..] {
        sum = cx.with(cx.multiply(sum, away)?, *c, Builder::add)?;
    }
    Ok(sum)
}
