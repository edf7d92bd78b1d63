//! Embedding tables.

use porter_ir::{Builder, Result, TensorType, Value};

use super::cast;
use crate::{
    Precision,
    axes::{Axis, EMBED},
};

/// `nn.Embedding`: the rows `ids` (`i32[..]`) of the parameter `weight` (`[rows, features]`), in the
/// activations' type. `axis` is what its rows mean.
pub(crate) fn embedding(
    b: &Builder,
    ids: Value,
    rows: usize,
    features: usize,
    axis: Axis,
    precision: Precision,
) -> Result<Value> {
    let table = b.weight("weight", TensorType::new(precision.weights, [rows, features]))?;
    b.logical_axes(table, &[axis, EMBED])?;
    cast(b, b.embedding(table, ids)?, precision.activations)
}
