//! Stored elements to elements of another dtype, exactly or rounded to nearest, ties to even.
//!
//! Floats and block types go through a small tile of `f32` or `f64`, whichever holds the source
//! exactly; integers go to integers through `i128`, and a value that does not fit is an error.

mod decode;
mod direct;
mod encode;
mod float16;
mod float8;

use porter_ir::{DType, Kind};

pub(crate) use float8::{f8_e4m3fn_to_f32, f8_e5m2_to_f32, f32_to_f8_e4m3fn, f32_to_f8_e5m2};
pub(crate) use float16::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

use crate::{Encoding, stored::Unit};

/// Elements converted at a time: a multiple of every block, small enough for the first cache.
const TILE: usize = 1024;

/// Writes the numbers that the stored bytes are.
pub(crate) type Decode<T> = fn(stored: &[u8], tile: &mut [T]);

/// Writes the bytes of numbers.
pub(crate) type Encode<T> = fn(tile: &[T], out: &mut [u8]);

/// A conversion that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{from} cannot be read as {to}: {why}")]
pub struct CastError {
    /// The stored encoding.
    pub from: Encoding,
    /// The dtype asked for.
    pub to: DType,
    /// The reason.
    pub why: &'static str,
}

/// The decoder to `f32` of a dtype that `f32` holds exactly.
pub(crate) fn decoder(dtype: DType) -> Option<Decode<f32>> {
    decode::single(&Encoding::Plain(dtype))
}

/// How elements of one encoding become elements of a dtype.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    /// The unit in which the source is stored.
    pub(crate) unit: Unit,
    to_bytes: usize,
    path: Path,
}

#[derive(Clone, Copy, Debug)]
enum Path {
    /// The stored bytes are the result.
    Copy,
    /// Element by element, for the pairs that checkpoints are mostly made of.
    Direct(direct::Convert),
    /// Through `f32`.
    Single(Decode<f32>, Encode<f32>),
    /// Through `f64`.
    Double(Decode<f64>, Encode<f64>),
    /// From `f32` to `f64`.
    Widen(Decode<f32>),
    /// Through `i128`; the encoder says whether every value fitted.
    Whole(Decode<i128>, fn(&[i128], &mut [u8]) -> bool),
}

/// An integer that the target dtype does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

impl Cast {
    /// The conversion from `from` to `to`.
    pub(crate) fn new(from: &Encoding, to: DType) -> Result<Self, CastError> {
        let refuse = |why| CastError { from: from.clone(), to, why };
        let listed_only = || refuse("this element type is listed only, never read as numbers");
        let unit = match from {
            Encoding::Other(_) => return Err(listed_only()),
            Encoding::Plain(_) | Encoding::Block(_) => from.unit().ok_or_else(listed_only)?,
        };
        if to.bits() < 8 && to != DType::Bool {
            return Err(refuse("types below a byte are not written"));
        }
        let path = path(from, to).map_err(refuse)?;
        Ok(Self { unit, to_bytes: to.host_bytes(), path })
    }

    /// True if the stored bytes are the result.
    pub(crate) fn copies(&self) -> bool {
        matches!(self.path, Path::Copy)
    }

    /// Converts whole units: `out` takes exactly the elements of `stored`.
    pub(crate) fn run(&self, stored: &[u8], out: &mut [u8]) -> Result<(), OutOfRange> {
        match self.path {
            Path::Copy => out.copy_from_slice(stored),
            Path::Direct(convert) => convert(stored, out),
            Path::Single(decode, encode) => self.tiles(stored, out, &mut [0_f32; TILE], decode, encode),
            Path::Double(decode, encode) => self.tiles(stored, out, &mut [0_f64; TILE], decode, encode),
            Path::Widen(decode) => self.tiles(stored, out, &mut [0_f32; TILE], decode, encode::f64_from_f32),
            Path::Whole(decode, encode) => {
                let mut fits = true;
                self.tiles(stored, out, &mut [0_i128; TILE], decode, |tile, out| fits &= encode(tile, out));
                return if fits { Ok(()) } else { Err(OutOfRange) };
            }
        }
        Ok(())
    }

    fn tiles<T>(
        &self,
        stored: &[u8],
        out: &mut [u8],
        tile: &mut [T],
        decode: Decode<T>,
        mut encode: impl FnMut(&[T], &mut [u8]),
    ) {
        let stored_bytes = TILE / self.unit.elements * self.unit.bytes;
        for (stored, out) in stored.chunks(stored_bytes).zip(out.chunks_mut(TILE * self.to_bytes)) {
            let tile = &mut tile[..out.len() / self.to_bytes];
            decode(stored, tile);
            encode(tile, out);
        }
    }
}

fn path(from: &Encoding, to: DType) -> Result<Path, &'static str> {
    let source = match from {
        Encoding::Plain(source) if *source == to => return Ok(Path::Copy),
        Encoding::Plain(source) => *source,
        Encoding::Block(_) | Encoding::Other(_) => DType::F32,
    };
    match (source.kind(), to.kind()) {
        (_, Kind::Float) => float_path(from, to),
        (Kind::Float, _) => Err("a float is not cast to an integer or a truth value"),
        (_, Kind::Bool) => Err("a number is not cast to a truth value"),
        (_, Kind::Signed | Kind::Unsigned) => {
            Ok(Path::Whole(decode::whole(source).ok_or("not an integer that is read")?, encode::whole(to)))
        }
    }
}

fn float_path(from: &Encoding, to: DType) -> Result<Path, &'static str> {
    if let Some(convert) = direct::pair(from, to) {
        return Ok(Path::Direct(convert));
    }
    if let Some(decode) = decode::single(from) {
        return Ok(if to == DType::F64 {
            Path::Widen(decode)
        } else {
            Path::Single(decode, encode::single(to))
        });
    }
    let decode = decode::double(from, to).ok_or("this element type is not read as numbers")?;
    Ok(Path::Double(decode, encode::double(to)))
}

/// True if casting `from` to `to` and back changes nothing.
pub(crate) fn reversible(from: DType, to: DType) -> bool {
    match (from.kind(), to.kind()) {
        _ if from == to => true,
        (Kind::Float, Kind::Float) => {
            let ((from_significand, from_exponent), (significand, exponent)) =
                (float_bits(from), float_bits(to));
            from_significand <= significand && from_exponent <= exponent
        }
        (Kind::Unsigned, Kind::Signed | Kind::Unsigned) | (Kind::Signed, Kind::Signed) => {
            from.bits() < to.bits()
        }
        _ => false,
    }
}

/// Bits of the significand, with the implicit one, and of the exponent.
fn float_bits(dtype: DType) -> (usize, usize) {
    match dtype {
        DType::F4E2M1FN => (2, 2),
        DType::F8E4M3FN => (4, 4),
        DType::F8E5M2 => (3, 5),
        DType::BF16 => (8, 8),
        DType::F16 => (11, 5),
        DType::F32 => (24, 8),
        _ => (53, 11),
    }
}
