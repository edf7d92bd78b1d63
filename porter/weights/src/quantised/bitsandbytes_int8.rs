//! `bitsandbytes`, 8 bits: `LLM.int8()` weights with the largest magnitude of each row.
//!
//! `X.weight` (i8, `[out, in]`), `X.SCB` (f32, `[out]`) and, in newer files, `X.weight_format` (u8, 0: by
//! rows). Each element is `code * SCB * (1 / 127)` in f32, in that order, as `int8_vectorwise_dequant`
//! of bitsandbytes 0.50.2 has it.

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{Floats, Kernel, Pieces, by_row, expect},
};
use crate::{Problem, Scheme, read::Fault};

/// The reciprocal of 127 that bitsandbytes multiplies by.
const RECIPROCAL: f32 = 7.874_016e-3;

/// Rows of 8-bit integers with their largest magnitude. Pieces: weight, SCB, and the format if it is
/// stored, of which nothing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitsAndBytesInt8;

impl BitsAndBytesInt8 {
    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let module = name.strip_suffix(".SCB")?;
        let (weight, format) = (format!("{module}.weight"), format!("{module}.weight_format"));
        let mut pieces = vec![weight.clone(), name.to_owned()];
        if lookup.holds(&format) {
            match lookup.small(&format, 1) {
                Ok(bytes) if *bytes == [0] => pieces.push(format),
                Ok(bytes) => {
                    let what = format!("is {bytes:?}; format 0, by rows, is read");
                    return Some(Found::refused(&weight, Problem::tensor(format, what)));
                }
                Err(problem) => return Some(Found::refused(&weight, problem)),
            }
        }
        Some(lookup.quantised(&weight, Scheme::BitsAndBytesInt8(self), &pieces))
    }

    pub(super) fn kernel(pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let [weight, scale, ..] = pieces else { return Err(format!("{} pieces; expected 2", pieces.len())) };
        let [rows, columns] = weight.shape[..] else {
            return Err(format!("the weight is {weight}; expected an i8 matrix"));
        };
        expect("the weight", weight, &[DType::I8], &[rows, columns])?;
        expect("SCB", scale, &[DType::F32], &[rows])?;
        let kernel =
            Rows { columns, weight: Floats::new(0, weight.dtype)?, scale: Floats::new(1, scale.dtype)? };
        Ok((TensorType::new(DType::F32, [rows, columns]), Box::new(kernel)))
    }
}

struct Rows {
    columns: usize,
    weight: Floats,
    scale: Floats,
}

impl Kernel for Rows {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        by_row(start, out, self.columns, |row, column, out| {
            let scale = self.scale.at(pieces, row)?;
            self.weight.read(pieces, row * self.columns + column, out)?;
            for x in out.iter_mut() {
                *x = *x * scale * RECIPROCAL;
            }
            Ok(())
        })
    }
}
