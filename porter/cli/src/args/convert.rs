//! The arguments of `porter convert`, and of how what is written is written.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use porter_pipeline::convert::Quantise;
use porter_weights::{GgmlType, Rename, stream::Share};

use super::{ModelArgs, RunDType, positive};

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// A folder that is empty or not there, or a file that is not there (.safetensors, .gguf). A killed
    /// conversion goes on where it was when it is started again with the same arguments
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The format to write; what the output's name says if left out, or else safetensors
    #[arg(long, value_enum)]
    pub(crate) to: Option<ToFormat>,
    /// The type of all floats; each keeps its own if left out, quantised ones too, but
    /// for GGUF's, which become bf16
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<RunDType>,
    /// Store the weights of linear layers quantised: int8, a scale for each output channel, as
    /// compressed-tensors does; or blocks of GGUF
    #[arg(long, value_enum)]
    pub(crate) quantize: Option<QuantizeTo>,
    /// Call tensors otherwise, as `model.layers.{n}.{rest..}=blk.{n}.{rest..}`: {name} is one part of a
    /// dotted name, {name..} any text. The first rule that matches is taken; repeat it for more. For
    /// safetensors
    #[arg(long, value_name = "FROM=TO")]
    pub(crate) rename: Vec<Rename>,
    /// With --to maxtext: whether all layers of a parameter are one array, as MaxText's scan_layers
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) scan_layers: bool,
    /// Write it even if its readers compute other numbers than the model; what differs is said
    #[arg(long)]
    pub(crate) accept: bool,
    #[command(flatten)]
    pub(crate) writing: WriteArgs,
    /// Write only share I of N, as one of several jobs; `porter merge-index OUT` closes them
    #[arg(long, value_name = "I/N", value_parser = share)]
    pub(crate) shard_of: Option<Share>,
}

/// How a checkpoint is written.
#[derive(Clone, Debug, Args)]
pub(crate) struct WriteArgs {
    /// Begin a new file where this is full, as 5GB or 2GiB; `none` writes one file
    #[arg(long, value_name = "SIZE", value_parser = shard_size, default_value = "5GB")]
    pub(crate) max_shard_size: ShardSize,
    /// The most memory to take, as 2GiB; a quarter of this machine's if left out
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// Threads; as many as there are cores if left out
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) threads: Option<usize>,
    /// Read the output once more and compare every byte with what the source gives
    #[arg(long)]
    pub(crate) verify: bool,
}

/// The formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ToFormat {
    /// Hugging Face: safetensors, under its names
    Safetensors,
    /// GGUF, as llama.cpp's converter writes it
    Gguf,
    /// A checkpoint that MaxText restores with Orbax
    Maxtext,
}

/// The quantised forms that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuantizeTo {
    Int8,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q5_0")]
    Q5_0,
    #[value(name = "q5_1")]
    Q5_1,
    #[value(name = "q4_0")]
    Q4_0,
    #[value(name = "q4_1")]
    Q4_1,
}

impl From<QuantizeTo> for Quantise {
    fn from(form: QuantizeTo) -> Self {
        match form {
            QuantizeTo::Int8 => Quantise::Int8,
            QuantizeTo::Q8_0 => Quantise::Block(GgmlType::Q8_0),
            QuantizeTo::Q5_0 => Quantise::Block(GgmlType::Q5_0),
            QuantizeTo::Q5_1 => Quantise::Block(GgmlType::Q5_1),
            QuantizeTo::Q4_0 => Quantise::Block(GgmlType::Q4_0),
            QuantizeTo::Q4_1 => Quantise::Block(GgmlType::Q4_1),
        }
    }
}

/// `--max-shard-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardSize(pub(crate) Option<u64>);

fn shard_size(text: &str) -> Result<ShardSize, String> {
    if text == "none" { Ok(ShardSize(None)) } else { Ok(ShardSize(Some(size(text)?))) }
}

fn size(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err("expected more than nothing".to_owned()),
        Ok(size) => Ok(size.0),
        Err(_) => Err("expected a size, as 512MiB, 2GiB or 5GB".to_owned()),
    }
}

fn share(text: &str) -> Result<Share, String> {
    let wrong = || "expected I/N with I from 1 to N, as 3/8".to_owned();
    let (part, of) = text.split_once('/').ok_or_else(wrong)?;
    let share = Share { part: part.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
    if share.part == 0 || share.part > share.of { Err(wrong()) } else { Ok(share) }
}
