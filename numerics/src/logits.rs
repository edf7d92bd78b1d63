//! What a difference in logits means for the next token.

use std::collections::HashSet;

use porter_ir::Shape;
use rayon::prelude::*;
use serde::Serialize;

use crate::{CompareError, Positions, View};

/// How far one set of logits is from its reference as distributions over the next token.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogitsComparison {
    /// Positions that were compared: those that count and hold no NaN and no positive infinity.
    pub positions: u64,
    /// Positions that count and hold one.
    pub invalid_positions: u64,
    /// KL(reference || ours) in nats: what coding the reference's tokens by our distribution costs.
    pub kl: Divergence,
    /// KL(ours || reference) in nats.
    pub reverse_kl: Divergence,
    /// The mean share of the reference's k likeliest tokens that are among our k likeliest.
    pub top1: f64,
    /// The same of 5.
    pub top5: f64,
    /// The same of 10.
    pub top10: f64,
    /// The mean rank-biased overlap of the ten likeliest tokens of each side, with persistence 0.9,
    /// extrapolated from the depth that was compared (`RBO_EXT`: Webber, Moffat and Zobel, "A similarity
    /// measure for indefinite rankings", 2010, equation 32 at equal depths): 1 for the same tokens in the
    /// same order, 0 for none shared.
    pub rbo: f64,
    /// How well both sides predict the tokens that follow, where those are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<Perplexity>,
    /// Positions where another token is likeliest.
    pub flips: u64,
    /// Those of them where the reference's margin between the two tokens is so small that the noise
    /// explains the flip.
    pub ties: u64,
}

/// A divergence over positions, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "each field is its name")]
pub struct Divergence {
    pub mean: f64,
    pub max: f64,
}

/// Perplexities of the tokens that follow: `exp` of the mean negative log-likelihood, in nats, of the
/// token at `i + 1` under the logits at `i`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Perplexity {
    /// Tokens that were predicted.
    pub tokens: u64,
    /// Under our logits.
    pub ours: f64,
    /// Under the reference's.
    pub reference: f64,
    /// `ours / reference - 1`: above zero, the port predicts worse.
    pub change: f64,
}

/// [`compare_next`] without knowing what follows.
pub fn compare_logits(
    ours: &View<'_>,
    reference: &View<'_>,
    positions: &Positions,
    noise: f64,
) -> Result<LogitsComparison, CompareError> {
    compare_next(ours, reference, positions, noise, None)
}

/// Compares logits `[..., vocabulary]` at `positions` (masking the dimensions before the last).
/// `noise` is the greatest error of one logit that rounding explains: a flip is a tie where the
/// reference tells the two tokens apart by no more than twice that.
///
/// `ids`, the model's input `[batch, tokens]`, tells what follows a position, for perplexities; logits
/// `[batch, kept, vocabulary]` are those of the last `kept` tokens. Where ids or logits have another
/// form there are no perplexities.
pub fn compare_next(
    ours: &View<'_>,
    reference: &View<'_>,
    positions: &Positions,
    noise: f64,
    ids: Option<&View<'_>>,
) -> Result<LogitsComparison, CompareError> {
    if ours.shape() != reference.shape() {
        return Err(CompareError::Shape { ours: ours.shape().clone(), reference: reference.shape().clone() });
    }
    let vocabulary = ours.shape().last().copied().unwrap_or(1).max(1);
    let rows: Vec<usize> =
        positions.ranges(ours.shape())?.into_iter().flat_map(|range| range.step_by(vocabulary)).collect();
    let following = ids.and_then(|ids| Following::new(ids, ours.shape(), &rows));
    let compared: Vec<Option<Row>> = rows
        .par_iter()
        .map_init(
            || (Vec::new(), Vec::new()),
            |(a, b), &start| {
                ours.read(start..start + vocabulary, a);
                reference.read(start..start + vocabulary, b);
                Row::new(a, b, noise, following.as_ref().and_then(|f| f.after(start / vocabulary)))
            },
        )
        .collect();
    Ok(summarise(&compared))
}

/// The comparison at one position.
struct Row {
    kl: f64,
    reverse_kl: f64,
    overlaps: [f64; 3],
    rbo: f64,
    /// Negative log-likelihoods of the token that follows, ours and the reference's.
    likelihoods: Option<(f64, f64)>,
    flip: bool,
    tie: bool,
}

impl Row {
    /// `None` where either side is no distribution.
    fn new(ours: &[f64], reference: &[f64], noise: f64, next: Option<usize>) -> Option<Self> {
        let (p, q) = (LogSoftmax::new(reference)?, LogSoftmax::new(ours)?);
        let (top, our_top) = (top_tokens(reference), top_tokens(ours));
        let flip = top.first() != our_top.first();
        let margin = reference.get(*top.first()?)? - reference.get(*our_top.first()?)?;
        Some(Self {
            kl: divergence(reference, &p, ours, &q),
            reverse_kl: divergence(ours, &q, reference, &p),
            overlaps: [1, 5, 10].map(|k| overlap(&top, &our_top, k)),
            rbo: rank_biased_overlap(&top, &our_top),
            likelihoods: next.and_then(|n| Some((q.shift - ours.get(n)?, p.shift - reference.get(n)?))),
            flip,
            tie: flip && margin <= 2.0 * noise,
        })
    }
}

/// What turns logits into log-probabilities: `x - max - log(sum(exp(x - max)))`.
struct LogSoftmax {
    shift: f64,
}

impl LogSoftmax {
    fn new(logits: &[f64]) -> Option<Self> {
        if logits.iter().any(|x| x.is_nan()) {
            return None;
        }
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|x| (x - max).exp()).sum();
        max.is_finite().then(|| Self { shift: max + total.ln() })
    }
}

/// KL(p || q) from logits. A token that is impossible under p adds nothing; one that is impossible
/// under q alone makes it infinite. Rounding can leave a sum below zero, which no divergence is.
fn divergence(p_logits: &[f64], p: &LogSoftmax, q_logits: &[f64], q: &LogSoftmax) -> f64 {
    let term = |(x, y): (&f64, &f64)| {
        let (log_p, log_q) = (x - p.shift, y - q.shift);
        if log_p == f64::NEG_INFINITY { 0.0 } else { log_p.exp() * (log_p - log_q) }
    };
    p_logits.iter().zip(q_logits).map(term).sum::<f64>().max(0.0)
}

/// The ten likeliest tokens, likeliest first; of equals, the lower id.
fn top_tokens(logits: &[f64]) -> Vec<usize> {
    let mut top: Vec<(usize, f64)> = Vec::with_capacity(11);
    for (token, &logit) in logits.iter().enumerate() {
        if top.len() < 10 || top.last().is_some_and(|(_, least)| logit > *least) {
            let place = top.partition_point(|(_, kept)| *kept >= logit);
            top.insert(place, (token, logit));
            top.truncate(10);
        }
    }
    top.into_iter().map(|(token, _)| token).collect()
}

fn overlap(reference: &[usize], ours: &[usize], k: usize) -> f64 {
    let (reference, ours) = (reference.get(..k).unwrap_or(reference), ours.get(..k).unwrap_or(ours));
    let shared = reference.iter().filter(|token| ours.contains(token)).count();
    shared as f64 / reference.len() as f64
}

/// How much of the weight of the next rank goes to the one after it; tract's and Webber's example.
const PERSISTENCE: f64 = 0.9;

/// `RBO_EXT` of two rankings of one depth `k`: with `A_d` the share of the first `d` that both have,
/// `A_k p^k + (1 - p)/p sum(A_d p^d)`.
fn rank_biased_overlap(reference: &[usize], ours: &[usize]) -> f64 {
    let (mut sum, mut weight, mut agreement) = (0.0, 1.0, 1.0);
    for depth in 1..=reference.len() {
        weight *= PERSISTENCE;
        agreement = overlap(reference, ours, depth);
        sum += agreement * weight;
    }
    agreement * weight + (1.0 - PERSISTENCE) / PERSISTENCE * sum
}

/// Which token follows a row of logits.
struct Following {
    ids: Vec<i64>,
    tokens: usize,
    kept: usize,
    counts: HashSet<usize>,
}

impl Following {
    fn new(ids: &View<'_>, logits: &Shape, rows: &[usize]) -> Option<Self> {
        let (&[batch, tokens], &[sequences, kept, vocabulary]) = (&**ids.shape(), &**logits) else {
            return None;
        };
        let counts = rows.iter().map(|start| start / vocabulary.max(1)).collect();
        let fits = batch == sequences && kept <= tokens;
        fits.then(|| Some(Self { ids: ids.to_i64()?, tokens, kept, counts }))?
    }

    /// The token after row `row`, where both it and its place count.
    fn after(&self, row: usize) -> Option<usize> {
        let (sequence, at) = (row / self.kept, row % self.kept);
        let known = at + 1 < self.kept && self.counts.contains(&(row + 1));
        let next = self.ids.get(sequence * self.tokens + self.tokens - self.kept + at + 1)?;
        usize::try_from(*next).ok().filter(|_| known)
    }
}

fn perplexity(rows: &[&Row]) -> Option<Perplexity> {
    let known: Vec<(f64, f64)> = rows.iter().filter_map(|row| row.likelihoods).collect();
    let n = known.len() as f64;
    let of = |total: f64| (total / n).exp();
    let (ours, reference) = (of(known.iter().map(|l| l.0).sum()), of(known.iter().map(|l| l.1).sum()));
    let change = ours / reference - 1.0;
    (!known.is_empty()).then_some(Perplexity { tokens: known.len() as u64, ours, reference, change })
}

fn summarise(rows: &[Option<Row>]) -> LogitsComparison {
    let valid: Vec<&Row> = rows.iter().flatten().collect();
    let n = valid.len().max(1) as f64;
    let mean = |f: &dyn Fn(&Row) -> f64| valid.iter().map(|row| f(row)).sum::<f64>() / n;
    let over = |f: &dyn Fn(&Row) -> f64| Divergence {
        mean: mean(f),
        max: valid.iter().map(|row| f(row)).fold(0.0, f64::max),
    };
    LogitsComparison {
        positions: valid.len() as u64,
        invalid_positions: (rows.len() - valid.len()) as u64,
        kl: over(&|row| row.kl),
        reverse_kl: over(&|row| row.reverse_kl),
        top1: mean(&|row| row.overlaps[0]),
        top5: mean(&|row| row.overlaps[1]),
        top10: mean(&|row| row.overlaps[2]),
        rbo: mean(&|row| row.rbo),
        perplexity: perplexity(&valid),
        flips: valid.iter().filter(|row| row.flip).count() as u64,
        ties: valid.iter().filter(|row| row.tie).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(ours: &[f64], reference: &[f64], noise: f64) -> LogitsComparison {
        let view = |values| View::f64(values, [values.len() / 3, 3]).unwrap();
        compare_logits(&view(ours), &view(reference), &Positions::All, noise).unwrap()
    }

    #[test]
    fn equal_logits_diverge_by_nothing() {
        let x = [1.0, 2.0, 3.0, -4.0, f64::NEG_INFINITY, 0.0];
        let same = measure(&x, &x, 0.0);
        assert_eq!((same.positions, same.kl.max, same.reverse_kl.max), (2, 0.0, 0.0));
        assert_eq!((same.top1, same.top5, same.top10, same.flips), (1.0, 1.0, 1.0, 0));
        let shifted: Vec<f64> = x.iter().map(|v| v + 100.0).collect();
        assert!(measure(&shifted, &x, 0.0).kl.max < 1e-12, "a constant shift is the same distribution");
    }

    #[test]
    fn a_flip_is_a_tie_only_within_the_noise() {
        let (ours, reference) = ([0.0, 1.0, 1.01], [0.0, 1.01, 1.0]);
        assert_eq!((measure(&ours, &reference, 0.006).flips, measure(&ours, &reference, 0.006).ties), (1, 1));
        assert_eq!(measure(&ours, &reference, 0.004).ties, 0);
    }

    #[test]
    fn a_row_that_is_no_distribution_is_counted_apart() {
        let row = measure(&[f64::NAN, 0.0, 1.0, 0.0, 1.0, 2.0], &[0.0; 6], 0.0);
        assert_eq!((row.positions, row.invalid_positions), (1, 1));
        let impossible = measure(&[f64::NEG_INFINITY, 0.0, 1.0], &[0.0, 0.0, 1.0], 0.0);
        assert!(impossible.kl.max.is_infinite());
        assert!(impossible.reverse_kl.max.is_finite());
    }
}
