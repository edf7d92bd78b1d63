//! What the schemes have in common: runs of elements, cut into stretches of a row, computed from runs
//! of the pieces.

use porter_ir::{DType, TensorType};

use crate::{
    convert::{Decode, bf16_to_f32, decoder, f16_to_f32, f32_to_bf16, f32_to_f16},
    read::Fault,
};

/// Elements computed at a time.
pub(super) const TILE: usize = 512;

/// The pieces of a quantised tensor, in the order in which its scheme takes them.
pub(crate) trait Pieces {
    /// Writes the elements of a piece from `start` on that `out` has room for, in the piece's own
    /// dtype.
    fn read(&mut self, piece: usize, start: usize, out: &mut [u8]) -> Result<(), Fault>;
}

/// A quantised tensor whose pieces were found to fit together.
pub(crate) trait Kernel: Send + Sync {
    /// Writes the elements from `start` on, in row-major order. Each is a number of the tensor's dtype.
    fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault>;
}

/// What a kernel refuses while it reads.
fn refuse(what: String) -> Fault {
    Fault::Refused { term: "dequantise", what }
}

/// Cuts a run of a tensor of `columns` into stretches of one row, and a tile at most. `read` takes the
/// row (rows of all leading dimensions are counted on), the column, and the elements to write.
pub(super) fn by_row(
    start: usize,
    mut out: &mut [f32],
    columns: usize,
    mut read: impl FnMut(usize, usize, &mut [f32]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut position = start;
    while !out.is_empty() {
        let (row, column) = (position / columns, position % columns);
        let count = out.len().min(columns - column).min(TILE);
        let (now, later) = out.split_at_mut(count);
        read(row, column, now)?;
        position += count;
        out = later;
    }
    Ok(())
}

/// A piece that is read as numbers: scales.
#[derive(Clone, Copy)]
pub(super) struct Floats {
    piece: usize,
    bytes: usize,
    decode: Decode<f32>,
}

impl Floats {
    /// Piece number `piece`, whose dtype `f32` holds exactly, and takes at most four bytes.
    pub(super) fn new(piece: usize, dtype: DType) -> Result<Self, String> {
        let decode =
            decoder(dtype).ok_or_else(|| format!("piece {piece} is {dtype}, which f32 does not hold"))?;
        Ok(Self { piece, bytes: dtype.host_bytes(), decode })
    }

    /// Piece number `piece`, of bytes.
    pub(super) fn bytes(piece: usize) -> Self {
        Self {
            piece,
            bytes: 1,
            decode: |stored, out| out.iter_mut().zip(stored).for_each(|(x, b)| *x = f32::from(*b)),
        }
    }

    /// Writes the numbers from `start` on.
    pub(super) fn read(&self, pieces: &mut dyn Pieces, start: usize, out: &mut [f32]) -> Result<(), Fault> {
        let mut stored = [0; TILE * 4];
        for (i, out) in out.chunks_mut(TILE).enumerate() {
            let stored = &mut stored[..out.len() * self.bytes];
            pieces.read(self.piece, start + i * TILE, stored)?;
            (self.decode)(stored, out);
        }
        Ok(())
    }

    /// One number.
    pub(super) fn at(&self, pieces: &mut dyn Pieces, index: usize) -> Result<f32, Fault> {
        let (mut stored, mut number) = ([0; 4], [0.0]);
        pieces.read(self.piece, index, &mut stored[..self.bytes])?;
        (self.decode)(&stored[..self.bytes], &mut number);
        Ok(number[0])
    }
}

/// Fields of a few bits, from the lowest bit of each 32-bit word on, in a piece of `i32`.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// The piece.
    pub(super) piece: usize,
    /// Bits of a field, at most 8; a field may lie across two words.
    pub(super) bits: usize,
}

impl Fields {
    /// The words that `count` fields take.
    pub(super) fn words(self, count: usize) -> Option<usize> {
        Some(count.checked_mul(self.bits)?.div_ceil(32))
    }

    /// Fields along a row of words, the first of them `column`; `first` is the row's first word.
    pub(super) fn along_row(
        self,
        pieces: &mut dyn Pieces,
        first: usize,
        column: usize,
        out: &mut [i32],
    ) -> Result<(), Fault> {
        let begin = column * self.bits / 32;
        let end = ((column + out.len()) * self.bits).div_ceil(32);
        let mut words = [0; TILE * 8 / 32 + 2];
        let words =
            words.get_mut(..end - begin).ok_or_else(|| refuse("a run longer than a tile".to_owned()))?;
        read_words(pieces, self.piece, first + begin, words)?;
        for (i, out) in out.iter_mut().enumerate() {
            let bit = (column + i) * self.bits - begin * 32;
            let word = |at: usize| words.get(at).copied().map_or(0, u64::from);
            let wide = word(bit / 32) | word(bit / 32 + 1) << 32;
            *out = (wide >> (bit % 32)) as i32 & self.mask();
        }
        Ok(())
    }

    /// Field number `row` of each of some columns of words: those of a matrix of `columns`, from
    /// `column` on.
    pub(super) fn down_columns(
        self,
        pieces: &mut dyn Pieces,
        columns: usize,
        (row, column): (usize, usize),
        out: &mut [i32],
    ) -> Result<(), Fault> {
        let (word, shift) = (row * self.bits / 32, row * self.bits % 32);
        let (mut low, mut high) = ([0; TILE], [0; TILE]);
        let (low, high) = (&mut low[..out.len()], &mut high[..out.len()]);
        read_words(pieces, self.piece, word * columns + column, low)?;
        if shift + self.bits > 32 {
            read_words(pieces, self.piece, (word + 1) * columns + column, high)?;
        }
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            let wide = u64::from(*low) | u64::from(*high) << 32;
            *out = (wide >> shift) as i32 & self.mask();
        }
        Ok(())
    }

    fn mask(self) -> i32 {
        (1 << self.bits) - 1
    }
}

/// 32-bit words of a piece: a tile at most.
fn read_words(pieces: &mut dyn Pieces, piece: usize, start: usize, out: &mut [u32]) -> Result<(), Fault> {
    let mut stored = [0; TILE * 4];
    let stored = &mut stored[..out.len() * 4];
    pieces.read(piece, start, stored)?;
    for (out, word) in out.iter_mut().zip(stored.as_chunks().0) {
        *out = u32::from_le_bytes(*word);
    }
    Ok(())
}

/// Integers of a tile.
pub(super) type Tile = [i32; TILE];

/// Room for a tile of integers.
pub(super) const fn tile() -> Tile {
    [0; TILE]
}

/// Which scale row each row of groups has.
#[derive(Clone, Copy)]
pub(super) enum Groups {
    /// This many rows one after another share one.
    Runs(usize),
    /// The piece of `i32` that says it for each row, and how many there are to name.
    Listed {
        /// The piece.
        piece: usize,
        /// How many groups there are.
        groups: usize,
    },
}

impl Groups {
    /// Runs of `size` of the `rows`, or all of them, if those are `groups` groups.
    pub(super) fn runs(rows: usize, size: Option<usize>, groups: usize) -> Result<Self, String> {
        let size = size.unwrap_or(rows).max(1);
        if rows.div_ceil(size) != groups {
            return Err(format!("{rows} inputs are not {groups} groups of {size}"));
        }
        Ok(Groups::Runs(size))
    }

    /// The group of `row`.
    pub(super) fn of(self, pieces: &mut dyn Pieces, row: usize) -> Result<usize, Fault> {
        match self {
            Groups::Runs(size) => Ok(row / size),
            Groups::Listed { piece, groups } => {
                let mut stored = [0; 4];
                pieces.read(piece, row, &mut stored)?;
                let group = i32::from_le_bytes(stored);
                usize::try_from(group).ok().filter(|&group| group < groups).ok_or_else(|| {
                    refuse(format!("g_idx names group {group} at {row}; there are {groups} groups"))
                })
            }
        }
    }
}

/// A scale for each block of a matrix: where it is.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    rows: usize,
    columns: usize,
    block: [usize; 2],
    scale_rows: usize,
    scale_columns: usize,
}

impl Grid {
    /// The grid of blocks of `[rows, columns]` over the last two dimensions of `weight`, of which the
    /// last in each dimension may be cut short, if `scale` has one for each.
    pub(super) fn new(weight: &TensorType, block: [usize; 2], scale: &TensorType) -> Result<Self, String> {
        let [.., rows, columns] = weight.shape[..] else {
            return Err(format!("weight is {weight}; expected a matrix, or several"));
        };
        let block = block.map(|size| size.max(1));
        let (scale_rows, scale_columns) = (rows.div_ceil(block[0]), columns.div_ceil(block[1]));
        let leading = &weight.shape[..weight.shape.rank() - 2];
        let expected = [leading, &[scale_rows, scale_columns]].concat();
        let single = scale_rows == 1 && scale_columns == 1 && leading.is_empty();
        if *scale.shape != expected[..] && !(single && scale.shape.elements() == 1) {
            return Err(format!(
                "the scale is {scale}; expected the shape {expected:?}, one for each {} by {} of the weight {weight}",
                block[0], block[1]
            ));
        }
        Ok(Self { rows, columns, block, scale_rows, scale_columns })
    }

    /// Columns of the weight.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The element at `(row, column)`.
    pub(super) fn position(&self, (row, column): (usize, usize)) -> usize {
        row * self.columns + column
    }

    /// Calls `apply` for each stretch of `out`, which begins at `(row, column)`, with the number of its
    /// scale.
    pub(super) fn by_scale<T>(
        &self,
        (row, column): (usize, usize),
        mut out: &mut [T],
        mut apply: impl FnMut(usize, &mut [T]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let scale_row = row / self.rows * self.scale_rows + row % self.rows / self.block[0];
        let mut column = column;
        while !out.is_empty() {
            let count = out.len().min(self.block[1] - column % self.block[1]);
            let (now, later) = out.split_at_mut(count);
            apply(scale_row * self.scale_columns + column / self.block[1], now)?;
            column += count;
            out = later;
        }
        Ok(())
    }
}

/// The number that an E8M0 code is: `2^(code - 127)`, in f32, where 255 overflows.
pub(super) fn power_of_two(code: u8) -> f32 {
    f32::from_bits(if code == 0 { 0x0040_0000 } else { u32::from(code) << 23 })
}

/// Rounds numbers to those of a dtype, to nearest, ties to even.
pub(crate) type Rounding = fn(&mut [f32]);

/// The rounding to the numbers of `dtype`; all of f32 are numbers of f32.
pub(crate) fn rounding(dtype: DType) -> Rounding {
    match dtype {
        DType::BF16 => |numbers| each(numbers, |x| bf16_to_f32(f32_to_bf16(x))),
        DType::F16 => |numbers| each(numbers, |x| f16_to_f32(f32_to_f16(x))),
        _ => |_| {},
    }
}

fn each(numbers: &mut [f32], round: impl Fn(f32) -> f32) {
    for number in numbers {
        *number = round(*number);
    }
}

/// The dtypes that scales have.
pub(super) const SCALES: [DType; 3] = [DType::BF16, DType::F16, DType::F32];

/// Says what a piece must be, if it is not.
pub(super) fn expect(
    name: &str,
    found: &TensorType,
    dtypes: &[DType],
    shape: &[usize],
) -> Result<(), String> {
    if dtypes.contains(&found.dtype) && *found.shape == *shape {
        return Ok(());
    }
    let dtypes: Vec<String> = dtypes.iter().map(ToString::to_string).collect();
    Err(format!("{name} is {found}; expected {} of shape {shape:?}", dtypes.join(" or ")))
}
