//! Rotating queries and keys by their positions.

use porter_ir::{Builder, DType, Direction, Literal, Result, Value};

use super::{
    cast, composite, last,
    rope::{Rope, Scaling},
};

/// Cosines and sines of every position's angles: `f32[batch, tokens, head_dim / 2]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Angles {
    cos: Value,
    sin: Value,
}

/// The angles of `positions` (`i32[batch, tokens]`), always in `f32`: a rounded table is the classic
/// reason for a port that drifts (`facts/data.md`, trap c).
pub(crate) fn angles(b: &Builder, rope: &Rope, positions: Value) -> Result<Angles> {
    let inv_freq = inv_freq(b, rope, positions)?;
    let [batch, tokens] = super::dims(b, positions)?;
    let shape = [batch, tokens, rope.dim / 2];
    let positions = b.broadcast_in_dim(cast(b, positions, DType::F32)?, shape, &[0, 1])?;
    let angles = b.multiply(positions, b.broadcast_in_dim(inv_freq, shape, &[2])?)?;
    let scaled = |x| match rope.attention_factor() {
        1.0 => Ok(x),
        factor => b.multiply_scalar(x, factor),
    };
    Ok(Angles { cos: scaled(b.cosine(angles)?)?, sin: scaled(b.sine(angles)?)? })
}

/// Rotates `x` (`[batch, tokens, heads, head_dim]`): number `i` of a head is paired with number
/// `i + head_dim / 2`, as transformers' `rotate_half` does. Computed in `f32`.
pub(crate) fn rotary(b: &Builder, x: Value, angles: Angles) -> Result<Value> {
    let half = last(b, x) / 2;
    let dtype = b.dtype(x);
    composite(b, "porter.rotary", &[], [x, angles.cos, angles.sin], |b, [x, cos, sin]| {
        let x = cast(b, x, DType::F32)?;
        let (first, second) = (b.slice_dim(x, 3, 0, half)?, b.slice_dim(x, 3, half, 2 * half)?);
        let shape = b.shape(first);
        let cos = b.broadcast_in_dim(cos, shape.clone(), &[0, 1, 3])?;
        let sin = b.broadcast_in_dim(sin, shape, &[0, 1, 3])?;
        let real = b.subtract(b.multiply(first, cos)?, b.multiply(second, sin)?)?;
        let imaginary = b.add(b.multiply(second, cos)?, b.multiply(first, sin)?)?;
        cast(b, b.concatenate(&[real, imaginary], 3)?, dtype)
    })
}

/// The frequencies, `f32[head_dim / 2]`. Where they depend on the length of the sequence, which is
/// the largest position and one, the program chooses.
fn inv_freq(b: &Builder, rope: &Rope, positions: Value) -> Result<Value> {
    let constant = |length| table(b, &rope.inv_freq(length));
    let (threshold, long) = match &rope.scaling {
        Scaling::Dynamic { max_position_embeddings, .. } => (*max_position_embeddings, None),
        &Scaling::LongRope { original_max_position_embeddings: original, .. } => {
            (original, Some(constant(original + 1)?))
        }
        _ => return constant(0),
    };
    let length = b.add_scalar(cast(b, b.reduce_max(positions, &[0, 1])?, DType::F32)?, 1.0)?;
    let short = constant(threshold)?;
    let long = match long {
        Some(table) => table,
        None => dynamic(b, rope, length)?,
    };
    let is_long = b.compare(length, b.full_like(length, threshold as f64)?, Direction::Gt)?;
    b.select(b.broadcast_in_dim(is_long, b.shape(short), &[])?, long, short)
}

/// `theta` stretched for a sequence of `length` (`f32[]`) positions; see [`Rope::inv_freq`].
fn dynamic(b: &Builder, rope: &Rope, length: Value) -> Result<Value> {
    let &Scaling::Dynamic { factor, max_position_embeddings } = &rope.scaling else {
        return Err(b.error("rotary", &[length], "the rope type is not dynamic"));
    };
    let ratio = b.multiply_scalar(length, factor / max_position_embeddings as f64)?;
    let stretch = b.add_scalar(ratio, 1.0 - factor)?;
    let stretched = b.power(stretch, b.full_like(stretch, rope.ntk_exponent())?)?;
    let theta = b.multiply_scalar(stretched, rope.theta)?;
    let exponents = table(b, &rope.exponents().map(|e| -e).collect::<Vec<_>>())?;
    b.power(b.broadcast_in_dim(theta, b.shape(exponents), &[])?, exponents)
}

fn table(b: &Builder, values: &[f32]) -> Result<Value> {
    let literal = Literal::from_slice([values.len()], values);
    b.constant(literal.map_err(|problem| b.error("rotary", &[], problem.to_string()))?)
}
