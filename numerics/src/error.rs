//! What can be wrong with a comparison or a bundle.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use porter_ir::{Shape, TensorType};

use crate::bundle::REFERENCE;

/// Why two tensors cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The bytes are not as many as the type says.
    #[error("{bytes} bytes do not hold {ty}")]
    Length {
        /// The type that was said.
        ty: TensorType,
        /// The bytes that were found.
        bytes: usize,
    },
    /// The elements are of a type that results do not have.
    #[error("{ty} cannot be compared: found elements of {}, expected floats of 16 bits or more, integers of 8 bits or more, or bool", ty.dtype)]
    DType {
        /// The tensor.
        ty: TensorType,
    },
    /// The shapes differ.
    #[error("found shape {ours}, expected the reference's {reference}")]
    Shape {
        /// The shape of the tensor under test.
        ours: Shape,
        /// The shape of the reference.
        reference: Shape,
    },
    /// The mask has a row for something else.
    #[error("a mask of {rows} rows does not fit the leading dimensions of {shape}")]
    Rows {
        /// Rows of the mask.
        rows: usize,
        /// The shape of the tensors.
        shape: Shape,
    },
    /// Nothing is left to compare, which is never a pass.
    #[error("no element of {shape} counts, so there is nothing to compare")]
    Empty {
        /// The shape of the tensors.
        shape: Shape,
    },
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// One of its files cannot be read, or both.
    #[error("reading the reference bundle {}: {source}{}", dir.display(), Lines(others, problems))]
    File {
        /// The bundle.
        dir: PathBuf,
        /// Which file, and why.
        source: Box<porter_weights::Error>,
        /// The same of the other file, where it cannot be read either.
        others: Vec<porter_weights::Error>,
        /// What else was found wrong, in what can be read.
        problems: Vec<BundleProblem>,
    },
    /// Its files can be read, but do not make a bundle.
    #[error("{} is not a usable reference bundle{}", dir.display(), List(problems))]
    Problems {
        /// The bundle.
        dir: PathBuf,
        /// Everything found wrong.
        problems: Vec<BundleProblem>,
    },
}

impl BundleError {
    pub(crate) fn file(dir: &Path, source: porter_weights::Error) -> Self {
        Self::File { dir: dir.to_owned(), source: Box::new(source), others: Vec::new(), problems: Vec::new() }
    }
}

/// One thing wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleProblem {
    /// A file holds no tensor.
    #[error("{file} holds no tensor")]
    NoTensors {
        /// The file.
        file: &'static str,
    },
    /// A tensor has elements that a bundle does not hold.
    #[error("{file}, tensor {tensor:?}: found {found}, expected {expected}")]
    Tensor {
        /// The file.
        file: &'static str,
        /// The tensor.
        tensor: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The recorder's notes are not JSON.
    #[error("{file}: {what}")]
    Notes {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// Inputs of a case that has no outputs: nothing could be compared with it.
    #[error(
        "inputs.safetensors, tensor {tensor:?}: found no output of its case, expected {expected:?} or any other in reference.safetensors"
    )]
    NoOutputs {
        /// One of the inputs.
        tensor: String,
        /// What an output's name would look like.
        expected: String,
    },
    /// An output of a case that has no inputs.
    #[error(
        "reference.safetensors, tensor {tensor:?}: found no inputs of its case, expected {expected:?} in inputs.safetensors"
    )]
    NoInputs {
        /// The output.
        tensor: String,
        /// What the inputs' names would look like.
        expected: String,
    },
}

impl BundleProblem {
    /// True if it names the tensor of `reference.safetensors`.
    pub(crate) fn is_about(&self, name: &str) -> bool {
        matches!(self, Self::Tensor { tensor, file, .. } if tensor == name && *file == REFERENCE)
    }
}

/// Errors and problems, a line each.
struct Lines<'a>(&'a [porter_weights::Error], &'a [BundleProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))?;
        self.1.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

struct List<'a>(&'a [BundleProblem]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, ": {only}");
        }
        write!(f, ": {} problems{}", self.0.len(), Lines(&[], self.0))
    }
}
