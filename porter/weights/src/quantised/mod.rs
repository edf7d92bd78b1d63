//! Quantised checkpoints as Hugging Face models are published: what pieces a tensor is stored in, and
//! what its elements are, exactly as the code that defines each scheme computes them.
//!
//! A scheme is one file. It says which tensors are the pieces of one (`find`), checks that their shapes
//! and dtypes fit together (`kernel`), and computes any run of elements.

mod awq;
mod bitsandbytes_4bit;
mod bitsandbytes_int8;
mod config;
mod find;
mod fp8_block;
mod gptq;
mod kernel;
mod mxfp4;
mod options;
mod packed;
mod scaled;
mod tensors;

use std::fmt;

use porter_ir::TensorType;

pub use awq::Awq;
pub use bitsandbytes_4bit::{BitsAndBytes4, FourBits};
pub use bitsandbytes_int8::BitsAndBytesInt8;
pub use config::{Compressed, QuantisedConfig};
pub use fp8_block::Fp8Block;
pub use gptq::Gptq;
pub(crate) use kernel::{Kernel, Pieces, Rounding, rounding};
pub use mxfp4::Mxfp4;
pub use packed::Packed;
pub use scaled::Scaled;
pub use tensors::{QuantisedTensors, holds};

/// How a quantised tensor is stored in pieces, which are the inputs of
/// [`Expr::Dequantise`](crate::Expr::Dequantise).
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Scheme {
    Fp8Block(Fp8Block),
    Mxfp4(Mxfp4),
    Gptq(Gptq),
    Awq(Awq),
    BitsAndBytesInt8(BitsAndBytesInt8),
    BitsAndBytes4(BitsAndBytes4),
    Scaled(Scaled),
    Packed(Packed),
}

impl Scheme {
    /// The dtype and shape of the tensor, and how to compute it, if the pieces fit together.
    pub(crate) fn kernel(&self, pieces: &[TensorType]) -> Result<(TensorType, Box<dyn Kernel>), String> {
        match self {
            Scheme::Fp8Block(scheme) => scheme.kernel(pieces),
            Scheme::Mxfp4(Mxfp4) => Mxfp4::kernel(pieces),
            Scheme::Gptq(scheme) => scheme.kernel(pieces),
            Scheme::Awq(scheme) => scheme.kernel(pieces),
            Scheme::BitsAndBytesInt8(BitsAndBytesInt8) => BitsAndBytesInt8::kernel(pieces),
            Scheme::BitsAndBytes4(scheme) => scheme.kernel(pieces),
            Scheme::Scaled(scheme) => scheme.kernel(pieces),
            Scheme::Packed(scheme) => scheme.kernel(pieces),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::Fp8Block(_) => f.write_str("fp8"),
            Scheme::Mxfp4(_) => f.write_str("mxfp4"),
            Scheme::Gptq(gptq) => write!(f, "gptq, {} bits", gptq.bits),
            Scheme::Awq(_) => f.write_str("awq"),
            Scheme::BitsAndBytesInt8(_) => f.write_str("bitsandbytes, int8"),
            Scheme::BitsAndBytes4(four) => write!(f, "bitsandbytes, {:?}", four.kind),
            Scheme::Scaled(_) => f.write_str("compressed-tensors"),
            Scheme::Packed(packed) => write!(f, "compressed-tensors, packed, {} bits", packed.bits),
        }
    }
}
