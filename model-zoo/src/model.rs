//! A model: a configured architecture, its programs and its weight map.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::{DType, InputRole, Program, Shape};
use porter_weights::{Checkpoint, QuantisedConfig, QuantisedTensors, WeightMap};
use serde_json::{Map, Value};

use crate::{
    ConfigError, Dimensions, Phase, Precision, ProgramError, Taps, Task,
    architecture::Architecture,
    config::{Reader, gguf},
    registry::{Entry, REGISTRY},
};

/// A configured model.
#[derive(Debug)]
pub struct Model {
    architecture: Box<dyn Architecture>,
    /// How its checkpoints are quantised, if the config says so.
    quantised: Option<QuantisedConfig>,
}

impl Model {
    /// The model that a `config.json` describes. Keys in `ignore` are taken to change nothing, even
    /// if Porter does not know them.
    pub fn from_hf(config: &Value, ignore: &[&str]) -> Result<Self, ConfigError> {
        let object = config.as_object().ok_or(ConfigError::NotAnObject { found: kind(config) })?;
        Self::read(find(object)?, object, ignore)
    }

    /// The model that a GGUF file describes: its metadata, and those tensors that belong to the
    /// configuration. Keys in `ignore` are GGUF's.
    pub fn from_gguf(checkpoint: &dyn Checkpoint, ignore: &[&str]) -> Result<Self, ConfigError> {
        let name = checkpoint.metadata().string("general.architecture").ok_or(ConfigError::NoArchitecture)?;
        let entry = REGISTRY.iter().find(|e| e.gguf == Some(name)).ok_or_else(|| {
            ConfigError::UnknownArchitecture {
                found: format!("GGUF architecture {name:?}"),
                supported: gguf_architectures(),
            }
        })?;
        let config = gguf::config(name, checkpoint)?;
        Self::read(entry, &config, ignore).map_err(|error| gguf::in_gguf_words(name, error))
    }

    fn read(entry: &Entry, config: &Map<String, Value>, ignore: &[&str]) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(config);
        let architecture = (entry.read)(&mut reader);
        let quantised = reader.quantised();
        let problems = reader.finish(ignore);
        if problems.is_empty() {
            Ok(Self { architecture, quantised })
        } else {
            Err(ConfigError::Refused { architecture: entry.class, problems })
        }
    }

    /// What it is made of.
    pub(crate) fn architecture(&self) -> &dyn Architecture {
        self.architecture.as_ref()
    }

    /// The Hugging Face classes that are supported.
    pub fn supported() -> impl Iterator<Item = &'static str> {
        REGISTRY.iter().map(|entry| entry.class)
    }

    /// The Hugging Face class.
    pub fn class(&self) -> &'static str {
        self.architecture.class()
    }

    /// What the model is for.
    pub fn task(&self) -> Task {
        self.architecture.task()
    }

    /// The sizes that a runner needs.
    pub fn dimensions(&self) -> Dimensions {
        self.architecture.dimensions()
    }

    /// The program of `phase`, computing in `precision`. All programs of a model take their weights
    /// under the same names, a part of them or all.
    pub fn program(&self, phase: &Phase, precision: &Precision) -> Result<Program, ProgramError> {
        for dtype in [precision.weights, precision.activations, precision.cache] {
            if !dtype.is_float() {
                return Err(ProgramError::Precision { found: dtype });
            }
        }
        self.check_sizes(phase)?;
        self.architecture.program(phase, *precision)
    }

    /// Every parameter and its shape, in name order: matrices `[out, in]` as PyTorch has them.
    pub fn parameters(&self) -> Result<BTreeMap<String, Shape>, ProgramError> {
        let phase = Phase::Forward { batch: 1, tokens: 1, taps: Taps::None };
        let program = self.program(&phase, &Precision::uniform(DType::F32))?;
        let weights = program.inputs().iter().filter(|i| i.role == InputRole::Weight);
        Ok(weights.map(|i| (i.name.clone(), program.ty(i.value).shape.clone())).collect())
    }

    /// How every parameter comes from `checkpoint`, by the names of its format; those that the config
    /// says are quantised, from the pieces that they are stored in. What is missing, unused or mis-shaped
    /// is for [`WeightMap::check`] to say; load it with [`Precision::parameter`] for the types that a
    /// program takes.
    pub fn weight_map(&self, checkpoint: &dyn Checkpoint) -> Result<WeightMap, ProgramError> {
        let map = self.architecture.names().weight_map(&self.parameters()?, checkpoint);
        Ok(match &self.quantised {
            Some(config) => QuantisedTensors::find(config, checkpoint)?.resolve(map),
            None => map,
        })
    }

    /// How the checkpoints of this model are quantised; `None` where the config says nothing of it.
    pub fn quantised(&self) -> Option<&QuantisedConfig> {
        self.quantised.as_ref()
    }

    fn check_sizes(&self, phase: &Phase) -> Result<(), ProgramError> {
        let problem = if phase.batch() == 0 || phase.tokens() == 0 {
            "a batch of at least one token is expected".to_owned()
        } else if let Some(cache) = phase.cache().filter(|&cache| cache < phase.tokens()) {
            format!("{} tokens do not fit into a cache of {cache} slots", phase.tokens())
        } else if phase.cache().unwrap_or(phase.tokens()) > i32::MAX as usize {
            "slots are numbered in i32".to_owned()
        } else {
            return Ok(());
        };
        Err(ProgramError::Sizes { architecture: self.class(), phase: phase.name(), problem })
    }
}

/// Every `general.architecture` that is read.
pub(crate) fn gguf_architectures() -> Vec<String> {
    let names: BTreeSet<&str> = REGISTRY.iter().filter_map(|entry| entry.gguf).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The registry's entry for a config.
fn find(config: &Map<String, Value>) -> Result<&'static Entry, ConfigError> {
    let class = config.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let model_type = config.get("model_type").and_then(Value::as_str);
    let (found, entry) = match (class, model_type) {
        (Some(class), _) => (class, REGISTRY.iter().find(|e| e.class == class)),
        (None, Some(model_type)) => (model_type, REGISTRY.iter().find(|e| e.model_type == model_type)),
        (None, None) => return Err(ConfigError::NoArchitecture),
    };
    entry.ok_or_else(|| ConfigError::UnknownArchitecture {
        found: format!("{found:?}"),
        supported: Model::supported().map(str::to_owned).collect(),
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
