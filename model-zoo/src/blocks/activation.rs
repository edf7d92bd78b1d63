//! Activation functions, by their names in `transformers.activations.ACT2FN`.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use porter_ir::{Builder, DType, Result, Value};

use super::cast;

/// An element-wise activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x · sigmoid(x)` (`silu`, `swish`).
    Silu,
    /// `x · Φ(x)` with the error function (`gelu`, `gelu_python`).
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`, `gelu_pytorch_tanh`, `gelu_fast`).
    GeluTanh,
    /// `x · sigmoid(1.702 x)` (`quick_gelu`).
    QuickGelu,
    /// `max(x, 0)` (`relu`).
    Relu,
    /// The hyperbolic tangent (`tanh`).
    Tanh,
}

impl Activation {
    /// The names that [`Activation::from_name`] knows.
    pub(crate) const NAMES: &str =
        "silu, swish, gelu, gelu_python, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu, tanh";

    /// The activation that transformers calls `name`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Self::GeluTanh,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "tanh" => Self::Tanh,
            _ => return None,
        })
    }

    /// A name that [`Activation::from_name`] knows it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::QuickGelu => "quick_gelu",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
        }
    }

    /// Applies it, computed in `f32` and rounded once to the type of `x`.
    pub(crate) fn apply(self, b: &Builder, x: Value) -> Result<Value> {
        type Apply = fn(&Builder, Value) -> Result<Value>;
        let (name, f): (&str, Apply) = match self {
            Self::Silu => ("porter.silu", silu),
            Self::Gelu => ("porter.gelu", gelu),
            Self::GeluTanh => ("porter.gelu_tanh", gelu_tanh),
            Self::QuickGelu => ("porter.quick_gelu", quick_gelu),
            Self::Relu => ("porter.relu", relu),
            Self::Tanh => ("porter.tanh", Builder::tanh),
        };
        let dtype = b.dtype(x);
        super::composite(b, name, &[], [x], |b, [x]| cast(b, f(b, cast(b, x, DType::F32)?)?, dtype))
    }
}

fn silu(b: &Builder, x: Value) -> Result<Value> {
    b.multiply(x, b.logistic(x)?)
}

fn quick_gelu(b: &Builder, x: Value) -> Result<Value> {
    b.multiply(x, b.logistic(b.multiply_scalar(x, 1.702)?)?)
}

/// `x/2 · (1 + erf(x/√2))`
fn gelu(b: &Builder, x: Value) -> Result<Value> {
    let erf = b.erf(b.multiply_scalar(x, FRAC_1_SQRT_2)?)?;
    b.multiply(b.multiply_scalar(x, 0.5)?, b.add_scalar(erf, 1.0)?)
}

/// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`
fn gelu_tanh(b: &Builder, x: Value) -> Result<Value> {
    let cube = b.multiply(x, b.multiply(x, x)?)?;
    let inner = b.add(x, b.multiply_scalar(cube, 0.044_715)?)?;
    let tanh = b.tanh(b.multiply_scalar(inner, SQRT_2 * FRAC_2_SQRT_PI / 2.0)?)?;
    b.multiply(b.multiply_scalar(x, 0.5)?, b.add_scalar(tanh, 1.0)?)
}

fn relu(b: &Builder, x: Value) -> Result<Value> {
    b.maximum(x, b.full_like(x, 0.0)?)
}
