//! The terms of a weight expression.

use std::{collections::BTreeSet, ops::Range};

use porter_ir::{DType, Shape};
use serde::{Deserialize, Serialize};

use super::json;
use crate::Scheme;

/// A tensor computed from checkpoint tensors. Every element of the result is an element of one
/// source, cast, or zero; only scaling, quantising and dequantising compute.
///
/// Block-quantised sources are `f32`. Build terms with the methods, which read in the order in
/// which they apply:
///
/// ```
/// use porter_ir::DType;
/// use porter_weights::Expr;
/// let query = Expr::source("blk.0.attn_q.weight").unpermute_rope(9, &[576, 576]);
/// let fused = Expr::concat([query, Expr::source("blk.0.attn_k.weight")], 0).cast(DType::BF16);
/// ```
///
/// As JSON a source is `{"source": NAME}` and every other term an object of its own name that holds its
/// fields; dequantising and quantising have no such form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// A checkpoint tensor, by name.
    Source(String),
    /// The input, rounded to a dtype.
    Cast {
        /// The tensor to cast.
        input: Box<Expr>,
        /// The dtype of the result.
        #[serde(with = "json::dtype")]
        dtype: DType,
    },
    /// The input times a number, in `f32`: each element is read as `f32`, which is exact, multiplied,
    /// and rounded once to `f32`, as `numpy` multiplies `float32`s. A power of two rounds nothing,
    /// except results below the smallest normal `f32`.
    Scale {
        /// The tensor to scale: a float of at most 32 bits.
        input: Box<Expr>,
        /// The number: finite and not zero.
        factor: f32,
    },
    /// The input's dimensions in another order: result dimension `i` is input dimension `dims[i]`.
    Permute {
        /// The tensor to permute.
        input: Box<Expr>,
        /// A permutation of `0..rank`.
        dims: Vec<usize>,
    },
    /// The same elements in row-major order under another shape.
    Reshape {
        /// The tensor to reshape.
        input: Box<Expr>,
        /// The shape of the result.
        #[serde(with = "json::shape")]
        shape: Shape,
    },
    /// A box of the input.
    Slice {
        /// The tensor to cut from.
        input: Box<Expr>,
        /// The indices kept, one range for each dimension.
        ranges: Vec<Range<usize>>,
    },
    /// The inputs one after another along a dimension.
    Concat {
        /// At least one tensor; all agree in dtype and in every other dimension.
        inputs: Vec<Expr>,
        /// The dimension.
        dim: usize,
    },
    /// The inputs as the slices of a new first dimension.
    Stack {
        /// At least one tensor; all agree in dtype and shape.
        inputs: Vec<Expr>,
    },
    /// The input among zeros.
    Pad {
        /// The tensor to pad.
        input: Box<Expr>,
        /// Zeros before and after the input, for each dimension.
        padding: Vec<(usize, usize)>,
    },
    /// Every slice of a dimension several times in a row, as `repeat_interleave` of PyTorch.
    Repeat {
        /// The tensor to repeat.
        input: Box<Expr>,
        /// The dimension.
        dim: usize,
        /// How many times, at least one.
        times: usize,
    },
    /// A tensor that is stored in pieces, as numbers: of the dtype that the code which defines the scheme
    /// computes them in.
    #[serde(skip)]
    Dequantise {
        /// How it is stored.
        scheme: Scheme,
        /// The pieces, each as it is stored, in the order that the scheme says.
        inputs: Vec<Expr>,
    },
    /// Rows as narrow numbers, or the scale of each, as compressed-tensors quantises weights by output
    /// channel.
    #[serde(skip)]
    Quantise {
        /// Weights of bf16, f16 or f32: a matrix, or several.
        input: Box<Expr>,
        /// What its elements become.
        to: QuantisedTo,
        /// Which of the two.
        part: QuantisedPart,
    },
}

/// The narrow numbers that a quantised weight is made of, each in a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantisedTo {
    /// Integers from -8 to 7.
    Int4,
    /// Integers from -128 to 127.
    Int8,
    /// Floats of 4 exponent and 3 mantissa bits, from -448 to 448 (arXiv:2209.05433).
    Fp8,
}

impl QuantisedTo {
    /// Their type in memory.
    pub const fn dtype(self) -> DType {
        match self {
            QuantisedTo::Int4 | QuantisedTo::Int8 => DType::I8,
            QuantisedTo::Fp8 => DType::F8E4M3FN,
        }
    }

    /// The least and the largest.
    pub const fn range(self) -> [f32; 2] {
        match self {
            QuantisedTo::Int4 => [-8.0, 7.0],
            QuantisedTo::Int8 => [-128.0, 127.0],
            QuantisedTo::Fp8 => [-448.0, 448.0],
        }
    }
}

/// One of the two tensors that a quantised weight is.
///
/// The scale of a row is its largest magnitude over half the range of the numbers (7.5, 127.5, 448), and the smallest
/// step from 1 of its dtype where all are zero; a value is the weight over the scale, inside the range, rounded to
/// nearest, ties to even. Both divisions are rounded to the dtype of the weight, as `calculate_qparams`
/// and `quantize` of compressed-tensors 0.20.0 do: cast the weight to f32 first for scales of full
/// precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantisedPart {
    /// The numbers, in the shape of the weight.
    Values,
    /// The scales: of the dtype of the weight, one column.
    Scales,
}

impl Expr {
    /// The checkpoint tensor `name`.
    pub fn source(name: impl Into<String>) -> Self {
        Expr::Source(name.into())
    }

    /// This, rounded to `dtype`.
    #[must_use]
    pub fn cast(self, dtype: DType) -> Self {
        Expr::Cast { input: Box::new(self), dtype }
    }

    /// This times `factor`, as `f32`.
    #[must_use]
    pub fn scale(self, factor: f32) -> Self {
        Expr::Scale { input: Box::new(self), factor }
    }

    /// Result dimension `i` is this one's dimension `dims[i]`.
    #[must_use]
    pub fn permute(self, dims: impl Into<Vec<usize>>) -> Self {
        Expr::Permute { input: Box::new(self), dims: dims.into() }
    }

    /// The transpose of a matrix.
    #[must_use]
    pub fn transpose(self) -> Self {
        self.permute([1, 0])
    }

    /// The same elements under another shape.
    #[must_use]
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        Expr::Reshape { input: Box::new(self), shape: shape.into() }
    }

    /// The box of `ranges`, one for each dimension.
    #[must_use]
    pub fn slice(self, ranges: impl Into<Vec<Range<usize>>>) -> Self {
        Expr::Slice { input: Box::new(self), ranges: ranges.into() }
    }

    /// `inputs` one after another along `dim`.
    pub fn concat(inputs: impl Into<Vec<Expr>>, dim: usize) -> Self {
        Expr::Concat { inputs: inputs.into(), dim }
    }

    /// `inputs` as the slices of a new first dimension.
    pub fn stack(inputs: impl Into<Vec<Expr>>) -> Self {
        Expr::Stack { inputs: inputs.into() }
    }

    /// This among zeros: how many before and after, for each dimension.
    #[must_use]
    pub fn pad(self, padding: impl Into<Vec<(usize, usize)>>) -> Self {
        Expr::Pad { input: Box::new(self), padding: padding.into() }
    }

    /// Every slice of `dim` `times` times in a row.
    #[must_use]
    pub fn repeat(self, dim: usize, times: usize) -> Self {
        Expr::Repeat { input: Box::new(self), dim, times }
    }

    /// The narrow numbers of this.
    #[must_use]
    pub fn quantised_values(self, to: QuantisedTo) -> Self {
        Expr::Quantise { input: Box::new(self), to, part: QuantisedPart::Values }
    }

    /// The scales of the narrow numbers of this.
    #[must_use]
    pub fn quantised_scales(self, to: QuantisedTo) -> Self {
        Expr::Quantise { input: Box::new(self), to, part: QuantisedPart::Scales }
    }

    /// The rows of a llama.cpp query or key projection of `shape` (`[out, in]`, or `[out]` for a
    /// bias) in Hugging Face's order.
    ///
    /// llama.cpp's converter interleaves the two rotary halves of each head
    /// (`permute` of `LlamaModel` in `convert_hf_to_gguf.py`); this puts them apart again.
    #[must_use]
    pub fn unpermute_rope(self, heads: usize, shape: &[usize]) -> Self {
        self.swap_in_heads(heads, shape, |half| [half, 2])
    }

    /// The inverse of [`Expr::unpermute_rope`]: Hugging Face's order to llama.cpp's.
    #[must_use]
    pub fn permute_rope(self, heads: usize, shape: &[usize]) -> Self {
        self.swap_in_heads(heads, shape, |half| [2, half])
    }

    /// Splits the rows of each head in two by `split`, swaps the two parts, and joins them again.
    /// A shape that does not divide is left for inference to refuse.
    fn swap_in_heads(self, heads: usize, shape: &[usize], split: fn(usize) -> [usize; 2]) -> Self {
        let rows = shape.first().copied().unwrap_or(1);
        let rest = shape.get(1..).unwrap_or_default();
        let [first, second] = split(rows / heads.max(1) / 2);
        let apart: Vec<usize> = [heads, first, second].iter().chain(rest).copied().collect();
        let swapped: Vec<usize> = [0, 2, 1].into_iter().chain(3..apart.len()).collect();
        self.reshape(apart).permute(swapped).reshape(shape.to_vec())
    }

    /// The terms that this one is made from.
    pub fn inputs(&self) -> &[Expr] {
        match self {
            Expr::Source(_) => &[],
            Expr::Cast { input, .. }
            | Expr::Scale { input, .. }
            | Expr::Permute { input, .. }
            | Expr::Reshape { input, .. }
            | Expr::Slice { input, .. }
            | Expr::Pad { input, .. }
            | Expr::Repeat { input, .. }
            | Expr::Quantise { input, .. } => std::slice::from_ref(input),
            Expr::Concat { inputs, .. } | Expr::Stack { inputs } | Expr::Dequantise { inputs, .. } => inputs,
        }
    }

    /// This, with each source that `replace` has something for replaced by it. The pieces of a quantised
    /// tensor stay what they are.
    #[must_use]
    pub fn substitute(mut self, replace: &dyn Fn(&str) -> Option<Expr>) -> Self {
        match &mut self {
            Expr::Source(name) => return replace(name).unwrap_or(self),
            Expr::Dequantise { .. } => {}
            Expr::Cast { input, .. }
            | Expr::Scale { input, .. }
            | Expr::Permute { input, .. }
            | Expr::Reshape { input, .. }
            | Expr::Slice { input, .. }
            | Expr::Pad { input, .. }
            | Expr::Repeat { input, .. }
            | Expr::Quantise { input, .. } => {
                let inner = std::mem::replace(&mut **input, Expr::Source(String::new()));
                **input = inner.substitute(replace);
            }
            Expr::Concat { inputs, .. } | Expr::Stack { inputs } => {
                *inputs = std::mem::take(inputs).into_iter().map(|input| input.substitute(replace)).collect();
            }
        }
        self
    }

    /// The names of the checkpoint tensors that this reads.
    pub fn sources(&self) -> BTreeSet<&str> {
        match self {
            Expr::Source(name) => BTreeSet::from([name.as_str()]),
            _ => self.inputs().iter().flat_map(Expr::sources).collect(),
        }
    }

    /// The term's name in error messages.
    pub(crate) fn term(&self) -> &'static str {
        match self {
            Expr::Source(_) => "source",
            Expr::Cast { .. } => "cast",
            Expr::Scale { .. } => "scale",
            Expr::Permute { .. } => "permute",
            Expr::Reshape { .. } => "reshape",
            Expr::Slice { .. } => "slice",
            Expr::Concat { .. } => "concat",
            Expr::Stack { .. } => "stack",
            Expr::Pad { .. } => "pad",
            Expr::Repeat { .. } => "repeat",
            Expr::Dequantise { .. } => "dequantise",
            Expr::Quantise { .. } => "quantise",
        }
    }
}
