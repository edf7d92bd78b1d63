//! The arguments of `porter port`.

use std::{path::PathBuf, str::FromStr as _};

use clap::Args;
use porter_plan::Target;

use super::{GraphArgs, MeshArgs, ModelArgs, NarrowArgs, RewriteArgs, RunDType, WriteArgs, positive};

#[derive(Clone, Debug, Args)]
pub(crate) struct PortArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The chip and the shape of the slice, as v6e:2x4, v5p:4x4x4 or 7x:2x2x1
    #[arg(long, value_name = "CHIP:SHAPE", value_parser = Target::from_str)]
    pub(crate) target: Target,
    /// A folder that is empty or not there. A killed port goes on where it was when it is started again with
    /// the same arguments
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Sample inputs of an ONNX graph: the program takes their shapes, and the values that shapes depend on
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) input: Option<PathBuf>,
    /// Rows of the programs; 1 if left out
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) batch: Option<usize>,
    /// Tokens of a prefill program; repeat it for more of them. The context if left out
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) prompt: Vec<usize>,
    /// Slots of the cache: prompt and answer together; 1024 if left out, or the model's positions
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) context: Option<usize>,
    /// The type of weights, activations and cache; bf16 if left out. An ONNX graph runs in its own types, or, with
    /// bf16, with its products in bf16
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<RunDType>,
    #[command(flatten)]
    pub(crate) narrow: NarrowArgs,
    #[command(flatten)]
    pub(crate) rewrites: RewriteArgs,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    /// Compare what the programs give with this bundle (of an ONNX graph also a folder of test data) first, or with
    /// Porter's own executor, on the CPU plugin or that of --plugin; nothing is written where a number is over its
    /// budget
    #[arg(long, value_name = "BUNDLE|builtin")]
    pub(crate) reference: Option<PathBuf>,
    /// Write it even if numbers are over their budgets; the manifest says so
    #[arg(long, requires = "reference")]
    pub(crate) accept: bool,
    #[command(flatten)]
    pub(crate) writing: WriteArgs,
}
