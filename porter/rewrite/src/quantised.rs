//! Weights of linear layers as 8-bit numbers, with a scale an output channel, and rows like that.

use std::collections::BTreeMap;

use porter_ir::{DType, OpId, Program, Result, Sharding, TensorType, Value};
use porter_weights::QuantisedTo;

use crate::{
    Edit, Effect, Patch, Port, Site,
    linear::{Linear, LinearWeight},
    new_weight::NewWeight,
};

/// Parts of the names of weights that keep their type: those that compressed-tensors' recipes leave alone.
const LEFT_ALONE: [&str; 5] = ["embed", "lm_head", "mlp.gate.", "classifier", "predictions"];

/// The weights of linear layers that a policy of precision may narrow.
pub(crate) fn quantisable(port: &Port) -> impl Iterator<Item = LinearWeight> + use<'_> {
    let narrow = |weight: &LinearWeight| matches!(weight.dtype, DType::BF16 | DType::F32);
    let left_alone = |name: &str| port.keeps(name) || LEFT_ALONE.iter().any(|part| name.contains(part));
    LinearWeight::all(port).into_iter().filter(move |weight| narrow(weight) && !left_alone(&weight.name))
}

/// The two inputs that a weight becomes.
#[derive(Clone)]
pub(crate) struct Quantised {
    values: NewWeight,
    scales: NewWeight,
}

impl Quantised {
    /// Adds both to `patch`.
    pub(crate) fn add(
        weight: &LinearWeight,
        to: QuantisedTo,
        port: &Port,
        patch: &mut Patch,
    ) -> Option<Self> {
        let (_, _, expr) = port.weights.resolve(&weight.name)?;
        let wide = expr.clone().cast(DType::F32);
        let of_rows =
            |sharding: &Sharding| Sharding { dims: sharding.dims.iter().take(1).cloned().collect() };
        let values = TensorType::new(to.dtype(), [weight.rows, weight.columns]);
        let scales = TensorType::new(DType::F32, [weight.rows]);
        let scale_name = scale_name(&weight.name);
        patch.weights.push((weight.name.clone(), values.shape.clone(), wide.clone().quantised_values(to)));
        let column = wide.quantised_scales(to).reshape([weight.rows]);
        patch.weights.push((scale_name.clone(), scales.shape.clone(), column));
        let (axes, sharding) = (weight.axes.clone(), weight.sharding.clone());
        let row_axes = axes.as_ref().map(|axes| axes.iter().take(1).cloned().collect());
        let row_sharding = sharding.as_ref().map(of_rows);
        Some(Self {
            values: NewWeight { name: weight.name.clone(), ty: values, axes, sharding },
            scales: NewWeight { name: scale_name, ty: scales, axes: row_axes, sharding: row_sharding },
        })
    }

    /// The 8-bit numbers: `[out, in]`.
    pub(crate) fn values(&self, site: &Site<'_>) -> Result<Value> {
        self.values.read(site)
    }

    /// `y` (`f32[.., out]`) times the scale of each column.
    pub(crate) fn scaled(&self, site: &Site<'_>, y: Value) -> Result<Value> {
        let scales = self.scales.read(site)?;
        let shape = site.b.shape(y);
        let last = shape.rank().saturating_sub(1);
        site.b.multiply(y, site.b.broadcast_in_dim(scales, shape, &[last])?)
    }
}

/// `q_proj.weight[0:256]` → `q_proj.weight_scale[0:256]`.
pub(crate) fn scale_name(name: &str) -> String {
    match name.rsplit_once("weight") {
        Some((module, piece)) => format!("{module}weight_scale{piece}"),
        None => format!("{name}_scale"),
    }
}

/// How rows are rounded to 8-bit numbers on the way into a product.
#[derive(Clone, Copy)]
pub(crate) struct RowForm {
    /// What weights and rows become.
    pub(crate) to: QuantisedTo,
    /// The most columns whose products the sum holds.
    pub(crate) most_columns: usize,
    /// What they are called.
    pub(crate) numbers: &'static str,
    /// The type of the sum.
    pub(crate) sum: DType,
    /// `x / r`, of at most the largest of them, as such numbers.
    pub(crate) round: fn(&Site<'_>, Value) -> Result<Value>,
}

impl RowForm {
    /// Weights in this form, multiplied with rows in this form, for the rewrite of that name.
    pub(crate) fn propose(self, name: &'static str, port: &Port) -> Patch {
        let mut patch = Patch::new(name, Effect::Approximate, port);
        let (mut count, mut saved) = (0, 0);
        let mut over: BTreeMap<(usize, Value), Vec<Layer>> = BTreeMap::new();
        for weight in quantisable(port).filter(|weight| weight.columns <= self.most_columns) {
            let Some(quantised) = Quantised::add(&weight, self.to, port, &mut patch) else { continue };
            let narrow = weight.device_bytes() * self.to.dtype().bits() / weight.dtype.bits();
            (count, saved) = (count + 1, saved + weight.device_bytes() - narrow);
            for (at, op, layer) in &weight.layers {
                let layer = Layer { op: *op, linear: layer.clone(), quantised: quantised.clone() };
                over.entry((*at, layer.linear.input)).or_default().push(layer);
            }
        }
        for ((at, input), mut layers) in over {
            layers.sort_by_key(|layer| layer.op);
            if let (Some(edits), Some(program)) = (patch.edits.get_mut(at), port.programs.get(at)) {
                edits.push(self.edit(program, input, layers));
            }
        }
        patch.reason = format!(
            "{count} weights take {} MiB a device less as 8-bit {} and are multiplied with such",
            saved >> 20,
            self.numbers
        );
        patch
    }

    /// Layers over one value.
    fn edit(self, program: &Program, input: Value, layers: Vec<Layer>) -> Edit {
        Edit {
            ops: layers.iter().map(|layer| layer.op).collect(),
            results: layers.iter().flat_map(|layer| program.op(layer.op).results.clone()).collect(),
            replacement: Box::new(move |site| {
                let rows = self.rows(site, site.value(input)?)?;
                layers.iter().map(|layer| self.product(site, &rows, layer)).collect()
            }),
        }
    }

    fn rows(self, site: &Site<'_>, x: Value) -> Result<Rows> {
        let b = &site.b;
        let x = b.convert(x, DType::F32)?;
        let shape = b.shape(x);
        let last = shape.rank().saturating_sub(1);
        let [_, largest] = self.to.range();
        let scales = b.multiply_scalar(b.reduce_max(b.abs(x)?, &[last])?, 1.0 / f64::from(largest))?;
        // A row of zeros has a scale too.
        let scales = b.maximum(scales, b.full_like(scales, f64::from(f32::MIN_POSITIVE))?)?;
        let dims: Vec<usize> = (0..last).collect();
        let steps = b.divide(x, b.broadcast_in_dim(scales, shape, &dims)?)?;
        Ok(Rows { values: (self.round)(site, steps)?, scales })
    }

    fn product(self, site: &Site<'_>, rows: &Rows, layer: &Layer) -> Result<Value> {
        let b = &site.b;
        let product = b.linear(rows.values, layer.quantised.values(site)?, self.sum)?;
        let product = b.convert(product, DType::F32)?;
        let shape = b.shape(product);
        let dims: Vec<usize> = (0..shape.rank().saturating_sub(1)).collect();
        let product = b.multiply(product, b.broadcast_in_dim(rows.scales, shape, &dims)?)?;
        b.convert(layer.quantised.scaled(site, product)?, layer.linear.output.dtype)
    }
}

struct Layer {
    op: OpId,
    linear: Linear,
    quantised: Quantised,
}

/// Rows as 8-bit numbers with a scale each.
struct Rows {
    /// `[.., in]`.
    values: Value,
    /// `f32[..]`.
    scales: Value,
}
