//! Walking a graph: names, functions, subgraphs, and everything that is wrong, at once.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use onnx_protobuf::{
    AttributeProto, DataType, FunctionProto, GraphProto, Model, NodeProto, OperatorSetIdProto,
    SparseTensorProto, TensorProto, TypeProto, ValueInfoProto, unpack,
};
use porter_ir::{Builder, Literal, Program, TensorType, Value};

use crate::{
    Options,
    context::{Cx, Out},
    error::{Fault, ImportError, Problem, ProblemKind},
    fold::{Known, Unknown},
    host::Host,
    item::{self, Item},
    ops, refused,
};

/// Initial values of at most so many elements are constants of the program; larger ones are its weights.
const SMALL: usize = 64;
/// Weights of at most so many elements are read where a shape depends on them.
const READABLE: usize = 1 << 16;
/// How deep functions and subgraphs may nest.
const DEPTH: usize = 64;
/// How many nodes may be lowered, functions expanded and loops unrolled.
const NODES: usize = 1 << 20;
/// The newest version of ONNX's own operators that is read.
const NEWEST: i64 = 28;

/// A model being imported.
pub(crate) struct Importer<'m> {
    model: &'m Model,
    options: &'m Options,
    functions: HashMap<(&'m str, &'m str, &'m str), &'m FunctionProto>,
    problems: RefCell<Vec<Problem>>,
    needs: RefCell<BTreeSet<String>>,
    known: RefCell<Known>,
    nodes: Cell<usize>,
}

/// The names that nodes see.
pub(crate) struct Scope<'p> {
    names: HashMap<String, Item>,
    parent: Option<&'p Scope<'p>>,
}

impl<'p> Scope<'p> {
    pub(crate) fn new(parent: Option<&'p Scope<'p>>) -> Self {
        Self { names: HashMap::new(), parent }
    }

    pub(crate) fn insert(&mut self, name: &str, item: Item) {
        self.names.insert(name.to_owned(), item);
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Item> {
        let mut scope = Some(self);
        while let Some(s) = scope {
            if let Some(item) = s.names.get(name) {
                return Some(item);
            }
            scope = s.parent;
        }
        None
    }
}

/// What nodes are written against: the versions of operators, and inside of a function its attributes.
#[derive(Clone)]
pub(crate) struct Env<'m> {
    opsets: &'m [OperatorSetIdProto],
    attributes: Option<Rc<Vec<Attribute<'m>>>>,
    depth: usize,
}

/// An attribute: the name that a node knows it by, and its value, which a function may have been given under
/// another.
pub(crate) type Attribute<'m> = (&'m str, &'m AttributeProto);

impl Env<'_> {
    fn version(&self, domain: &str) -> Option<i64> {
        let plain = |d: &str| if d == "ai.onnx" { String::new() } else { d.to_owned() };
        self.opsets.iter().find(|o| plain(o.domain()) == plain(domain)).map(OperatorSetIdProto::version)
    }
}

pub(crate) fn import(model: &Model, options: &Options) -> Result<Program, ImportError> {
    let proto = model.proto();
    let importer = Importer {
        model,
        options,
        functions: proto.functions.iter().map(|f| ((f.domain(), f.name(), f.overload()), f)).collect(),
        problems: RefCell::default(),
        needs: RefCell::default(),
        known: RefCell::default(),
        nodes: Cell::new(0),
    };
    let builder = Builder::new("main");
    for opset in &proto.opset_import {
        if matches!(opset.domain(), "" | "ai.onnx") && !(1..=NEWEST).contains(&opset.version()) {
            let what = format!("operators of version {}, expected 1 to {NEWEST}", opset.version());
            importer.problem("opset_import", ProblemKind::Unsupported, what);
        }
    }
    let env = Env { opsets: &proto.opset_import, attributes: None, depth: 0 };
    if let Some(graph) = &proto.graph {
        importer.main(&builder, graph, &env);
    }
    let problems = importer.problems.take();
    let needs = importer.needs.take();
    if problems.is_empty() { Ok(builder.finish()) } else { Err(ImportError { problems, needs }) }
}

impl<'m> Importer<'m> {
    fn problem(&self, at: impl Into<String>, kind: ProblemKind, what: impl Into<String>) {
        let problem = Problem { at: at.into(), kind, what: what.into() };
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn fault(&self, at: impl Into<String>, fault: Fault) {
        match fault {
            Fault::Reported => {}
            Fault::Invalid(what) => self.problem(at, ProblemKind::Invalid, what),
            Fault::Unsupported(what) => self.problem(at, ProblemKind::Unsupported, what),
            Fault::Dynamic(what) => {
                self.problem(
                    at,
                    ProblemKind::Dynamic,
                    format!("its shape depends on {what}, which is not known at import"),
                );
            }
            Fault::Needs(inputs) => {
                let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let what =
                    format!("its shape depends on the values of {}: give them at import", names.join(", "));
                self.problem(at, ProblemKind::Dynamic, what);
                self.needs.borrow_mut().extend(inputs);
            }
        }
    }

    fn main(&self, builder: &Builder, graph: &'m GraphProto, env: &Env<'m>) {
        let mut scope = Scope::new(None);
        for tensor in &graph.initializer {
            let item = self.initializer(builder, tensor);
            let item = item.unwrap_or_else(|fault| {
                self.fault(format!("initializer {:?}", tensor.name()), fault);
                Item::Poisoned
            });
            scope.insert(tensor.name(), item);
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", TensorProto::name);
            let item = self.sparse(builder, sparse).unwrap_or_else(|fault| {
                self.fault(format!("sparse initializer {name:?}"), fault);
                Item::Poisoned
            });
            scope.insert(name, item);
        }
        for input in &graph.input {
            if scope.find(input.name()).is_some() {
                continue;
            }
            let item = self.input(builder, input).unwrap_or_else(|fault| {
                self.fault(format!("input {:?}", input.name()), fault);
                Item::Poisoned
            });
            scope.insert(input.name(), item);
        }
        self.nodes(builder, &graph.node, &mut scope, env);
        for output in &graph.output {
            match scope.find(output.name()) {
                None => {
                    self.problem(
                        format!("output {:?}", output.name()),
                        ProblemKind::Invalid,
                        "nothing gives it",
                    );
                }
                Some(item) => {
                    if let Err(fault) = result(builder, output.name(), item) {
                        self.fault(format!("output {:?}", output.name()), fault);
                    }
                }
            }
        }
    }

    /// An input: an argument of the program, or a constant where its value was given.
    fn input(&self, builder: &Builder, input: &ValueInfoProto) -> Result<Item, Fault> {
        let name = input.name();
        if let Some(host) = self.options.values.get(name) {
            return Ok(Item::Tensor(builder.constant(host.literal()?)?));
        }
        let Some(ty) = &input.r#type else { return Err(Fault::Invalid("has no type".to_owned())) };
        self.input_of(builder, name, ty)
    }

    fn input_of(&self, builder: &Builder, name: &str, ty: &TypeProto) -> Result<Item, Fault> {
        if let Some(optional) = &ty.optional_type {
            return match (self.options.lengths.get(name), &optional.elem_type) {
                (Some(0), _) => Ok(Item::Empty),
                (_, Some(ty)) => self.input_of(builder, name, ty),
                (_, None) => Err(Fault::Invalid("has no element type".to_owned())),
            };
        }
        if let Some(sequence) = &ty.sequence_type {
            let Some(element) = &sequence.elem_type else {
                return Err(Fault::Invalid("has no element type".to_owned()));
            };
            let Some(&length) = self.options.lengths.get(name) else {
                return Err(Fault::Unsupported("is a sequence of unknown length".to_owned()));
            };
            let items = (0..length).map(|i| self.input_of(builder, &format!("{name}.{i}"), element));
            return Ok(Item::Sequence(items.collect::<Result<_, _>>()?));
        }
        let Some(tensor) = &ty.tensor_type else {
            return Err(Fault::Unsupported("is a map, a sparse tensor or an opaque value".to_owned()));
        };
        let number = i64::from(tensor.elem_type());
        let Some(data_type) = DataType::new(number) else {
            return Err(Fault::Invalid(format!("element type {number} is none of ONNX's")));
        };
        let Some(dtype) = item::dtype(data_type).or(item::carrier(data_type)) else {
            return Err(Fault::Unsupported(format!("is of element type {data_type}")));
        };
        let shape = match (self.options.shapes.get(name), &tensor.shape) {
            (Some(shape), _) => shape.clone(),
            (None, Some(shape)) => {
                shape.dim.iter().enumerate().map(|(i, dim)| self.dim(i, dim)).collect::<Result<_, _>>()?
            }
            (None, None) => return Err(Fault::Dynamic("a shape that the file does not give".to_owned())),
        };
        let ty = TensorType::new(dtype, shape);
        addressable(&ty)?;
        let value = builder.argument(name, ty)?;
        Ok(if item::dtype(data_type).is_some() {
            Item::Tensor(value)
        } else {
            Item::Carried(value, data_type)
        })
    }

    fn dim(&self, index: usize, dim: &onnx_protobuf::Dimension) -> Result<usize, Fault> {
        if let Some(size) = dim.dim_value {
            return usize::try_from(size)
                .map_err(|_| Fault::Invalid(format!("size {size} of dimension {index}")));
        }
        match dim.dim_param.as_deref() {
            Some(name) if !name.is_empty() => self
                .options
                .dims
                .get(name)
                .copied()
                .ok_or_else(|| Fault::Dynamic(format!("dimension {index}, {name:?}: give it a size"))),
            _ => Err(Fault::Dynamic(format!("dimension {index}, which has no name: give the input's shape"))),
        }
    }

    /// An initial value: a weight of the program, or a constant where it is small.
    fn initializer(&self, builder: &Builder, tensor: &TensorProto) -> Result<Item, Fault> {
        let elements = tensor.elements().map_err(|e| Fault::Invalid(e.to_string()))?;
        let data_type = tensor.dtype().map_err(|e| Fault::Invalid(e.to_string()))?;
        let Some(dtype) = item::dtype(data_type).filter(|_| elements > SMALL) else {
            return self.constant(builder, tensor);
        };
        let bytes = self.model.packed(tensor).map_err(|e| Fault::Invalid(e.to_string()))?;
        let shape = tensor.shape().map_err(|e| Fault::Invalid(e.to_string()))?;
        let ty = TensorType::new(dtype, shape);
        addressable(&ty)?;
        let value = builder.at("").weight(tensor.name(), ty.clone())?;
        if elements <= READABLE && !dtype.is_float() {
            let bytes = host_bytes(data_type, bytes.as_ref(), elements);
            let host =
                Host::from_bytes(ty, &bytes).ok_or_else(|| Fault::Invalid("has too few bytes".to_owned()))?;
            self.known.borrow_mut().insert(value, host);
        }
        Ok(Item::Tensor(value))
    }

    fn sparse(&self, builder: &Builder, sparse: &SparseTensorProto) -> Result<Item, Fault> {
        Ok(Item::Tensor(builder.constant(self.dense(sparse)?.literal()?)?))
    }

    /// A sparse tensor of the file, written out.
    pub(crate) fn dense(&self, sparse: &SparseTensorProto) -> Result<Host, Fault> {
        crate::sparse::dense(self.model, sparse)
    }

    /// A tensor of the file as a constant.
    pub(crate) fn constant(&self, builder: &Builder, tensor: &TensorProto) -> Result<Item, Fault> {
        let (ty, data_type, bytes) = elements(self.model, tensor)?;
        let value = builder.constant(Literal::from_bytes(ty, bytes)?)?;
        Ok(if item::dtype(data_type).is_some() {
            Item::Tensor(value)
        } else {
            Item::Carried(value, data_type)
        })
    }

    pub(crate) fn known(&self, builder: &Builder, value: Value) -> Result<Rc<Host>, Fault> {
        self.known.borrow_mut().find(&builder.program(), value).map_err(|unknown| match unknown {
            Unknown::Inputs(inputs) => Fault::Needs(inputs),
            Unknown::Op(what) => Fault::Dynamic(what),
        })
    }

    /// Lowers nodes in their order; the names that they define go into `scope`.
    pub(crate) fn nodes(
        &self,
        builder: &Builder,
        nodes: &'m [NodeProto],
        scope: &mut Scope<'_>,
        env: &Env<'m>,
    ) {
        for (index, node) in nodes.iter().enumerate() {
            let at = match node.name() {
                "" => format!("node {index} ({})", node.op_type()),
                name => format!("node {name:?} ({})", node.op_type()),
            };
            self.nodes.set(self.nodes.get() + 1);
            let outcome = if self.nodes.get() > NODES {
                Some(Err(Fault::Unsupported(format!(
                    "more than {NODES} nodes, functions and loops expanded"
                ))))
            } else {
                self.node(builder, index, node, scope, env)
            };
            let items = match outcome {
                Some(Ok(items)) => items,
                Some(Err(fault)) => {
                    self.fault(at.clone(), fault);
                    Vec::new()
                }
                None => Vec::new(),
            };
            let mut items = items.into_iter();
            for name in &node.output {
                let item = items.next().unwrap_or(Item::Poisoned);
                if !name.is_empty() {
                    scope.insert(name, item);
                }
            }
        }
    }

    /// The outputs of one node; `None` where an input is the output of one that was not lowered.
    fn node(
        &self,
        builder: &Builder,
        index: usize,
        node: &'m NodeProto,
        scope: &Scope<'_>,
        env: &Env<'m>,
    ) -> Option<Out> {
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            match scope.find(name) {
                _ if name.is_empty() => inputs.push(Item::Absent),
                None => {
                    return Some(Err(Fault::Invalid(format!(
                        "input {name:?} is given by nothing before it"
                    ))));
                }
                Some(Item::Poisoned) => return None,
                Some(item) => inputs.push(item.clone()),
            }
        }
        while matches!(inputs.last(), Some(Item::Absent)) {
            inputs.pop();
        }
        let attributes = Self::attributes(node, env);
        let path = match node.name() {
            "" => format!("{}_{index}", node.op_type()),
            name => name.trim_start_matches('/').replace('/', "."),
        };
        let builder = builder.scope(&path);
        if env.depth >= DEPTH {
            return Some(Err(Fault::Unsupported(format!("nested more than {DEPTH} deep"))));
        }
        let key = (node.domain(), node.op_type(), node.overload());
        if let Some(function) = self.functions.get(&key) {
            return Some(self.call(&builder, function, inputs, attributes, env.depth));
        }
        let Some(opset) = env.version(node.domain()) else {
            let what = format!("the file imports no operators of domain {:?}", node.domain());
            return Some(Err(Fault::Invalid(what)));
        };
        let Some(lower) = ops::find(node.domain(), node.op_type()) else {
            if let Some(fault) = refused::why(node.domain(), node.op_type()) {
                return Some(Err(fault));
            }
            let domain = if node.domain().is_empty() { "ai.onnx" } else { node.domain() };
            return Some(Err(Fault::Unsupported(format!("no lowering for {domain}.{}", node.op_type()))));
        };
        let cx = Cx {
            importer: self,
            builder,
            node,
            attributes,
            inputs,
            scope,
            env,
            opset,
            read: RefCell::default(),
        };
        Some(lower(&cx).and_then(|items| {
            let read = cx.read.borrow();
            let unread: Vec<&str> =
                cx.attributes.iter().map(|a| a.0).filter(|name| !read.contains(name)).collect();
            if !unread.is_empty() {
                return Err(Fault::Unsupported(format!("attributes {}", unread.join(", "))));
            }
            items.iter().try_for_each(|item| in_range(&cx.builder, item))?;
            Ok(items)
        }))
    }

    /// The attributes of a node; those that refer to an attribute of a function are looked up.
    fn attributes(node: &'m NodeProto, env: &Env<'m>) -> Vec<Attribute<'m>> {
        let resolve = |a: &'m AttributeProto| match a.ref_attr_name.as_deref() {
            Some(name) if !name.is_empty() => {
                let given = env.attributes.as_ref()?;
                given.iter().find(|(known, _)| *known == name).map(|(_, value)| (a.name(), *value))
            }
            _ => Some((a.name(), a)),
        };
        node.attribute.iter().filter_map(resolve).collect()
    }

    /// A call of a function of the model, expanded.
    fn call(
        &self,
        builder: &Builder,
        function: &'m FunctionProto,
        inputs: Vec<Item>,
        mut attributes: Vec<Attribute<'m>>,
        depth: usize,
    ) -> Out {
        for default in &function.attribute_proto {
            if !attributes.iter().any(|(name, _)| *name == default.name()) {
                attributes.push((default.name(), default));
            }
        }
        let env =
            Env { opsets: &function.opset_import, attributes: Some(Rc::new(attributes)), depth: depth + 1 };
        let mut scope = Scope::new(None);
        let mut inputs = inputs.into_iter();
        for name in &function.input {
            scope.insert(name, inputs.next().unwrap_or(Item::Absent));
        }
        self.nodes(builder, &function.node, &mut scope, &env);
        Ok(function.output.iter().map(|name| scope.find(name).cloned().unwrap_or(Item::Absent)).collect())
    }

    /// The outputs of a subgraph whose inputs are `arguments`.
    pub(crate) fn subgraph(
        &self,
        builder: &Builder,
        graph: &'m GraphProto,
        outer: &Scope<'_>,
        arguments: Vec<Item>,
        env: &Env<'m>,
    ) -> Out {
        let mut scope = Scope::new(Some(outer));
        for tensor in &graph.initializer {
            scope.insert(tensor.name(), self.constant(builder, tensor)?);
        }
        for (input, item) in graph.input.iter().zip(arguments) {
            scope.insert(input.name(), item);
        }
        let inner = Env { depth: env.depth + 1, ..env.clone() };
        self.nodes(builder, &graph.node, &mut scope, &inner);
        let output = |output: &ValueInfoProto| match scope.find(output.name()) {
            Some(Item::Poisoned) => Err(Fault::Reported),
            Some(item) => Ok(item.clone()),
            None => {
                Err(Fault::Invalid(format!("output {:?} of a subgraph is given by nothing", output.name())))
            }
        };
        graph.output.iter().map(output).collect()
    }
}

/// Refuses a tensor that memory could not hold, were its empty dimensions of size 1: what is computed of its sizes
/// stays in range.
fn addressable(ty: &TensorType) -> Result<(), Fault> {
    let filled: Vec<usize> = ty.shape.iter().map(|&d| d.max(1)).collect();
    if isize::try_from(TensorType::new(ty.dtype, filled).host_bytes()).is_ok() {
        return Ok(());
    }
    Err(Fault::Invalid(format!("{ty} has more bytes than memory can be addressed")))
}

/// As [`addressable`], of what a node gives: sizes that operators compute with stay in range from input to output.
fn in_range(builder: &Builder, item: &Item) -> Result<(), Fault> {
    match item {
        Item::Tensor(value) | Item::Carried(value, _) => addressable(builder.program().ty(*value)),
        Item::Sequence(items) => items.iter().try_for_each(|item| in_range(builder, item)),
        Item::Absent | Item::Empty | Item::Poisoned => Ok(()),
    }
}

/// Returns an item under a name; the elements of a sequence are `name.0`, `name.1`, ...
fn result(builder: &Builder, name: &str, item: &Item) -> Result<(), Fault> {
    match item {
        Item::Tensor(value) | Item::Carried(value, _) => Ok(builder.result(name, *value)?),
        Item::Sequence(items) => {
            items.iter().enumerate().try_for_each(|(i, item)| result(builder, &format!("{name}.{i}"), item))
        }
        Item::Poisoned | Item::Empty | Item::Absent => Ok(()),
    }
}

/// The host bytes of packed elements: one byte for each that is narrower.
pub(crate) fn host_bytes(ty: DataType, packed: &[u8], count: usize) -> Vec<u8> {
    match ty.bits() {
        Some(bits) if bits < 8 => unpack(packed, bits, matches!(ty, DataType::Int4 | DataType::Int2), count),
        _ if ty == DataType::Bool => packed.iter().map(|&b| u8::from(b != 0)).collect(),
        _ => packed.to_vec(),
    }
}

/// Type and host bytes of a tensor of the file.
pub(crate) fn elements(
    model: &Model,
    tensor: &TensorProto,
) -> Result<(TensorType, DataType, Vec<u8>), Fault> {
    let wrong = |e: onnx_protobuf::TensorError| Fault::Invalid(e.to_string());
    let data_type = tensor.dtype().map_err(wrong)?;
    let Some(dtype) = item::dtype(data_type).or(item::carrier(data_type)) else {
        return Err(Fault::Unsupported(format!("a tensor of element type {data_type}")));
    };
    let packed = model.packed(tensor).map_err(|e| Fault::Invalid(e.to_string()))?;
    let bytes = host_bytes(data_type, packed.as_ref(), tensor.elements().map_err(wrong)?);
    Ok((TensorType::new(dtype, tensor.shape().map_err(wrong)?), data_type, bytes))
}
