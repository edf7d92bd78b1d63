//! The tensors of an ONNX file as a checkpoint.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use onnx_protobuf::{DataType, GraphProto, Model, NodeProto, TensorProto};
use porter_ir::Shape;
use porter_weights::{
    Checkpoint, Encoding, Error, Format, Metadata, Place, Problem, TensorInfo, TensorView, Value,
};

/// An ONNX file's initial values and the tensors of its `Constant` nodes, in the main graph, under their names
/// there. Elements are read where they are asked for, from the file or from those beside it.
pub(crate) struct OnnxCheckpoint {
    model: Model,
    tensors: BTreeMap<String, TensorInfo>,
    places: BTreeMap<String, At>,
    metadata: Metadata,
}

/// Where a tensor lies in the main graph.
#[derive(Clone, Copy)]
enum At {
    Initializer(usize),
    Constant(usize),
}

impl OnnxCheckpoint {
    /// Opens the file. Everything that is wrong with its tensors is reported.
    pub(crate) fn open(path: &Path) -> Result<Self, crate::PipelineError> {
        let model = Model::open(path)?;
        let mut checkpoint =
            Self { tensors: BTreeMap::new(), places: BTreeMap::new(), metadata: metadata(&model), model };
        let mut problems = Vec::new();
        for (name, at) in places(&checkpoint.model) {
            let Some(tensor) = checkpoint.proto(at) else { continue };
            match info(tensor) {
                Ok(info) => {
                    checkpoint.tensors.insert(name.clone(), info);
                    checkpoint.places.insert(name, at);
                }
                Err(what) => problems.push(Problem { place: Place::Tensor(name), what }),
            }
        }
        if problems.is_empty() {
            Ok(checkpoint)
        } else {
            Err(Error::Corrupt { path: path.to_owned(), problems }.into())
        }
    }

    fn proto(&self, at: At) -> Option<&TensorProto> {
        let graph = self.model.proto().graph.as_ref()?;
        match at {
            At::Initializer(index) => graph.initializer.get(index),
            At::Constant(index) => constant(graph.node.get(index)?),
        }
    }

    fn find(&self, name: &str) -> Result<(&TensorInfo, &TensorProto), Error> {
        let place = self.places.get(name).and_then(|at| self.proto(*at));
        self.tensors
            .get(name)
            .zip(place)
            .ok_or_else(|| self.wrong(name, "the file has no such tensor".to_owned()))
    }

    fn wrong(&self, name: &str, what: String) -> Error {
        let problem = Problem { place: Place::Tensor(name.to_owned()), what };
        Error::Corrupt { path: self.model.path().to_owned(), problems: vec![problem] }
    }
}

impl Checkpoint for OnnxCheckpoint {
    fn path(&self) -> &Path {
        self.model.path()
    }

    fn format(&self) -> Format {
        Format::Onnx
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let (info, tensor) = self.find(name)?;
        let bytes = match &tensor.raw_data {
            Some(raw) if !tensor.is_external() && raw.len() == info.bytes => Cow::Borrowed(&raw[..]),
            _ => {
                let packed = self.model.packed(tensor).map_err(|e| self.wrong(name, e.to_string()))?;
                Cow::Owned(packed.as_ref().to_vec())
            }
        };
        Ok(TensorView { info, bytes })
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let (_, tensor) = self.find(name)?;
        let packed = self.model.packed(tensor).map_err(|e| self.wrong(name, e.to_string()))?;
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let stored = begin.checked_add(out.len()).and_then(|end| packed.as_ref().get(begin..end));
        let Some(stored) = stored else {
            return Err(self.wrong(name, format!("{} bytes at {offset} are past its end", out.len())));
        };
        out.copy_from_slice(stored);
        Ok(())
    }

    fn reads_in_place(&self, name: &str) -> bool {
        self.find(name).is_ok_and(|(_, tensor)| tensor.is_external() || tensor.raw_data.is_some())
    }

    fn release(&self, _name: &str) {}
}

fn places(model: &Model) -> Vec<(String, At)> {
    let Some(graph) = &model.proto().graph else { return Vec::new() };
    let GraphProto { initializer, node, .. } = graph;
    let initial = initializer.iter().enumerate().map(|(i, t)| (t.name().to_owned(), At::Initializer(i)));
    let constants = node.iter().enumerate().filter_map(|(i, node)| {
        constant(node)?;
        Some((node.output.first()?.clone(), At::Constant(i)))
    });
    initial.chain(constants).collect()
}

/// The tensor of a `Constant` node.
fn constant(node: &NodeProto) -> Option<&TensorProto> {
    let own = matches!(node.domain(), "" | "ai.onnx") && node.op_type() == "Constant";
    node.attribute.iter().filter(|_| own).find(|a| a.name() == "value").and_then(|a| a.t.as_ref())
}

fn info(tensor: &TensorProto) -> Result<TensorInfo, String> {
    let data_type = tensor.dtype().map_err(|e| e.to_string())?;
    let shape = Shape::new(tensor.shape().map_err(|e| e.to_string())?);
    let encoding = match porter_onnx::stored_type(data_type) {
        Some(dtype) => Encoding::Plain(dtype),
        None => Encoding::Other(data_type.to_string()),
    };
    let bytes = match data_type {
        DataType::String => 0,
        _ => tensor.packed_bytes().map_err(|e| e.to_string())?,
    };
    Ok(TensorInfo { shape, encoding, bytes })
}

fn metadata(model: &Model) -> Metadata {
    let mut metadata = Metadata::default();
    for property in &model.proto().metadata_props {
        metadata.insert(property.key(), Value::String(property.value().to_owned()));
    }
    metadata
}
