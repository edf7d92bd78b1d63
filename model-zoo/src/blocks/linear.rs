//! Linear layers.

use porter_ir::{Builder, DType, Result, TensorType, Value};

use super::{broadcast_last, cast, last};
use crate::{
    Precision,
    axes::{Axis, EMBED, NORM},
};

/// `nn.Linear`: `x · weightᵀ + bias`, the weight stored `[out, in]` as PyTorch stores it.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// The size of the result's last dimension.
    pub(crate) features: usize,
    /// Whether there is a `bias`.
    pub(crate) bias: bool,
    /// What the two dimensions of the weight mean.
    pub(crate) axes: [Axis; 2],
}

impl Linear {
    /// Applies the layer at the builder's path. The operands of the product have the weights' type,
    /// the result that of the activations.
    pub(crate) fn apply(&self, b: &Builder, x: Value, precision: Precision) -> Result<Value> {
        self.apply_as(b, x, precision, precision.activations)
    }

    /// [`Linear::apply`] with a result of type `output`.
    pub(crate) fn apply_as(
        &self,
        b: &Builder,
        x: Value,
        precision: Precision,
        output: DType,
    ) -> Result<Value> {
        let weight = b.weight("weight", TensorType::new(precision.weights, [self.features, last(b, x)]))?;
        b.logical_axes(weight, &self.axes)?;
        let y = b.linear(cast(b, x, precision.weights)?, weight, output)?;
        if self.bias { add_bias(b, y, &self.axes[0]) } else { Ok(y) }
    }
}

/// Adds the `f32` parameter `bias` of the builder's path to the last dimension of `y`, which the weight's
/// dimension `axis` made.
pub(crate) fn add_bias(b: &Builder, y: Value, axis: &Axis) -> Result<Value> {
    let bias = b.weight("bias", TensorType::new(DType::F32, [last(b, y)]))?;
    // To gather a vector that is whole on no device would cost as many collectives as a matrix.
    b.logical_axes(bias, &[if *axis == EMBED { NORM } else { axis.clone() }])?;
    b.add(y, broadcast_last(b, cast(b, bias, b.dtype(y))?, y)?)
}
