//! Weights of linear layers as 8-bit integers, with a scale an output channel.

use porter_ir::{DType, Result, Sharding, TensorType, Value};

use crate::{
    Patch, Port, Site,
    linear::{LinearWeight, sharded_weight},
};

/// Parts of the names of weights that keep their type: those that compressed-tensors' recipes leave alone.
const LEFT_ALONE: [&str; 4] = ["embed", "lm_head", "classifier", "predictions"];

/// The weights of linear layers that a policy of precision may narrow.
pub(crate) fn quantisable(port: &Port) -> impl Iterator<Item = LinearWeight> {
    let narrow = |weight: &LinearWeight| matches!(weight.dtype, DType::BF16 | DType::F32);
    let named = |weight: &LinearWeight| LEFT_ALONE.iter().any(|part| weight.name.contains(part));
    LinearWeight::all(port).into_iter().filter(move |weight| narrow(weight) && !named(weight))
}

/// The two inputs that a weight becomes.
#[derive(Clone)]
pub(crate) struct Quantised {
    values: (String, TensorType, Option<Sharding>),
    scales: (String, TensorType, Option<Sharding>),
}

impl Quantised {
    /// Adds both to `patch`.
    pub(crate) fn add(weight: &LinearWeight, port: &Port, patch: &mut Patch) -> Option<Self> {
        let (_, _, expr) = port.weights.resolve(&weight.name)?;
        let wide = expr.clone().cast(DType::F32);
        let of_rows =
            |sharding: &Sharding| Sharding { dims: sharding.dims.iter().take(1).cloned().collect() };
        let values = TensorType::new(DType::I8, [weight.rows, weight.columns]);
        let scales = TensorType::new(DType::F32, [weight.rows]);
        let scale_name = scale_name(&weight.name);
        patch.weights.push((weight.name.clone(), values.shape.clone(), wide.clone().quantised_values()));
        let column = wide.quantised_scales().reshape([weight.rows]);
        patch.weights.push((scale_name.clone(), scales.shape.clone(), column));
        Some(Self {
            values: (weight.name.clone(), values, weight.sharding.clone()),
            scales: (scale_name, scales, weight.sharding.as_ref().map(of_rows)),
        })
    }

    /// The integers: `i8[out, in]`.
    pub(crate) fn values(&self, site: &Site<'_>) -> Result<Value> {
        let (name, ty, sharding) = &self.values;
        sharded_weight(site, name, ty.clone(), sharding.as_ref())
    }

    /// `y` (`f32[.., out]`) times the scale of each column.
    pub(crate) fn scaled(&self, site: &Site<'_>, y: Value) -> Result<Value> {
        let (name, ty, sharding) = &self.scales;
        let scales = sharded_weight(site, name, ty.clone(), sharding.as_ref())?;
        let shape = site.b.shape(y);
        let last = shape.rank().saturating_sub(1);
        site.b.multiply(y, site.b.broadcast_in_dim(scales, shape, &[last])?)
    }
}

/// `q_proj.weight[0:256]` → `q_proj.weight_scale[0:256]`.
fn scale_name(name: &str) -> String {
    match name.rsplit_once("weight") {
        Some((module, piece)) => format!("{module}weight_scale{piece}"),
        None => format!("{name}_scale"),
    }
}
