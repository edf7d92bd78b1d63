//! Terms as masks, where they are masks.

use porter_ir::{Builder, DType, Literal, OpError, OpKind, TensorType, Value};
use porter_rewrite::Site;

use super::scores::{Term, is_closed};
use crate::recognise::view::{Placed, View};

/// A term over `[batch, heads, tokens, slots]`.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    /// Where this is `open`, a slot is seen; elsewhere scores are `closed`.
    Mask { mask: Placed, open: bool, closed: f64 },
    /// As a mask, with known elements: true where a slot is seen.
    Known { seen: Vec<bool>, shape: Vec<usize>, placed: Placed, closed: f64 },
    /// Numbers that are added.
    Bias(Placed),
}

/// What the terms are; `None` where one of them is not over the scores' shape.
pub(crate) fn read(view: &View<'_>, terms: &[Term], sizes: [usize; 4]) -> Option<Vec<Read>> {
    terms.iter().map(|&term| read_one(view, term).filter(|_| covers(view, term, sizes))).collect()
}

fn covers(view: &View<'_>, term: Term, sizes: [usize; 4]) -> bool {
    let (Term::Added(value) | Term::Chosen { mask: value, .. }) = term;
    view.dims(value) == sizes
}

fn read_one(view: &View<'_>, term: Term) -> Option<Read> {
    match term {
        Term::Chosen { mask, open, closed } => {
            (closed <= -1e30).then(|| Read::Mask { mask: view.unspread(mask), open, closed })
        }
        Term::Added(value) => {
            let placed = view.unspread(value);
            let inner = Placed { value: view.unconverted(placed.value), ..placed };
            let mask = chosen(view, &inner).or_else(|| known(view, &inner));
            Some(mask.unwrap_or(Read::Bias(inner)))
        }
    }
}

/// `where(mask, 0, closed)`, or the other way round.
fn chosen(view: &View<'_>, term: &Placed) -> Option<Read> {
    let &[mask, a, b] = &view.is(term.value, OpKind::Select)?.operands[..] else { return None };
    let (open, closed) = match (view.scalar(a)?, view.scalar(b)?) {
        (0.0, closed) => (true, closed),
        (closed, 0.0) => (false, closed),
        _ => return None,
    };
    let whole = view.dims(mask) == view.dims(term.value);
    (whole && is_closed(view, term.value, closed)).then(|| Read::Mask {
        mask: Placed { value: mask, axes: term.axes.clone() },
        open,
        closed,
    })
}

/// Zeros and numbers that close, all known.
fn known(view: &View<'_>, term: &Placed) -> Option<Read> {
    let values = view.values(term.value)?.to_floats();
    let closed = values.iter().copied().filter(|&x| x != 0.0).fold(f64::NEG_INFINITY, f64::max);
    let masks = values.iter().all(|&x| x == 0.0 || is_closed(view, term.value, x));
    let seen = values.iter().map(|&x| x == 0.0).collect();
    let shape = view.dims(term.value).to_vec();
    masks.then(|| Read::Known { seen, shape, placed: term.clone(), closed })
}

impl Read {
    /// Whether the term says which slots are seen and no more, the same for all heads.
    pub(crate) fn is_mask(&self) -> bool {
        match self {
            Read::Mask { mask, .. } => !mask.along(1),
            Read::Known { placed, .. } => !placed.along(1),
            Read::Bias(_) => false,
        }
    }

    /// The score of what is not seen.
    pub(crate) fn closed(&self) -> Option<f64> {
        match self {
            Read::Mask { closed, .. } | Read::Known { closed, .. } => Some(*closed),
            Read::Bias(_) => None,
        }
    }

    /// Whether the term varies along a dimension.
    pub(crate) fn along(&self, axis: usize) -> bool {
        match self {
            Read::Mask { mask: placed, .. } | Read::Known { placed, .. } | Read::Bias(placed) => {
                placed.along(axis)
            }
        }
    }

    /// True where a slot is seen, over the dimensions `axes`, of `sizes`.
    pub(crate) fn seen(
        &self,
        site: &Site<'_>,
        axes: &[usize],
        sizes: &[usize],
    ) -> Result<Option<Value>, OpError> {
        let b = &site.b;
        Ok(match self {
            Read::Mask { mask, open, .. } => {
                let mask = mask.build(site, axes, sizes)?;
                Some(if *open { mask } else { b.not(mask)? })
            }
            Read::Known { seen, shape, placed, .. } => {
                Some(placed.over(b, constant(b, seen, shape)?, axes, sizes)?)
            }
            Read::Bias(_) => None,
        })
    }

    /// What is added to scores, `f32` over the dimensions `axes`, of `sizes`.
    pub(crate) fn added(&self, site: &Site<'_>, axes: &[usize], sizes: &[usize]) -> Result<Value, OpError> {
        let b = &site.b;
        if let Read::Bias(placed) = self {
            let bias = placed.build(site, axes, sizes)?;
            return if b.dtype(bias) == DType::F32 { Ok(bias) } else { b.convert(bias, DType::F32) };
        }
        let ty = TensorType::new(DType::F32, sizes.to_vec());
        let closed = b.full(ty.clone(), self.closed().unwrap_or(0.0))?;
        match self.seen(site, axes, sizes)? {
            Some(seen) => b.select(seen, b.full(ty, 0.0)?, closed),
            None => Ok(closed),
        }
    }
}

fn constant(b: &Builder, seen: &[bool], shape: &[usize]) -> Result<Value, OpError> {
    let bytes: Vec<u8> = seen.iter().map(|&x| u8::from(x)).collect();
    let literal = Literal::from_bytes(TensorType::new(DType::Bool, shape.to_vec()), bytes);
    b.constant(literal.map_err(|e| b.error("attention", &[], e.to_string()))?)
}
