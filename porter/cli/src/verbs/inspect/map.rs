//! `--map`: where each parameter comes from, or each tensor that a port gives back.

use std::collections::BTreeMap;

use porter_ir::DType;
use porter_pipeline::artefact::UndoTensor;
use porter_weights::{Checkpoint, Parameter, WeightMap};
use serde::Serialize;

use crate::{console::printable, table};

/// A parameter of the model.
#[derive(Serialize)]
pub(super) struct Row {
    parameter: String,
    /// Sizes, as the model wants them; none for a tie.
    shape: Option<Vec<usize>>,
    /// The type that the expression gives, where it fits the checkpoint.
    dtype: Option<&'static str>,
    /// Stored bytes that are read for it.
    read_bytes: usize,
    /// The expression over checkpoint tensors.
    from: String,
}

pub(super) fn rows(map: &WeightMap, checkpoint: &dyn Checkpoint) -> Vec<Row> {
    let rows = map.parameters().iter().map(|(name, parameter)| match parameter {
        Parameter::Computed { shape, expr } => Row {
            parameter: name.clone(),
            shape: Some(shape.to_vec()),
            dtype: expr.infer(checkpoint).ok().map(|ty| ty.dtype.name()),
            read_bytes: expr.cost(checkpoint).map_or(0, |cost| cost.read_bytes),
            from: expr.to_string(),
        },
        Parameter::Tied { to } => Row {
            parameter: name.clone(),
            shape: None,
            dtype: None,
            read_bytes: 0,
            from: format!("tied to {to}"),
        },
    });
    rows.collect()
}

/// Where each tensor of a port's source comes from, over the port's checkpoint.
pub(super) fn back(undo: &BTreeMap<String, UndoTensor>, checkpoint: &dyn Checkpoint) -> Vec<Row> {
    let rows = undo.iter().map(|(name, UndoTensor { dtype, shape, expr })| Row {
        parameter: name.clone(),
        shape: Some(shape.clone()),
        dtype: dtype.parse().ok().map(DType::name),
        read_bytes: expr.cost(checkpoint).map_or(0, |cost| cost.read_bytes),
        from: expr.to_string(),
    });
    rows.collect()
}

pub(super) fn render(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            printable(&row.parameter),
            row.shape.as_ref().map_or_else(String::new, |shape| format!("{shape:?}")),
            row.dtype.unwrap_or("").to_owned(),
            format!("{:.3}", row.read_bytes as f64 / 1e6),
            printable(&row.from),
        ]
    });
    table::render(&["PARAMETER", "SHAPE", "TYPE", "MB READ", "FROM"], cells, &[3])
}
