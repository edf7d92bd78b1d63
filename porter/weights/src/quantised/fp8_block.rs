//! `fp8`: 8-bit floats with a scale for each block, as DeepSeek-V3 publishes them.
//!
//! `X.weight` (f8E4M3FN or f8E5M2, `[..., rows, columns]`) and `X.weight_scale_inv` (f32, bf16, f16, or
//! u8 exponents `2^(x - 127)`; one for each block of 128 by 128, the last in each dimension cut short).
//! The scale multiplies, whatever its name says. Without a block size there is one scale, also called
//! `X.weight_scale`.
//!
//! Each element is the product in f32, the number that `weight_dequant_kernel` of DeepSeek-V3's
//! `inference/kernel.py` and `Fp8Dequantize` of transformers compute before they round it to the dtype
//! of the model.

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{Floats, Grid, Kernel, Pieces, SCALES, by_row, power_of_two},
    options::Options,
};
use crate::{Scheme, read::Fault};

/// 8-bit floats with a scale for each block. Pieces: weight, scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fp8Block {
    /// Rows and columns of a block; `None` if the whole tensor has one scale.
    pub block: Option<[usize; 2]>,
}

impl Fp8Block {
    pub(super) fn configured(options: &mut Options<'_>) -> Self {
        options.only("fmt", &["e4m3", "e5m2", "float8_e4m3fn", "float8_e5m2"]);
        options.inert(&[
            "activation_scheme",
            "dequantize",
            "ignored_layers",
            "kv_cache_scheme",
            "modules_to_not_convert",
            "scale_fmt",
        ]);
        Self { block: options.pair("weight_block_size") }
    }

    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let weight = match self.block {
            Some(_) => name.strip_suffix("_scale_inv")?,
            None => name.strip_suffix("_scale_inv").or_else(|| name.strip_suffix("_scale"))?,
        };
        Some(lookup.quantised(weight, Scheme::Fp8Block(self), &[weight, name]))
    }

    pub(super) fn kernel(self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let [weight, scale] = pieces else { return Err(format!("{} pieces; expected 2", pieces.len())) };
        if !matches!(weight.dtype, DType::F8E4M3FN | DType::F8E5M2) {
            return Err(format!("the weight is {weight}; expected f8E4M3FN or f8E5M2"));
        }
        if scale.dtype != DType::U8 && !SCALES.contains(&scale.dtype) {
            return Err(format!("the scale is {scale}; expected f32, bf16, f16 or ui8"));
        }
        let grid = Grid::new(weight, self.block.unwrap_or([usize::MAX; 2]), scale)?;
        let kernel = Blocks {
            grid,
            weight: Floats::new(0, weight.dtype)?,
            scale: Floats::new(1, scale.dtype)?,
            exponents: scale.dtype == DType::U8,
        };
        Ok((TensorType::new(DType::F32, weight.shape.clone()), Box::new(kernel)))
    }
}

struct Blocks {
    grid: Grid,
    weight: Floats,
    scale: Floats,
    exponents: bool,
}

impl Kernel for Blocks {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        by_row(start, out, self.grid.columns(), |row, column, out| {
            self.weight.read(pieces, self.grid.position((row, column)), out)?;
            self.grid.by_scale((row, column), out, |index, out| {
                let scale = self.scale.at(pieces, index)?;
                let scale = if self.exponents { power_of_two(scale as u8) } else { scale };
                for x in out.iter_mut() {
                    *x *= scale;
                }
                Ok(())
            })
        })
    }
}
