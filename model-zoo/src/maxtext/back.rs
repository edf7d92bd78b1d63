//! From a `MaxText` checkpoint to the model's own parameters.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use porter_ir::{DType, Shape};
use porter_weights::{
    Checkpoint, Encoding, Error, Expr, Format, Metadata, NoInverse, TensorInfo, TensorView, WeightMap,
};

use super::{Entry, MaxTextError};
use crate::Model;

/// The tree below which the layers lie, if they are scanned.
const SCANNED: &str = "params.params.decoder.layers.";

impl Model {
    /// Every parameter over a checkpoint of `MaxText`, by the names of `MaxText`'s tree with dots between
    /// its keys. Whether layers are scanned is seen from the names. State of the optimiser is tolerated.
    ///
    /// Queries that the block scales are multiplied back in `f32`, and rounded to the type of the keys
    /// where that is narrower.
    pub fn from_maxtext(&self, checkpoint: &dyn Checkpoint) -> Result<WeightMap, MaxTextError> {
        let scanned = checkpoint.tensors().keys().any(|name| name.starts_with(SCANNED));
        let (block, sizes, entries) = self.maxtext_entries(scanned)?;
        let mut map = WeightMap::new();
        for entry in entries {
            let array = entry.keys.join(".");
            let factor = entry.place.unscale(&block, &sizes);
            let rounded = key_dtype(&array, checkpoint);
            let shapes: BTreeMap<String, Shape> = entry.parameters.iter().cloned().collect();
            for (name, expr) in invert(&entry, &array, &sizes)? {
                let expr = match (factor, rounded) {
                    (Some(factor), Some(dtype)) => expr.scale(factor).cast(dtype),
                    (Some(factor), None) => expr.scale(factor),
                    (None, _) => expr,
                };
                let shape = shapes.get(&name).cloned().unwrap_or_default();
                map.insert(name, shape, expr);
            }
        }
        map.tolerate("opt_state.*", "state of the optimiser, which is no parameter");
        map.tolerate("step", "the training step");
        Ok(map)
    }
}

/// The type of the keys beside the array `query`.
fn key_dtype(query: &str, checkpoint: &dyn Checkpoint) -> Option<DType> {
    let key = query.replace(".query.", ".key.");
    checkpoint.tensors().get(&key)?.encoding.dtype().filter(|dtype| dtype.is_float())
}

/// Each parameter of `entry` over the array of that name.
fn invert(entry: &Entry, array: &str, sizes: &super::Sizes) -> Result<BTreeMap<String, Expr>, MaxTextError> {
    let headers = Headers::of(&entry.parameters);
    let parts =
        entry.parameters.iter().map(|(name, shape)| entry.place.apply(Expr::source(name), shape, sizes));
    let (mut exprs, shapes): (Vec<Expr>, Vec<Shape>) = parts.unzip();
    let whole = if entry.stacked {
        let rank = shapes.first().map_or(0, Shape::rank);
        Expr::stack(exprs).permute([1, 0].into_iter().chain(2..=rank).collect::<Vec<_>>())
    } else {
        exprs.swap_remove(0)
    };
    whole.inverse(array, &headers).map_err(|error| {
        let source = match error {
            NoInverse::Unfit(source) => source,
            // Nothing is cast, scaled or cut.
            other => porter_weights::ExprError::Term { term: "inverse", what: other.to_string() },
        };
        Error::Parameter { parameter: array.to_owned(), source }.into()
    })
}

/// A checkpoint that has shapes and no elements.
struct Headers {
    path: PathBuf,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: Metadata,
}

impl Headers {
    fn of(parameters: &[(String, Shape)]) -> Self {
        let info = |shape: &Shape| TensorInfo {
            shape: shape.clone(),
            encoding: Encoding::Plain(DType::F32),
            bytes: shape.elements() * DType::F32.host_bytes(),
        };
        let tensors = parameters.iter().map(|(name, shape)| (name.clone(), info(shape))).collect();
        Self { path: PathBuf::new(), tensors, metadata: Metadata::default() }
    }
}

impl Checkpoint for Headers {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        Format::Safetensors
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        Err(Error::NoTensor { path: self.path.clone(), name: name.to_owned() })
    }

    fn release(&self, _name: &str) {}
}
