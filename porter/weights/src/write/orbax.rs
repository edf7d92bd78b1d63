//! Orbax (<https://orbax.readthedocs.io>): a checkpoint of JAX arrays as `orbax-checkpoint` restores
//! it, and with it `MaxText`.
//!
//! # What is written
//! A step of a checkpoint folder: `0/_CHECKPOINT_METADATA`, and the item `0/items` with the tree's
//! `_METADATA` and one Zarr array a leaf, named by its keys with dots between them
//! (`orbax.checkpoint._src.metadata.tree` and `_src.serialization` of 0.12). Arrays are plain Zarr 3
//! folders (`use_ocdbt: false`, `use_zarr3: true`): restoring asks the checkpoint, not the caller, in
//! which form it is.

use std::collections::BTreeSet;

use porter_ir::{DType, Shape};
use serde_json::{Map, Value, json};

use super::{
    Layout, OutputFile, OutputTensor, Piece, Unwritable, WriteError,
    chunks::{Chunk, Chunking},
};
use crate::{
    Checkpoint, Encoding, Expr, ExprError,
    zarr3::{self, Grid},
};

const FORMAT: &str = "Orbax";
/// The folder of the step and of the item in it: where `MaxText`'s own converter writes.
const STEP: &str = "0";
const ITEM: &str = "0/items";
/// Arrays of slices are written whole up to this size.
const SMALL_BYTES: usize = 1 << 20;

/// A leaf of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeArray {
    /// The keys of the dictionaries from the root to it: `params`, `params`, `decoder`, ...
    pub keys: Vec<String>,
    /// Its shape.
    pub shape: Shape,
    /// Its element type.
    pub dtype: DType,
    /// What it holds.
    pub content: Content,
}

/// What a [`TreeArray`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One expression of the array's shape.
    Whole(Expr),
    /// One expression for each index of a dimension, of the array's shape without it. Written slice
    /// by slice, so that none needs another's tensors.
    Stacked {
        /// The dimension.
        dim: usize,
        /// As many as the dimension's size.
        slices: Vec<Expr>,
    },
}

/// How to lay out an Orbax checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct OrbaxOptions {
    /// The most bytes of a chunk, where a row of an array is not larger: what a reader that needs
    /// any element of it must read.
    pub max_chunk_bytes: usize,
    /// The checkpoint's `custom_metadata`.
    pub custom_metadata: Map<String, Value>,
}

impl Default for OrbaxOptions {
    fn default() -> Self {
        Self { max_chunk_bytes: 64 << 20, custom_metadata: Map::new() }
    }
}

/// Lays out `arrays`, whose expressions are over `checkpoint`. Keys that Orbax cannot keep apart, element
/// types that Zarr lacks and slices that do not make up their array are reported at once.
pub fn plan(
    arrays: Vec<TreeArray>,
    checkpoint: &dyn Checkpoint,
    options: &OrbaxOptions,
) -> Result<Layout, WriteError> {
    check(&arrays)?;
    let mut layout = Layout::default();
    let mut tree = Map::new();
    for array in arrays {
        let keys: Vec<String> = array.keys.iter().map(|key| format!("'{key}'")).collect();
        let comma = if keys.len() == 1 { "," } else { "" };
        tree.insert(format!("({}{comma})", keys.join(", ")), leaf(&array));
        add(array, checkpoint, options.max_chunk_bytes, &mut layout)?;
    }
    let tree = json!({
        "tree_metadata": tree,
        "use_ocdbt": false,
        "use_zarr3": true,
        "store_array_data_equal_to_fill_value": true,
        "custom_metadata": null,
    });
    let checkpoint = json!({
        "item_handlers": {
            "items": "orbax.checkpoint._src.handlers.pytree_checkpoint_handler.PyTreeCheckpointHandler",
        },
        "metrics": {},
        "performance_metrics": {},
        "init_timestamp_nsecs": null,
        "commit_timestamp_nsecs": null,
        "custom_metadata": options.custom_metadata,
    });
    // The last one tells readers of object stores, which cannot rename folders, that all is there.
    layout.closing.extend([
        text(format!("{ITEM}/_METADATA"), tree.to_string()),
        text(format!("{STEP}/_CHECKPOINT_METADATA"), checkpoint.to_string()),
        text(format!("{STEP}/orbax.checkpoint"), String::new()),
        text(format!("{STEP}/commit_success.txt"), "Checkpoint commit was successful".to_owned()),
    ]);
    layout.check(FORMAT)?;
    Ok(layout)
}

fn text(path: String, text: String) -> OutputFile {
    OutputFile::bytes(path, text.into_bytes())
}

/// A leaf's entry in the tree's metadata. `key_type` 2 is a dictionary's key.
fn leaf(array: &TreeArray) -> Value {
    let keys: Vec<Value> = array.keys.iter().map(|key| json!({ "key": key, "key_type": 2 })).collect();
    json!({
        "key_metadata": keys,
        "value_metadata": {
            "value_type": "jax.Array",
            "skip_deserialize": false,
            "write_shape": array.shape.to_vec(),
        },
    })
}

/// Everything that keeps `arrays` from being a tree of Zarr arrays.
fn check(arrays: &[TreeArray]) -> Result<(), WriteError> {
    let mut problems = Vec::new();
    let mut paths = BTreeSet::new();
    for array in arrays {
        let name = array.keys.join(".");
        let mut refuse = |what: String| problems.push(Unwritable::new(&name, what));
        // Other characters would have to be escaped in the tree's metadata, or leave the folder.
        let plain = |key: &String| {
            !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
        };
        if array.keys.is_empty() || !array.keys.iter().all(plain) {
            refuse("keys are letters, digits, _ and -".to_owned());
        }
        if !paths.insert(&array.keys) {
            refuse("is the path of two arrays".to_owned());
        }
        if zarr3::dtype_name(array.dtype).is_none() {
            refuse(format!("Zarr has no {} of whole bytes", array.dtype));
        }
        if array.shape.checked_elements().and_then(|n| n.checked_mul(array.dtype.host_bytes())).is_none() {
            refuse(format!("shape {} overflows", array.shape));
        }
        if array.shape.rank() == 0 {
            refuse("is a number alone; arrays of at least one dimension are written".to_owned());
        }
        if let Content::Stacked { dim, slices } = &array.content
            && array.shape.get(*dim) != Some(&slices.len())
        {
            refuse(format!("{} slices do not make up dimension {dim} of {}", slices.len(), array.shape));
        }
    }
    // In this order what lies below a path follows it.
    for (path, next) in paths.iter().zip(paths.iter().skip(1)) {
        if next.len() > path.len() && next.starts_with(path) {
            problems.push(Unwritable::new(path.join("."), "is an array and holds others"));
        }
    }
    WriteError::unless_empty(FORMAT, problems)
}

/// Adds an array: its tensors, its metadata and its chunks.
fn add(
    array: TreeArray,
    checkpoint: &dyn Checkpoint,
    max_chunk_bytes: usize,
    layout: &mut Layout,
) -> Result<(), WriteError> {
    let name = array.keys.join(".");
    let folder = format!("{ITEM}/{name}");
    let small = SMALL_BYTES.min(max_chunk_bytes);
    let (dim, parts) = parts(array.content, &array.shape, array.dtype, small);
    let mut part_shape = array.shape.to_vec();
    if let Some(dim) = dim {
        part_shape.remove(dim);
    }
    let unfit = |error: ExprError| WriteError {
        format: FORMAT,
        problems: vec![Unwritable::new(&name, error.to_string())],
    };
    let chunking = Chunking::new(&parts, &part_shape, array.dtype, checkpoint, max_chunk_bytes);
    let chunking = chunking.map_err(unfit)?;
    let in_array = |mut of_part: Vec<usize>, index: usize| {
        if let Some(dim) = dim {
            of_part.insert(dim, index);
        }
        of_part
    };
    let grid = Grid { dtype: array.dtype, shape: array.shape, chunk: in_array(chunking.shape(), 1) };
    if let Some(json) = grid.json() {
        layout.files.push(text(format!("{folder}/{}", zarr3::METADATA), json.to_string()));
    }
    for (i, part) in parts.iter().enumerate() {
        let name = if dim.is_some() { format!("{name}[{i}]") } else { name.clone() };
        let first = layout.tensors.len();
        for (expr, shape) in chunking.tensors(part, checkpoint).map_err(unfit)? {
            let encoding = Encoding::Plain(array.dtype);
            layout.tensors.push(OutputTensor { name: name.clone(), expr, shape: shape.into(), encoding });
        }
        for Chunk { index, tensor, range, missing } in chunking.chunks() {
            let mut pieces = vec![Piece::Elements { tensor: first + tensor, range }];
            if missing > 0 {
                pieces.push(Piece::Bytes(vec![0; missing * array.dtype.host_bytes()]));
            }
            let path = format!("{folder}/{}", zarr3::chunk_path(&in_array(index, i)));
            layout.files.push(OutputFile { path, pieces });
        }
    }
    Ok(())
}

/// The expressions that are written on their own, and the dimension along which they are slices.
fn parts(content: Content, shape: &Shape, dtype: DType, small: usize) -> (Option<usize>, Vec<Expr>) {
    let bytes = shape.elements().saturating_mul(dtype.host_bytes());
    match content {
        Content::Whole(expr) => (None, vec![expr]),
        Content::Stacked { dim, slices } if bytes <= small => {
            let mut dims: Vec<usize> = (1..shape.rank()).collect();
            dims.insert(dim, 0);
            (None, vec![Expr::stack(slices).permute(dims)])
        }
        Content::Stacked { dim, slices } => (Some(dim), slices),
    }
}
