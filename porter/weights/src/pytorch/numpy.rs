//! NumPy arrays in a pickle (`numpy/_core/src/multiarray/methods.c`, `array_reduce`).

use std::{collections::HashMap, sync::Arc};

use super::{
    blob::Blob,
    element::Element,
    layout::Layout,
    pickle::{Id, Object, Pickle, Value},
    rebuild::{Source, Strided, Tensor, ints},
};

/// The bytes of arrays, by the value that holds them: many arrays may share one.
pub(super) type Buffers = HashMap<Id, Option<Arc<[u8]>>>;

/// An array that `_reconstruct` makes and `(version, shape, dtype, fortran, data)` fills.
pub(super) fn reconstructed<'a>(
    pickle: &Pickle<'a>,
    object: &Object,
    buffers: &mut Buffers,
) -> Result<Tensor<'a>, String> {
    let state = object.state.and_then(|state| pickle.sequence(state));
    let Some([_version, shape, dtype, fortran, data]) = state else {
        return Err("is a NumPy array without its state".to_owned());
    };
    let fortran = matches!(pickle.get(*fortran), Value::Bool(true));
    array(pickle, *shape, *dtype, fortran, *data, buffers)
}

/// An array of `_frombuffer(data, dtype, shape, order)`.
pub(super) fn from_buffer<'a>(
    pickle: &Pickle<'a>,
    object: &Object,
    buffers: &mut Buffers,
) -> Result<Tensor<'a>, String> {
    let Some([data, dtype, shape, order]) = pickle.sequence(object.args) else {
        return Err("is a NumPy array with other arguments than NumPy writes".to_owned());
    };
    array(pickle, *shape, *dtype, pickle.str(*order) == Some("F"), *data, buffers)
}

fn array<'a>(
    pickle: &Pickle<'a>,
    shape: Id,
    dtype: Id,
    fortran: bool,
    data: Id,
    buffers: &mut Buffers,
) -> Result<Tensor<'a>, String> {
    let sizes = ints(pickle, shape)?;
    let strides =
        strides(&sizes, fortran).ok_or_else(|| format!("has the sizes {sizes:?}, which overflow"))?;
    let layout = Layout::new(0, &sizes, &strides)?;
    let (order, name) =
        dtype_name(pickle, dtype).ok_or_else(|| "is a NumPy array without a dtype".to_owned())?;
    let Some(element) = Element::of_numpy(order, name) else {
        let why = format!("is a NumPy array of {order}{name}, which is not read");
        return Ok(Tensor::Unreadable { shape: layout.shape(), encoding: format!("numpy {name}"), why });
    };
    let bytes =
        buffer(pickle, data, buffers).ok_or_else(|| "is a NumPy array without its bytes".to_owned())?;
    if layout.elements().checked_mul(element.bytes) != Some(bytes.len()) {
        return Err(format!("is a NumPy array of sizes {sizes:?} and {} bytes", bytes.len()));
    }
    let source = Source::Inline(Blob::Owned(bytes));
    Ok(Tensor::Strided(Strided { element, layout, source, conjugated: false, negated: false }))
}

/// Strides of elements that lie one after another, the last dimension first or, in Fortran, last.
fn strides(sizes: &[i64], fortran: bool) -> Option<Vec<i64>> {
    let mut strides = vec![0; sizes.len()];
    let mut step: i64 = 1;
    let order: &mut dyn Iterator<Item = usize> =
        if fortran { &mut (0..sizes.len()) } else { &mut (0..sizes.len()).rev() };
    for dim in order {
        strides[dim] = step;
        step = step.checked_mul(sizes[dim].max(1))?;
    }
    Some(strides)
}

/// A dtype's byte order and name: `numpy.dtype('i8', False, True)` with the state `(3, '<', ...)`.
fn dtype_name<'a>(pickle: &Pickle<'a>, id: Id) -> Option<(&'a str, &'a str)> {
    let Value::Object(object) = pickle.get(id) else { return None };
    let (module, "dtype") = pickle.global(object.callable)? else { return None };
    let name = pickle.str(*pickle.sequence(object.args)?.first()?)?;
    let order = pickle.sequence(object.state?)?.get(1).and_then(|order| pickle.str(*order))?;
    module.starts_with("numpy").then_some((order, name))
}

/// Bytes, or a text of them in Latin-1, as protocol 2 writes bytes: `_codecs.encode(text, 'latin1')`.
fn buffer(pickle: &Pickle<'_>, id: Id, buffers: &mut Buffers) -> Option<Arc<[u8]>> {
    if let Some(known) = buffers.get(&id) {
        return known.clone();
    }
    let bytes = read_buffer(pickle, id);
    buffers.insert(id, bytes.clone());
    bytes
}

fn read_buffer(pickle: &Pickle<'_>, id: Id) -> Option<Arc<[u8]>> {
    match pickle.get(id) {
        Value::Bytes(bytes) => Some((*bytes).into()),
        Value::Object(object) if pickle.global(object.callable) == Some(("_codecs", "encode")) => {
            let text = pickle.str(*pickle.sequence(object.args)?.first()?)?;
            text.chars().map(|letter| u8::try_from(letter).ok()).collect()
        }
        // An empty array of protocol 2 is the call of `bytes` without arguments.
        Value::Object(object) if pickle.global(object.callable)?.1 == "bytes" => Some(Arc::from([])),
        _ => None,
    }
}
