//! The arguments that say in which form a model runs: types, narrow weights, rewrites.

use clap::{Args, ValueEnum};
use porter_ir::DType;
use porter_pipeline::{Chosen, Variant};
use porter_rewrite::{Rewrite, Target};

use crate::exit::{Exit, Failure};

/// Which of the target's rewrites apply.
#[derive(Clone, Debug, Args)]
pub(crate) struct RewriteArgs {
    /// Leave out one of the target's rewrites, as `porter plan --search` may say; `all` for the model as it is written
    #[arg(long, value_name = "NAME|all")]
    without: Option<String>,
    /// Add a rewrite that the target does not apply by itself: `roll_layers` makes layers one loop over stacked
    /// weights, which compiles in a fraction of the time
    #[arg(long, value_name = "NAME", conflicts_with = "without")]
    with: Option<String>,
}

impl RewriteArgs {
    /// What is left.
    pub(crate) fn chosen(&self) -> Result<Chosen<'_>, Failure> {
        match (self.without.as_deref(), self.with.as_deref()) {
            (None, None) => Ok(Chosen::All),
            (Some("all"), _) => Ok(Chosen::None),
            (Some(name), _) => {
                known("--without", name, "all or ", Target::Tpu.rewrites()).map(Chosen::Without)
            }
            (None, Some(name)) => known("--with", name, "", Target::Tpu.on_request()).map(Chosen::With),
        }
    }
}

/// `name`, if it is one of `rewrites`.
fn known<'a>(flag: &str, name: &'a str, or: &str, rewrites: &[&dyn Rewrite]) -> Result<&'a str, Failure> {
    let names: Vec<&str> = rewrites.iter().map(|rewrite| rewrite.name()).collect();
    if names.contains(&name) {
        return Ok(name);
    }
    let message = format!("found {flag} {name}, expected {or}one of {}", names.join(", "));
    Err(Failure::new(Exit::Usage, message))
}

/// What is narrower than the type that a model runs in.
#[derive(Clone, Debug, Args)]
pub(crate) struct NarrowArgs {
    /// Narrow the weights of linear layers, but for the head
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) quantize: Option<WeightForm>,
    /// Weights that keep their type with --quantize, by name, where * stands for any text, as `*.layers.0.*`;
    /// may be given again
    #[arg(long, value_name = "GLOB", requires = "quantize")]
    pub(crate) keep: Vec<String>,
    /// The type of the KV cache alone; that of activations if left out. fp8 halves what a long context takes
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) cache_dtype: Option<CacheType>,
}

impl NarrowArgs {
    /// A model that otherwise runs in `dtype`.
    pub(crate) fn variant(&self, dtype: RunDType) -> Variant<'_> {
        Variant {
            quantize: self.quantize.map(Into::into),
            keep: &self.keep,
            cache: self.cache_dtype.map(Into::into),
            ..Variant::new(dtype.into())
        }
    }

    /// The flags, and which are given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 2] {
        [("--quantize", self.quantize.is_some()), ("--cache-dtype", self.cache_dtype.is_some())]
    }
}

/// Narrow forms of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightForm {
    /// 4-bit integers, one scale for each 128 inputs of an output channel
    Int4,
    /// 8-bit integers, one scale an output channel
    Int8,
    /// And activations as 8-bit integers, one scale a token
    W8a8,
    /// Weights and activations as 8-bit floats, one scale an output channel and one a token
    Fp8,
}

impl From<WeightForm> for porter_pipeline::Quantize {
    fn from(form: WeightForm) -> Self {
        match form {
            WeightForm::Int4 => Self::Int4,
            WeightForm::Int8 => Self::Int8,
            WeightForm::W8a8 => Self::W8A8,
            WeightForm::Fp8 => Self::Fp8,
        }
    }
}

/// The types of a KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheType {
    F32,
    Bf16,
    /// 8-bit floats of 3 mantissa bits (E4M3), without scales
    Fp8,
}

impl From<CacheType> for DType {
    fn from(dtype: CacheType) -> Self {
        match dtype {
            CacheType::F32 => DType::F32,
            CacheType::Bf16 => DType::BF16,
            CacheType::Fp8 => DType::F8E4M3FN,
        }
    }
}

/// The types that models run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunDType {
    #[default]
    F32,
    Bf16,
    F16,
}

impl RunDType {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        DType::from(self).name()
    }
}

impl From<RunDType> for DType {
    fn from(dtype: RunDType) -> Self {
        match dtype {
            RunDType::F32 => DType::F32,
            RunDType::Bf16 => DType::BF16,
            RunDType::F16 => DType::F16,
        }
    }
}
