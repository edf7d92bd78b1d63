//! Embedding tables.

use porter_ir::{Builder, Result, TensorType, Value};

use super::cast;
use crate::Precision;

/// `nn.Embedding`: the rows `ids` (`i32[..]`) of the parameter `weight` (`[rows, features]`), in the
/// activations' type.
pub(crate) fn embedding(
    b: &Builder,
    ids: Value,
    rows: usize,
    features: usize,
    precision: Precision,
) -> Result<Value> {
    let table = b.weight("weight", TensorType::new(precision.weights, [rows, features]))?;
    cast(b, b.embedding(table, ids)?, precision.activations)
}
