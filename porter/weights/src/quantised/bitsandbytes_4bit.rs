//! `bitsandbytes`, 4 bits: NF4 and FP4 codes with the largest magnitude of each block.
//!
//! `X.weight` (bytes, two codes each, high half first, of the flattened weight; also stored as a wider
//! dtype), `X.weight.absmax` (f32, one for each block), `X.weight.quant_map` (f32, the 16 numbers, which
//! are always the same) and `X.weight.quant_state.bitsandbytes__nf4` or `__fp4` (JSON: shape, block size,
//! dtype). With double quantisation `absmax` is u8, and a block's is
//! `nested_quant_map[absmax] * nested_absmax + nested_offset`, with one `nested_absmax` for each 256.
//!
//! Each element is `number * absmax` in f32, rounded to the dtype of the state, as `dequantize_4bit` of
//! bitsandbytes 0.50.2 has it.

use porter_ir::{DType, Shape, TensorType};
use serde_json::Value;

use super::{
    find::{Found, Lookup},
    kernel::{Floats, Kernel, Pieces, Rounding, TILE, expect, rounding},
};
use crate::{Problem, Scheme, read::Fault};

/// 4-bit codes in blocks. Pieces: weight, absmax, the map and the state, of which nothing is read, and
/// with double quantisation `nested_absmax` and `nested_quant_map`.
#[derive(Clone, Debug, PartialEq)]
pub struct BitsAndBytes4 {
    /// What the codes mean.
    pub kind: FourBits,
    /// The shape of the weight.
    pub shape: Shape,
    /// The dtype of the weight.
    pub dtype: DType,
    /// Elements of a block.
    pub block: usize,
    /// What double quantisation subtracted, and how many blocks share one of its scales.
    pub nested: Option<(f32, usize)>,
}

/// What a 4-bit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourBits {
    /// Quantiles of the normal distribution.
    Nf4,
    /// A sign, two bits of exponent, one of mantissa, over 12.
    Fp4,
}

/// A state is some 170 bytes.
const MAX_STATE: usize = 4096;

impl FourBits {
    fn numbers(self) -> [f32; 16] {
        match self {
            FourBits::Nf4 => [
                -1.0,
                -0.696_192_8,
                -0.525_073_05,
                -0.394_917_5,
                -0.284_441_38,
                -0.184_773_43,
                -0.091_050_036,
                0.0,
                0.079_580_3,
                0.160_930_2,
                0.246_112_3,
                0.337_915_24,
                0.440_709_83,
                0.562_617,
                0.722_956_84,
                1.0,
            ],
            FourBits::Fp4 => [
                0.0,
                0.005_208_333_5,
                0.666_666_7,
                1.0,
                0.333_333_34,
                0.5,
                0.166_666_67,
                0.25,
                0.0,
                -0.005_208_333_5,
                -0.666_666_7,
                -1.0,
                -0.333_333_34,
                -0.5,
                -0.166_666_67,
                -0.25,
            ],
        }
    }
}

impl BitsAndBytes4 {
    pub(super) fn find(name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let (weight, kind) = match name.strip_suffix(".quant_state.bitsandbytes__nf4") {
            Some(weight) => (weight, FourBits::Nf4),
            None => (name.strip_suffix(".quant_state.bitsandbytes__fp4")?, FourBits::Fp4),
        };
        let map = format!("{weight}.quant_map");
        let scheme =
            match Self::state(kind, name, lookup).and_then(|s| check_map(kind, &map, lookup).map(|()| s)) {
                Ok(scheme) => scheme,
                Err(problem) => return Some(Found::refused(weight, problem)),
            };
        let piece = |piece: &str| format!("{weight}.{piece}");
        let mut pieces = vec![weight.to_owned(), piece("absmax"), map, name.to_owned()];
        if scheme.nested.is_some() {
            pieces.extend([piece("nested_absmax"), piece("nested_quant_map")]);
        }
        Some(lookup.quantised(weight, Scheme::BitsAndBytes4(scheme), &pieces))
    }

    /// What the state says.
    fn state(kind: FourBits, name: &str, lookup: &Lookup<'_>) -> Result<Self, Problem> {
        let bytes = lookup.small(name, MAX_STATE)?;
        let wrong = |what: String| Problem::tensor(name, what);
        let state: Value =
            serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is no JSON: {error}")))?;
        let count = |key: &str| {
            let count = state.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            count.filter(|n| *n > 0).ok_or_else(|| wrong(format!("has no positive number {key:?}: {state}")))
        };
        let sizes = state.get("shape").and_then(Value::as_array).and_then(|sizes| {
            sizes.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect::<Option<Vec<_>>>()
        });
        let shape = Shape::from(sizes.ok_or_else(|| wrong(format!("has no shape: {state}")))?);
        shape.checked_elements().ok_or_else(|| wrong(format!("has the shape {shape}, which overflows")))?;
        let dtype = match state.get("dtype").and_then(Value::as_str) {
            Some("bfloat16") => DType::BF16,
            Some("float16") => DType::F16,
            Some("float32") => DType::F32,
            _ => return Err(wrong(format!("has no dtype bfloat16, float16 or float32: {state}"))),
        };
        let nested = match state.get("nested_offset").filter(|offset| !offset.is_null()) {
            None => None,
            Some(offset) => {
                let offset =
                    offset.as_f64().ok_or_else(|| wrong(format!("has no number nested_offset: {state}")))?;
                Some((offset as f32, count("nested_blocksize")?))
            }
        };
        Ok(Self { kind, shape, dtype, block: count("blocksize")?, nested })
    }

    pub(super) fn kernel(&self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let (([weight, absmax, _, _], None) | ([weight, absmax, _, _, _, _], Some(_))) =
            (pieces, self.nested)
        else {
            return Err(format!("{} pieces; expected 4, or 6 with double quantisation", pieces.len()));
        };
        let elements =
            self.shape.checked_elements().ok_or_else(|| format!("shape {} overflows", self.shape))?;
        let (bytes, blocks) = (elements.div_ceil(2), elements.div_ceil(self.block.max(1)));
        if weight.host_bytes() != bytes || weight.dtype.bits() < 8 {
            return Err(format!(
                "the weight is {weight}, {} bytes; expected {bytes}, for {}",
                weight.host_bytes(),
                self.shape
            ));
        }
        let scales = if let (Some((offset, block)), [.., scales, map]) = (self.nested, pieces) {
            let block = block.max(1);
            expect("absmax", absmax, &[DType::U8], &[blocks])?;
            expect("nested_absmax", scales, &[DType::F32], &[blocks.div_ceil(block)])?;
            expect("nested_quant_map", map, &[DType::F32], &[256])?;
            Scales::Nested {
                offset,
                block,
                scales: Floats::new(4, DType::F32)?,
                map: Floats::new(5, DType::F32)?,
            }
        } else {
            expect("absmax", absmax, &[DType::F32], &[blocks])?;
            Scales::Plain(Floats::new(1, DType::F32)?)
        };
        let kernel = Codes {
            numbers: self.kind.numbers(),
            unit: weight.dtype.host_bytes(),
            block: self.block.max(1),
            scales,
            round: rounding(self.dtype),
        };
        Ok((TensorType::new(self.dtype, self.shape.clone()), Box::new(kernel)))
    }
}

/// bitsandbytes ignores the stored numbers: they must be those that it uses.
fn check_map(kind: FourBits, name: &str, lookup: &Lookup<'_>) -> Result<(), Problem> {
    let bytes = lookup.small(name, 64)?;
    let expected = kind.numbers().map(f32::to_le_bytes).concat();
    if *bytes == expected[..] {
        return Ok(());
    }
    Err(Problem::tensor(
        name,
        format!("is not the map of {kind:?}, which bitsandbytes uses whatever is stored"),
    ))
}

/// Where the scale of a block is.
enum Scales {
    Plain(Floats),
    Nested { offset: f32, block: usize, scales: Floats, map: Floats },
}

impl Scales {
    fn of(&self, pieces: &mut dyn Pieces, block: usize) -> Result<f32, Fault> {
        match self {
            Scales::Plain(scales) => scales.at(pieces, block),
            Scales::Nested { offset, block: nested, scales, map } => {
                let mut code = [0];
                pieces.read(1, block, &mut code)?;
                let number = map.at(pieces, usize::from(code[0]))?;
                Ok(number * scales.at(pieces, block / nested)? + offset)
            }
        }
    }
}

struct Codes {
    numbers: [f32; 16],
    /// Bytes of an element of the piece that holds the codes.
    unit: usize,
    block: usize,
    scales: Scales,
    round: Rounding,
}

impl Kernel for Codes {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        let (mut position, mut out) = (start, out);
        while !out.is_empty() {
            let count = out.len().min(self.block - position % self.block).min(TILE);
            let (now, later) = out.split_at_mut(count);
            let scale = self.scales.of(pieces, position / self.block)?;
            self.codes(pieces, position, now)?;
            for x in now.iter_mut() {
                *x *= scale;
            }
            (self.round)(now);
            position += count;
            out = later;
        }
        Ok(())
    }
}

impl Codes {
    /// The numbers that the codes from `position` on are: a tile at most.
    fn codes(&self, pieces: &mut dyn Pieces, position: usize, out: &mut [f32]) -> Result<(), Fault> {
        let (begin, end) = (position / 2 / self.unit, (position + out.len()).div_ceil(2).div_ceil(self.unit));
        let mut stored = [0; TILE / 2 + 16];
        let stored = &mut stored[..(end - begin) * self.unit];
        pieces.read(0, begin, stored)?;
        for (i, out) in out.iter_mut().enumerate() {
            let at = position + i - begin * self.unit * 2;
            let code = if at.is_multiple_of(2) { stored[at / 2] >> 4 } else { stored[at / 2] & 0x0F };
            *out = self.numbers[usize::from(code)];
        }
        Ok(())
    }
}
