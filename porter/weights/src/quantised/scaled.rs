//! `compressed-tensors`, formats `int-quantized`, `float-quantized` and `naive-quantized`: 8-bit
//! elements with scales.
//!
//! `X.weight` (i8 or f8E4M3FN, `[rows, columns]`), `X.weight_scale` (bf16, f16 or f32: one for the
//! tensor, for each row, group of columns or block) and, where it is asymmetric, `X.weight_zero_point` of
//! the same shape. Each element is `(code - zero) * scale` in the dtype of the scale, rounded to it after
//! each step, as `_dequantize` of compressed-tensors 0.20.0 has it.

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{Floats, Grid, Kernel, Pieces, Rounding, SCALES, by_row, rounding},
};
use crate::{Scheme, read::Fault};

/// 8-bit elements with scales. Pieces: weight, scale, and the zero point if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// Rows and columns that share a scale; `usize::MAX` is all of them.
    pub block: [usize; 2],
}

impl Scaled {
    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let weight = name.strip_suffix("_scale").filter(|weight| weight.ends_with("weight"))?;
        let zero = format!("{weight}_zero_point");
        let mut pieces = vec![weight.to_owned(), name.to_owned()];
        pieces.extend(Some(zero).filter(|zero| lookup.holds(zero)));
        Some(lookup.quantised(weight, Scheme::Scaled(self), &pieces))
    }

    pub(super) fn kernel(self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let (weight, scale, zero) = match pieces {
            [weight, scale] => (weight, scale, None),
            [weight, scale, zero] => (weight, scale, Some(zero)),
            _ => return Err(format!("{} pieces; expected 2 or 3", pieces.len())),
        };
        if !matches!(weight.dtype, DType::I8 | DType::F8E4M3FN) {
            return Err(format!("the weight is {weight}; expected i8 or f8E4M3FN"));
        }
        if !SCALES.contains(&scale.dtype) {
            return Err(format!("the scale is {scale}; expected bf16, f16 or f32"));
        }
        if let Some(zero) = zero.filter(|zero| zero.shape != scale.shape) {
            return Err(format!("the zero point is {zero}; expected the shape of the scale {scale}"));
        }
        let kernel = Blocks {
            grid: Grid::new(weight, self.block, scale)?,
            weight: Floats::new(0, weight.dtype)?,
            scale: Floats::new(1, scale.dtype)?,
            zero: zero.map(|zero| Floats::new(2, zero.dtype)).transpose()?,
            round: rounding(scale.dtype),
        };
        Ok((TensorType::new(scale.dtype, weight.shape.clone()), Box::new(kernel)))
    }
}

struct Blocks {
    grid: Grid,
    weight: Floats,
    scale: Floats,
    zero: Option<Floats>,
    round: Rounding,
}

impl Kernel for Blocks {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        by_row(start, out, self.grid.columns(), |row, column, out| {
            self.weight.read(pieces, self.grid.position((row, column)), out)?;
            self.grid.by_scale((row, column), out, |index, out| {
                let scale = self.scale.at(pieces, index)?;
                let zero = self.zero.map_or(Ok(0.0), |zero| zero.at(pieces, index))?;
                for x in out.iter_mut() {
                    *x -= zero;
                }
                (self.round)(out);
                for x in out.iter_mut() {
                    *x *= scale;
                }
                (self.round)(out);
                Ok(())
            })
        })
    }
}
