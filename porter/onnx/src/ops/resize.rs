//! `Resize`: interpolated along dimensions, by scales or sizes known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__Resize.html>
//! Versions: 10, 11, 13, 18, 19.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let mode = cx.string("mode", "nearest");
    if cx.opset < 11 {
        let scales = cx.known(cx.x(1)?)?.to_floats();
        return scaled(cx, x, &scales, &mode);
    }
    let axes = match cx.ints("axes") {
        Some(axes) => cx.axes(&axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let floats = |i: usize| -> Result<Vec<f64>, Fault> {
        match cx.opt(i)? {
            Some(v) => Ok(cx.known(v)?.to_floats()),
            None => Ok(Vec::new()),
        }
    };
    let (scales, sizes) = (floats(2)?, cx.opt_ints(3)?.unwrap_or_default());
    let form = Form {
        coordinates: cx.string("coordinate_transformation_mode", "half_pixel"),
        nearest: cx.string("nearest_mode", "round_prefer_floor"),
        cubic: cx.float("cubic_coeff_a", -0.75),
        exclude: cx.int("exclude_outside", 0) != 0,
        antialias: cx.int("antialias", 0) != 0,
        mode,
    };
    let extrapolation = cx.float("extrapolation_value", 0.0);
    let policy = cx.string("keep_aspect_ratio_policy", "stretch");
    let roi = if form.coordinates == "tf_crop_and_resize" { floats(1)? } else { Vec::new() };
    let mut ratios: Vec<f64> =
        axes
        .iter()
        .enumerate()
        .map(|(i, &axis)| Ok(sizes.get(i).map_or(1.0, |&s| s as f64) / if sizes.len() > i { shape.at(axis)? as f64 } else { 1.0 }))
        .collect::<Result<_, Fault>>()?;
    if policy != "stretch" {
        let best = if policy == "not_larger" { ratios.iter().copied().fold(f64::INFINITY, f64::min) } else { ratios.iter().copied().fold(0.0, f64::max) };
        ratios = vec![best; axes.len()];
    }
    let (mut y, mut outside) = (x, None);
    for (i, &axis) in axes.iter().enumerate() {
        let length = shape.at(axis)?;
        let (scale, size) = match (scales.get(i), sizes.get(i)) {
            (Some(&scale), _) => (scale, (length as f64 * scale).floor() as usize),
            (None, Some(_)) if policy != "stretch" => (ratios.at(i)?, (ratios.at(i)? * length as f64 + 0.5).floor() as usize),
            (None, Some(&size)) => (ratios.at(i)?, usize::try_from(size).unwrap_or(0)),
            (None, None) => return invalid("has neither scales nor sizes for every dimension"),
        };
        let region = match (roi.get(i), roi.get(axes.len() + i)) {
            (Some(&start), Some(&end)) => (start, end),
            _ => (0.0, 1.0),
        };
        listed(&[size])?;
        if (scale - 1.0).abs() < f64::EPSILON && size == length && region == (0.0, 1.0) {
            continue;
        }
        let places: Vec<f64> = (0..size).map(|i| form.place(i, length, size, scale, region)).collect();
        if form.coordinates == "tf_crop_and_resize" {
            let far: Vec<i128> = places.iter().map(|&p| i128::from(p < 0.0 || p > length as f64 - 1.0)).collect();
            let far = cx.host_constant(&Host { ty: TensorType::new(DType::Bool, [size]), data: Data::Ints(far) })?;
            outside = Some(match outside {
                Some(so_far) => cx.pair(so_far, cx.reshaped(far, one_axis(shape.len(), axis, size))?, Builder::or)?,
                None => cx.reshaped(far, one_axis(shape.len(), axis, size))?,
            });
        }
        y = form.along(cx, y, axis, &places, scale)?;
    }
    if let Some(outside) = outside {
        let fill = cx.full_like(y, extrapolation)?;
        y = cx.select(cx.spread(outside, &cx.dims(y))?, fill, y)?;
    }
    one(y)
}

/// The older operators: nearest or linear from the upper left.
pub(crate) fn scaled(cx: &Cx<'_, '_>, x: Value, scales: &[f64], mode: &str) -> Out {
    let form = Form {
        coordinates: "asymmetric".to_owned(),
        nearest: "floor".to_owned(),
        cubic: -0.75,
        exclude: false,
        antialias: false,
        mode: mode.replace("bilinear", "linear"),
    };
    let mut y = x;
    for (axis, (&scale, &length)) in scales.iter().zip(&cx.dims(x)).enumerate() {
        let size = (length as f64 * scale).floor() as usize;
        listed(&[size])?;
        if size != length {
            let places: Vec<f64> = (0..size).map(|i| i as f64 / scale).collect();
            y = form.along(cx, y, axis, &places, scale)?;
        }
    }
    one(y)
}

/// How places between elements are found and mixed.
struct Form {
    coordinates: String,
    nearest: String,
    cubic: f64,
    exclude: bool,
    antialias: bool,
    mode: String,
}

impl Form {
    /// Where output `i` lies in the input.
    fn place(&self, i: usize, length: usize, size: usize, scale: f64, (start, end): (f64, f64)) -> f64 {
        let (at, length, size) = (i as f64, length as f64, size as f64);
        match &*self.coordinates {
            "asymmetric" => at / scale,
            "align_corners" if size <= 1.0 => 0.0,
            // The scaled length counts here, not what it was rounded to.
            "align_corners" => at * (length - 1.0) / (scale * length - 1.0),
            "pytorch_half_pixel" if size <= 1.0 => -0.5,
            "half_pixel_symmetric" => {
                let adjustment = size / (scale * length);
                let centre = length / 2.0;
                centre * (1.0 - adjustment) + (at + 0.5) / scale - 0.5
            }
            "tf_crop_and_resize" if size > 1.0 => start * (length - 1.0) + at * (end - start) * (length - 1.0) / (size - 1.0),
            "tf_crop_and_resize" => 0.5 * (start + end) * (length - 1.0),
            _ => (at + 0.5) / scale - 0.5,
        }
    }

    fn along(&self, cx: &Cx<'_, '_>, x: Value, axis: usize, places: &[f64], scale: f64) -> One {
        let length = cx.dims(x).at(axis)?;
        if self.mode == "nearest" {
            let round = |p: f64| match &*self.nearest {
                "floor" => p.floor(),
                "ceil" => p.ceil(),
                "round_prefer_ceil" => (p + 0.5).floor(),
                _ => (p - 0.5).ceil(),
            };
            let at: Vec<i64> = places.iter().map(|&p| (round(p) as i64).min(length as i64 - 1).max(0)).collect();
            return crate::ops::gather::gather(cx, x, cx.constant_ints(&at)?, axis);
        }
        listed(&[places.len(), length])?;
        if self.antialias && (scale.is_nan() || scale <= 1e-4) {
            return unsupported(format!("a scale of {scale} that is smoothed"));
        }
        let weights: Vec<f64> = places.iter().flat_map(|&p| self.weights(p, length, scale)).collect();
        let wide = cx.wide(cx.dtype(x));
        let wide = if wide.is_float() { wide } else { DType::F32 };
        let ty = TensorType::new(wide, [places.len(), length]);
        let weights = cx.host_constant(&Host { ty, data: Data::Floats(weights) })?;
        let dimensions =
            DotDimensions { lhs_contracting: vec![axis], rhs_contracting: vec![1], ..DotDimensions::default() };
        let y = cx.dot_general(cx.cast(x, wide)?, weights, dimensions, wide)?;
        let last = cx.rank(y) - 1;
        let order: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
        let y = permuted(cx, y, &order)?;
        let y = if cx.dtype(x).is_float() { y } else { cx.round_nearest_even(y)? };
        cx.cast(y, cx.dtype(x))
    }

    /// What each of `length` elements weighs at a place.
    fn weights(&self, place: f64, length: usize, scale: f64) -> Vec<f64> {
        let spread = if self.antialias { scale.min(1.0) } else { 1.0 };
        let reach = if self.mode == "cubic" { 2.0 } else { 1.0 } / spread;
        let mut row = vec![0.0; length];
        let (first, last) = ((place - reach).floor() as i64, (place + reach).ceil() as i64);
        for at in first..=last {
            let weight = self.kernel((at as f64 - place) * spread);
            let inside = (0..length as i64).contains(&at);
            let slot = row.get_mut(at.min(length as i64 - 1).max(0) as usize);
            if let Some(slot) = slot.filter(|_| inside || !self.exclude) {
                *slot += weight;
            }
        }
        let total: f64 = row.iter().sum();
        if total != 0.0 {
            for weight in &mut row {
                *weight /= total;
            }
        }
        row
    }

    fn kernel(&self, x: f64) -> f64 {
        let (x, a) = (x.abs(), self.cubic);
        if self.mode != "cubic" {
            return (1.0 - x).max(0.0);
        }
        if x < 1.0 {
            ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
        } else {
            0.0
        }
    }
}
