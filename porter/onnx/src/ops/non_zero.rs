//! `NonZero`: where elements are not zero, known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__NonZero.html>
//! Versions: 9, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.known(cx.x(0)?)?;
    let (values, shape) = (x.to_floats(), x.ty.shape.to_vec());
    let places: Vec<Vec<usize>> =
        crate::host::indices(&shape).zip(values).filter(|(_, v)| *v != 0.0).map(|(i, _)| i).collect();
    let along = |d: usize| places.iter().filter_map(move |p| p.get(d).map(|&at| at as i128));
    let data = (0..shape.len()).flat_map(along).collect();
    let ty = TensorType::new(DType::I64, [shape.len(), places.len()]);
    one(cx.host_constant(&Host { ty, data: Data::Ints(data) })?)
}
