//! The arguments of `porter check`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum as _};
use porter_numerics::Level;

use super::{GraphArgs, MeshArgs, ModelArgs, RunDType};

/// What `--reference` calls the reference executor.
pub(crate) const BUILTIN: &str = "builtin";

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// What the numbers are compared with: a folder with inputs.safetensors and reference.safetensors,
    /// or `builtin`, Porter's own executor, which is taken if nothing is said. Of an ONNX graph also a
    /// folder with test_data_set_0/input_0.pb and output_0.pb
    #[arg(long, value_name = "BUNDLE|builtin")]
    pub(crate) reference: Option<PathBuf>,
    /// Compare with the same model run another way instead: `dtype=f32`, `rewrites=none`,
    /// `plugin=NAME`, `model=MODEL`, joined by commas. The inputs are those of --reference
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub(crate) against: Option<Against>,
    /// Check on inputs that ports stumble over too: far positions, long prompts, padding at either
    /// side, permuted batches, repeated and special tokens, token by token after a prompt
    #[arg(long)]
    pub(crate) hard: bool,
    /// Where something is over its budget, say which module is at fault, and which op
    #[arg(long)]
    pub(crate) bisect: bool,
    /// Say how much each of the target's rewrites brings
    #[arg(long, conflicts_with = "mesh")]
    pub(crate) attribute: bool,
    /// The type that weights and activations are rounded to
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dtype: RunDType,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    /// Hold every output to a named budget in place of the derived one: exact, close or approximate
    #[arg(long, value_name = "NAME", value_parser = Level::from_str)]
    pub(crate) level: Option<Level>,
    /// A team's budgets: a JSON list of {"output": GLOB, "max_abs"|"relative"|"level": ..., "why": TEXT}
    #[arg(long, value_name = "FILE")]
    pub(crate) budget: Option<PathBuf>,
    /// A JSON-lines file of earlier checks: fail where a figure leaves its own noise, and add this check
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write the report as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// The other side of `porter check --against`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Against {
    pub(crate) model: Option<String>,
    pub(crate) dtype: Option<RunDType>,
    pub(crate) plugin: Option<String>,
    /// `all`, `none`, or a rewrite's name.
    pub(crate) rewrites: Option<String>,
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut against = Self::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                format!("found {part:?}, expected KEY=VALUE with dtype, rewrites, plugin or model")
            })?;
            match key {
                "model" => against.model = Some(value.to_owned()),
                "plugin" => against.plugin = Some(value.to_owned()),
                "rewrites" => against.rewrites = Some(value.to_owned()),
                "dtype" => against.dtype = Some(RunDType::from_str(value, true)?),
                _ => return Err(format!("found the key {key:?}, expected dtype, rewrites, plugin or model")),
            }
        }
        Ok(against)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_is_read_part_by_part() {
        let against: Against = "dtype=bf16,rewrites=none".parse().unwrap();
        assert_eq!((against.dtype, against.rewrites.as_deref()), (Some(RunDType::Bf16), Some("none")));
        for wrong in ["bf16", "dtype=f3", "colour=red"] {
            assert!(wrong.parse::<Against>().is_err(), "{wrong}");
        }
    }
}
