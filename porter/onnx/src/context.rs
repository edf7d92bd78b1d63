//! What an op's lowering sees: its node's inputs and attributes, and the builder.

use std::{cell::RefCell, collections::HashSet, ops::Deref};

use onnx_protobuf::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto};
use porter_ir::{Builder, DType, Shape, TensorType, Value};

use crate::{
    error::{Fault, invalid, unsupported},
    graph::{Attribute, Env, Importer, Scope},
    host::Host,
    item::{self, Item},
};

/// What a lowering gives: an item for each output.
pub(crate) type Out = Result<Vec<Item>, Fault>;
/// One value, or why there is none.
pub(crate) type One = Result<Value, Fault>;

/// One node, being lowered.
pub(crate) struct Cx<'c, 'm> {
    pub(crate) importer: &'c Importer<'m>,
    pub(crate) builder: Builder,
    pub(crate) node: &'m NodeProto,
    pub(crate) attributes: Vec<Attribute<'m>>,
    pub(crate) inputs: Vec<Item>,
    pub(crate) scope: &'c Scope<'c>,
    pub(crate) env: &'c Env<'m>,
    /// The version of the operator set that the node is of.
    pub(crate) opset: i64,
    pub(crate) read: RefCell<HashSet<&'static str>>,
}

impl Deref for Cx<'_, '_> {
    type Target = Builder;

    fn deref(&self) -> &Builder {
        &self.builder
    }
}

impl<'m> Cx<'_, 'm> {
    /// Input `index`, whatever it is.
    pub(crate) fn item(&self, index: usize) -> &Item {
        self.inputs.get(index).unwrap_or(&Item::Absent)
    }

    /// Input `index`, which must be a tensor.
    pub(crate) fn x(&self, index: usize) -> One {
        match self.opt(index)? {
            Some(value) => Ok(value),
            None => invalid(format!("input {index} is missing")),
        }
    }

    /// Input `index`, which may be left out.
    pub(crate) fn opt(&self, index: usize) -> Result<Option<Value>, Fault> {
        self.tensor_of(self.item(index), index)
    }

    /// The tensor of the graph that has a name.
    pub(crate) fn named(&self, name: &str) -> One {
        match self.scope.find(name) {
            Some(Item::Tensor(value)) => Ok(*value),
            _ => invalid(format!("{name:?} is no tensor before it")),
        }
    }

    fn tensor_of(&self, item: &Item, index: usize) -> Result<Option<Value>, Fault> {
        match item {
            Item::Tensor(value) => Ok(Some(*value)),
            Item::Absent => Ok(None),
            Item::Carried(_, ty) => unsupported(format!("input {index} is of element type {ty}")),
            Item::Sequence(_) => unsupported(format!("input {index} is a sequence")),
            Item::Empty => unsupported(format!("input {index} is an optional without a value")),
            Item::Poisoned => unsupported("an input is unknown"),
        }
    }

    /// Every input, none left out.
    pub(crate) fn all(&self) -> Result<Vec<Value>, Fault> {
        (0..self.inputs.len()).map(|i| self.x(i)).collect()
    }

    /// The ONNX element type of input `index`.
    pub(crate) fn data_type(&self, index: usize) -> Result<DataType, Fault> {
        match self.item(index) {
            Item::Carried(_, ty) => Ok(*ty),
            _ => Ok(item::data_type(self.dtype(self.x(index)?))),
        }
    }

    /// How many outputs are asked for: up to the last that has a name.
    pub(crate) fn outputs(&self) -> usize {
        self.node.output.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1)
    }

    /// Whether output `index` is asked for.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.node.output.get(index).is_some_and(|name| !name.is_empty())
    }

    /// An attribute.
    pub(crate) fn attribute(&self, name: &'static str) -> Option<&'m AttributeProto> {
        self.read.borrow_mut().insert(name);
        self.attributes.iter().find(|a| a.0 == name).map(|a| a.1)
    }

    /// Accepts an attribute that says nothing about the numbers here.
    pub(crate) fn ignore(&self, names: &[&'static str]) {
        self.read.borrow_mut().extend(names);
    }

    /// An integer attribute.
    pub(crate) fn int(&self, name: &'static str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.i).unwrap_or(default)
    }

    /// An integer attribute without a default.
    pub(crate) fn int_opt(&self, name: &'static str) -> Option<i64> {
        self.attribute(name).and_then(|a| a.i)
    }

    /// A float attribute.
    pub(crate) fn float(&self, name: &'static str, default: f32) -> f64 {
        self.float_opt(name).unwrap_or(f64::from(default))
    }

    /// A float attribute without a default.
    pub(crate) fn float_opt(&self, name: &'static str) -> Option<f64> {
        self.attribute(name).and_then(|a| a.f).map(f64::from)
    }

    /// A list of integers.
    pub(crate) fn ints(&self, name: &'static str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    /// A list of floats.
    pub(crate) fn floats(&self, name: &'static str) -> Option<Vec<f64>> {
        self.attribute(name).map(|a| a.floats.iter().map(|&x| f64::from(x)).collect())
    }

    /// A string attribute.
    pub(crate) fn string(&self, name: &'static str, default: &str) -> String {
        let given = self.attribute(name).and_then(|a| a.s.as_ref());
        given.map_or(default.to_owned(), |s| String::from_utf8_lossy(s).into_owned())
    }

    /// A list of strings.
    pub(crate) fn strings(&self, name: &'static str) -> Option<Vec<String>> {
        let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
        self.attribute(name).map(|a| a.strings.iter().map(|s| text(s)).collect())
    }

    /// A graph attribute.
    pub(crate) fn graph(&self, name: &'static str) -> Result<&'m GraphProto, Fault> {
        match self.attribute(name).and_then(|a| a.g.as_ref()) {
            Some(graph) => Ok(graph),
            None => invalid(format!("attribute {name:?} is missing")),
        }
    }

    /// A tensor attribute.
    pub(crate) fn tensor_attribute(&self, name: &'static str) -> Option<&'m TensorProto> {
        self.attribute(name).and_then(|a| a.t.as_ref())
    }

    /// A tensor of the model's as a constant.
    pub(crate) fn proto_constant(&self, tensor: &TensorProto) -> Result<Item, Fault> {
        self.importer.constant(&self.builder, tensor)
    }

    /// A known tensor as a constant.
    pub(crate) fn host_constant(&self, host: &Host) -> One {
        Ok(self.constant(host.literal()?)?)
    }

    /// Integers as a constant of one dimension.
    pub(crate) fn constant_ints(&self, values: &[i64]) -> One {
        self.host_constant(&Host::ints(DType::I64, values))
    }

    /// A scalar constant, rounded or saturated to what `dtype` holds.
    pub(crate) fn scalar(&self, dtype: DType, value: f64) -> One {
        Ok(self.full(TensorType::scalar(dtype), value)?)
    }

    /// The elements of a value that must be known at import.
    pub(crate) fn known(&self, value: Value) -> Result<std::rc::Rc<Host>, Fault> {
        self.importer.known(&self.builder, value)
    }

    /// The integers of input `index`, which must be known at import.
    pub(crate) fn known_ints(&self, index: usize) -> Result<Vec<i64>, Fault> {
        let host = self.known(self.x(index)?)?;
        host.to_ints().ok_or_else(|| Fault::Invalid(format!("input {index} must hold integers")))
    }

    /// The integers of input `index`, if given, which must be known at import.
    pub(crate) fn opt_ints(&self, index: usize) -> Result<Option<Vec<i64>>, Fault> {
        if self.opt(index)?.is_some() { self.known_ints(index).map(Some) } else { Ok(None) }
    }

    /// Integers that were an attribute once and are input `index` now.
    pub(crate) fn ints_or_input(&self, name: &'static str, index: usize) -> Result<Option<Vec<i64>>, Fault> {
        match self.ints(name) {
            Some(ints) => Ok(Some(ints)),
            None => self.opt_ints(index),
        }
    }

    /// The shape of a value.
    pub(crate) fn dims(&self, value: Value) -> Vec<usize> {
        self.shape(value).to_vec()
    }

    /// The number of dimensions of a value.
    pub(crate) fn rank(&self, value: Value) -> usize {
        self.shape(value).rank()
    }

    /// An axis of a value, counted from the end where it is negative.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Fault> {
        let wrapped = if axis < 0 { axis + rank as i64 } else { axis };
        match usize::try_from(wrapped) {
            Ok(axis) if axis < rank => Ok(axis),
            _ => invalid(format!("axis {axis} is not in a tensor of rank {rank}")),
        }
    }

    /// Axes of a value.
    pub(crate) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
        axes.iter().map(|&axis| self.axis(axis, rank)).collect()
    }

    /// `x` in another element type, itself where it has that.
    pub(crate) fn cast(&self, x: Value, dtype: DType) -> One {
        if self.dtype(x) == dtype { Ok(x) } else { Ok(self.convert(x, dtype)?) }
    }

    /// `x` in another shape of as many elements.
    pub(crate) fn reshaped(&self, x: Value, shape: impl Into<Shape>) -> One {
        let shape = shape.into();
        if self.shape(x) == shape { Ok(x) } else { Ok(self.reshape(x, shape)?) }
    }

    /// The outputs of a subgraph of this node.
    pub(crate) fn run(&self, builder: &Builder, graph: &'m GraphProto, arguments: Vec<Item>) -> Out {
        self.importer.subgraph(builder, graph, self.scope, arguments, self.env)
    }

    /// Runs `fill` in a region of its own.
    pub(crate) fn region_of(
        &self,
        types: &[TensorType],
        fill: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>, Fault>,
    ) -> Result<porter_ir::RegionId, Fault> {
        let mut fault = None;
        let region = self.builder.region(types, |b, args| {
            fill(b, args).map_err(|f| {
                fault = Some(f);
                b.error("region", &[], "not lowered")
            })
        });
        match (region, fault) {
            (_, Some(fault)) => Err(fault),
            (region, None) => Ok(region?),
        }
    }
}

/// One output.
pub(crate) fn one(value: Value) -> Out {
    Ok(vec![Item::Tensor(value)])
}
