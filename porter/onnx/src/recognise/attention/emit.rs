//! Writing an attention that was found.

use porter_ir::{Builder, DType, Direction, OpError, TensorType, Value};
use porter_rewrite::Site;

use super::mask::Read;
use crate::recognise::{
    arrange::{Permuted, transposed},
    composites::{Scores, attention, biased_attention},
};

type Result<T> = std::result::Result<T, OpError>;

/// An attention: its operands as `[batch, heads, tokens, width]`.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) q: Permuted,
    pub(crate) k: Permuted,
    pub(crate) v: Permuted,
    /// How many numbers a value has.
    pub(crate) v_width: usize,
    /// `[batch, heads, tokens, slots]`
    pub(crate) sizes: [usize; 4],
    pub(crate) scores: Scores,
    pub(crate) terms: Vec<Read>,
    /// Whether rows that see nothing give zeros.
    pub(crate) guarded: bool,
}

impl Attention {
    /// The result: `[batch, tokens, heads · width]` where it is `joined`, else `[batch, heads, tokens, width]`.
    pub(crate) fn build(&self, site: &Site<'_>, joined: bool) -> Result<Value> {
        let b = &site.b;
        let [batch, heads, tokens, _] = self.sizes;
        let q = self.q.build(site, [0, 2, 1, 3])?;
        let k = self.k.build(site, [0, 1, 2, 3])?;
        let v = self.v.build(site, [0, 1, 2, 3])?;
        let masked = self.terms.iter().all(Read::is_mask) && self.scores.softcap.is_none();
        let (y, seeing) = if masked {
            let mask = self.mask(site)?;
            (attention(b, [q, k, v, mask], self.scores.scale)?, self.rows(b, mask, any)?)
        } else {
            let bias = self.bias(site)?;
            let open = |b: &Builder, bias| {
                let most = b.reduce_max(bias, &[3])?;
                b.compare(most, b.full_like(most, f64::NEG_INFINITY)?, Direction::Gt)
            };
            (biased_attention(b, [q, k, v, bias], self.scores)?, self.rows(b, bias, open)?)
        };
        let split = [batch, tokens, heads, self.v_width];
        let y = match seeing {
            None if joined => return Ok(y),
            None => b.reshape(y, split)?,
            Some(seeing) => {
                let y = b.reshape(y, split)?;
                b.select(self.over_result(b, seeing, &split)?, y, b.full_like(y, 0.0)?)?
            }
        };
        if joined {
            b.reshape(y, [batch, tokens, heads * self.v_width])
        } else {
            transposed(b, y, &[0, 2, 1, 3])
        }
    }

    /// Which slots a token sees: `bool[batch, tokens, slots]`.
    fn mask(&self, site: &Site<'_>) -> Result<Value> {
        let b = &site.b;
        let [batch, _, tokens, slots] = self.sizes;
        let sizes = [batch, tokens, slots];
        let mut mask = None;
        for term in &self.terms {
            let Some(seen) = term.seen(site, &[0, 2, 3], &sizes)? else { continue };
            mask = Some(match mask {
                Some(so_far) => b.and(so_far, seen)?,
                None => seen,
            });
        }
        mask.map_or_else(|| b.full(TensorType::new(DType::Bool, sizes), 1.0), Ok)
    }

    /// What is added to scores: `f32[batch, heads, tokens, slots]`, with a 1 where it does not vary.
    fn bias(&self, site: &Site<'_>) -> Result<Value> {
        let b = &site.b;
        let varies = |axis: usize| self.terms.iter().any(|term| term.along(axis));
        let mut sizes = self.sizes;
        for (axis, size) in sizes.iter_mut().enumerate().take(2) {
            if !varies(axis) {
                *size = 1;
            }
        }
        let mut bias = None;
        for term in &self.terms {
            let added = term.added(site, &[0, 1, 2, 3], &sizes)?;
            bias = Some(match bias {
                Some(so_far) => b.add(so_far, added)?,
                None => added,
            });
        }
        bias.map_or_else(|| b.full(TensorType::new(DType::F32, sizes), 0.0), Ok)
    }

    /// Which rows see something, where those that see nothing give zeros.
    fn rows(
        &self,
        b: &Builder,
        mask: Value,
        seeing: impl FnOnce(&Builder, Value) -> Result<Value>,
    ) -> Result<Option<Value>> {
        let closes = |term: &Read| term.closed().is_none_or(|closed| closed == f64::NEG_INFINITY);
        if self.guarded && self.terms.iter().any(closes) { seeing(b, mask).map(Some) } else { Ok(None) }
    }

    /// `[batch, tokens]`, or `[batch, heads, tokens]` with ones, over the result.
    fn over_result(&self, b: &Builder, rows: Value, split: &[usize]) -> Result<Value> {
        let dims: &[usize] = if b.shape(rows).rank() == 2 { &[0, 1] } else { &[0, 2, 1] };
        b.broadcast_in_dim(rows, split, dims)
    }
}

/// Whether any slot of a row of `bool[batch, tokens, slots]` is seen.
fn any(b: &Builder, mask: Value) -> Result<Value> {
    let none = b.full(TensorType::scalar(DType::Bool), 0.0)?;
    let folded = b.reduce(&[mask], &[none], &[2], |b, args| match *args {
        [so_far, element] => Ok(vec![b.or(so_far, element)?]),
        _ => Err(b.error("stablehlo.reduce", args, "the body takes 2 arguments")),
    })?;
    folded.first().copied().ok_or_else(|| b.error("attention", &[mask], "has no result"))
}
