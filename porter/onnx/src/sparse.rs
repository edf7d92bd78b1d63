//! Sparse initial values, written out.

use onnx_protobuf::{Model, SparseTensorProto};
use porter_ir::TensorType;

use crate::{
    error::{Fault, invalid},
    graph::elements,
    host::{Data, Host, strides},
};

/// The largest sparse tensor that is written out, in elements.
const LIMIT: usize = 1 << 26;

/// A sparse tensor with its zeros. Indices are flat, or one for each dimension
/// (<https://github.com/onnx/onnx/blob/main/docs/IR.md>).
pub(crate) fn dense(model: &Model, sparse: &SparseTensorProto) -> Result<Host, Fault> {
    let (Some(values), Some(places)) = (&sparse.values, &sparse.indices) else {
        return invalid("has no values or no indices");
    };
    let Ok(shape) = sparse.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>() else {
        return invalid(format!("sizes {:?}", sparse.dims));
    };
    let read = |tensor| -> Result<Host, Fault> {
        let (ty, _, bytes) = elements(model, tensor)?;
        Host::from_bytes(ty, &bytes).ok_or_else(|| Fault::Invalid("has too few bytes".to_owned()))
    };
    let (values, places) = (read(values)?, read(places)?);
    let ty = TensorType::new(values.ty.dtype, shape.clone());
    let count = ty.shape.elements();
    if count > LIMIT {
        return invalid(format!("{ty} is larger than {LIMIT} elements"));
    }
    let steps = strides(&shape);
    let at = places.to_ints().unwrap_or_default();
    let flat: Vec<usize> = match places.ty.shape.rank() {
        2 => at
            .chunks(shape.len().max(1))
            .map(|i| {
                i.iter()
                    .zip(&steps)
                    .fold(0, |at: usize, (&i, &s)| at.saturating_add((i as usize).saturating_mul(s)))
            })
            .collect(),
        _ => at.iter().map(|&i| i as usize).collect(),
    };
    if flat.iter().any(|&i| i >= count) || flat.len() != values.ty.shape.elements() {
        return invalid("an index is outside of the shape, or values and indices differ in number");
    }
    let data = match values.data {
        Data::Ints(x) => Data::Ints(spread(count, &flat, &x, 0)),
        Data::Floats(x) => Data::Floats(spread(count, &flat, &x, 0.0)),
    };
    Ok(Host { ty, data })
}

fn spread<T: Copy>(count: usize, at: &[usize], values: &[T], zero: T) -> Vec<T> {
    let mut dense = vec![zero; count];
    for (&i, &value) in at.iter().zip(values) {
        if let Some(slot) = dense.get_mut(i) {
            *slot = value;
        }
    }
    dense
}
