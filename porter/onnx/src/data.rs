//! Recorded inputs and outputs: ONNX's test data, and programs made for what was recorded.

use onnx_protobuf::{DecodeError, Message, Model, OptionalProto, SequenceProto, TensorProto, TypeProto};
use porter_ir::{Program, TensorType};

use crate::{Host, ImportError, Options, host_tensor, import};

/// A tensor under the name that programs know it by, as little-endian host bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The name of an input or output; `x.0`, `x.1`, ... of a sequence `x`.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// One byte for each element that is narrower.
    pub bytes: Vec<u8>,
}

/// The value of an input or output, as tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value {
    /// The tensors; none for an optional without a value.
    pub tensors: Vec<Recorded>,
    /// The length of a sequence; 0 for an optional without a value.
    pub length: Option<usize>,
}

impl Value {
    /// Decodes a `.pb` file of ONNX's test data: the value of `name`, of type `ty` where the model says.
    pub fn decode(model: &Model, bytes: &[u8], name: &str, ty: Option<&TypeProto>) -> Result<Self, String> {
        let wrong = |e: DecodeError| format!("no value of {name:?}: {e}");
        if ty.is_some_and(|ty| ty.optional_type.is_some()) {
            let optional = OptionalProto::decode(bytes).map_err(wrong)?;
            if let Some(tensor) = &optional.tensor_value {
                return Self::plain(model, name, tensor);
            }
            return match &optional.sequence_value {
                Some(sequence) => Self::sequence(model, name, sequence),
                None => Ok(Self { tensors: Vec::new(), length: Some(0) }),
            };
        }
        if ty.is_some_and(|ty| ty.sequence_type.is_some()) {
            return Self::sequence(model, name, &SequenceProto::decode(bytes).map_err(wrong)?);
        }
        Self::plain(model, name, &TensorProto::decode(bytes).map_err(wrong)?)
    }

    fn plain(model: &Model, name: &str, tensor: &TensorProto) -> Result<Self, String> {
        Ok(Self { tensors: vec![recorded(model, name.to_owned(), tensor)?], length: None })
    }

    fn sequence(model: &Model, name: &str, sequence: &SequenceProto) -> Result<Self, String> {
        let named = |(i, tensor)| recorded(model, format!("{name}.{i}"), tensor);
        let tensors = sequence.tensor_values.iter().enumerate().map(named).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { length: Some(tensors.len()), tensors })
    }
}

fn recorded(model: &Model, name: String, tensor: &TensorProto) -> Result<Recorded, String> {
    let (ty, bytes) = host_tensor(model, tensor).map_err(|problem| format!("{name:?}: {problem}"))?;
    Ok(Recorded { name, ty, bytes })
}

/// [`import`] for recorded inputs: shapes are theirs, and inputs that shapes depend on are fixed to their
/// values, which `options` holds afterwards.
pub fn import_for(model: &Model, inputs: &[Recorded], options: &mut Options) -> Result<Program, ImportError> {
    for input in inputs {
        options.shapes.insert(input.name.clone(), input.ty.shape.to_vec());
    }
    loop {
        let error = match import(model, options) {
            Ok(program) => return Ok(program),
            Err(error) => error,
        };
        let needed = inputs
            .iter()
            .filter(|input| error.needs.contains(&input.name) && !options.values.contains_key(&input.name));
        let hosts: Vec<(String, Host)> = needed
            .filter_map(|input| Some((input.name.clone(), Host::from_bytes(input.ty.clone(), &input.bytes)?)))
            .collect();
        if hosts.is_empty() {
            return Err(error);
        }
        options.values.extend(hosts);
    }
}
