//! What a graph gave when somebody recorded it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use onnx_protobuf::{Model, TypeProto};
use porter_onnx::{Recorded, Value};

use super::{Graph, read_tensors};
use crate::{PipelineError, artefact::GraphRecord};

/// Recorded runs of one graph.
pub struct Reference {
    /// Each run.
    pub cases: Vec<ReferenceCase>,
}

/// One recorded run.
#[derive(Default)]
pub struct ReferenceCase {
    /// `test_data_set_0`, ...; empty for the only one of a bundle.
    pub name: String,
    /// What went in.
    pub inputs: Vec<Recorded>,
    /// What came out.
    pub outputs: Vec<Recorded>,
    /// The lengths of inputs that are sequences; 0 for an optional without a value.
    pub lengths: BTreeMap<String, usize>,
}

impl Reference {
    /// Reads ONNX's test data (`test_data_set_N/input_M.pb` and `output_M.pb`, in the folder or, for one run, as
    /// the folder) or a bundle (`inputs.safetensors` with `reference.safetensors` or `outputs.safetensors`).
    pub fn open(folder: &Path, graph: &Graph) -> Result<Self, PipelineError> {
        Self::read(folder, &Interface::of(graph))
    }

    /// [`open`](Self::open) for a graph that was ported, which takes and gives plain tensors.
    pub fn of_port(folder: &Path, record: &GraphRecord) -> Result<Self, PipelineError> {
        let model = Model::empty(folder);
        let untyped = |names: &'_ [String]| names.iter().map(|name| (name.clone(), None)).collect();
        let [inputs, outputs] = [untyped(&record.inputs), untyped(&record.outputs)];
        Self::read(folder, &Interface { model: &model, inputs, outputs })
    }

    /// The graph's output that a comparison's name stands for.
    pub(crate) fn output_of<'n>(&self, name: &'n str) -> &'n str {
        let of = |case: &ReferenceCase| name.strip_prefix(&*case.name)?.strip_prefix('.');
        if self.cases.len() == 1 { name } else { self.cases.iter().find_map(of).unwrap_or(name) }
    }

    fn read(folder: &Path, interface: &Interface<'_>) -> Result<Self, PipelineError> {
        let bundle = folder.join("inputs.safetensors");
        if bundle.exists() {
            let outputs = ["reference.safetensors", "outputs.safetensors"].map(|name| folder.join(name));
            let outputs = outputs.iter().find(|path| path.exists()).unwrap_or(&outputs[0]);
            let (inputs, outputs) = (read_tensors(&bundle)?, read_tensors(outputs)?);
            return Ok(Self { cases: vec![ReferenceCase { inputs, outputs, ..ReferenceCase::default() }] });
        }
        let sets = data_sets(folder)?;
        let cases = sets.iter().map(|set| case(set, interface)).collect::<Result<Vec<_>, _>>()?;
        if cases.is_empty() {
            return Err(PipelineError::Usage(format!(
                "{} is no reference of an ONNX file: test_data_set_0 with input_0.pb and output_0.pb, or \
                 inputs.safetensors and reference.safetensors, are expected in it",
                folder.display()
            )));
        }
        Ok(Self { cases })
    }
}

/// What a graph's recorded runs are numbered by, with the types of what is no tensor.
struct Interface<'a> {
    model: &'a Model,
    inputs: Vec<(String, Option<&'a TypeProto>)>,
    outputs: Vec<(String, Option<&'a TypeProto>)>,
}

impl<'a> Interface<'a> {
    fn of(graph: &'a Graph) -> Self {
        let main = graph.model.proto().graph.iter();
        let infos = main.flat_map(|main| main.input.iter().chain(&main.output));
        let types: BTreeMap<&str, &TypeProto> =
            infos.filter_map(|info| Some((info.name(), info.r#type.as_ref()?))).collect();
        let typed = |name: String| {
            let ty = types.get(name.as_str()).copied();
            (name, ty)
        };
        let [inputs, outputs] = graph.names().map(|names| names.into_iter().map(typed).collect());
        Self { model: &graph.model, inputs, outputs }
    }
}

/// The folders of single runs, in their order.
fn data_sets(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    if folder.join("output_0.pb").exists() {
        return Ok(vec![folder.to_owned()]);
    }
    let failed = |source| PipelineError::File { doing: "list", path: folder.to_owned(), source };
    let mut sets = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.strip_prefix("test_data_set_").and_then(|number| number.parse::<usize>().ok());
        sets.extend(number.map(|number| (number, path)));
    }
    sets.sort();
    Ok(sets.into_iter().map(|(_, path)| path).collect())
}

fn case(set: &Path, interface: &Interface<'_>) -> Result<ReferenceCase, PipelineError> {
    let mut case = ReferenceCase {
        name: set.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        ..ReferenceCase::default()
    };
    for (i, (name, ty)) in interface.inputs.iter().enumerate() {
        let path = set.join(format!("input_{i}.pb"));
        let Some(value) = value(interface.model, &path, name, *ty)? else { continue };
        case.inputs.extend(value.tensors);
        case.lengths.extend(value.length.map(|length| (name.clone(), length)));
    }
    for (i, (name, ty)) in interface.outputs.iter().enumerate() {
        let value = value(interface.model, &set.join(format!("output_{i}.pb")), name, *ty)?;
        case.outputs.extend(value.into_iter().flat_map(|value| value.tensors));
    }
    Ok(case)
}

/// A recorded value; `None` where the file is not there.
fn value(
    model: &Model,
    path: &Path,
    name: &str,
    ty: Option<&TypeProto>,
) -> Result<Option<Value>, PipelineError> {
    if !path.exists() {
        return Ok(None);
    }
    let failed = |source| PipelineError::File { doing: "read", path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(failed)?;
    let value = Value::decode(model, &bytes, name, ty);
    value.map(Some).map_err(|problem| PipelineError::Recorded { path: path.to_owned(), problem })
}
