//! The arguments of `porter compile`.

use std::{path::PathBuf, str::FromStr as _};

use clap::Args;
use porter_plan::Target;

use super::{GraphArgs, MeshArgs, NarrowArgs, RewriteArgs, RunDType, positive};

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// A config.json, a folder that has one, or any model that the other verbs take; weights are not needed.
    /// Or what `porter port` wrote
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// The chip and the shape of the slice, as v6e:2x4, v5p:4x4x4 or 7x:2x2x1; what a port is for if left out
    #[arg(long, value_name = "CHIP:SHAPE", value_parser = Target::from_str)]
    pub(crate) target: Option<Target>,
    /// Keep the executables of a port, in its folder `executables`
    #[arg(long)]
    pub(crate) executables: bool,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Sample inputs of an ONNX graph: the program takes their shapes, and the values that shapes depend on
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) input: Option<PathBuf>,
    /// Rows of the programs
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub(crate) batch: usize,
    /// Tokens of the prefill program
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) prompt: Option<usize>,
    /// Slots of the cache: prompt and answer together; 1024 if left out, or the model's positions
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) context: Option<usize>,
    /// The type of weights, activations and cache; bf16 if left out. An ONNX graph runs in its own types, or, with
    /// bf16, with its products in bf16
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<RunDType>,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    #[command(flatten)]
    pub(crate) narrow: NarrowArgs,
    #[command(flatten)]
    pub(crate) rewrites: RewriteArgs,
    /// Say what each of the target's rewrites brings: compile without it too, and without any
    #[arg(long)]
    pub(crate) attribute: bool,
    /// Stop the compiler of a program after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = positive)]
    pub(crate) time_limit: usize,
    /// Write the report as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A configuration key that Porter does not know and that changes nothing; may be given again
    #[arg(long, value_name = "KEY")]
    pub(crate) ignore_config: Vec<String>,
}

impl CompileArgs {
    /// The type of a model of sequences.
    pub(crate) fn dtype(&self) -> RunDType {
        self.dtype.unwrap_or(RunDType::Bf16)
    }
}
