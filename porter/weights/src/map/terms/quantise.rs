//! Rows as narrow numbers with a scale each.

use porter_ir::{DType, TensorType};

use crate::{
    CastError, Encoding,
    convert::{Cast, f32_to_f8_e4m3fn},
    map::{ExprError, QuantisedPart, QuantisedTo, evaluate::Node},
    quantised::{Rounding, rounding},
    read::Fault,
    scratch::Scratch,
};

/// Added to a number below 2^22, it leaves no bit for a fraction: the sum is rounded to nearest, ties to
/// even, and its last bits are the whole number.
const WHOLE: f32 = 12_582_912.0;
/// Elements of a row that are read at a time.
const STRETCH: usize = 1 << 16;
/// Values computed at a time.
const TILE: usize = 1024;

/// What the part of a weight is.
pub(crate) fn ty(
    to: QuantisedTo,
    part: QuantisedPart,
    inputs: &[TensorType],
) -> Result<TensorType, ExprError> {
    let refuse = |what| ExprError::Term { term: "quantise", what };
    let [input] = inputs else { return Err(refuse(format!("{} inputs; expected one", inputs.len()))) };
    if input.shape.rank() < 2 || !matches!(input.dtype, DType::BF16 | DType::F16 | DType::F32) {
        return Err(refuse(format!("{input} is not a matrix, or several, of bf16, f16 or f32")));
    }
    Ok(match part {
        QuantisedPart::Values => TensorType::new(to.dtype(), input.shape.clone()),
        QuantisedPart::Scales => {
            let mut shape = input.shape.to_vec();
            shape.pop();
            shape.push(1);
            TensorType::new(input.dtype, shape)
        }
    })
}

/// One part of a quantised weight, for results of one dtype.
pub(crate) struct Quantised<'a> {
    to: QuantisedTo,
    part: QuantisedPart,
    /// The weight, in f32.
    input: Box<Node<'a>>,
    columns: usize,
    round: Rounding,
    /// The scale of zeros.
    epsilon: f32,
    /// From what is computed, integers or f32, to the result.
    cast: Cast,
    bytes: usize,
}

impl<'a> Quantised<'a> {
    pub(crate) fn new(
        (to, part): (QuantisedTo, QuantisedPart),
        input: Node<'a>,
        weight: &TensorType,
        result: DType,
    ) -> Result<Self, CastError> {
        // The scales are computed in f32, of which they are numbers.
        let from = if part == QuantisedPart::Values { to.dtype() } else { DType::F32 };
        Ok(Self {
            to,
            part,
            input: Box::new(input),
            columns: weight.shape.last().copied().unwrap_or(1),
            round: rounding(weight.dtype),
            epsilon: match weight.dtype {
                DType::BF16 => 1.0 / 128.0,
                DType::F16 => 1.0 / 1024.0,
                _ => f32::EPSILON,
            },
            cast: Cast::new(&Encoding::Plain(from), result)?,
            bytes: result.host_bytes(),
        })
    }

    /// Writes the elements from `start` on that `out` has room for.
    pub(crate) fn read(&self, start: usize, out: &mut [u8], scratch: &mut Scratch) -> Result<(), Fault> {
        let buffer = scratch.take(self.columns.min(STRETCH) * size_of::<f32>());
        let mut held = Held { buffer, at: None };
        let written = match self.part {
            QuantisedPart::Scales => self.scales(start, out, &mut held, scratch),
            QuantisedPart::Values => self.values(start, out, &mut held, scratch),
        };
        scratch.give(held.buffer);
        written
    }

    fn scales(
        &self,
        start: usize,
        out: &mut [u8],
        held: &mut Held,
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        for (i, out) in out.chunks_mut(self.bytes).enumerate() {
            let scale = self.scale(start + i, held, scratch)?;
            self.cast.run(&scale.to_le_bytes(), out)?;
        }
        Ok(())
    }

    fn values(
        &self,
        start: usize,
        mut out: &mut [u8],
        held: &mut Held,
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        let mut position = start;
        let mut scaled = None;
        while !out.is_empty() {
            let (row, column) = (position / self.columns, position % self.columns);
            let scale = match scaled {
                Some((known, scale)) if known == row => scale,
                _ => self.scale(row, held, scratch)?,
            };
            scaled = Some((row, scale));
            let weights = self.stretch((row, column), held, scratch)?;
            let weights = &weights[column % STRETCH..];
            let count = weights.len().min(out.len() / self.bytes).min(TILE);
            let (now, later) = out.split_at_mut(count * self.bytes);
            let mut steps = [0.0; TILE];
            let steps = &mut steps[..count];
            for (steps, weight) in steps.iter_mut().zip(weights) {
                *steps = f32::from_le_bytes(*weight) / scale;
            }
            (self.round)(steps);
            let mut narrow = [0; TILE];
            self.narrow(steps, &mut narrow[..count]);
            self.cast.run(&narrow[..count], now)?;
            position += count;
            out = later;
        }
        Ok(())
    }

    /// Steps as narrow numbers.
    fn narrow(&self, steps: &[f32], out: &mut [u8]) {
        let [least, largest] = self.to.range();
        let inside = steps.iter().map(|steps| steps.clamp(least, largest));
        for (out, steps) in out.iter_mut().zip(inside) {
            *out = match self.to {
                QuantisedTo::Int4 | QuantisedTo::Int8 => (steps + WHOLE).to_bits() as u8,
                QuantisedTo::Fp8 => f32_to_f8_e4m3fn(steps),
            };
        }
    }

    /// The scale of a row.
    fn scale(&self, row: usize, held: &mut Held, scratch: &mut Scratch) -> Result<f32, Fault> {
        let mut largest = 0;
        for begin in (0..self.columns).step_by(STRETCH) {
            let weights = self.stretch((row, begin), held, scratch)?;
            let magnitudes = weights.iter().map(|weight| u32::from_le_bytes(*weight) & 0x7FFF_FFFF);
            largest = magnitudes.fold(largest, u32::max);
        }
        let largest = f32::from_bits(largest);
        if !largest.is_finite() {
            let what = format!("row {row} holds {largest}, which no scale brings into the range");
            return Err(Fault::Refused { term: "quantise", what });
        }
        let [low, high] = self.to.range();
        let mut scale = [largest / ((high - low) / 2.0)];
        (self.round)(&mut scale);
        let [scale] = scale;
        Ok(if scale == 0.0 { self.epsilon } else { scale })
    }

    /// The stretch of a row that `column` lies in, from a multiple of [`STRETCH`] on.
    fn stretch<'h>(
        &self,
        (row, column): (usize, usize),
        held: &'h mut Held,
        scratch: &mut Scratch,
    ) -> Result<&'h [[u8; 4]], Fault> {
        let begin = column / STRETCH * STRETCH;
        let len = (self.columns - begin).min(STRETCH) * size_of::<f32>();
        let start = row * self.columns + begin;
        if held.at != Some(start) {
            held.at = None;
            self.input.read(start, &mut held.buffer[..len], scratch)?;
            held.at = Some(start);
        }
        Ok(held.buffer[..len].as_chunks().0)
    }
}

/// A stretch of a row, and where in the weight it begins.
struct Held {
    buffer: Vec<u8>,
    at: Option<usize>,
}
