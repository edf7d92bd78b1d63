//! One of the ways to run a model.

use std::fmt;

use porter_ir::{DType, Program};
use porter_plan::Chip;
use porter_rewrite::{
    Fp8Activations, Int4Weights, Int8Activations, Int8Experts, Int8Weights, Port, Rewrite, Target,
};
use porter_weights::{WeightMap, matches};
use porter_zoo::Precision;

use crate::PipelineError;

/// How a model is run: the options that change its numbers.
#[derive(Clone, Copy)]
pub struct Variant<'a> {
    /// The type that the user asks for.
    pub dtype: DType,
    /// How the weights of linear layers are narrowed.
    pub quantize: Option<Quantize>,
    /// Patterns of the names of weights that keep their type all the same.
    pub keep: &'a [String],
    /// The type of the KV cache, where it is another than that of activations.
    pub cache: Option<DType>,
    /// Rewrites of the model as the zoo writes it, before those of the target.
    pub before: &'a [&'a dyn Rewrite],
    /// Which of the target's rewrites apply.
    pub rewrites: Chosen<'a>,
}

/// Products of a layer: three or four of attention and two or three of feed-forward.
const PRODUCTS: usize = 7;

/// A product a group takes 0.97 of the time of 8-bit weights for 128 rows and 5.5 of it for 512, wide weights 3.1 and
/// 2.1 (docs/rewrites.md, "Precision").
const INT4: Int4Weights = Int4Weights { few_rows: 128 };

/// A narrow form of the products of linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantize {
    /// 4-bit integers with a scale a group of inputs of an output channel.
    Int4,
    /// 8-bit integers with a scale an output channel.
    Int8,
    /// Weights as in `Int8`, and activations as 8-bit integers with a scale a row, taken as they come.
    W8A8,
    /// Weights as 8-bit floats with a scale an output channel, and activations as such with a scale a row.
    Fp8,
}

impl Quantize {
    /// Every form.
    pub const ALL: [Self; 4] = [Quantize::Int4, Quantize::Int8, Quantize::W8A8, Quantize::Fp8];

    /// Its name, as the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Quantize::Int4 => "int4",
            Quantize::Int8 => "int8",
            Quantize::W8A8 => "w8a8",
            Quantize::Fp8 => "fp8",
        }
    }

    /// The form of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Whether the matrix units of a chip multiply what it makes; weights alone are read by any.
    pub fn serves(self, chip: &Chip) -> Result<(), PipelineError> {
        let (dtype, numbers, instead) = match self {
            Quantize::Int4 | Quantize::Int8 => return Ok(()),
            Quantize::W8A8 => (DType::I8, "integers", Quantize::Fp8),
            Quantize::Fp8 => (DType::F8E4M3FN, "floats", Quantize::W8A8),
        };
        if chip.peak(dtype).is_some() {
            return Ok(());
        }
        let instead = if instead.serves(chip).is_ok() { instead } else { Quantize::Int8 };
        Err(PipelineError::Usage(format!(
            "{} has no units for products of 8-bit {numbers}, which {} is for: take {}",
            chip.name,
            self.name(),
            instead.name()
        )))
    }

    /// What it adds to a product of a layer, as a share of the product's deviation. A weight of 8 bits is off by
    /// a uniform error of at most half a step of 2/255 of its row's largest, which in a hundred numbers of a
    /// normal distribution is 2.5 to 3 deviations: `3 / 255 / 3^0.5`; of 4 bits, `3 / 15 / 3^0.5`. An activation is
    /// off by at most half a step of 1/127 of its row's largest, `3 / 254 / 3^0.5`; both errors add in squares. A float
    /// of 3 mantissa bits is off by a uniform error of at most 1/16 of the power of two below it: in numbers spread
    /// evenly over a binade, 2.6 % of their deviation; both operands are, and add in squares.
    const fn error_of_a_product(self) -> f64 {
        match self {
            Quantize::Int4 => 0.116,
            Quantize::Int8 => 0.007,
            Quantize::W8A8 => 0.0097,
            Quantize::Fp8 => 0.037,
        }
    }

    /// What it adds to a value behind `layers` layers, as a share of the value's deviation: every product adds its
    /// error to those before it, independently.
    pub fn error(self, layers: usize) -> f64 {
        self.error_of_a_product() * ((PRODUCTS * layers) as f64).sqrt()
    }

    pub(crate) fn rewrites(self) -> &'static [&'static dyn Rewrite] {
        match self {
            Quantize::Int4 => &[&INT4],
            Quantize::Int8 => &[&Int8Weights, &Int8Experts],
            Quantize::W8A8 => &[&Int8Activations],
            Quantize::Fp8 => &[&Fp8Activations],
        }
    }
}

/// What a cache of `dtype` adds to a value behind `layers` layers, as a share of the value's deviation: of 8 bits, a
/// float's 2.6 % (see [`Quantize`]) of what scores and of what is mixed in each layer, independently.
pub(crate) fn cache_error(dtype: DType, layers: usize) -> f64 {
    if dtype.bits() < 16 { 0.026 * ((2 * layers) as f64).sqrt() } else { 0.0 }
}

/// Which of a target's rewrites apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// All of them.
    All,
    /// None: the model as the zoo writes it.
    None,
    /// One of them.
    Only(&'a str),
    /// All but one.
    Without(&'a str),
    /// All, and one of those that apply on request.
    With(&'a str),
}

impl<'a> Chosen<'a> {
    /// Those of a target, in their order.
    pub(crate) fn of(self, target: Target) -> impl Iterator<Item = &'static dyn Rewrite> + use<'a> {
        let own = target.rewrites().iter().copied().filter(move |rewrite| match self {
            Chosen::All | Chosen::With(_) => true,
            Chosen::None => false,
            Chosen::Only(name) => rewrite.name() == name,
            Chosen::Without(name) => rewrite.name() != name,
        });
        let more = target.on_request().iter().copied();
        own.chain(more.filter(move |rewrite| self == Chosen::With(rewrite.name())))
    }
}

impl Chosen<'_> {
    /// Which of a target's rewrites are none of `applied`: their names, and what they look for.
    pub fn left_alone(self, target: Target, applied: &[&str]) -> Vec<(&'static str, String)> {
        let idle = self.of(target).filter(|rewrite| !applied.contains(&rewrite.name()));
        idle.filter_map(|rewrite| Some((rewrite.name(), rewrite.left_alone()?))).collect()
    }
}

impl fmt::Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chosen::All => f.write_str("all"),
            Chosen::None => f.write_str("none"),
            Chosen::Only(name) => write!(f, "only {name}"),
            Chosen::Without(name) => write!(f, "without {name}"),
            Chosen::With(name) => write!(f, "with {name}"),
        }
    }
}

impl Variant<'_> {
    /// A model in `dtype`, in the form that its target wants.
    pub const fn new(dtype: DType) -> Self {
        Variant { dtype, quantize: None, keep: &[], cache: None, before: &[], rewrites: Chosen::All }
    }

    /// Programs over their weights, with what keeps its type.
    pub(crate) fn port(&self, programs: Vec<Program>, weights: &WeightMap) -> Result<Port, PipelineError> {
        let names = || programs.iter().flat_map(Program::inputs).map(|input| &*input.name);
        let idle = self.keep.iter().filter(|pattern| !names().any(|name| matches(pattern, name)));
        let idle: Vec<String> = idle.map(|pattern| format!("{pattern:?}")).collect();
        if !idle.is_empty() {
            return Err(PipelineError::Usage(format!(
                "no weight is named as --keep {} says; porter inspect --map lists them",
                idle.join(", ")
            )));
        }
        Ok(Port { keep: self.keep.to_vec(), ..Port::new(programs, weights.clone()) })
    }

    /// In which types a model runs where the user asks for `dtype` on `target`.
    ///
    /// On the CPU only weights are narrow: products take narrow operands and give f32, which costs
    /// nothing there and rounds less, and attention over an f32 cache is faster (docs/performance.md).
    /// Elsewhere activations and the cache are narrow too.
    pub fn precision(&self, target: Target) -> Precision {
        let own = match target {
            Target::Cpu => Precision { weights: self.dtype, activations: DType::F32, cache: DType::F32 },
            Target::Tpu | Target::Plain => Precision::uniform(self.dtype),
        };
        Precision { cache: self.cache.unwrap_or(own.cache), ..own }
    }

    /// The rewrites that apply on `target`, in their order.
    pub fn rewrites(&self, target: Target) -> Vec<&dyn Rewrite> {
        let own = self.rewrites.of(target);
        let narrow = self.quantize.map(Quantize::rewrites).unwrap_or_default().iter().copied();
        self.before.iter().copied().chain(narrow.chain(own).map(|rewrite| rewrite as &dyn Rewrite)).collect()
    }
}
