//! `compressed-tensors`, format `pack-quantized`: integers of 2, 4 or 8 bits with a scale for each group
//! of columns.
//!
//! `X.weight_packed` (i32, `[rows, columns * bits / 32]`, each code plus half the range),
//! `X.weight_shape` (i64 or i32, `[2]`), `X.weight_scale` (bf16, f16 or f32, `[rows, groups]`); where it
//! is asymmetric `X.weight_zero_point` (i32, `[rows * bits / 32, groups]`, packed down its columns), and
//! with activation ordering, until version 0.9, `X.weight_g_idx` (i32, `[columns]`, the group of each
//! column; -1 throughout if there is no order). Each element is `(code - zero) * scale` in the dtype of
//! the scale, rounded to it, as `PackedQuantizationCompressor` of compressed-tensors 0.20.0 has it; the
//! order as 0.9.4 has it.

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{Fields, Floats, Groups, Kernel, Pieces, Rounding, SCALES, by_row, expect, rounding, tile},
};
use crate::{Problem, Scheme, read::Fault};

/// An order has four bytes for each column.
const MAX_ORDER: usize = 4 << 20;

/// Packed integers with a scale for each group of columns. Pieces: packed, scale, the shape, of which
/// nothing is read, the zero point if it is asymmetric, and `g_idx` if there is an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Bits of an element: 2, 4 or 8. The other widths are packed differently by different versions.
    pub bits: usize,
    /// Columns of a group; `None` if a row is one group.
    pub group_size: Option<usize>,
    /// True if there is no zero point.
    pub symmetric: bool,
    /// Rows and columns of the weight.
    pub shape: [usize; 2],
}

impl Packed {
    /// The weight with the shape that its tensor of it says, if `name` is a packed one. The shape of
    /// `self` does not matter.
    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let weight = name.strip_suffix("_packed")?;
        let piece = |piece: &str| format!("{weight}_{piece}");
        let mut pieces = vec![name.to_owned(), piece("scale"), piece("shape")];
        if !self.symmetric {
            pieces.push(piece("zero_point"));
        }
        let g_idx = piece("g_idx");
        let order = if lookup.holds(&g_idx) { is_order(&g_idx, lookup) } else { Ok(false) };
        let (shape, order) = match shape(&piece("shape"), lookup).and_then(|shape| Ok((shape, order?))) {
            Ok(read) => read,
            Err(problem) => return Some(Found::refused(weight, problem)),
        };
        pieces.extend(Some(g_idx.clone()).filter(|_| order));
        let found = lookup.quantised(weight, Scheme::Packed(Self { shape, ..self }), &pieces);
        Some(if order { found } else { found.tolerating(g_idx, "says that there is no order") })
    }

    pub(super) fn kernel(self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let [packed, scale, _, rest @ ..] = pieces else {
            return Err(format!("{} pieces; expected at least 3", pieces.len()));
        };
        let (zero, g_idx) = match (rest, self.symmetric) {
            ([], true) => (None, None),
            ([g_idx], true) => (None, Some(g_idx)),
            ([zero], false) => (Some(zero), None),
            ([zero, g_idx], false) => (Some(zero), Some(g_idx)),
            _ => return Err(format!("{} pieces, which is not what a weight has", pieces.len())),
        };
        let [rows, columns] = self.shape;
        let codes = Fields { piece: 0, bits: self.bits };
        let zeros = Fields { piece: 3, bits: self.bits };
        let (row_words, zero_words) =
            codes.words(columns).zip(codes.words(rows)).ok_or("the sizes overflow")?;
        expect("weight_packed", packed, &[DType::I32], &[rows, row_words])?;
        let groups = columns.div_ceil(self.group_size.unwrap_or(columns).max(1));
        expect("weight_scale", scale, &SCALES, &[rows, groups])?;
        if let Some(zero) = zero {
            expect("weight_zero_point", zero, &[DType::I32], &[zero_words, groups])?;
        }
        let by_column = match g_idx {
            Some(g_idx) => {
                expect("weight_g_idx", g_idx, &[DType::I32], &[columns])?;
                Groups::Listed { piece: pieces.len() - 1, groups }
            }
            None => Groups::runs(columns, self.group_size, groups)?,
        };
        let kernel = Rows {
            columns,
            row_words,
            groups,
            by_column,
            codes,
            zeros: zero.map(|_| zeros),
            scales: Floats::new(1, scale.dtype)?,
            round: rounding(scale.dtype),
        };
        Ok((TensorType::new(scale.dtype, [rows, columns]), Box::new(kernel)))
    }
}

/// The numbers of `weight_shape`.
fn shape(name: &str, lookup: &Lookup<'_>) -> Result<[usize; 2], Problem> {
    let bytes = lookup.small(name, 16)?;
    let numbers: Option<Vec<usize>> = match bytes.len() {
        8 => bytes.as_chunks().0.iter().map(|b| usize::try_from(i32::from_le_bytes(*b)).ok()).collect(),
        _ => bytes.as_chunks().0.iter().map(|b| usize::try_from(i64::from_le_bytes(*b)).ok()).collect(),
    };
    let shape = numbers.and_then(|numbers| <[usize; 2]>::try_from(numbers).ok());
    shape.ok_or_else(|| Problem::tensor(name, format!("is {bytes:?}; expected two sizes")))
}

/// True if a `weight_g_idx` says of every column which group it is in.
fn is_order(name: &str, lookup: &Lookup<'_>) -> Result<bool, Problem> {
    let bytes = lookup.small(name, MAX_ORDER)?;
    Ok(!bytes.as_chunks().0.iter().any(|group| i32::from_le_bytes(*group) == -1))
}

struct Rows {
    columns: usize,
    row_words: usize,
    groups: usize,
    by_column: Groups,
    codes: Fields,
    zeros: Option<Fields>,
    scales: Floats,
    round: Rounding,
}

impl Kernel for Rows {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        by_row(start, out, self.columns, |row, column, out| {
            let mut codes = tile();
            let codes = &mut codes[..out.len()];
            self.codes.along_row(pieces, row * self.row_words, column, codes)?;
            let mut last = None;
            for (i, (out, code)) in out.iter_mut().zip(codes).enumerate() {
                let group = self.by_column.of(pieces, column + i)?;
                let (zero, scale) = match last {
                    Some((known, numbers)) if known == group => numbers,
                    _ => self.numbers(pieces, row, group)?,
                };
                last = Some((group, (zero, scale)));
                *out = (*code - zero) as f32 * scale;
            }
            (self.round)(out);
            Ok(())
        })
    }
}

impl Rows {
    /// The zero point, as a stored code, and the scale of a group of a row.
    fn numbers(&self, pieces: &mut dyn Pieces, row: usize, group: usize) -> Result<(i32, f32), Fault> {
        let mut zero = [1 << (self.codes.bits - 1)];
        if let Some(zeros) = self.zeros {
            zeros.down_columns(pieces, self.groups, (row, group), &mut zero)?;
        }
        Ok((zero[0], self.scales.at(pieces, row * self.groups + group)?))
    }
}
