//! Bringing values into the form in which composites take them.

use porter_ir::{Builder, Op, OpError, OpKind, Value, program::Definition};
use porter_rewrite::Site;

use super::view::{Placed, View};

type Result<T> = std::result::Result<T, OpError>;

/// A tensor of four dimensions that is a value, reshaped, with its dimensions in another order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permuted {
    pub(crate) value: Value,
    /// The shape that the value is taken in.
    pub(crate) shape: [usize; 4],
    /// For each dimension of the tensor the dimension of that shape.
    pub(crate) order: [usize; 4],
}

impl Permuted {
    /// A value of four dimensions, past the transposes that give it.
    pub(crate) fn new(view: &View<'_>, value: Value, order: [usize; 4]) -> Option<Self> {
        let shape = view.dims(value).try_into().ok()?;
        Some(Self { value, shape, order }.before(view))
    }

    /// The same tensor, past the transposes that give its value.
    pub(crate) fn before(mut self, view: &View<'_>) -> Self {
        while let Some(inner) = self.untransposed(view) {
            self = inner;
        }
        self
    }

    fn untransposed(self, view: &View<'_>) -> Option<Self> {
        let turned = unreshaped(view, self.value);
        let op = view.op(turned)?;
        let (Op::Transpose(transpose), &[value]) = (&op.op, &op.operands[..]) else { return None };
        let [batch, heads, rows, columns] = self.shape;
        let permutation = match (&transpose.permutation[..], view.dims(turned)) {
            (&[i, j, k, l], dims) if dims == self.shape => [i, j, k, l],
            // The matrices of all heads of a batch in one dimension.
            ([0, 2, 1], dims) if dims == [batch * heads, rows, columns] => [0, 1, 3, 2],
            _ => return None,
        };
        let mut shape = self.shape;
        for (&to, &size) in permutation.iter().zip(&self.shape) {
            *shape.get_mut(to)? = size;
        }
        Some(Self { value, shape, order: self.order.map(|i| permutation.get(i).copied().unwrap_or(i)) })
    }

    /// The tensor's shape.
    pub(crate) fn dims(self) -> [usize; 4] {
        self.order.map(|i| self.shape.get(i).copied().unwrap_or(1))
    }

    /// The tensor's dimensions `wanted`, in this order.
    pub(crate) fn build(self, site: &Site<'_>, wanted: [usize; 4]) -> Result<Value> {
        let b = &site.b;
        let value = site.value(self.value)?;
        let value = if *b.shape(value) == self.shape { value } else { b.reshape(value, self.shape)? };
        let order = wanted.map(|i| self.order.get(i).copied().unwrap_or(i));
        transposed(b, value, &order)
    }
}

/// `value` with its dimensions in another order; what is transposed there and back is not transposed.
pub(crate) fn transposed(b: &Builder, value: Value, permutation: &[usize]) -> Result<Value> {
    let inner = {
        let program = b.program();
        match program.value(value).definition {
            Definition::Result { op, .. } => {
                let op = program.op(op);
                match &op.op {
                    Op::Transpose(t) => op.operands.first().map(|&v| (v, t.permutation.clone())),
                    _ => None,
                }
            }
            Definition::Argument { .. } => None,
        }
    };
    let (value, permutation) = match inner {
        Some((inner, first)) => {
            (inner, permutation.iter().map(|&i| first.get(i).copied().unwrap_or(i)).collect())
        }
        None => (value, permutation.to_vec()),
    };
    if permutation.iter().copied().eq(0..permutation.len()) {
        Ok(value)
    } else {
        b.transpose(value, &permutation)
    }
}

impl Placed {
    /// Whether the value varies along `axis`.
    pub(crate) fn along(&self, axis: usize) -> bool {
        self.axes.contains(&Some(axis))
    }

    /// The value over the dimensions `axes` of what it is repeated to, of `sizes`; it must not vary along others.
    pub(crate) fn build(&self, site: &Site<'_>, axes: &[usize], sizes: &[usize]) -> Result<Value> {
        let value = site.value(self.value)?;
        self.over(&site.b, value, axes, sizes)
    }

    /// [`Placed::build`] of another value of the same shape.
    pub(crate) fn over(&self, b: &Builder, value: Value, axes: &[usize], sizes: &[usize]) -> Result<Value> {
        let own = b.shape(value);
        let kept = self.axes.iter().zip(own.iter()).filter_map(|(axis, &size)| Some((((*axis)?), size)));
        let (dims, shape): (Vec<usize>, Vec<usize>) =
            kept.filter_map(|(axis, size)| Some((axes.iter().position(|&a| a == axis)?, size))).unzip();
        let value = if own.to_vec() == shape { value } else { b.reshape(value, shape)? };
        b.broadcast_to(value, sizes.to_vec(), &dims)
    }
}

/// A value before reshapes.
pub(crate) fn unreshaped(view: &View<'_>, mut value: Value) -> Value {
    while let Some(inner) = view.one(value, OpKind::Reshape) {
        value = inner;
    }
    value
}
