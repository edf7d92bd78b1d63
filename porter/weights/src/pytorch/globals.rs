//! The classes and functions that a checkpoint may name, and what each means here.
//!
//! The list is that of `torch._weights_only_unpickler`, as far as it makes tensors and plain
//! containers, with NumPy's arrays and TorchScript's tags. Nothing else is understood, and nothing at
//! all is run.

use super::element::Element;

/// What calling a class or function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A dict: from pairs, then from what is set in it.
    Dict,
    /// A list, tuple or set of its first argument's items.
    Sequence,
    /// A tensor, by PyTorch's function of that name.
    Tensor(Rebuild),
    /// The value of its first argument.
    First,
    /// A NumPy array that its state fills.
    NumpyArray,
    /// A NumPy array of given bytes.
    NumpyFromBuffer,
    /// A value that holds no tensor: a dtype, a device, a number, a scheme.
    Plain,
    /// A TorchScript module: its state is its attributes.
    Module,
}

/// PyTorch's ways to build a tensor (`torch/_utils.py`, `torch/_tensor.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rebuild {
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`: a storage, an offset, sizes, strides.
    Strided,
    /// `_rebuild_tensor_v3`: the same with a dtype and an untyped storage.
    Typed,
    /// `_rebuild_parameter`: a tensor.
    Parameter,
    /// `_rebuild_from_type_v2`: a function, a class, and the function's arguments.
    FromType,
    /// `_rebuild_qtensor`.
    Quantized,
    /// `_rebuild_sparse_tensor`.
    Sparse,
    /// A tensor without elements: `_rebuild_meta_tensor_no_storage`.
    Meta,
    /// `_rebuild_nested_tensor`.
    Nested,
}

/// What a class or function means, if it is understood. TorchScript's own classes are understood in
/// a TorchScript archive only.
pub(super) fn meaning(module: &str, name: &str, torch_script: bool) -> Option<Meaning> {
    let builtin = ["builtins", "__builtin__"].contains(&module);
    let multiarray = ["numpy.core.multiarray", "numpy._core.multiarray"].contains(&module);
    Some(match (module, name) {
        ("collections", "OrderedDict" | "defaultdict" | "Counter") => Meaning::Dict,
        (_, "dict") if builtin => Meaning::Dict,
        ("collections", "deque") | ("torch", "Size") | ("torch.jit._pickle", "build_tensorlist") => {
            Meaning::Sequence
        }
        (_, "list" | "tuple" | "set" | "frozenset") if builtin => Meaning::Sequence,
        (_, "int" | "float" | "bool" | "str" | "bytes" | "bytearray" | "complex" | "slice" | "range")
            if builtin =>
        {
            Meaning::Plain
        }
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Meaning::Tensor(Rebuild::Strided),
        ("torch._utils", "_rebuild_tensor_v3") => Meaning::Tensor(Rebuild::Typed),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            Meaning::Tensor(Rebuild::Parameter)
        }
        ("torch._tensor", "_rebuild_from_type_v2") => Meaning::Tensor(Rebuild::FromType),
        ("torch._utils", "_rebuild_qtensor") => Meaning::Tensor(Rebuild::Quantized),
        ("torch._utils", "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor") => {
            Meaning::Tensor(Rebuild::Sparse)
        }
        ("torch._utils", "_rebuild_meta_tensor_no_storage") => Meaning::Tensor(Rebuild::Meta),
        ("torch._utils", "_rebuild_nested_tensor") => Meaning::Tensor(Rebuild::Nested),
        ("torch.jit._pickle", "restore_type_tag")
        // A tensor of a device without storages, as XLA's: a NumPy array, then dtype and device.
        | ("torch._utils", "_rebuild_device_tensor_from_numpy" | "_rebuild_xla_tensor") => Meaning::First,
        ("numpy" | "numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Meaning::NumpyFromBuffer,
        (_, "_reconstruct") if multiarray => Meaning::NumpyArray,
        (_, "scalar") if multiarray => Meaning::Plain,
        ("numpy", "dtype" | "ndarray")
        | ("_codecs", "encode")
        | ("torch", "device" | "Tensor")
        | ("torch.serialization", "_get_layout")
        | ("torch.jit._pickle", "build_intlist" | "build_doublelist" | "build_boollist")
        | ("torch.nn.parameter" | "torch.nn", "Parameter" | "Buffer")
        | ("torch.storage", "UntypedStorage" | "TypedStorage" | "_UntypedStorage" | "_TypedStorage") => {
            Meaning::Plain
        }
        ("torch", _) if torch_value(name) => Meaning::Plain,
        ("torch.cuda", _) if Element::of_storage(name).is_some() => Meaning::Plain,
        _ if torch_script && is_torch_script(module) => Meaning::Module,
        _ => return None,
    })
}

/// Dtypes, storages, quantisation schemes, memory formats and layouts.
fn torch_value(name: &str) -> bool {
    Element::of_dtype(name).is_some()
        || Element::of_storage(name).is_some()
        || name.starts_with("per_tensor_")
        || name.starts_with("per_channel_")
        || ["strided", "sparse_coo", "sparse_csr", "contiguous_format", "channels_last", "preserve_format"]
            .contains(&name)
}

/// The modules that TorchScript compiles classes into.
fn is_torch_script(module: &str) -> bool {
    module == "__torch__" || module.starts_with("__torch__.")
}
