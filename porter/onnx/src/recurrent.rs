//! What the recurrent operators share: directions, layouts, sequence lengths, activations.

use porter_ir::{Builder, DType, Direction, TensorType, Value};

use crate::place::Places;
use crate::{
    context::{Cx, One, Out},
    error::{Fault, invalid, unsupported},
    help::{arange, gather_points, index_points, matmul, spread_axis, stack},
};

/// Longer inputs are refused: time is unrolled.
const STEPS: usize = 4096;

/// One direction of a recurrent operator.
pub(crate) struct Cell<'a, 'c, 'm> {
    pub(crate) cx: &'a Cx<'c, 'm>,
    /// Weights of the recurrence `[gates * hidden, hidden]`.
    pub(crate) r: Value,
    /// Biases of input and recurrence `[2 * gates * hidden]`.
    pub(crate) bias: Option<Value>,
    /// Peepholes `[3 * hidden]`.
    pub(crate) peephole: Option<Value>,
    pub(crate) hidden: usize,
    pub(crate) activations: Vec<Activation>,
    pub(crate) clip: Option<f64>,
}

/// An activation and its two parameters.
pub(crate) type Activation = (String, Option<f64>, Option<f64>);

impl Cell<'_, '_, '_> {
    /// Part `index` of a vector of gates, over a batch.
    pub(crate) fn part(&self, v: Value, index: usize, batch: usize) -> One {
        let part = self.cx.slice_dim(
            v,
            0,
            index.saturating_mul(self.hidden),
            (index + 1).saturating_mul(self.hidden),
        )?;
        spread_axis(self.cx, part, &[batch, self.hidden], 1)
    }

    /// Gate `index` of `[batch, gates * hidden]`.
    pub(crate) fn gate(&self, x: Value, index: usize) -> One {
        Ok(self.cx.slice_dim(
            x,
            1,
            index.saturating_mul(self.hidden),
            (index + 1).saturating_mul(self.hidden),
        )?)
    }

    /// `x · r^T` for the rows of the gates `from..to`.
    pub(crate) fn recur(&self, h: Value, from: usize, to: usize) -> One {
        let r =
            self.cx.slice_dim(self.r, 0, from.saturating_mul(self.hidden), to.saturating_mul(self.hidden))?;
        matmul(self.cx, h, self.cx.transpose(r, &[1, 0])?, self.cx.dtype(h))
    }

    /// Activation `index`, of a clipped input.
    pub(crate) fn activate(&self, x: Value, index: usize) -> One {
        let cx = self.cx;
        let x = match self.clip {
            Some(clip) => cx.with(cx.with(x, clip, Builder::minimum)?, -clip, Builder::maximum)?,
            None => x,
        };
        let Some((name, alpha, beta)) = self.activations.get(index) else {
            return invalid("too few activations");
        };
        let scaled = |x: Value, by: f64| cx.with(x, by, Builder::multiply);
        match &*name.to_lowercase() {
            "sigmoid" => Ok(cx.logistic(x)?),
            "tanh" => Ok(cx.tanh(x)?),
            "relu" => cx.with(x, 0.0, Builder::maximum),
            "affine" => cx.with(scaled(x, alpha.unwrap_or(1.0))?, beta.unwrap_or(0.0), Builder::add),
            "leakyrelu" => {
                Ok(cx.select(cx.is(x, Direction::Lt, 0.0)?, scaled(x, alpha.unwrap_or(0.01))?, x)?)
            }
            "scaledtanh" => scaled(cx.tanh(scaled(x, beta.unwrap_or(1.0))?)?, alpha.unwrap_or(1.0)),
            "hardsigmoid" => {
                let line = cx.with(scaled(x, alpha.unwrap_or(0.2))?, beta.unwrap_or(0.5), Builder::add)?;
                cx.with(cx.with(line, 0.0, Builder::maximum)?, 1.0, Builder::minimum)
            }
            "softplus" => crate::ops::softplus::softplus(cx, x),
            other => unsupported(format!("activation {other:?}")),
        }
    }
}

/// Runs a recurrent operator. `step` takes the cell, the input's part `[batch, gates * hidden]` with its
/// bias, and the states; it gives the next states, the first of which is the output.
pub(crate) fn run(
    cx: &Cx<'_, '_>,
    default: &[&str],
    states: usize,
    step: impl Fn(&Cell<'_, '_, '_>, Value, &[Value]) -> Result<Vec<Value>, Fault>,
) -> Out {
    cx.ignore(&["hidden_size", "output_sequence"]);
    let layout = cx.int("layout", 0) != 0;
    let (mut x, w, r) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    if layout {
        x = cx.transpose(x, &[1, 0, 2])?;
    }
    let (&[time, batch, _], &[directions, _, hidden]) = (&cx.dims(x)[..], &cx.dims(r)[..]) else {
        return invalid("input and weights have three dimensions");
    };
    if time > STEPS || time == 0 {
        return unsupported(format!("{time} steps, expected 1 to {STEPS}"));
    }
    let lengths = match cx.opt(4)? {
        Some(lengths) => Some(cx.cast(lengths, DType::I64)?),
        None => None,
    };
    let way = cx.string("direction", "forward");
    let (alphas, betas) = (cx.floats("activation_alpha"), cx.floats("activation_beta"));
    let activations_each = default.len();
    let names = cx.strings("activations").unwrap_or_default();
    let clip = cx.float_opt("clip");
    let (mut ys, mut finals) = (Vec::new(), vec![Vec::new(); states]);
    for d in 0..directions {
        let of =
            |v: Value| -> One { cx.reshaped(cx.slice_dim(v, 0, d, d + 1)?, cx.dims(v).part(1..)?.to_vec()) };
        let activations = default
            .iter()
            .enumerate()
            .map(|(i, default)| {
                let at = d * activations_each + i;
                let name = names.get(at).map_or(*default, String::as_str).to_owned();
                let pick = |list: &Option<Vec<f64>>| list.as_ref().and_then(|l| l.get(at).copied());
                (name, pick(&alphas), pick(&betas))
            })
            .collect();
        let cell = Cell {
            cx,
            r: of(r)?,
            bias: cx.opt(3)?.map(of).transpose()?,
            peephole: if states > 1 { cx.opt(7)?.map(of).transpose()? } else { None },
            hidden,
            activations,
            clip,
        };
        let mut now: Vec<Value> = Vec::with_capacity(states);
        for i in 0..states {
            now.push(match cx.opt(5 + i)? {
                Some(start) if layout => of(cx.transpose(start, &[1, 0, 2])?)?,
                Some(start) => of(start)?,
                None => cx.full(TensorType::new(cx.dtype(x), [batch, hidden]), 0.0)?,
            });
        }
        let backwards = way == "reverse" || d == 1;
        let input = if backwards { reversed(cx, x, lengths)? } else { x };
        // The inputs of all steps at once: one product over [time, batch].
        let w = of(w)?;
        let Some(&gates) = cx.dims(w).first() else { return invalid("weights have three dimensions") };
        let mut projected = matmul(cx, input, cx.transpose(w, &[1, 0])?, cx.dtype(x))?;
        if let Some(bias) = cell.bias {
            let bias = cx.slice_dim(bias, 0, 0, gates)?;
            projected = cx.add(projected, spread_axis(cx, bias, &[time, batch, gates], 2)?)?;
        }
        let mut outputs = Vec::with_capacity(time);
        for t in 0..time {
            let part = cx.reshaped(cx.slice_dim(projected, 0, t, t + 1)?, [batch, gates])?;
            let mut next = step(&cell, part, &now)?;
            let mut output = next.at(0)?;
            if let Some(lengths) = lengths {
                let here = cx.full(TensorType::new(DType::I64, [batch]), t as f64)?;
                let live = cx.compare(here, lengths, Direction::Lt)?;
                let live = spread_axis(cx, live, &[batch, hidden], 0)?;
                output = cx.select(live, output, cx.full_like(output, 0.0)?)?;
                for (new, &old) in next.iter_mut().zip(&now) {
                    *new = cx.select(live, *new, old)?;
                }
            }
            now = next;
            outputs.push(output);
        }
        let y = stack(cx, &outputs, 0)?;
        ys.push(if backwards { reversed(cx, y, lengths)? } else { y });
        for (list, &state) in finals.iter_mut().zip(&now) {
            list.push(state);
        }
    }
    // [time, directions, batch, hidden], or [batch, time, directions, hidden].
    let y = stack(cx, &ys, 1)?;
    let y = if layout { cx.transpose(y, &[2, 0, 1, 3])? } else { y };
    let mut results = vec![y.into()];
    for list in finals {
        let state = stack(cx, &list, 0)?;
        results.push(if layout { cx.transpose(state, &[1, 0, 2])? } else { state }.into());
    }
    Ok(results)
}

/// `[time, batch, ..]` backwards: each element of the batch as far as it is long.
fn reversed(cx: &Cx<'_, '_>, x: Value, lengths: Option<Value>) -> One {
    let Some(lengths) = lengths else { return Ok(cx.reverse(x, &[0])?) };
    let shape = cx.dims(x);
    let place = arange(cx, DType::I64, &shape, 0)?;
    let length = spread_axis(cx, lengths, &shape, 1)?;
    let mirrored = cx.with(cx.subtract(length, place)?, -1.0, Builder::add)?;
    let at = cx.select(cx.compare(place, length, Direction::Lt)?, mirrored, place)?;
    gather_points(cx, x, index_points(cx, at, 0, shape.at(0)?)?)
}
