//! A program as patterns read it: back from a value, past what does not change the numbers.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

use porter_ir::{
    DType, InputRole, Literal, Op, OpId, OpKind, Program, TensorType, Value,
    program::{Definition, OpData},
};

use crate::{
    fold::Known,
    host::{Host, round},
};

/// Tensors of at most so many elements are looked into.
const READABLE: usize = 1 << 20;

/// Reads a weight by name, as numbers.
pub(crate) type Read<'a> = dyn Fn(&str) -> Option<Host> + 'a;

pub(crate) struct View<'a> {
    pub(crate) program: &'a Program,
    read: &'a Read<'a>,
    users: HashMap<Value, Vec<OpId>>,
    /// Values of the body that depend on an argument or a state.
    varying: HashSet<Value>,
    known: RefCell<Known>,
    /// Weights that were read.
    seen: RefCell<HashSet<Value>>,
}

/// A value that is repeated to another one's shape.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) value: Value,
    /// For each dimension of `value` the dimension that it is there; `None` where it is of size 1.
    pub(crate) axes: Vec<Option<usize>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(program: &'a Program, read: &'a Read<'a>) -> Self {
        let mut users: HashMap<Value, Vec<OpId>> = HashMap::new();
        let given = program.inputs().iter().filter(|input| input.role != InputRole::Weight);
        let mut varying: HashSet<Value> = given.map(|input| input.value).collect();
        for &op in &program.region(program.body()).ops {
            for value in program.reads(op) {
                let list = users.entry(value).or_default();
                if list.last() != Some(&op) {
                    list.push(op);
                }
                if varying.contains(&value) {
                    varying.extend(&program.op(op).results);
                }
            }
        }
        Self { program, read, users, varying, known: RefCell::default(), seen: RefCell::default() }
    }

    /// The op of the body that gives a value.
    pub(crate) fn op(&self, value: Value) -> Option<&'a OpData> {
        self.program.giver(value)
    }

    /// The op that gives a value, if it is of this kind.
    pub(crate) fn is(&self, value: Value, kind: OpKind) -> Option<&'a OpData> {
        self.op(value).filter(|op| op.op.kind() == kind)
    }

    /// The operand of the op of this kind that gives a value.
    pub(crate) fn one(&self, value: Value, kind: OpKind) -> Option<Value> {
        self.is(value, kind)?.operands.first().copied()
    }

    /// The two operands of the op of this kind that gives a value.
    pub(crate) fn two(&self, value: Value, kind: OpKind) -> Option<(Value, Value)> {
        match self.is(value, kind)?.operands[..] {
            [a, b] => Some((a, b)),
            _ => None,
        }
    }

    /// [`View::two`] in both orders, for an op whose operands may be exchanged.
    pub(crate) fn either(&self, value: Value, kind: OpKind) -> impl Iterator<Item = (Value, Value)> + use<> {
        let both = self.two(value, kind).map(|(a, b)| [(a, b), (b, a)]);
        both.into_iter().flatten()
    }

    pub(crate) fn dims(&self, value: Value) -> &'a [usize] {
        &self.program.ty(value).shape
    }

    pub(crate) fn dtype(&self, value: Value) -> DType {
        self.program.ty(value).dtype
    }

    /// The ops of the body that read a value.
    pub(crate) fn users(&self, value: Value) -> impl Iterator<Item = &'a OpData> {
        self.users.get(&value).into_iter().flatten().map(|&op| self.program.op(op))
    }

    /// The result of the one op of the body that reads a value, where it is of this kind and the value is no
    /// output.
    pub(crate) fn only_user(&self, value: Value, kind: OpKind) -> Option<Value> {
        if self.program.outputs().iter().any(|output| output.value == value) {
            return None;
        }
        let mut users = self.users(value);
        let user = users.next().filter(|op| users.next().is_none() && op.op.kind() == kind)?;
        user.results.first().copied()
    }

    /// A value before conversions between floats.
    pub(crate) fn unconverted(&self, mut value: Value) -> Value {
        while let Some(inner) = self.one(value, OpKind::Convert)
            && self.dtype(inner).is_float()
            && self.dtype(value).is_float()
        {
            value = inner;
        }
        value
    }

    /// A value before repetition and dimensions of size 1, and where its dimensions lie.
    pub(crate) fn unspread(&self, value: Value) -> Placed {
        let axes = self.dims(value).iter().enumerate().map(|(i, &d)| (d != 1).then_some(i)).collect();
        let mut placed = Placed { value, axes };
        while let Some(inner) = self.unspread_once(&placed) {
            placed = inner;
        }
        placed
    }

    fn unspread_once(&self, placed: &Placed) -> Option<Placed> {
        let op = self.op(placed.value)?;
        let &value = op.operands.first()?;
        let inner = self.dims(value);
        let axes = match &op.op {
            Op::BroadcastInDim(op) => {
                let place = |(&size, &dim): (&usize, &usize)| {
                    if size == 1 { None } else { placed.axes.get(dim).copied().flatten() }
                };
                inner.iter().zip(&op.dimensions).map(place).collect()
            }
            Op::Reshape(_) => {
                let real = |dims: &[usize]| dims.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
                let outer = self.dims(placed.value);
                if real(inner) != real(outer) {
                    return None;
                }
                let mut kept =
                    outer.iter().zip(&placed.axes).filter(|(d, _)| **d != 1).map(|(_, axis)| *axis);
                inner.iter().map(|&d| if d == 1 { None } else { kept.next().flatten() }).collect()
            }
            _ => return None,
        };
        Some(Placed { value, axes })
    }

    /// A value before it was repeated over trailing dimensions: dimension `i` of it is dimension `i` here.
    pub(crate) fn unspread_rows(&self, value: Value) -> Option<Value> {
        let placed = self.unspread(value);
        let own = |(i, axis): (usize, &Option<usize>)| axis.is_none_or(|axis| axis == i);
        placed.axes.iter().enumerate().all(own).then_some(placed.value)
    }

    /// The number that all elements of a value are.
    pub(crate) fn scalar(&self, value: Value) -> Option<f64> {
        let op = self.op(value)?;
        match &op.op {
            Op::Constant(constant) => constant_scalar(&constant.value),
            Op::BroadcastInDim(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) => {
                self.scalar(*op.operands.first()?)
            }
            Op::Convert(_) if self.dtype(value).is_float() => {
                Some(round(self.dtype(value), self.scalar(*op.operands.first()?)?))
            }
            _ if self.program.ty(value).shape.elements() <= 64 => uniform(&*self.values(value)?),
            _ => None,
        }
    }

    /// Whether all elements of a value are about `number`: as near as its element type tells.
    pub(crate) fn is_about(&self, value: Value, number: f64) -> bool {
        self.scalar(value).is_some_and(|found| about(self.dtype(value), found, number))
    }

    /// A value without its factors that are one number each, and their product.
    pub(crate) fn unscaled(&self, mut value: Value) -> (Value, f64) {
        let mut factor = 1.0;
        loop {
            let product = self.either(value, OpKind::Multiply).find_map(|(x, c)| Some((x, self.scalar(c)?)));
            let quotient =
                self.two(value, OpKind::Divide).and_then(|(x, c)| Some((x, 1.0 / self.scalar(c)?)));
            match product.or(quotient) {
                Some((inner, c)) if self.scalar(inner).is_none() => {
                    value = inner;
                    factor *= c;
                }
                _ => return (value, factor),
            }
        }
    }

    /// The elements of a value, where no argument of the program plays a part.
    pub(crate) fn values(&self, value: Value) -> Option<Rc<Host>> {
        if self.varying.contains(&value) {
            return None;
        }
        let mut pending = vec![value];
        let mut seen = HashSet::new();
        while let Some(value) = pending.pop() {
            if !seen.insert(value) {
                continue;
            }
            match self.program.value(value).definition {
                Definition::Result { op, .. } => pending.extend(self.program.reads(op)),
                Definition::Argument { .. } => self.weight(value)?,
            }
        }
        self.known.borrow_mut().find(self.program, value).ok()
    }

    /// Reads a weight that is small enough to be looked into.
    fn weight(&self, value: Value) -> Option<()> {
        let input = self.program.inputs().iter().find(|input| input.value == value)?;
        if self.program.ty(value).shape.elements() > READABLE {
            return None;
        }
        if self.seen.borrow_mut().insert(value) {
            self.known.borrow_mut().insert(value, (self.read)(&input.name)?);
        }
        Some(())
    }
}

/// Whether `found` is `number`, as near as `dtype` tells after an operation or two.
pub(crate) fn about(dtype: DType, found: f64, number: f64) -> bool {
    let epsilon = match dtype {
        DType::BF16 => 2.0_f64.powi(-7),
        DType::F16 => 2.0_f64.powi(-10),
        _ => 1e-6,
    };
    (found - number).abs() <= epsilon * number.abs()
}

/// The number that all elements of a constant are.
fn constant_scalar(literal: &Literal) -> Option<f64> {
    match literal.splat_bytes() {
        Some(bytes) => uniform(&Host::from_bytes(TensorType::scalar(literal.ty().dtype), bytes)?),
        None if literal.ty().shape.elements() <= READABLE => uniform(&Host::from_literal(literal)?),
        None => None,
    }
}

#[allow(clippy::float_cmp, reason = "one number means the same number")]
fn uniform(host: &Host) -> Option<f64> {
    let values = host.to_floats();
    let &first = values.first()?;
    values.iter().all(|&x| x == first).then_some(first)
}
