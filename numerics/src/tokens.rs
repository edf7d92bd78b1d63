//! Greedy tokens against recorded ones.

use serde::Serialize;

use crate::{Generated, View};

/// How a greedy continuation fares against the recorded one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenComparison {
    /// The tensor's name in the bundle.
    pub name: String,
    /// The recorded token ids.
    pub expected: Vec<i64>,
    /// The token ids under test.
    pub found: Vec<i64>,
    /// Where they part.
    pub first_difference: Option<FirstDifference>,
    /// What that means.
    pub outcome: Outcome,
    /// True unless the tokens differ by more than rounding explains.
    pub pass: bool,
}

/// The first place where two continuations differ. What follows it has another prefix, so it says
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FirstDifference {
    /// Tokens before it.
    pub index: usize,
    /// The recorded token; `None` past its end.
    pub expected: Option<i64>,
    /// The token under test; `None` past its end.
    pub found: Option<i64>,
    /// By how much the reference's logits prefer the recorded token, where they were recorded. Clearly
    /// negative where the bundle contradicts itself.
    pub margin: Option<f64>,
}

/// What a difference in tokens means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No difference.
    Same,
    /// The reference prefers its token by a margin that rounding explains.
    Tie,
    /// The port rounds to a narrower type than the reference, and no margin was recorded to judge by.
    Drift,
    /// Rounding does not explain the difference.
    Differs,
}

/// How the tokens' logits may be off, when tokens are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The greatest error of one logit that passes: the logits' budget.
    pub max_abs: f64,
    /// True if the port rounds to a narrower type than the reference.
    pub narrower: bool,
}

impl TokenComparison {
    /// Compares a greedy continuation with the recorded one.
    pub fn new(recorded: &Generated<'_>, found: Vec<i64>, noise: Noise) -> Self {
        let first_difference = first_difference(&recorded.tokens, &found, recorded.logits.as_ref());
        let outcome = first_difference.map_or(Outcome::Same, |difference| judge(&difference, noise));
        Self {
            name: recorded.name.to_owned(),
            expected: recorded.tokens.clone(),
            found,
            first_difference,
            outcome,
            pass: outcome != Outcome::Differs,
        }
    }

    /// How many tokens agree before the first difference.
    pub fn agreed(&self) -> usize {
        self.first_difference.map_or(self.expected.len(), |difference| difference.index)
    }
}

fn judge(difference: &FirstDifference, noise: Noise) -> Outcome {
    match (difference.margin, difference.expected.zip(difference.found)) {
        (Some(margin), _) if margin.abs() <= 2.0 * noise.max_abs => Outcome::Tie,
        (None, Some(_)) if noise.narrower => Outcome::Drift,
        _ => Outcome::Differs,
    }
}

fn first_difference(expected: &[i64], found: &[i64], logits: Option<&View<'_>>) -> Option<FirstDifference> {
    let longer = expected.len().max(found.len());
    let index = (0..longer).find(|&i| expected.get(i) != found.get(i))?;
    let (expected, found) = (expected.get(index).copied(), found.get(index).copied());
    let margin = expected.zip(found).zip(logits).and_then(|((e, f), l)| margin(l, index, e, f));
    Some(FirstDifference { index, expected, found, margin })
}

/// By how much row `index` of `[token, vocabulary]` logits prefers one token to another.
fn margin(logits: &View<'_>, index: usize, expected: i64, found: i64) -> Option<f64> {
    let vocabulary = logits.shape().last().copied()?;
    let mut row = Vec::new();
    logits.read(index * vocabulary..(index + 1) * vocabulary, &mut row);
    let of = |token: i64| row.get(usize::try_from(token).ok()?).copied();
    Some(of(expected)? - of(found)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(found: &[i64], noise: Noise, with_logits: bool) -> TokenComparison {
        let logits = [0.0_f32, 1.0, 0.5, 0.0, 0.9, 1.0];
        let recorded = Generated {
            name: "generated",
            prompt: vec![0],
            tokens: vec![1, 2],
            logits: with_logits.then(|| View::f32(&logits, [2, 3]).unwrap()),
            greedy: true,
        };
        TokenComparison::new(&recorded, found.to_vec(), noise)
    }

    #[test]
    fn a_difference_is_judged_by_its_margin() {
        let noise = |max_abs, narrower| Noise { max_abs, narrower };
        assert_eq!(outcome(&[1, 2], noise(0.0, false), true).outcome, Outcome::Same);
        let tie = outcome(&[1, 1], noise(0.06, false), true);
        assert_eq!((tie.outcome, tie.pass, tie.agreed()), (Outcome::Tie, true, 1));
        let differs = outcome(&[1, 0], noise(0.06, true), true);
        assert_eq!((differs.outcome, differs.pass), (Outcome::Differs, false));
        let recorded = [0.0_f32, 1.0, 0.5, 9.0, 0.0, 1.0];
        let contradiction = Generated {
            name: "generated",
            prompt: vec![0],
            tokens: vec![1, 2],
            logits: Some(View::f32(&recorded, [2, 3]).unwrap()),
            greedy: true,
        };
        let judged = TokenComparison::new(&contradiction, vec![1, 0], noise(0.06, false));
        assert_eq!(judged.outcome, Outcome::Differs, "the logits prefer a token that was not recorded");
        assert_eq!(outcome(&[1, 0], noise(0.06, true), false).outcome, Outcome::Drift);
        assert_eq!(outcome(&[1, 0], noise(0.06, false), false).outcome, Outcome::Differs);
    }

    #[test]
    fn a_continuation_of_another_length_differs() {
        let noise = Noise { max_abs: 100.0, narrower: true };
        let short = outcome(&[1], noise, true);
        assert_eq!(short.outcome, Outcome::Differs);
        assert_eq!(short.first_difference.unwrap().found, None);
        assert_eq!(outcome(&[1, 2, 3], noise, true).outcome, Outcome::Differs);
        assert_eq!(
            outcome(&[1, 99], noise, true).outcome,
            Outcome::Drift,
            "a token outside the vocabulary has no margin"
        );
    }
}
