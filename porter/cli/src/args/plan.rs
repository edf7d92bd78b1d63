//! The arguments of `porter plan`.

use std::{path::PathBuf, str::FromStr as _};

use clap::{Args, ValueEnum};
use porter_plan::Target;

use super::{GraphArgs, MeshArgs, NarrowArgs, RunDType, positive};

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A config.json, a folder that has one, or any model that the other verbs take; weights are not needed
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// The chip and the shape of the slice, as v6e:2x4, v5p:4x4x4 or 7x:2x2x1
    #[arg(long, value_name = "CHIP:SHAPE", value_parser = Target::from_str)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Sample inputs of an ONNX graph: the program takes their shapes, and the values that shapes depend on
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) input: Option<PathBuf>,
    /// Rows; one if left out, and with --objective throughput as many as give the most tokens a second
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) batch: Option<usize>,
    /// Tokens of the prefill program
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) prompt: Option<usize>,
    /// The lengths of prompts, a line each: TOKENS, or TOKENS COUNT. Says for which lengths to have prefill
    /// programs, and plans with the longest
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) prompts: Option<PathBuf>,
    /// Slots of the cache: prompt and answer together; 1024 if left out, or the model's positions
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) context: Option<usize>,
    /// What to be best at: the time of a decode step, tokens a second, or memory left;
    /// latency if left out
    #[arg(long, value_enum)]
    pub(crate) objective: Option<PlanFor>,
    /// The type of weights, activations and cache; bf16 if left out. An ONNX graph runs in its own types, or, with
    /// bf16, with its products in bf16
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<RunDType>,
    #[command(flatten)]
    pub(crate) narrow: NarrowArgs,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    /// Have the TPU compiler judge the best mesh
    #[arg(long)]
    pub(crate) verify: bool,
    /// Have the TPU compiler choose: it judges the K best meshes in every precision of the chip, and the best of
    /// each without each rewrite, and with those on request
    #[arg(long, value_name = "K", value_parser = positive,
          conflicts_with_all = ["verify", "quantize", "cache_dtype"])]
    pub(crate) search: Option<usize>,
    /// Measure how far each precision of --search is off, on hard inputs, with the model's weights
    #[arg(long, requires = "search")]
    pub(crate) drift: bool,
    /// Stop the compiler of a program after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = positive)]
    pub(crate) time_limit: usize,
    /// A configuration key that Porter does not know and that changes nothing; may be given again
    #[arg(long, value_name = "KEY")]
    pub(crate) ignore_config: Vec<String>,
}

impl PlanArgs {
    /// The type of a model of sequences.
    pub(crate) fn dtype(&self) -> RunDType {
        self.dtype.unwrap_or(RunDType::Bf16)
    }
}

/// `porter plan --objective`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFor {
    #[default]
    Latency,
    Throughput,
    Fit,
}
