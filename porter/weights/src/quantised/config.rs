//! What a `config.json` says of quantisation.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Awq, BitsAndBytes4, BitsAndBytesInt8, Fp8Block, Gptq, Mxfp4, Packed, Scaled,
    find::{Found, Lookup},
    options::Options,
};
use crate::Problem;

/// The quantisation of a checkpoint, as `quantization_config` of its `config.json` says it.
///
/// Modules that are left alone (`modules_to_not_convert`, `ignore`, ...) are those whose tensors are not
/// quantised: the tensors say it, the lists are not needed.
#[derive(Clone, Debug, PartialEq)]
pub enum QuantisedConfig {
    /// `quant_method` `fp8`.
    Fp8(Fp8Block),
    /// `quant_method` `mxfp4`.
    Mxfp4,
    /// `quant_method` `gptq`.
    Gptq(Gptq),
    /// `quant_method` `awq`.
    Awq(Awq),
    /// `quant_method` `bitsandbytes`: 8 or 4 bits, as each tensor says.
    BitsAndBytes,
    /// `quant_method` `compressed-tensors`: what each config group may store.
    CompressedTensors(Vec<Compressed>),
}

/// How one group of a compressed-tensors config stores its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressed {
    /// `int-quantized`, `float-quantized` or `naive-quantized`.
    Scaled(Scaled),
    /// `pack-quantized`; the shape is a tensor's own.
    Packed(Packed),
}

/// The key of a `config.json`.
const PATH: &str = "quantization_config";
const METHODS: &str = "fp8, mxfp4, gptq, awq, bitsandbytes or compressed-tensors";

impl QuantisedConfig {
    /// What `config`, a whole `config.json`, says: `None` if it has no `quantization_config`.
    ///
    /// # Errors
    /// Everything in it that is not understood: an unknown method, a value that is not read, an option
    /// that is not known to leave the weights alone.
    pub fn from_config(config: &Value) -> Result<Option<Self>, Vec<Problem>> {
        match config.get(PATH) {
            None | Some(Value::Null) => Ok(None),
            Some(found) => Self::from_options(found).map(Some),
        }
    }

    /// What `found`, the value of `quantization_config`, says. Errors as [`QuantisedConfig::from_config`].
    pub fn from_options(found: &Value) -> Result<Self, Vec<Problem>> {
        let map = found.as_object().filter(|map| !map.is_empty());
        let map = map.ok_or_else(|| vec![Problem::field(PATH, format!("is {found}; expected options"))])?;
        let mut options = Options::new(PATH, map);
        let method = options.get("quant_method").and_then(Value::as_str);
        let config = match method.or_else(|| bitsandbytes_of_old(map)) {
            Some("fp8") => QuantisedConfig::Fp8(Fp8Block::configured(&mut options)),
            Some("mxfp4") => {
                Mxfp4::configured(&mut options);
                QuantisedConfig::Mxfp4
            }
            Some("gptq") => QuantisedConfig::Gptq(Gptq::configured(&mut options)),
            Some("awq") => QuantisedConfig::Awq(Awq::configured(&mut options)),
            Some("bitsandbytes") => {
                bitsandbytes(&mut options);
                QuantisedConfig::BitsAndBytes
            }
            Some("compressed-tensors") => compressed_tensors(&mut options),
            _ => {
                let found = map.get("quant_method").map_or_else(|| "missing".to_owned(), Value::to_string);
                let what = format!("is {found}; {METHODS} is read");
                return Err(vec![Problem::field(format!("{PATH}.quant_method"), what)]);
            }
        };
        let problems = options.finish();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The quantised tensors that the tensor `name` says are there: none, if it belongs to none or is not
    /// the piece that each has exactly one of. Several ways to read one are for the caller to compare.
    pub(super) fn find(&self, name: &str, lookup: &Lookup<'_>) -> Vec<Found> {
        match self {
            QuantisedConfig::Fp8(fp8) => fp8.find(name, lookup).into_iter().collect(),
            QuantisedConfig::Mxfp4 => Mxfp4.find(name, lookup).into_iter().collect(),
            QuantisedConfig::Gptq(gptq) => gptq.find(name, lookup).into_iter().collect(),
            QuantisedConfig::Awq(awq) => awq.find(name, lookup).into_iter().collect(),
            QuantisedConfig::BitsAndBytes => {
                let found = BitsAndBytesInt8.find(name, lookup);
                found.or_else(|| BitsAndBytes4::find(name, lookup)).into_iter().collect()
            }
            QuantisedConfig::CompressedTensors(groups) => {
                let found = groups.iter().filter_map(|group| match group {
                    Compressed::Scaled(scaled) => scaled.find(name, lookup),
                    Compressed::Packed(packed) => packed.find(name, lookup),
                });
                found.collect()
            }
        }
    }

    /// Names of tensors that may be there beside the weights, and why weights do not need them.
    pub(super) fn beside(&self) -> &'static [(&'static str, &'static str)] {
        const ACTIVATIONS: &str = "a scale of activations, which are not quantised here";
        match self {
            QuantisedConfig::Fp8(_) | QuantisedConfig::CompressedTensors(_) => &[
                ("*.input_scale", ACTIVATIONS),
                ("*.input_zero_point", ACTIVATIONS),
                ("*.output_scale", ACTIVATIONS),
                ("*.output_zero_point", ACTIVATIONS),
                ("*.k_scale", ACTIVATIONS),
                ("*.v_scale", ACTIVATIONS),
            ],
            _ => &[],
        }
    }
}

impl fmt::Display for QuantisedConfig {
    /// The method, as `quant_method` spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QuantisedConfig::Fp8(_) => "fp8",
            QuantisedConfig::Mxfp4 => "mxfp4",
            QuantisedConfig::Gptq(_) => "gptq",
            QuantisedConfig::Awq(_) => "awq",
            QuantisedConfig::BitsAndBytes => "bitsandbytes",
            QuantisedConfig::CompressedTensors(_) => "compressed-tensors",
        })
    }
}

/// Configs of before `quant_method` are of bitsandbytes.
fn bitsandbytes_of_old(map: &Map<String, Value>) -> Option<&'static str> {
    let on = |key| map.get(key) == Some(&Value::Bool(true));
    (on("load_in_8bit") || on("load_in_4bit")).then_some("bitsandbytes")
}

fn bitsandbytes(options: &mut Options<'_>) {
    options.only("bnb_4bit_quant_type", &["nf4", "fp4"]);
    options.inert(&[
        "_load_in_4bit",
        "_load_in_8bit",
        "bnb_4bit_compute_dtype",
        "bnb_4bit_quant_storage",
        "bnb_4bit_use_double_quant",
        "llm_int8_enable_fp32_cpu_offload",
        "llm_int8_has_fp16_weight",
        "llm_int8_skip_modules",
        "llm_int8_threshold",
        "load_in_4bit",
        "load_in_8bit",
        "quant_method",
    ]);
}

fn compressed_tensors(options: &mut Options<'_>) -> QuantisedConfig {
    options.inert(&[
        "dequantize",
        "global_compression_ratio",
        "ignore",
        "kv_cache_scheme",
        "quantization_status",
        "run_compressed",
        "version",
    ]);
    options.nothing("transform_config");
    if options.get("sparsity_config").and_then(|sparsity| sparsity.get("format")) != Some(&"dense".into()) {
        options.nothing("sparsity_config");
    }
    let format = options.get("format").and_then(Value::as_str);
    let mut groups = Vec::new();
    let listed = options.get("config_groups").and_then(Value::as_object);
    if listed.is_none_or(Map::is_empty) {
        options.refuse("config_groups", "is missing or empty".to_owned());
    }
    for (name, group) in listed.into_iter().flatten() {
        let Some(map) = group.as_object() else {
            options.refuse(&format!("config_groups.{name}"), format!("is {group}; expected options"));
            continue;
        };
        let mut part = Options::new(format!("quantization_config.config_groups.{name}"), map);
        part.inert(&["input_activations", "output_activations", "targets"]);
        let own = part.get("format").and_then(Value::as_str);
        let weights = part.get("weights").and_then(Value::as_object);
        options.absorb(part.finish());
        let Some(weights) = weights else { continue };
        let mut weights = Options::new(format!("quantization_config.config_groups.{name}.weights"), weights);
        groups.extend(compressed_weights(own.or(format), &mut weights));
        options.absorb(weights.finish());
    }
    groups.dedup();
    QuantisedConfig::CompressedTensors(groups)
}

/// How `weights` of one config group are stored in `format`.
fn compressed_weights(format: Option<&str>, weights: &mut Options<'_>) -> Option<Compressed> {
    weights.inert(&["actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"]);
    weights.nothing("dynamic");
    let strategy = weights.only("strategy", &["tensor", "channel", "group", "block"]);
    let symmetric = weights.flag("symmetric").unwrap_or(true);
    let (group_size, block) = (weights.group_size("group_size"), weights.pair("block_structure"));
    match format {
        Some("pack-quantized") => {
            weights.only("type", &["int"]);
            let bits = weights.bits("num_bits", &[4, 8, 2]);
            Some(Compressed::Packed(Packed { bits, group_size, symmetric, shape: [0, 0] }))
        }
        Some("int-quantized" | "float-quantized" | "naive-quantized") => {
            weights.only("type", &["int", "float"]);
            weights.bits("num_bits", &[8]);
            let block = match strategy {
                Some("channel") => [1, usize::MAX],
                Some("group") => [1, group_size.unwrap_or(usize::MAX)],
                Some("block") => block.unwrap_or([usize::MAX; 2]),
                _ => [usize::MAX; 2],
            };
            Some(Compressed::Scaled(Scaled { block }))
        }
        other => {
            weights.inert(&["num_bits", "type"]);
            let found = other.unwrap_or("missing");
            let what = format!(
                "is {found:?}; pack-quantized, int-quantized, float-quantized or naive-quantized is read"
            );
            weights.refuse("format", what);
            None
        }
    }
}
