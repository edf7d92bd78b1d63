//! `manifest.json`: what a ported model is.

use std::{collections::BTreeMap, path::Path};

use porter_import::JsonFile;
use porter_weights::Expr;
use serde::{Deserialize, Serialize};

use super::program::ProgramEntry;
use crate::PipelineError;

/// The schema that this version writes and reads.
pub(super) const SCHEMA: &str = "porter.port/1";

/// Where the manifest lies in an artefact.
pub(super) const MANIFEST: &str = "manifest.json";

/// A ported model: everything about it but its programs and weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name and version of this schema.
    pub schema: String,
    /// The version of Porter that wrote it.
    pub porter: String,
    /// What was ported.
    pub source: SourceRecord,
    /// The target, as `v6e:2x4`.
    pub target: String,
    /// The axes of the target's devices, outermost first; none where it is one.
    pub mesh: Option<Vec<(String, usize)>>,
    /// The type of weights, activations and cache; of a graph what its products take, and none where that is its own.
    pub dtype: Option<String>,
    /// The narrow form of the linear layers' weights.
    pub quantize: Option<String>,
    /// Patterns of the names of weights that are not in that form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// What was done to the programs, in order.
    pub rewrites: Vec<RewriteRecord>,
    /// The programs, all over the same weights.
    pub programs: Vec<ProgramEntry>,
    /// What the program of an ONNX graph was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphRecord>,
    /// The way back to the source's tensors.
    pub undo: Undo,
    /// The comparison that the port was let through with.
    pub check: Option<CheckRecord>,
}

/// What was ported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// What the user named.
    pub name: String,
    /// The class of the model, as `LlamaForCausalLM`, or `ONNX`.
    pub architecture: String,
    /// The SHA-256 of the file that holds an ONNX graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_sha256: Option<String>,
    /// The SHA-256 of its `config.json`.
    pub config_sha256: Option<String>,
    /// The SHA-256 of its tensors' names, types and shapes, in name order.
    pub tensors_sha256: String,
    /// The weights' files, their sizes and times.
    pub weights: String,
}

/// What the program of an ONNX graph was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphRecord {
    /// The sizes that named dimensions were given.
    pub dims: BTreeMap<String, usize>,
    /// The names of the graph's inputs, in its file's order: ONNX's test data is numbered so.
    pub inputs: Vec<String>,
    /// The names of its results, in its file's order.
    pub outputs: Vec<String>,
    /// By name, the inputs that the program has as constants, since shapes depend on them.
    pub fixed: BTreeMap<String, FixedRecord>,
    /// What narrow products do to each output; nothing where the graph runs in its own types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roundings: BTreeMap<String, RoundingsRecord>,
}

/// The roundings that reach an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundingsRecord {
    /// How far off they leave it: the error's deviation, as a share of the output's.
    pub deviation: f64,
    /// What they are.
    pub of: String,
}

/// The value that an input is fixed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedRecord {
    /// Its type and shape: `i64[3]`.
    pub ty: String,
    /// The SHA-256 of its elements, little-endian in row-major order.
    pub sha256: String,
}

/// A rewrite that was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewriteRecord {
    /// Its name.
    pub rewrite: String,
    /// Why it applied.
    pub reason: String,
    /// What it does to the numbers: `exact`, `neutral` or `approximate`.
    pub effect: String,
}

/// The way back: what `porter convert` writes the source's layout from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// By Hugging Face's name, an expression over the artefact's weights.
    pub tensors: BTreeMap<String, UndoTensor>,
    /// Tensors that the artefact's weights do not give back bit for bit, and why.
    pub lost: BTreeMap<String, String>,
}

/// One tensor of the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoTensor {
    /// How it is stored there.
    pub dtype: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// What it is.
    pub expr: Expr,
}

/// What a check found before the artefact was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// The reference.
    pub reference: String,
    /// Whether every number was within its budget.
    pub pass: bool,
    /// Whether the user took it over budget.
    pub accepted: bool,
    /// How far each output was off.
    pub outputs: Vec<OutputRecord>,
}

/// How far an output was off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The output's name in the reference.
    pub name: String,
    /// The largest difference.
    pub max_abs: f64,
    /// What it may be.
    pub budget: f64,
}

impl Manifest {
    /// Reads the manifest of the artefact in `folder`; none where the folder has none of this schema.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, PipelineError> {
        let path = folder.join(MANIFEST);
        if !path.is_file() {
            return Ok(None);
        }
        let file = JsonFile::read(&path)?;
        let Some(schema) = file.value.get("schema").and_then(|schema| schema.as_str()) else {
            return Ok(None);
        };
        let refuse = |problem: String| PipelineError::Artefact { path: path.clone(), problem };
        if schema != SCHEMA {
            return Err(refuse(format!(
                "the schema is {schema:?}, this version reads {SCHEMA:?}; port the model again"
            )));
        }
        serde_json::from_value(file.value).map(Some).map_err(|error| refuse(error.to_string()))
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, PipelineError> {
        let written = serde_json::to_vec_pretty(self);
        let unwritable = |error: serde_json::Error| {
            PipelineError::Unsupported(format!("the port cannot be written down: {error}"))
        };
        written.map(|bytes| [bytes, b"\n".to_vec()].concat()).map_err(unwritable)
    }
}
