//! Tensors, from the calls that would build them (`torch/_utils.py`).

use porter_ir::Shape;

use super::{
    blob::Blob,
    element::Element,
    globals::{Meaning, Rebuild, meaning},
    layout::Layout,
    pickle::{Id, Object, Pickle, Value},
    storages::StorageRef,
};

/// Bits that PyTorch keeps beside a tensor's elements; it has two.
const MAX_BITS: usize = 16;
/// PyTorch's own limit.
const MAX_RANK: usize = 64;
/// Calls around a tensor: a parameter of a subclass of a tensor has two.
const MAX_WRAPPERS: usize = 8;

/// A tensor as the pickle describes it.
#[derive(Debug)]
pub(super) enum Tensor<'a> {
    /// Elements in a storage.
    Strided(Strided<'a>),
    /// A tensor that is listed, and why it is not read.
    Unreadable { shape: Shape, encoding: String, why: String },
}

impl Tensor<'_> {
    pub(super) fn rank(&self) -> usize {
        match self {
            Tensor::Strided(strided) => strided.layout.sizes.len(),
            Tensor::Unreadable { shape, .. } => shape.len(),
        }
    }
}

/// Elements in a storage or a blob.
#[derive(Debug)]
pub(super) struct Strided<'a> {
    pub(super) element: Element,
    pub(super) layout: Layout,
    pub(super) source: Source<'a>,
    /// The imaginary parts are stored with the other sign.
    pub(super) conjugated: bool,
    /// All elements are stored with the other sign.
    pub(super) negated: bool,
}

/// Where a tensor's elements are.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Storage(StorageRef<'a>),
    Inline(Blob),
}

/// The tensor that calling `function` with the arguments of `object` would build.
pub(super) fn rebuild<'a>(
    pickle: &Pickle<'a>,
    object: &Object,
    function: Rebuild,
) -> Result<Tensor<'a>, String> {
    with_args(pickle, object.args, function, 0)
}

fn with_args<'a>(
    pickle: &Pickle<'a>,
    args: Id,
    function: Rebuild,
    depth: usize,
) -> Result<Tensor<'a>, String> {
    let malformed = || format!("is built ({function:?}) with other arguments than PyTorch writes");
    let args = pickle.sequence(args).ok_or_else(malformed)?;
    if depth > MAX_WRAPPERS {
        return Err("is wrapped in too many calls".to_owned());
    }
    match (function, args) {
        (Rebuild::Strided, [storage, offset, sizes, strides, rest @ ..]) => {
            let storage = StorageRef::read(pickle, *storage)?;
            let element = storage.element.clone();
            let mut tensor = strided(pickle, storage, element, [*offset, *sizes, *strides])?;
            if let Some(metadata) = rest.get(2) {
                math_bits(pickle, *metadata, &mut tensor);
            }
            Ok(Tensor::Strided(tensor))
        }
        (Rebuild::Typed, [storage, offset, sizes, strides, _grad, _hooks, dtype, rest @ ..]) => {
            let storage = StorageRef::read(pickle, *storage)?;
            let (_, dtype) = pickle.global(*dtype).ok_or_else(malformed)?;
            let element =
                Element::of_dtype(dtype).ok_or_else(|| format!("has the unknown dtype {dtype:?}"))?;
            let mut tensor = strided(pickle, storage, element, [*offset, *sizes, *strides])?;
            if let Some(metadata) = rest.first() {
                math_bits(pickle, *metadata, &mut tensor);
            }
            Ok(Tensor::Strided(tensor))
        }
        (Rebuild::Parameter, [data, ..]) => {
            let Value::Object(inner) = pickle.get(*data) else { return Err(malformed()) };
            let function = function_of(pickle, inner.callable).ok_or_else(malformed)?;
            with_args(pickle, inner.args, function, depth + 1)
        }
        (Rebuild::FromType, [function, _class, args, ..]) => {
            with_args(pickle, *args, function_of(pickle, *function).ok_or_else(malformed)?, depth + 1)
        }
        (Rebuild::Quantized, [storage, offset, sizes, strides, scheme, ..]) => {
            let storage = StorageRef::read(pickle, *storage)?;
            let element = storage.element.clone();
            let tensor = strided(pickle, storage, element, [*offset, *sizes, *strides])?;
            let scheme = pickle.sequence(*scheme).and_then(|scheme| pickle.global(*scheme.first()?));
            let (_, scheme) = scheme.ok_or_else(malformed)?;
            Ok(Tensor::Unreadable {
                shape: tensor.layout.shape(),
                encoding: format!("{} {scheme}", tensor.element.encoding),
                why: "is quantised; call dequantize() on it and save it again".to_owned(),
            })
        }
        (Rebuild::Sparse, [_layout, data]) => {
            // Index tensors, values, the sizes, and in some layouts whether indices are sorted.
            let mut data = pickle.sequence(*data).unwrap_or_default().iter().rev();
            let sizes = data.find_map(|part| ints(pickle, *part).ok()).ok_or_else(malformed)?;
            let shape = shape(&sizes)?;
            let why = "is sparse; call to_dense() on it and save it again".to_owned();
            Ok(Tensor::Unreadable { shape, encoding: "sparse".to_owned(), why })
        }
        (Rebuild::Meta, [dtype, sizes, ..]) => {
            let (_, dtype) = pickle.global(*dtype).ok_or_else(malformed)?;
            let shape = shape(&ints(pickle, *sizes)?)?;
            let why = "is on the meta device: it was saved without its elements".to_owned();
            Ok(Tensor::Unreadable { shape, encoding: format!("meta {dtype}"), why })
        }
        (Rebuild::Nested, [..]) => Ok(Tensor::Unreadable {
            shape: Shape::default(),
            encoding: "nested".to_owned(),
            why: "is nested; save its parts as tensors of their own".to_owned(),
        }),
        _ => Err(malformed()),
    }
}

/// A storage that is an element of the checkpoint itself: all of it.
pub(super) fn bare_storage<'a>(pickle: &Pickle<'a>, id: Id) -> Result<Tensor<'a>, String> {
    let storage = StorageRef::read(pickle, id)?;
    let count = i64::try_from(storage.count).map_err(|_| "has too many elements".to_owned())?;
    let layout = Layout::new(0, &[count], &[1])?;
    let element = storage.element.clone();
    let source = Source::Storage(storage);
    Ok(Tensor::Strided(Strided { element, layout, source, conjugated: false, negated: false }))
}

fn function_of(pickle: &Pickle<'_>, id: Id) -> Option<Rebuild> {
    let (module, name) = pickle.global(id)?;
    match meaning(module, name, false)? {
        Meaning::Tensor(function) => Some(function),
        _ => None,
    }
}

fn strided<'a>(
    pickle: &Pickle<'a>,
    storage: StorageRef<'a>,
    element: Element,
    [offset, sizes, strides]: [Id; 3],
) -> Result<Strided<'a>, String> {
    let offset = pickle.int(offset).ok_or_else(|| "has an offset that is no whole number".to_owned())?;
    let layout = Layout::new(offset, &ints(pickle, sizes)?, &ints(pickle, strides)?)?;
    let source = Source::Storage(storage);
    Ok(Strided { element, layout, source, conjugated: false, negated: false })
}

/// The bits that PyTorch keeps beside a tensor's elements: `{'conj': True}`, `{'neg': True}`.
fn math_bits(pickle: &Pickle<'_>, metadata: Id, tensor: &mut Strided<'_>) {
    if pickle.entries(metadata).is_none_or(|entries| entries.len() > MAX_BITS) {
        return;
    }
    let set = |key| {
        let value = pickle.field(metadata, key).map(|value| pickle.get(value));
        matches!(value, Some(Value::Bool(true)))
    };
    (tensor.conjugated, tensor.negated) = (set("conj"), set("neg"));
}

fn shape(sizes: &[i64]) -> Result<Shape, String> {
    Ok(Layout::new(0, sizes, &vec![0; sizes.len()])?.shape())
}

/// Whole numbers: a tuple, a list, or a `torch.Size` of one.
pub(super) fn ints(pickle: &Pickle<'_>, id: Id) -> Result<Vec<i64>, String> {
    let wrapped = match pickle.get(id) {
        Value::Object(object) if pickle.global(object.callable) == Some(("torch", "Size")) => {
            pickle.sequence(object.args).and_then(|args| pickle.sequence(*args.first()?))
        }
        _ => pickle.sequence(id),
    };
    let items = wrapped.ok_or_else(|| "has sizes or strides that are no tuple".to_owned())?;
    if items.len() > MAX_RANK {
        return Err(format!("has {} dimensions; PyTorch has at most {MAX_RANK}", items.len()));
    }
    let whole =
        |id: &Id| pickle.int(*id).ok_or_else(|| "has a size or stride that is no whole number".to_owned());
    items.iter().map(whole).collect()
}
