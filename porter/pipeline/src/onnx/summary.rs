//! What a graph is, and what keeps it from being a program.

use std::collections::{BTreeMap, BTreeSet};

use onnx_protobuf::{
    AttributeProto, DataType, Dimension, GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto,
};
use porter_ir::Program;
use porter_onnx::{ImportError, Options, Problem, ProblemKind, import};

use super::{Dims, Graph};

/// The size that open dimensions are given to look for problems: of the first dimension of an input, and of
/// all others.
const TRIED: [usize; 2] = [1, 64];

/// What a graph is.
pub struct Summary {
    /// The version of ONNX's file format.
    pub ir_version: i64,
    /// Who wrote the file.
    pub producer: String,
    /// The operator sets: domain and version.
    pub opsets: Vec<(String, i64)>,
    /// What it takes.
    pub inputs: Vec<Interface>,
    /// What it gives.
    pub outputs: Vec<Interface>,
    /// Its operators, those of subgraphs and functions included, the most frequent first.
    pub operators: Vec<Operator>,
    /// Functions that the file defines.
    pub functions: usize,
    /// Names of open dimensions, which are to be given sizes.
    pub dims: Vec<String>,
    /// Inputs whose values shapes depend on: they are fixed when the graph becomes a program.
    pub fixed: Vec<String>,
    /// What is recognised in it with these sizes: composites, and how often.
    pub recognised: BTreeMap<String, usize>,
    /// Everything that keeps it from being a program.
    pub problems: Vec<Problem>,
}

/// An input or output.
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Element type and shape: `FLOAT[batch, 3, 224, 224]`; `?` for a dimension without size or name.
    pub ty: String,
}

/// An operator and how often it occurs.
pub struct Operator {
    /// Domain, empty for ONNX's own, and name.
    pub name: (String, String),
    /// How often it occurs.
    pub count: usize,
    /// Whether it is lowered: by the importer, or as a function of the file.
    pub known: bool,
}

impl Graph {
    /// Describes the graph. Problems are those with sizes `dims`; an open dimension that has none is given one, and
    /// what could come from that size alone is left out.
    pub fn summary(&self, dims: &Dims) -> Summary {
        let proto = self.model.proto();
        let graph = proto.graph.clone().unwrap_or_default();
        let given: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|i| !graph.initializer.iter().any(|t| t.name() == i.name())).collect();
        let tried = Tried::new(&given, dims);
        let imported = import(&self.model, &tried.options);
        let recognised = imported.as_ref().ok().and_then(|program| self.recognised(program).ok());
        let (problems, fixed) = problems(imported, &tried);
        Summary {
            ir_version: proto.ir_version.unwrap_or(0),
            producer: [proto.producer_name(), proto.producer_version()].join(" ").trim().to_owned(),
            opsets: proto.opset_import.iter().map(|o| (o.domain().to_owned(), o.version())).collect(),
            inputs: given.iter().map(|input| interface(input)).collect(),
            outputs: graph.output.iter().map(interface).collect(),
            operators: operators(proto),
            functions: proto.functions.len(),
            dims: tried.names.into_iter().collect(),
            fixed,
            recognised: recognised.map(|(_, found)| found).unwrap_or_default(),
            problems,
        }
    }
}

/// What keeps a graph from being a program, and the inputs whose values shapes depend on.
fn problems(imported: Result<Program, ImportError>, tried: &Tried) -> (Vec<Problem>, Vec<String>) {
    let Err(error) = imported else { return (Vec::new(), Vec::new()) };
    let counts = |problem: &Problem| match problem.kind {
        ProblemKind::Unsupported => true,
        ProblemKind::Invalid => !tried.guessed,
        ProblemKind::Dynamic => !tried.guessed && error.needs.is_empty(),
    };
    let problems = error.problems.iter().filter(|problem| counts(problem) || structural(problem));
    (problems.cloned().collect(), error.needs.iter().cloned().collect())
}

/// True for what no size of a dimension brings about.
fn structural(problem: &Problem) -> bool {
    let place = ["initializer", "sparse initializer", "output", "opset_import"];
    let dangling = ["is given by nothing before it", "imports no operators"];
    place.iter().any(|start| problem.at.starts_with(start))
        || dangling.iter().any(|text| problem.what.contains(text))
}

/// Sizes to look for problems with.
struct Tried {
    options: Options,
    names: BTreeSet<String>,
    /// Whether a size was made up.
    guessed: bool,
}

impl Tried {
    fn new(inputs: &[&ValueInfoProto], dims: &Dims) -> Self {
        let mut tried = Self {
            options: Options { dims: dims.clone(), ..Options::default() },
            names: BTreeSet::new(),
            guessed: false,
        };
        for input in inputs {
            let tensor = input.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
            let Some(shape) = tensor.and_then(|tensor| tensor.shape.as_ref()) else { continue };
            let sizes: Vec<usize> = shape.dim.iter().enumerate().map(|(i, dim)| tried.size(i, dim)).collect();
            tried.options.shapes.insert(input.name().to_owned(), sizes);
        }
        tried
    }

    fn size(&mut self, index: usize, dim: &Dimension) -> usize {
        let guess = TRIED[index.min(1)];
        if let Some(size) = dim.dim_value {
            return usize::try_from(size).unwrap_or(guess);
        }
        let Some(name) = dim.dim_param.clone().filter(|name| !name.is_empty()) else {
            self.guessed = true;
            return guess;
        };
        self.names.insert(name.clone());
        if !self.options.dims.contains_key(&name) {
            self.guessed = true;
        }
        *self.options.dims.entry(name).or_insert(guess)
    }
}

fn interface(value: &ValueInfoProto) -> Interface {
    Interface { name: value.name().to_owned(), ty: value.r#type.as_ref().map_or("?".to_owned(), spelled) }
}

fn spelled(ty: &TypeProto) -> String {
    let inner = |ty: Option<&TypeProto>| ty.map_or("?".to_owned(), spelled);
    if let Some(optional) = &ty.optional_type {
        return format!("optional({})", inner(optional.elem_type.as_deref()));
    }
    if let Some(sequence) = &ty.sequence_type {
        return format!("sequence({})", inner(sequence.elem_type.as_deref()));
    }
    let Some(tensor) = &ty.tensor_type else { return "?".to_owned() };
    let element = DataType::new(tensor.elem_type().into()).map_or("?".to_owned(), |ty| ty.to_string());
    let Some(shape) = &tensor.shape else { return format!("{element}[...]") };
    let dim = |dim: &Dimension| match (dim.dim_value, &dim.dim_param) {
        (Some(size), _) => size.to_string(),
        (None, Some(name)) if !name.is_empty() => name.clone(),
        _ => "?".to_owned(),
    };
    format!("{element}[{}]", shape.dim.iter().map(dim).collect::<Vec<_>>().join(", "))
}

fn operators(proto: &ModelProto) -> Vec<Operator> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut waiting: Vec<&NodeProto> = proto.functions.iter().flat_map(|function| &function.node).collect();
    waiting.extend(proto.graph.iter().flat_map(|graph| &graph.node));
    while let Some(node) = waiting.pop() {
        let domain = if node.domain() == "ai.onnx" { "" } else { node.domain() };
        *counts.entry((domain.to_owned(), node.op_type().to_owned())).or_default() += 1;
        waiting.extend(node.attribute.iter().flat_map(subgraphs).flat_map(|graph| &graph.node));
    }
    let lowered = porter_onnx::operators();
    let known = |(domain, name): &(String, String)| {
        let function = |f: &onnx_protobuf::FunctionProto| f.domain() == domain && f.name() == name;
        lowered.contains(&(domain.as_str(), name.as_str())) || proto.functions.iter().any(function)
    };
    let operator = |(name, count)| Operator { known: known(&name), name, count };
    let mut operators: Vec<Operator> = counts.into_iter().map(operator).collect();
    operators.sort_by_key(|operator| std::cmp::Reverse(operator.count));
    operators
}

fn subgraphs(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.iter().chain(&attribute.graphs)
}
