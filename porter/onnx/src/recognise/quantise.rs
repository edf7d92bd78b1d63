//! # Quantisation
//!
//! **What.** `porter.quantize`, `porter.dequantize`, and `porter.quantize_dequantize` for a pair of both: what a QDQ
//! graph writes around each of its ops to say that a tensor is quantised there.
//!
//! **Pattern.** `(f(q) - zero) · scale`, and `clamp(round(x / scale) + zero)` as an integer of at most 16 bits; a pair
//! has the same scale and zero point. Scales and zero points are one number, or a vector along the dimension `axis`.
//! Composites take `[x, scale, zero]`; a zero point that is left out is 0.
//!
//! **Proof.** The same ops, outlined. `tests/lift/recognition.rs` runs every form.

use porter_ir::{AttributeValue, Builder, DType, Literal, OpKind, Result, TensorType, Value};
use porter_rewrite::Site;

use super::{
    Lift,
    composites::{cast, composite},
    view::{Placed, View},
};

/// The quantisation whose last op gives `root`.
pub(crate) fn find(view: &View<'_>, root: Value) -> Option<Lift> {
    pair(view, root).or_else(|| dequantize(view, root)).or_else(|| quantize(view, root))
}

/// A tensor and what it is quantised by.
struct Quantised {
    x: Value,
    scale: Placed,
    /// `None` where it is 0.
    zero: Option<Placed>,
    /// The integer type.
    dtype: DType,
}

impl Quantised {
    /// The dimension that scale and zero point lie along; `None` where they are one number. The error is for what is
    /// neither.
    fn axis(&self) -> std::result::Result<Option<usize>, ()> {
        let axes = self.scale.axes.iter().chain(self.zero.iter().flat_map(|z| &z.axes)).flatten();
        let mut found = None;
        for &axis in axes {
            if found.is_some_and(|other| other != axis) {
                return Err(());
            }
            found = Some(axis);
        }
        Ok(found)
    }

    fn same_parameters(&self, other: &Self) -> bool {
        let same = |a: &Placed, b: &Placed| a.value == b.value && a.axes == b.axes;
        let zeros = match (&self.zero, &other.zero) {
            (Some(a), Some(b)) => same(a, b),
            (None, None) => true,
            _ => false,
        };
        same(&self.scale, &other.scale) && zeros && self.dtype == other.dtype
    }
}

fn pair(view: &View<'_>, root: Value) -> Option<Lift> {
    let outer = dequantized(view, root)?;
    let inner = quantized(view, outer.x)?;
    if !outer.same_parameters(&inner) {
        return None;
    }
    let call = Call::of(view, inner, "porter.quantize_dequantize")?;
    Some(Lift::new(root, move |site| {
        call.build(site, |b, [x, scale, zero], dtype| {
            let quantized = quantize_ops(b, [x, scale, zero], dtype)?;
            dequantize_ops(b, [quantized, scale, zero], dtype)
        })
    }))
}

fn dequantize(view: &View<'_>, root: Value) -> Option<Lift> {
    let call = Call::of(view, dequantized(view, root)?, "porter.dequantize")?;
    Some(Lift::new(root, move |site| call.build(site, dequantize_ops)))
}

fn quantize(view: &View<'_>, root: Value) -> Option<Lift> {
    let call = Call::of(view, quantized(view, root)?, "porter.quantize")?;
    Some(Lift::new(root, move |site| call.build(site, quantize_ops)))
}

/// `(f32(q) - zero) · scale`
fn dequantized(view: &View<'_>, root: Value) -> Option<Quantised> {
    if view.dtype(root) != DType::F32 {
        return None;
    }
    view.either(root, OpKind::Multiply).find_map(|(whole, scale)| {
        let whole = view.one(whole, OpKind::Convert).filter(|&v| view.dtype(v) == DType::I32)?;
        let (q, zero) = match view.two(whole, OpKind::Subtract) {
            Some((q, zero)) => (q, Some(view.unspread(zero))),
            None => (whole, None),
        };
        let x = view.one(q, OpKind::Convert).filter(|&v| narrow(view.dtype(v)).is_some())?;
        let scale = view.unspread(scale);
        (view.dtype(scale.value) == DType::F32).then(|| Quantised {
            x,
            scale,
            zero: zero.map(|z| unwidened(view, z)),
            dtype: view.dtype(x),
        })
    })
}

/// `clamp(round(x / scale) + zero)`
#[allow(clippy::float_cmp, reason = "bounds are whole numbers")]
fn quantized(view: &View<'_>, root: Value) -> Option<Quantised> {
    let dtype = view.dtype(root);
    let (least, most) = narrow(dtype)?;
    let whole = view.one(view.one(root, OpKind::Convert)?, OpKind::Convert)?;
    let (low, high) = view.two(whole, OpKind::Minimum)?;
    let (inner, low) = view.two(low, OpKind::Maximum)?;
    let bounded = view.scalar(low)? == least && view.scalar(high)? == most;
    let (rounded, zero) = match view.two(inner, OpKind::Add) {
        Some((rounded, zero)) => (rounded, Some(unwidened(view, view.unspread(zero)))),
        None => (inner, None),
    };
    let (x, scale) = view.two(view.one(rounded, OpKind::RoundNearestEven)?, OpKind::Divide)?;
    (bounded && view.dtype(x) == DType::F32).then(|| Quantised {
        x,
        scale: view.unspread(scale),
        zero,
        dtype,
    })
}

/// A zero point before it was converted.
fn unwidened(view: &View<'_>, zero: Placed) -> Placed {
    match view.one(zero.value, OpKind::Convert) {
        Some(inner) => {
            let under = view.unspread(inner);
            let through = |axis: Option<usize>| axis.and_then(|i| zero.axes.get(i).copied().flatten());
            Placed { value: under.value, axes: under.axes.iter().map(|&axis| through(axis)).collect() }
        }
        None => zero,
    }
}

/// The least and the greatest value of an integer type that tensors are quantised to.
fn narrow(dtype: DType) -> Option<(f64, f64)> {
    let span = 2.0_f64.powi(i32::try_from(dtype.bits()).ok()?);
    match dtype {
        DType::I4 | DType::I8 | DType::I16 => Some((-span / 2.0, span / 2.0 - 1.0)),
        DType::U4 | DType::U8 | DType::U16 => Some((0.0, span - 1.0)),
        _ => None,
    }
}

/// A composite to be built.
struct Call {
    name: &'static str,
    quantised: Quantised,
    axis: Option<usize>,
    shape: Vec<usize>,
}

impl Call {
    fn of(view: &View<'_>, quantised: Quantised, name: &'static str) -> Option<Self> {
        let axis = quantised.axis().ok()?;
        let zeros_fit = quantised.zero.as_ref().is_none_or(|z| view.dtype(z.value) == quantised.dtype);
        let shape = view.dims(quantised.x).to_vec();
        zeros_fit.then_some(Self { name, quantised, axis, shape })
    }

    /// The composite, whose `body` gets the tensor, and scale and zero point repeated to its shape.
    fn build(
        &self,
        site: &Site<'_>,
        body: impl FnOnce(&Builder, [Value; 3], DType) -> Result<Value>,
    ) -> Result<Value> {
        let b = &site.b;
        let (axes, sizes): (Vec<usize>, Vec<usize>) =
            self.axis.iter().map(|&axis| (axis, self.shape.get(axis).copied().unwrap_or(1))).unzip();
        let dtype = self.quantised.dtype;
        let scale = self.quantised.scale.build(site, &axes, &sizes)?;
        let zero = if let Some(zero) = &self.quantised.zero {
            zero.build(site, &axes, &sizes)?
        } else {
            let literal = Literal::splat_i64(TensorType::new(dtype, sizes.clone()), 0);
            b.constant(literal.map_err(|e| b.error("quantize", &[], e.to_string()))?)?
        };
        let mut attributes = Vec::new();
        if let Some(axis) = self.axis {
            attributes.push(("axis".to_owned(), AttributeValue::I64(i64::try_from(axis).unwrap_or(0))));
        }
        let x = site.value(self.quantised.x)?;
        composite(b, self.name, attributes, [x, scale, zero], |b, [x, scale, zero]| {
            let wide = |v| b.broadcast_to(v, self.shape.clone(), &axes);
            body(b, [x, wide(scale)?, wide(zero)?], dtype)
        })
    }
}

fn quantize_ops(b: &Builder, [x, scale, zero]: [Value; 3], dtype: DType) -> Result<Value> {
    let (least, most) = narrow(dtype).unwrap_or((0.0, 0.0));
    let rounded = b.round_nearest_even(b.divide(x, scale)?)?;
    let whole = b.add(rounded, b.convert(zero, DType::F32)?)?;
    let bounded = b.maximum(whole, b.full_like(whole, least)?)?;
    let bounded = b.minimum(bounded, b.full_like(bounded, most)?)?;
    b.convert(b.convert(bounded, DType::I32)?, dtype)
}

fn dequantize_ops(b: &Builder, [q, scale, zero]: [Value; 3], _: DType) -> Result<Value> {
    let centred = b.subtract(b.convert(q, DType::I32)?, b.convert(zero, DType::I32)?)?;
    b.multiply(cast(b, centred, DType::F32)?, scale)
}
