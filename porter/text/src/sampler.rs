//! From logits to the next token.
//!
//! The warpers and their order are transformers': temperature, then top-k, then top-p, then a draw from what is left.
//! Draws come from xoshiro256++ (Blackman and Vigna, public domain) seeded through splitmix64: one 64-bit number a
//! token, its upper 53 bits as a uniform in [0, 1), against the cumulative probabilities in f64 in the order of
//! [`Sampler::candidates`]. The same seed and the same logits give the same tokens; the draws are not torch's.

use std::cmp::Ordering;

use crate::error::TextError;

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerOptions {
    /// Logits are divided by this; 0 means greedy.
    pub temperature: f32,
    /// Only the `k` best tokens stay, and those that tie with the last of them.
    pub top_k: Option<usize>,
    /// Only the best tokens stay that together reach this probability, in (0, 1]; at least one does.
    pub top_p: Option<f32>,
    /// The seed of the draws.
    pub seed: u64,
}

impl SamplerOptions {
    /// Always the best token; of equal ones the lowest id, as `torch.argmax` chooses.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, top_p: None, seed: 0 };
}

/// Chooses tokens; holds the state of the generator.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
    random: Xoshiro256PlusPlus,
}

/// A token that can be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token id.
    pub id: u32,
    /// Its probability among the candidates.
    pub probability: f64,
}

impl Sampler {
    /// Checks the options.
    pub fn new(options: SamplerOptions) -> Result<Self, TextError> {
        let wrong = |option, found, expected| Err(TextError::Option { option, found, expected });
        let SamplerOptions { temperature, top_k, top_p, seed } = options;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return wrong("temperature", temperature.to_string(), "a finite number, 0 or more");
        }
        if top_k == Some(0) {
            return wrong("top-k", "0".to_owned(), "1 or more");
        }
        if let Some(top_p) = top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return wrong("top-p", top_p.to_string(), "more than 0 and at most 1");
        }
        Ok(Self { options, random: Xoshiro256PlusPlus::seeded(seed) })
    }

    /// The next token for one row of logits, `[vocabulary]`.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, TextError> {
        if self.options.temperature == 0.0 {
            return argmax(logits);
        }
        let candidates = self.candidates(logits)?;
        let mut left = self.random.uniform();
        for candidate in &candidates {
            if left < candidate.probability {
                return Ok(candidate.id);
            }
            left -= candidate.probability;
        }
        // The probabilities sum to 1 only up to rounding.
        candidates.last().map(|candidate| candidate.id).ok_or_else(nothing_left)
    }

    /// The tokens that can be drawn, most probable first (lowest id first among equals).
    pub fn candidates(&self, logits: &[f32]) -> Result<Vec<Candidate>, TextError> {
        let best = logits.get(argmax(logits)? as usize).copied().unwrap_or_default();
        if self.options.temperature == 0.0 {
            return Ok(vec![Candidate { id: argmax(logits)?, probability: 1.0 }]);
        }
        let temperature = f64::from(self.options.temperature);
        let weight = |logit: f32| ((f64::from(logit) - f64::from(best)) / temperature).exp();
        let mut candidates: Vec<Candidate> =
            (0_u32..).zip(logits).map(|(id, &logit)| Candidate { id, probability: weight(logit) }).collect();
        if let Some(k) = self.options.top_k {
            keep_top_k(&mut candidates, k);
        }
        candidates.retain(|candidate| candidate.probability > 0.0);
        candidates.sort_unstable_by(by_rank);
        normalise(&mut candidates);
        if let Some(p) = self.options.top_p {
            keep_top_p(&mut candidates, f64::from(p));
            normalise(&mut candidates);
        }
        Ok(candidates)
    }
}

/// The id of the largest logit, the lowest of equal ones.
fn argmax(logits: &[f32]) -> Result<u32, TextError> {
    let mut best: Option<(u32, f32)> = None;
    for (id, &logit) in (0_u32..).zip(logits) {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(TextError::Logits(format!("the logit of token {id} is {logit}")));
        }
        if best.is_none_or(|(_, found)| logit > found) {
            best = Some((id, logit));
        }
    }
    match best {
        Some((id, logit)) if logit > f32::NEG_INFINITY => Ok(id),
        _ => Err(nothing_left()),
    }
}

fn nothing_left() -> TextError {
    TextError::Logits("no token has a logit above minus infinity".to_owned())
}

fn by_rank(a: &Candidate, b: &Candidate) -> Ordering {
    b.probability.total_cmp(&a.probability).then(a.id.cmp(&b.id))
}

fn keep_top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k < candidates.len() {
        let (_, last, _) = candidates.select_nth_unstable_by(k - 1, by_rank);
        let threshold = last.probability;
        candidates.retain(|candidate| candidate.probability >= threshold);
    }
}

/// Keeps tokens, best first, until the ones before the next reach `p`.
fn keep_top_p(candidates: &mut Vec<Candidate>, p: f64) {
    let mut before = 0.0;
    let kept = candidates.iter().take_while(|candidate| {
        let keep = before < p;
        before += candidate.probability;
        keep
    });
    let kept = kept.count().max(1);
    candidates.truncate(kept);
}

fn normalise(candidates: &mut [Candidate]) {
    let sum: f64 = candidates.iter().map(|candidate| candidate.probability).sum();
    for candidate in candidates {
        candidate.probability /= sum;
    }
}

/// xoshiro256++ 1.0.
#[derive(Debug, Clone)]
struct Xoshiro256PlusPlus([u64; 4]);

impl Xoshiro256PlusPlus {
    /// Fills the state with splitmix64, as its authors advise.
    fn seeded(mut seed: u64) -> Self {
        Self(std::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Uniform in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference vectors of the generators' authors, as `rand_xoshiro` tests them.
    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        let Xoshiro256PlusPlus(state) = Xoshiro256PlusPlus::seeded(1_234_567);
        let splitmix64 = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
        ];
        assert_eq!(state, splitmix64);
        let mut random = Xoshiro256PlusPlus([1, 2, 3, 4]);
        let expected =
            [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386, 9_228_616_714_210_784_205];
        assert_eq!(expected, std::array::from_fn(|_| random.next()));
    }
}
