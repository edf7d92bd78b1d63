//! `awq`: 4-bit integers with a scale and a zero point for each group of input columns, in the order of
//! AWQ's GEMM kernel.
//!
//! Of a linear layer of `in` inputs and `out` outputs: `X.qweight` (i32, `[in, out / 8]`), `X.qzeros`
//! (i32, `[in / group, out / 8]`) and `X.scales` (f16 or bf16, `[in / group, out]`). The eight codes of a
//! word, from its lowest bits on, belong to columns 0, 2, 4, 6, 1, 3, 5, 7. They are `X.weight`,
//! `[out, in]`, of the dtype of the scales; each element is `(code - zero) * scale`, rounded once to it
//! (`dequantize_gemm` of autoawq 0.2.9).

use porter_ir::{DType, TensorType};

use super::{
    find::{Found, Lookup},
    kernel::{
        Fields, Floats, Groups, Kernel, Pieces, Rounding, SCALES, TILE, by_row, expect, rounding, tile,
    },
    options::Options,
};
use crate::{Expr, Scheme, read::Fault};

/// Codes of a word.
const PACKED: usize = 8;
/// Which code of a word each column has: `AWQ_REVERSE_ORDER`.
const ORDER: [usize; PACKED] = [0, 4, 1, 5, 2, 6, 3, 7];

/// 4-bit integers with a scale and a zero point for each group. Pieces: qweight, qzeros, scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awq {
    /// Inputs of a group; `None` if all are one group.
    pub group_size: Option<usize>,
}

impl Awq {
    pub(super) fn configured(options: &mut Options<'_>) -> Self {
        options.bits(if options.holds("w_bit") { "w_bit" } else { "bits" }, &[4]);
        options.only("version", &["gemm", "GEMM"]);
        options.only("format", &["gemm"]);
        options.only("checkpoint_format", &["gemm"]);
        options.only("pack_dtype", &["int32"]);
        options.nothing("dynamic");
        options.inert(&[
            "backend",
            "desc_act",
            "do_fuse",
            "exllama_config",
            "fuse_max_seq_len",
            "lm_head",
            "meta",
            "modules_to_fuse",
            "modules_to_not_convert",
            "sym",
            "zero_point",
        ]);
        let key = if options.holds("q_group_size") { "q_group_size" } else { "group_size" };
        Self { group_size: options.group_size(key) }
    }

    pub(super) fn find(self, name: &str, lookup: &Lookup<'_>) -> Option<Found> {
        let module = name.strip_suffix(".qweight")?;
        let piece = |piece: &str| format!("{module}.{piece}");
        let pieces = [name.to_owned(), piece("qzeros"), piece("scales")];
        Some(lookup.quantised(&piece("weight"), Scheme::Awq(self), &pieces).map_expr(Expr::transpose))
    }

    pub(super) fn kernel(self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        let [qweight, qzeros, scales] = pieces else {
            return Err(format!("{} pieces; expected 3", pieces.len()));
        };
        let ([rows, _], [groups, columns]) = (&qweight.shape[..], &scales.shape[..]) else {
            return Err(format!("qweight is {qweight} and scales is {scales}; expected two matrices"));
        };
        let (rows, groups, columns) = (*rows, *groups, *columns);
        let words = columns / PACKED;
        if !columns.is_multiple_of(PACKED) {
            return Err(format!("scales is {scales}; expected a multiple of {PACKED} columns"));
        }
        expect("qweight", qweight, &[DType::I32], &[rows, words])?;
        expect("qzeros", qzeros, &[DType::I32], &[groups, words])?;
        expect("scales", scales, &SCALES, &[groups, columns])?;
        let kernel = Layer {
            columns,
            groups: Groups::runs(rows, self.group_size, groups)?,
            scales: Floats::new(2, scales.dtype)?,
            round: rounding(scales.dtype),
        };
        Ok((TensorType::new(scales.dtype, [rows, columns]), Box::new(kernel)))
    }
}

/// A layer's weight as `[in, out]`.
struct Layer {
    columns: usize,
    groups: Groups,
    scales: Floats,
    round: Rounding,
}

impl Kernel for Layer {
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        let words = self.columns / PACKED;
        by_row(start, out, self.columns, |row, column, out| {
            let group = self.groups.of(pieces, row)?;
            let (mut codes, mut zeros) = (tile(), tile());
            let (codes, zeros) = (&mut codes[..out.len()], &mut zeros[..out.len()]);
            read_ordered(pieces, 0, row * words, column, codes)?;
            read_ordered(pieces, 1, group * words, column, zeros)?;
            self.scales.read(pieces, group * self.columns + column, out)?;
            for ((out, code), zero) in out.iter_mut().zip(codes).zip(zeros) {
                *out *= (*code - *zero) as f32;
            }
            (self.round)(out);
            Ok(())
        })
    }
}

/// The codes of columns `column` on of the row whose first word is `first`.
fn read_ordered(
    pieces: &mut dyn Pieces,
    piece: usize,
    first: usize,
    column: usize,
    out: &mut [i32],
) -> Result<(), Fault> {
    let (begin, end) = (column / PACKED * PACKED, (column + out.len()).next_multiple_of(PACKED));
    let mut packed = [0; TILE + 2 * PACKED];
    Fields { piece, bits: 4 }.along_row(pieces, first, begin, &mut packed[..end - begin])?;
    for (i, out) in out.iter_mut().enumerate() {
        let at = column - begin + i;
        *out = packed[at / PACKED * PACKED + ORDER[at % PACKED]];
    }
    Ok(())
}
