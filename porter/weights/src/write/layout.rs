//! What is written where.

use std::{collections::BTreeSet, ops::Range};

use porter_ir::Shape;

use super::{Unwritable, WriteError};
use crate::{Encoding, Expr, stored::stored_bytes};

/// A tensor to write.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTensor {
    /// Its name in the output.
    pub name: String,
    /// How it comes from the source.
    pub expr: Expr,
    /// The shape of `expr`.
    pub shape: Shape,
    /// How its elements are stored. An [`Expr::Source`] that is stored like this already is copied as
    /// it is; everything else is computed as numbers, and rounded to this once.
    pub encoding: Encoding,
}

impl OutputTensor {
    /// The bytes that the elements of `range` take, or why they cannot be stored: a range that splits a
    /// block, or a shape that does not divide into blocks.
    pub fn bytes_of(&self, range: &Range<usize>) -> Result<usize, String> {
        stored_bytes(&self.encoding, &self.shape)?;
        let unit = self.encoding.unit().ok_or_else(|| format!("{} has no known size", self.encoding))?;
        if !range.start.is_multiple_of(unit.elements) || !range.end.is_multiple_of(unit.elements) {
            return Err(format!("elements {range:?} split blocks of {}", unit.elements));
        }
        Ok(range.len() / unit.elements * unit.bytes)
    }

    /// The bytes of the whole tensor, or why it cannot be stored.
    pub fn bytes(&self) -> Result<usize, String> {
        stored_bytes(&self.encoding, &self.shape)
    }
}

/// A part of an output file.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Elements of a tensor of the layout, in row-major order.
    Elements {
        /// The tensor's place in [`Layout::tensors`].
        tensor: usize,
        /// Which elements.
        range: Range<usize>,
    },
}

/// One file: its pieces one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputFile {
    /// Where it lies in the output: plain components with `/` between them.
    pub path: String,
    /// What it holds.
    pub pieces: Vec<Piece>,
}

impl OutputFile {
    /// A file of these bytes.
    pub fn bytes(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { path: path.into(), pieces: vec![Piece::Bytes(bytes)] }
    }
}

/// Every file of a conversion, known to the byte before anything is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The tensors.
    pub tensors: Vec<OutputTensor>,
    /// The files that hold them. They may be written in any order, by different machines.
    pub files: Vec<OutputFile>,
    /// The files that say that all of `files` are there, as an index, and small files beside them.
    /// They hold bytes only.
    pub closing: Vec<OutputFile>,
}

impl Layout {
    /// The size of a file in bytes, or why one of its pieces cannot be stored.
    pub fn file_bytes(&self, file: &OutputFile) -> Result<u64, String> {
        let sizes = file.pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => Ok(bytes.len() as u64),
            Piece::Elements { tensor, range } => {
                let tensor = self.tensors.get(*tensor).ok_or("no such tensor")?;
                tensor
                    .bytes_of(range)
                    .map(|bytes| bytes as u64)
                    .map_err(|what| format!("{}: {what}", tensor.name))
            }
        });
        sizes.sum()
    }

    /// Everything that keeps this from being written: paths that leave the output's folder or are
    /// taken twice, and elements that cannot be stored.
    pub fn check(&self, format: &'static str) -> Result<(), WriteError> {
        let mut problems = Vec::new();
        let mut taken = BTreeSet::new();
        for file in self.files.iter().chain(&self.closing) {
            if !is_plain(&file.path) {
                problems.push(Unwritable::new(&file.path, "is not a path inside the output's folder"));
            }
            if !taken.insert(&file.path) {
                problems.push(Unwritable::new(&file.path, "is the path of two files"));
            }
            if let Err(what) = self.file_bytes(file) {
                problems.push(Unwritable::new(&file.path, what));
            }
        }
        WriteError::unless_empty(format, problems)
    }
}

/// True for a relative path of plain names, on every system.
fn is_plain(path: &str) -> bool {
    path.split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']))
}
