//! `gptq`: integers of 2, 3, 4 or 8 bits with a scale and a zero point for each group of input columns.
//!
//! Of a linear layer of `in` inputs and `out` outputs: `X.qweight` (i32, `[in * bits / 32, out]`, packed
//! down its columns), `X.qzeros` (i32, `[groups, out * bits / 32]`, packed along its rows), `X.scales`
//! (f16 or bf16, `[groups, out]`) and `X.g_idx` (i32, `[in]`, the group of each input, in any order where
//! `desc_act` was on; without it they are runs of `group_size`). They are `X.weight`, `[out, in]`, of the
//! dtype of the scales.
//!
//! Each element is `scale * (code - zero)`, rounded once to that dtype, as `QuantLinear.forward` of
//! auto-gptq 0.7.1 (`qlinear_cuda.py`) has it. Format 1 stores zero points less one; `gptq_v2` of
//! gptqmodel stores them as they are.

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{Fields, Floats, Groups, Kernel, Pieces, Rounding, SCALES, by_row, expect, rounding, tile},
    options::Options,
};
use crate::{Scheme, read::Fault};

/// Packed integers with a scale and a zero point for each group. Pieces: qweight, qzeros, scales, and
/// `g_idx` if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gptq {
    /// Bits of an element: 2, 3, 4 or 8.
    pub bits: usize,
    /// Inputs of a group, where no `g_idx` says it; `None` if all are one group.
    pub group_size: Option<usize>,
    /// What is added to a stored zero point: 1 in format 1, 0 in `gptq_v2`.
    pub zero_offset: u8,
}

impl Gptq {
    pub(super) fn configured(options: &mut Options<'_>) -> Self {
        let checkpoint = options.only("checkpoint_format", &["gptq", "gptq_v2"]);
        let format = options.only("format", &["gptq", "gptq_v2"]).or(checkpoint);
        options.only("pack_dtype", &["int32"]);
        for key in ["is_marlin_format", "dynamic", "rotation", "adapter", "lora"] {
            options.nothing(key);
        }
        options.inert(&[
            "backend",
            "batch_size",
            "block_name_to_quantize",
            "cache_block_outputs",
            "damp_auto_increment",
            "damp_percent",
            "dataset",
            "desc_act",
            "disable_exllama",
            "exllama_config",
            "lm_head",
            "max_input_length",
            "meta",
            "model_file_base_name",
            "model_name_or_path",
            "model_seqlen",
            "module_name_preceding_first_block",
            "modules_in_block_to_quantize",
            "modules_to_not_convert",
            "mse",
            "pad_token_id",
            "static_groups",
            "sym",
            "tokenizer",
            "true_sequential",
            "use_cuda_fp16",
            "use_exllama",
        ]);
        Self {
            bits: options.bits("bits", &[2, 3, 4, 8]),
            group_size: options.group_size("group_size"),
            zero_offset: u8::from(format != Some("gptq_v2")),
        }
    }

    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let module = name.strip_suffix(".qweight")?;
        let piece = |piece: &str| format!("{module}.{piece}");
        let mut pieces = vec![name.to_owned(), piece("qzeros"), piece("scales")];
        pieces.extend(Some(piece("g_idx")).filter(|g_idx| lookup.holds(g_idx)));
        let found = lookup.quantised(&piece("weight"), Scheme::Gptq(self), &pieces);
        Some(found.map_expr(crate::Expr::transpose).tolerating_zeros(&piece("bias"), lookup))
    }

    pub(super) fn kernel(self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let (qweight, qzeros, scales, g_idx) = match pieces {
            [qweight, qzeros, scales] => (qweight, qzeros, scales, None),
            [qweight, qzeros, scales, g_idx] => (qweight, qzeros, scales, Some(g_idx)),
            _ => return Err(format!("{} pieces; expected 3 or 4", pieces.len())),
        };
        let ([words, columns], [groups, _]) = (&qweight.shape[..], &scales.shape[..]) else {
            return Err(format!("qweight is {qweight} and scales is {scales}; expected two matrices"));
        };
        let (columns, groups) = (*columns, *groups);
        let rows = match g_idx {
            Some(g_idx) => g_idx.shape.elements(),
            None => {
                words.checked_mul(32).ok_or_else(|| format!("qweight is {qweight}, too large"))? / self.bits
            }
        };
        let (codes, zeros) = (Fields { piece: 0, bits: self.bits }, Fields { piece: 1, bits: self.bits });
        let (row_words, zero_words) =
            codes.words(rows).zip(zeros.words(columns)).ok_or("the sizes overflow")?;
        expect("qweight", qweight, &[DType::I32], &[row_words, columns])?;
        expect("qzeros", qzeros, &[DType::I32], &[groups, zero_words])?;
        expect("scales", scales, &SCALES, &[groups, columns])?;
        let groups = match g_idx {
            Some(g_idx) => {
                expect("g_idx", g_idx, &[DType::I32], &[rows])?;
                Groups::Listed { piece: 3, groups }
            }
            None => Groups::runs(rows, self.group_size, groups)?,
        };
        let kernel = Layer {
            columns,
            codes,
            zeros,
            zero_words,
            zero_offset: i32::from(self.zero_offset),
            scales: Floats::new(2, scales.dtype)?,
            groups,
            round: rounding(scales.dtype),
        };
        Ok((TensorType::new(scales.dtype, [rows, columns]), Box::new(kernel)))
    }
}

/// A layer's weight as `[in, out]`.
struct Layer {
    columns: usize,
    codes: Fields,
    zeros: Fields,
    zero_words: usize,
    zero_offset: i32,
    scales: Floats,
    groups: Groups,
    round: Rounding,
}

impl Kernel for Layer {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        by_row(start, out, self.columns, |row, column, out| {
            let group = self.groups.of(pieces, row)?;
            let (mut codes, mut zeros) = (tile(), tile());
            let (codes, zeros) = (&mut codes[..out.len()], &mut zeros[..out.len()]);
            self.codes.down_columns(pieces, self.columns, (row, column), codes)?;
            self.zeros.along_row(pieces, group * self.zero_words, column, zeros)?;
            self.scales.read(pieces, group * self.columns + column, out)?;
            for ((out, code), zero) in out.iter_mut().zip(codes).zip(zeros) {
                *out *= (*code - *zero - self.zero_offset) as f32;
            }
            (self.round)(out);
            Ok(())
        })
    }
}
