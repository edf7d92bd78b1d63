//! `MaxText` (<https://github.com/AI-Hypercomputer/maxtext>): what its decoders call a model's
//! parameters, how they lie in them, and the settings that make a `MaxText` model of the same config.
//!
//! # Layout
//! Read from `MaxText` 0.2.5: names and shapes from
//! `checkpoint_conversion/utils/param_mapping.py`, the rotary layouts from `layers/embeddings.py`, the
//! query's scale from `layers/attentions.py`. Kernels are `[in, ...out]`, heads a dimension of their
//! own. With `scan_layers` the layers of a parameter are one array whose dimension 1 is the layer
//! (`param_scan_axis`); without, each layer is a subtree `layers_N`.
//!
//! # The query
//! The blocks `llama2` and `mistral` do not divide scores by `sqrt(head_dim)`: the query's kernel has
//! the factor in it. `MaxText`'s converter multiplies in `f32` and rounds to the kernel's type, which
//! cannot be undone. Here a scaled kernel is kept as `f32` unless the factor is a power of two, so that
//! `bf16` and `f16` weights come back to the bit (restoring rounds to the type that the run asks for,
//! and so gives `MaxText`'s own numbers). `f32` weights come back within 2 units in the last place.

mod back;
mod settings;
mod table;

use std::collections::BTreeMap;

use porter_ir::{DType, Shape};
use porter_weights::{
    Checkpoint, Expr,
    write::{
        Layout, OutputFile, WriteError,
        orbax::{self, Content, OrbaxOptions, TreeArray},
    },
};
use serde_json::Value;

pub(crate) use settings::Block;
use table::{Place, Sizes};

use crate::{Model, ProgramError};

/// A model as a `MaxText` checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxText {
    /// The tree of parameters: `params`, `params`, then the names of the modules.
    pub arrays: Vec<TreeArray>,
    /// The settings of `MaxText` that this model needs, in the order of its model files.
    pub settings: Vec<(&'static str, Value)>,
    /// What `MaxText` computes otherwise than the model, a line each: its numbers differ.
    pub differences: Vec<String>,
}

impl MaxText {
    /// Every file of the checkpoint: the step `0` that `MaxText` loads with `load_parameters_path=OUT/0/items`,
    /// and the settings as `maxtext.yml`. A chunk has at most `max_chunk_bytes`, where a row is not larger.
    /// `checkpoint` is what the arrays are made from.
    pub fn layout(&self, checkpoint: &dyn Checkpoint, max_chunk_bytes: usize) -> Result<Layout, WriteError> {
        // MaxText compares this one with its own setting.
        let scan_layers = self.settings.iter().filter(|(key, _)| *key == "scan_layers");
        let custom_metadata = scan_layers.map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let options = OrbaxOptions { max_chunk_bytes, custom_metadata };
        let mut layout = orbax::plan(self.arrays.clone(), checkpoint, &options)?;
        layout.closing.insert(0, OutputFile::bytes("maxtext.yml", self.yaml().into_bytes()));
        Ok(layout)
    }

    /// The settings as a config file of `MaxText`, a YAML document over its `base.yml`.
    pub fn yaml(&self) -> String {
        let mut yaml = "base_config: base.yml\n".to_owned();
        for (key, value) in &self.settings {
            yaml.extend([key, ": ", &value.to_string(), "\n"]);
        }
        yaml
    }
}

/// Why a model is none of `MaxText`'s.
#[derive(Debug, thiserror::Error)]
pub enum MaxTextError {
    /// `MaxText` has no decoder like it.
    #[error(
        "MaxText has no decoder block for {class}; the blocks known here are llama2, mistral, qwen2 and qwen3"
    )]
    NoBlock {
        /// The Hugging Face class.
        class: &'static str,
    },
    /// Parameters that the block lacks.
    #[error("MaxText's block {block} has no place for {}", names.join(", "))]
    NoPlace {
        /// `MaxText`'s `decoder_block`.
        block: &'static str,
        /// Every such parameter.
        names: Vec<String>,
    },
    /// The model's parameters do not fit the checkpoint.
    #[error(transparent)]
    Weights(#[from] porter_weights::Error),
    /// The model's parameters cannot be listed.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// One array: its keys, and the model's parameters in it, in the order of the layers.
struct Entry {
    keys: Vec<String>,
    place: &'static Place,
    stacked: bool,
    /// Name and shape, all shapes the same.
    parameters: Vec<(String, Shape)>,
}

impl Model {
    /// The model over `checkpoint` as a `MaxText` checkpoint with or without scanned layers. Arrays have
    /// `dtype`, or the type that the checkpoint has; scaled queries of them `f32`, unless the factor is a power of two and they are `bf16`.
    pub fn to_maxtext(
        &self,
        checkpoint: &dyn Checkpoint,
        scan_layers: bool,
        dtype: Option<DType>,
    ) -> Result<MaxText, MaxTextError> {
        let (block, sizes, entries) = self.maxtext_entries(scan_layers)?;
        let map = self.weight_map(checkpoint)?;
        let report = map.check(checkpoint);
        if !report.fits() {
            let path = checkpoint.path().to_owned();
            return Err(porter_weights::Error::Map { path, report: Box::new(report) }.into());
        }
        let mut arrays = Vec::new();
        for entry in entries {
            let mut slices = Vec::new();
            let mut shape = Shape::default();
            for (name, from) in &entry.parameters {
                let source =
                    map.resolve(name).map_or_else(|| Expr::source(name), |(_, _, expr)| expr.clone());
                let found = source
                    .infer(checkpoint)
                    .map_err(|source| porter_weights::Error::Parameter { parameter: name.clone(), source })?;
                let factor = entry.place.scale(&block, &sizes);
                let source = factor.map_or(source.clone(), |factor| source.scale(factor));
                let (expr, to) = entry.place.apply(source, from, &sizes);
                slices.push(Slice::new(expr, found.dtype, factor));
                shape = to;
            }
            arrays.push(array(entry, slices, shape, dtype));
        }
        Ok(MaxText {
            arrays,
            settings: settings::settings(&block, scan_layers),
            differences: settings::differences(&block, self.dimensions().window),
        })
    }

    /// The block of `MaxText` that computes this model, and every array of it.
    fn maxtext_entries(&self, scan_layers: bool) -> Result<(Block, Sizes, Vec<Entry>), MaxTextError> {
        let block = self.maxtext_block().ok_or(MaxTextError::NoBlock { class: self.class() })?;
        let sizes = Sizes::new(&block);
        let mut entries: BTreeMap<Vec<String>, Entry> = BTreeMap::new();
        let mut homeless = Vec::new();
        let mut parameters: Vec<(String, Shape)> = self.parameters()?.into_iter().collect();
        parameters.sort_by_key(|(name, _)| table::layer(name));
        for (name, shape) in parameters {
            let Some(place) = table::find(&name, &block) else {
                homeless.push(name);
                continue;
            };
            let layer = table::layer(&name);
            let keys = place.keys(layer, scan_layers);
            let stacked = layer.is_some() && scan_layers;
            let new = || Entry { keys: keys.clone(), place, stacked, parameters: Vec::new() };
            entries.entry(keys.clone()).or_insert_with(new).parameters.push((name, shape));
        }
        if homeless.is_empty() {
            Ok((block, sizes, entries.into_values().collect()))
        } else {
            Err(MaxTextError::NoPlace { block: block.name, names: homeless })
        }
    }
}

/// A parameter in `MaxText`'s order.
struct Slice {
    expr: Expr,
    /// The type that `expr` has.
    found: DType,
    /// The type in which it is kept.
    kept: DType,
}

impl Slice {
    /// A parameter of `source`'s type, which `factor` scales.
    fn new(expr: Expr, source: DType, factor: Option<f32>) -> Self {
        let Some(factor) = factor else { return Self { expr, found: source, kept: source } };
        // A power of two changes the exponent alone, and that of bf16 is f32's.
        let exact = factor.to_bits().trailing_zeros() >= 23 && source == DType::BF16;
        Self { expr, found: DType::F32, kept: if exact { source } else { DType::F32 } }
    }
}

/// The array of an entry whose slices have `shape`.
fn array(entry: Entry, slices: Vec<Slice>, shape: Shape, dtype: Option<DType>) -> TreeArray {
    let common = |of: fn(&Slice) -> DType| {
        let first = slices.first().map_or(DType::F32, of);
        slices.iter().all(|slice| of(slice) == first).then_some(first)
    };
    let dtype = dtype.or_else(|| common(|slice| slice.kept)).unwrap_or(DType::F32);
    let mixed = common(|slice| slice.found).is_none();
    let exprs = slices.into_iter().map(|slice| if mixed { slice.expr.cast(dtype) } else { slice.expr });
    let mut exprs: Vec<Expr> = exprs.collect();
    let (shape, content) = if entry.stacked {
        let mut stacked = shape.to_vec();
        stacked.insert(1, exprs.len());
        (stacked.into(), Content::Stacked { dim: 1, slices: exprs })
    } else {
        (shape, Content::Whole(exprs.swap_remove(0)))
    };
    TreeArray { keys: entry.keys, shape, dtype, content }
}
