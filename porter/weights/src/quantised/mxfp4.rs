//! `mxfp4`: 4-bit floats in blocks of 32 with a power of two each, as gpt-oss is published.
//!
//! `X_blocks` (u8, `[experts, rows, groups, 16]`, E2M1 codes, two to a byte, low half first) and
//! `X_scales` (u8, `[experts, rows, groups]`, `2^(x - 127)`) are `X`, bf16, `[experts, 32 groups, rows]`:
//! transposed, as `convert_moe_packed_tensors` of transformers 5.23.0 leaves them. Every element is exact in
//! bf16, or infinite.

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{Floats, Kernel, Pieces, by_row, expect},
    options::Options,
};
use crate::{Scheme, read::Fault};

/// Elements of a block.
const BLOCK: usize = 32;

/// 4-bit floats in blocks of 32. Pieces: blocks, scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mxfp4;

impl Mxfp4 {
    pub(super) fn configured(options: &mut Options<'_>) -> Self {
        options.inert(&["dequantize", "modules_to_not_convert"]);
        Self
    }

    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let logical = name.strip_suffix("_blocks")?;
        let scales = format!("{logical}_scales");
        let found = lookup.quantised(logical, Scheme::Mxfp4(self), &[name, &scales]);
        Some(found.map_expr(|expr| expr.permute([0, 2, 1])))
    }

    pub(super) fn kernel(pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let [blocks, scales] = pieces else { return Err(format!("{} pieces; expected 2", pieces.len())) };
        let [experts, rows, groups, bytes] = blocks.shape[..] else {
            return Err(format!("blocks is {blocks}; expected ui8 of shape [experts, rows, groups, 16]"));
        };
        expect("blocks", blocks, &[DType::U8], &[experts, rows, groups, BLOCK / 2])?;
        expect("scales", scales, &[DType::U8], &[experts, rows, groups])?;
        let columns =
            groups.checked_mul(2 * bytes).ok_or_else(|| format!("blocks is {blocks}, too large"))?;
        Ok((TensorType::new(DType::BF16, [experts, rows, columns]), Box::new(Blocks { columns })))
    }
}

struct Blocks {
    columns: usize,
}

impl Kernel for Blocks {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        let scales = Floats::bytes(1);
        by_row(start, out, self.columns, |row, column, mut out| {
            let mut position = row * self.columns + column;
            while !out.is_empty() {
                let count = out.len().min(BLOCK - position % BLOCK);
                let (now, later) = out.split_at_mut(count);
                let mut stored = [0; BLOCK / 2 + 1];
                let stored = &mut stored[..(position % 2 + count).div_ceil(2)];
                pieces.read(0, position / 2, stored)?;
                let half = half_power(scales.at(pieces, position / BLOCK)? as u8);
                for (i, out) in now.iter_mut().enumerate() {
                    *out = doubled(nibble(stored, position % 2 + i)) * half;
                }
                position += count;
                out = later;
            }
            Ok(())
        })
    }
}

/// 4-bit code number `at`, low half first.
fn nibble(stored: &[u8], at: usize) -> u8 {
    let byte = stored.get(at / 2).copied().unwrap_or_default();
    if at.is_multiple_of(2) { byte & 0x0F } else { byte >> 4 }
}

/// Twice the number that a code is: a sign, two bits of exponent, one of mantissa.
fn doubled(code: u8) -> f32 {
    const VALUES: [f32; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];
    let magnitude = VALUES[usize::from(code & 7)];
    if code & 8 == 0 { magnitude } else { -magnitude }
}

/// Half of `2^(scale - 127)`, which f32 holds for every scale.
fn half_power(scale: u8) -> f32 {
    // The two smallest are subnormal.
    f32::from_bits(if scale < 2 { 0x0020_0000 << scale } else { u32::from(scale - 1) << 23 })
}
