//! A graph in the form that TPUs want.

use std::collections::BTreeMap;

use porter_ir::{DType, InputRole, Program};
use porter_onnx::Recorded;
use porter_plan::Target as Slice;
use porter_rewrite::{Applied, Bf16Products, Port, Rewrite, Target, apply};
use porter_weights::{Expr, WeightMap};

use super::{Dims, Graph, prepared::prepare};
use crate::{Chosen, PipelineError, ahead::Job};

/// Why a tensor of the file is no weight of the programs.
pub(crate) const FOLDED: &str = "it is a constant in the program, or nothing reads it";

/// The name of the program that computes what depends on weights alone.
const WEIGHTS: &str = "weights";
/// The name of the graph's own program.
const GRAPH: &str = "graph";

/// In which form a graph runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphForm<'a> {
    /// What its products of f32 take.
    pub products: Products,
    /// Which of the target's rewrites apply.
    pub rewrites: Chosen<'a>,
}

/// What products of f32 take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// f32, as the file says.
    AsStored,
    /// bf16, and give f32.
    Bf16,
}

impl Products {
    /// The type that a user asks for.
    pub fn of(dtype: Option<DType>) -> Result<Self, PipelineError> {
        match dtype {
            None => Ok(Self::AsStored),
            Some(DType::BF16) => Ok(Self::Bf16),
            Some(other) => Err(PipelineError::Usage(format!(
                "found --dtype {}: a graph runs in its own types, or with its products in bf16; leave --dtype out, or \
                 take bf16",
                other.name()
            ))),
        }
    }

    /// The type, where it is not the file's.
    pub const fn dtype(self) -> Option<DType> {
        match self {
            Self::AsStored => None,
            Self::Bf16 => Some(DType::BF16),
        }
    }

    fn rewrite(self) -> Option<&'static dyn Rewrite> {
        match self {
            Self::AsStored => None,
            Self::Bf16 => Some(&Bf16Products),
        }
    }
}

/// The programs of a graph for one TPU, and how their weights are made of the file's tensors.
pub struct ForTpu {
    /// What depends on weights alone, where there is such work.
    pub before: Option<Job>,
    /// The graph.
    pub main: Job,
    /// The types of the graph's arguments, by name.
    pub arguments: BTreeMap<String, String>,
    /// What was recognised in the graph, and how often.
    pub recognised: BTreeMap<String, usize>,
    /// What else was done to its programs, in order.
    pub applied: Vec<Applied>,
    /// What the programs read, of the file's tensors.
    pub(crate) weights: WeightMap,
    /// The program of `main`, whose inputs that `before` gives are arguments.
    pub(crate) program: Program,
    /// The inputs whose values the program has as constants.
    pub(crate) fixed: Vec<String>,
}

/// Refuses targets of several devices.
pub(crate) fn one_device(target: &Slice) -> Result<(), PipelineError> {
    let devices = target.devices();
    if devices == 1 {
        return Ok(());
    }
    Err(PipelineError::Usage(format!(
        "{target} has {devices} devices, and an ONNX graph has no logical axes by which a program is divided over \
         devices; take a target of one device, as v5e:1x1"
    )))
}

impl Graph {
    /// The graph's programs for TPU, with the sizes `dims` of named dimensions; with `inputs`, with their shapes, and
    /// with the values of those that shapes depend on.
    pub fn for_tpu(
        &self,
        dims: &Dims,
        inputs: Option<&[Recorded]>,
        form: GraphForm<'_>,
    ) -> Result<ForTpu, PipelineError> {
        let (program, fixed) = self.fixed_program(dims, inputs, &Dims::new())?;
        let (program, recognised) = self.recognised(&program)?;
        let mut prepared = prepare(program)?;
        let programs: Vec<Program> = prepared.weights.iter().chain([&prepared.main]).cloned().collect();
        let weights = weights(&programs);
        let narrow = form.products.rewrite().into_iter();
        let rewrites: Vec<&dyn Rewrite> =
            narrow.chain(form.rewrites.of(Target::Tpu).map(|rewrite| rewrite as &dyn Rewrite)).collect();
        let (port, applied) = apply(&rewrites, Port::new(programs, weights))?;
        let mut programs = port.programs.into_iter();
        prepared.weights = prepared.weights.and_then(|_| programs.next());
        prepared.main = programs.next().unwrap_or(prepared.main);
        let arguments = prepared.main.inputs().iter().filter(|input| input.role == InputRole::Argument);
        let arguments = arguments.filter(|input| !prepared.makes(&input.name));
        let spelled = arguments.map(|input| (input.name.clone(), prepared.main.ty(input.value).to_string()));
        let main = Job { program: prepared.compilable(), ..Job::new(&prepared.main, Vec::new()) };
        let before = prepared.weights.as_ref().map(|program| Job::new(program, Vec::new()));
        Ok(ForTpu {
            arguments: spelled.collect(),
            before: before.map(|job| named(WEIGHTS, job)),
            main: named(GRAPH, main),
            recognised,
            applied,
            weights: port.weights,
            program: prepared.main,
            fixed,
        })
    }
}

/// Every weight of the programs is the file's tensor of its name.
fn weights(programs: &[Program]) -> WeightMap {
    let mut weights = WeightMap::new();
    weights.tolerate("*", FOLDED);
    for program in programs {
        for input in program.inputs().iter().filter(|input| input.role == InputRole::Weight) {
            if weights.resolve(&input.name).is_none() {
                let shape = program.ty(input.value).shape.clone();
                weights.insert(&input.name, shape, Expr::source(&input.name));
            }
        }
    }
    weights
}

/// A job under another name: a graph's own may be no file's.
fn named(name: &str, mut job: Job) -> Job {
    name.clone_into(&mut job.program.entry.name);
    job
}
