//! Models out to GGUF, tensor by tensor, and configurations back to Hugging Face's words.

use porter_ir::{DType, Shape};
use porter_weights::{
    Checkpoint, Encoding, Expr, Format, GgmlType, Value as Stored,
    write::{
        OutputTensor,
        gguf::{Constant, Contents},
    },
};
use serde_json::{Map, Value, json};

use crate::{
    ConfigError, Model, Problem, ProblemKind, ProgramError,
    blocks::rope::{Rope, Scaling},
    config::{self, gguf::FREQUENCY_FACTORS},
    model::gguf_architectures,
    registry::{Entry, REGISTRY},
};

/// The names under which the output matrix lies: its own, or the embedding table's where they are tied.
const OUTPUT: [&str; 2] = ["output.weight", "token_embd.weight"];
/// Elements of a block of every type that is written.
const BLOCK_ELEMENTS: usize = 32;
/// GGML's `GGML_QNT_VERSION`.
const QUANTIZATION_VERSION: u32 = 2;

/// Why a model cannot be written as GGUF.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The architecture has no form in GGUF, or its configuration has none.
    #[error("cannot be written as GGUF: {0}")]
    Config(#[from] ConfigError),
    /// Numbers are not written as this.
    #[error("matrices of a GGUF are written as f32, f16, bf16, Q8_0, Q5_0, Q5_1, Q4_0 or Q4_1, not as {0}")]
    Encoding(Encoding),
    /// The model's parameters are not known.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Model {
    /// The model in `checkpoint`, in any format, as llama.cpp's `convert_hf_to_gguf.py` writes it: its
    /// tensors and the keys of its configuration. Those of the tokenizer are the caller's to add.
    ///
    /// Vectors and norms are `f32` and matrices `encoding`, but for those whose rows are no whole
    /// blocks, which are `f16`, and the output matrix, which is `Q8_0` where the others have fewer bits.
    /// Everything in the configuration that GGUF's readers would not compute is refused, all at once.
    pub fn to_gguf(&self, checkpoint: &dyn Checkpoint, encoding: &Encoding) -> Result<Contents, GgufError> {
        let file_type = file_type(encoding).ok_or_else(|| GgufError::Encoding(encoding.clone()))?;
        let entry = self.entry();
        let (architecture, config) = self.gguf_form(entry)?;
        let refused = |problems| ConfigError::Refused { architecture: self.class(), problems };
        let mut metadata = config::metadata(architecture, &config).map_err(refused)?;
        metadata.insert("general.type", Stored::String("model".to_owned()));
        metadata.insert("general.file_type", Stored::U32(file_type));
        if matches!(encoding, Encoding::Block(_)) {
            metadata.insert("general.quantization_version", Stored::U32(QUANTIZATION_VERSION));
        }
        let constants = self.frequency_factors().map_err(|problem| refused(vec![problem]))?;
        let tensors = self.gguf_tensors(checkpoint, encoding)?;
        Ok(Contents { metadata, constants: constants.into_iter().collect(), tensors })
    }

    /// The model's `config.json`, whatever it was read from, in the spelling that every version of
    /// transformers reads, with `dtype` as the dtype in which it is
    /// to be computed. `None` for architectures that are
    /// only ever read from a `config.json`. Token ids are not the model's, and not in it.
    pub fn hf_config(&self, dtype: DType) -> Option<Map<String, Value>> {
        let entry = self.entry()?;
        let mut config = self.architecture().config()?;
        if let Some(bands) = self.architecture().rope().and_then(Rope::with_bands)
            && let Some(scaling) = config::write_scaling(&bands.scaling)
        {
            config.insert("rope_scaling".to_owned(), scaling.into());
        }
        config.insert("architectures".to_owned(), json!([entry.class]));
        config.insert("model_type".to_owned(), json!(entry.model_type));
        config.insert("torch_dtype".to_owned(), json!(torch_name(dtype)));
        Some(config)
    }

    fn entry(&self) -> Option<&'static Entry> {
        REGISTRY.iter().find(|entry| entry.class == self.class())
    }

    /// GGUF's name of the architecture, and the configuration to write.
    fn gguf_form(&self, entry: Option<&Entry>) -> Result<(&'static str, Map<String, Value>), ConfigError> {
        let architecture = entry.and_then(|entry| entry.gguf);
        let form = architecture.zip(self.architecture().config());
        form.ok_or_else(|| ConfigError::UnknownArchitecture {
            found: self.class().to_owned(),
            supported: gguf_architectures(),
        })
    }

    /// The tensor of frequency factors, where the rotary embedding has them.
    fn frequency_factors(&self) -> Result<Option<Constant>, Problem> {
        let Some(rope) = self.architecture().rope() else { return Ok(None) };
        let factors = rope.frequency_factors();
        match (&rope.scaling, &factors) {
            (Scaling::LongRope { .. }, None) => {
                return Err(unsupported(
                    "rope_scaling",
                    "GGUF has one table of factors for all lengths here",
                ));
            }
            #[allow(clippy::float_cmp, reason = "exactly what its readers compute")]
            (Scaling::LongRope { .. }, Some(_)) if rope.attention_factor() != 1.0 => {
                return Err(unsupported("rope_scaling.attention_factor", "GGUF's readers compute 1"));
            }
            _ => {}
        }
        Ok(factors.map(|factors| Constant {
            name: FREQUENCY_FACTORS.to_owned(),
            shape: [factors.len()].into(),
            encoding: Encoding::Plain(DType::F32),
            bytes: factors.iter().flat_map(|factor| factor.to_le_bytes()).collect(),
        }))
    }

    /// Every tensor under its name in GGUF, layer by layer.
    fn gguf_tensors(
        &self,
        checkpoint: &dyn Checkpoint,
        encoding: &Encoding,
    ) -> Result<Vec<OutputTensor>, GgufError> {
        let parameters = self.parameters()?;
        let names = self.architecture().names();
        let map = self.weight_map(checkpoint)?;
        let output = OUTPUT[usize::from(!parameters.contains_key("lm_head.weight"))];
        let mut tensors = Vec::with_capacity(parameters.len());
        let mut unnamed = Vec::new();
        for (name, shape) in &parameters {
            let Some((gguf, (_, _, expr))) = names.gguf.name(name).zip(map.resolve(name)) else {
                unnamed.push(unsupported(name, "GGUF has no name for this parameter"));
                continue;
            };
            let expr = match (checkpoint.format(), gguf.permuted) {
                (Format::Gguf { .. }, _) => Expr::source(&gguf.name),
                (_, Some(heads)) => expr.clone().permute_rope(heads, shape),
                (_, None) => expr.clone(),
            };
            let encoding = stored_as(&gguf.name, shape, encoding, output);
            tensors.push(OutputTensor { name: gguf.name, expr, shape: shape.clone(), encoding });
        }
        if !unnamed.is_empty() {
            return Err(ConfigError::Refused { architecture: self.class(), problems: unnamed }.into());
        }
        tensors.sort_by_key(|tensor| layer(&tensor.name));
        Ok(tensors)
    }
}

/// PyTorch's name of a dtype of weights.
fn torch_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        DType::F64 => "float64",
        _ => "float32",
    }
}

fn unsupported(key: &str, what: &str) -> Problem {
    Problem { key: key.to_owned(), kind: ProblemKind::Unsupported, what: what.to_owned() }
}

/// The layer of a tensor; those outside of layers come first.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// How one tensor is stored where matrices are stored as `wanted`: the rules of the converter's
/// `prepare_tensors`, and `llama-quantize`'s for an output matrix that is not of 256-element blocks.
fn stored_as(name: &str, shape: &Shape, wanted: &Encoding, output: &str) -> Encoding {
    if shape.rank() <= 1 || name.ends_with("_norm.weight") {
        return Encoding::Plain(DType::F32);
    }
    let Encoding::Block(block) = wanted else { return wanted.clone() };
    let block = if name == output { GgmlType::Q8_0 } else { *block };
    let whole = shape.last().is_some_and(|row| row.is_multiple_of(BLOCK_ELEMENTS));
    if whole { Encoding::Block(block) } else { Encoding::Plain(DType::F16) }
}

/// `general.file_type` (`LlamaFileType` of gguf-py), if matrices are written as this.
fn file_type(encoding: &Encoding) -> Option<u32> {
    Some(match encoding {
        Encoding::Plain(DType::F32) => 0,
        Encoding::Plain(DType::F16) => 1,
        Encoding::Block(GgmlType::Q4_0) => 2,
        Encoding::Block(GgmlType::Q4_1) => 3,
        Encoding::Block(GgmlType::Q8_0) => 7,
        Encoding::Block(GgmlType::Q5_0) => 8,
        Encoding::Block(GgmlType::Q5_1) => 9,
        Encoding::Plain(DType::BF16) => 32,
        _ => return None,
    })
}
