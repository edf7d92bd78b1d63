//! ONNX files: graphs that bring their own program, so that no architecture of the zoo is looked for.
//!
//! [`find`] opens a file that a user names; [`Graph::program`] imports it for given sizes, [`Graph::bring_up`]
//! compiles it and loads its weights, and [`Reference`] holds what ONNX's test data or a bundle recorded.

mod check;
mod checkpoint;
mod for_tpu;
mod prepared;
mod running;
mod summary;
mod tensors;
mod test_data;

use std::{collections::BTreeMap, path::Path};

use onnx_protobuf::ValueInfoProto;
use porter_import::{ModelFiles, Progress, Source, resolve};
use porter_ir::Program;
use porter_onnx::{Model, Options, Recorded, import, import_for};

use crate::PipelineError;
pub use check::check;
pub(crate) use check::compare_case;
pub(crate) use checkpoint::OnnxCheckpoint;
pub(crate) use for_tpu::{FOLDED, one_device};
pub use for_tpu::{ForTpu, GraphForm, Products};
pub use running::Running;
pub(crate) use running::bring_up;
pub use summary::{Interface, Operator, Summary};
pub use tensors::{read_tensors, write_tensors};
pub use test_data::{Reference, ReferenceCase};

/// Sizes of named dimensions.
pub type Dims = BTreeMap<String, usize>;

/// True for a file of ONNX.
pub(crate) fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "onnx")
}

/// An ONNX file whose graph was decoded and whose weights were not read.
pub struct Graph {
    /// Where it lies.
    pub files: ModelFiles,
    model: Model,
}

/// The ONNX file that a user names, fetched where it is not on this machine; `None` where the name stands for
/// another kind of model.
pub fn find(name: &str, progress: &dyn Progress) -> Result<Option<Graph>, PipelineError> {
    let source = Source::parse(name)?;
    let here = matches!(&source, Source::Path(path) if path.is_dir()) || matches!(source, Source::Pip { .. });
    if !here && !is_onnx(Path::new(name)) {
        return Ok(None);
    }
    let files = resolve(&source, progress)?;
    if !is_onnx(&files.weights) {
        return Ok(None);
    }
    let model = Model::open(&files.weights)?;
    Ok(Some(Graph { files, model }))
}

impl Graph {
    /// The program with the sizes `dims` of named dimensions; with `inputs`, with their shapes, and with the
    /// values of those that shapes depend on. Everything that keeps it from being one is reported.
    pub fn program(&self, dims: &Dims, inputs: Option<&[Recorded]>) -> Result<Program, PipelineError> {
        self.program_of(dims, inputs, &BTreeMap::new())
    }

    /// The names of its inputs that have no initial values, and of its outputs, in the file's order.
    pub(crate) fn names(&self) -> [Vec<String>; 2] {
        let Some(graph) = &self.model.proto().graph else { return [Vec::new(), Vec::new()] };
        let initial = |name: &str| graph.initializer.iter().any(|tensor| tensor.name() == name);
        let inputs = graph.input.iter().map(ValueInfoProto::name).filter(|name| !initial(name));
        let outputs = graph.output.iter().map(ValueInfoProto::name);
        [inputs.map(str::to_owned).collect(), outputs.map(str::to_owned).collect()]
    }

    /// `program` with what is recognised in it as composites, and how often each is.
    pub fn recognised(&self, program: &Program) -> Result<(Program, BTreeMap<String, usize>), PipelineError> {
        let weight = |name: &str| porter_onnx::weight(&self.model, name);
        let (program, lifted) = porter_onnx::recognise(program, &weight)?;
        let mut found = BTreeMap::new();
        for composite in lifted {
            let name = composite.composite.strip_prefix("porter.").unwrap_or(&composite.composite);
            *found.entry(name.to_owned()).or_insert(0) += 1;
        }
        Ok((program, found))
    }

    pub(crate) fn program_of(
        &self,
        dims: &Dims,
        inputs: Option<&[Recorded]>,
        lengths: &BTreeMap<String, usize>,
    ) -> Result<Program, PipelineError> {
        self.fixed_program(dims, inputs, lengths).map(|(program, _)| program)
    }

    /// A program, and the names of the inputs whose values it has as constants.
    pub(crate) fn fixed_program(
        &self,
        dims: &Dims,
        inputs: Option<&[Recorded]>,
        lengths: &BTreeMap<String, usize>,
    ) -> Result<(Program, Vec<String>), PipelineError> {
        let mut options = Options { dims: dims.clone(), lengths: lengths.clone(), ..Options::default() };
        let imported = match inputs {
            Some(inputs) => import_for(&self.model, inputs, &mut options),
            None => import(&self.model, &options),
        };
        let refuse = |error| PipelineError::Onnx { path: self.files.weights.clone(), error };
        Ok((imported.map_err(refuse)?, options.values.into_keys().collect()))
    }
}
