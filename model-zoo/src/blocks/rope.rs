//! The frequencies of rotary position embeddings, and their five ways to stretch a context.
//!
//! `RoFormer` (arXiv:2104.09864); linear interpolation (arXiv:2306.15595), dynamic NTK scaling,
//! YaRN (arXiv:2309.00071), `LongRoPE` (arXiv:2402.13753) and Llama 3.1's bands, as
//! `transformers.modeling_rope_utils` of 5.23 computes them.
//!
//! # Precision
//! transformers computes frequencies in `f32`, and so does this module, operation by operation and
//! in the same order: at position 100 000 an `f64` table would differ from the reference by 0.01
//! radians. Scalars that Python computes are `f64` here too. The one difference is `pow`, which is
//! correctly rounded here and within one unit in the last place there.

use std::f64::consts::{PI, TAU};

/// A rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    /// Numbers in a head, all of them rotated.
    pub(crate) dim: usize,
    /// The base of the frequencies.
    pub(crate) theta: f64,
    /// How the context is stretched.
    pub(crate) scaling: Scaling,
}

/// How a rotary embedding is stretched beyond the context that it was trained on. The fields are
/// the keys of `rope_parameters`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scaling {
    Default,
    Linear {
        factor: f64,
    },
    Dynamic {
        factor: f64,
        max_position_embeddings: usize,
    },
    Yarn {
        factor: f64,
        original_max_position_embeddings: usize,
        attention_factor: Option<f64>,
        beta_fast: f64,
        beta_slow: f64,
        mscale: Option<f64>,
        mscale_all_dim: Option<f64>,
        truncate: bool,
    },
    LongRope {
        factor: f64,
        original_max_position_embeddings: usize,
        attention_factor: Option<f64>,
        short_factor: Vec<f64>,
        long_factor: Vec<f64>,
    },
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_position_embeddings: usize,
    },
}

impl Rope {
    /// Radians a position, `dim / 2` of them, for sequences of at most `length` positions. Only
    /// dynamic scaling and `LongRoPE` depend on the length.
    pub(crate) fn inv_freq(&self, length: usize) -> Vec<f32> {
        match &self.scaling {
            Scaling::Default => inverses(&self.powers(self.theta)),
            Scaling::Linear { factor } => self.map(|f| f / *factor as f32),
            &Scaling::Dynamic { factor, max_position_embeddings } => {
                let original = max_position_embeddings as f64;
                let stretch = factor * length.max(max_position_embeddings) as f64 / original - (factor - 1.0);
                inverses(&self.powers(self.theta * stretch.powf(self.ntk_exponent())))
            }
            Scaling::Yarn { .. } => self.yarn(),
            Scaling::LongRope { original_max_position_embeddings, short_factor, long_factor, .. } => {
                let long = length > *original_max_position_embeddings;
                let factors = if long { long_factor } else { short_factor };
                let powers = self.powers(self.theta);
                powers.iter().zip(factors).map(|(&p, &f)| 1.0 / (f as f32 * p)).collect()
            }
            &Scaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let original = original_max_position_embeddings as f64;
                self.map(|f| llama3(f, factor as f32, low_freq_factor, high_freq_factor, original))
            }
        }
    }

    /// What each frequency is divided by, as llama.cpp keeps Llama 3's bands (`generate_extra_tensors` of
    /// `LlamaModel`), computed in `f32` as there. `None` where nothing is divided, or by the same for
    /// all lengths and in another way.
    pub(crate) fn frequency_factors(&self) -> Option<Vec<f32>> {
        match &self.scaling {
            &Scaling::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings,
            } => {
                let original = original_max_position_embeddings as f64;
                let frequencies = inverses(&self.powers(self.theta));
                let factors = frequencies.iter().map(|&f| llama3_factor(f, factor, low, high, original));
                Some(factors.collect())
            }
            Scaling::LongRope { short_factor, long_factor, .. } if short_factor == long_factor => {
                Some(short_factor.iter().map(|&factor| factor as f32).collect())
            }
            _ => None,
        }
    }

    /// The same embedding as Llama 3's bands, where its factors are those of bands from 1 to 4, which
    /// every published one has. Factors may be apart by what rounding a power and five operations of
    /// `f32` makes of them.
    pub(crate) fn with_bands(&self) -> Option<Self> {
        let Scaling::LongRope { attention_factor: Some(1.0), .. } = self.scaling else { return None };
        let factors = self.frequency_factors()?;
        let factor = f64::from(factors.iter().copied().fold(1.0, f32::max));
        let frequencies = inverses(&self.powers(self.theta));
        let blended = frequencies.iter().zip(&factors).find(|(_, f)| **f > 1.0 && f64::from(**f) < factor);
        let (&frequency, &divisor) = blended?;
        let smooth = (1.0 / f64::from(divisor) - 1.0 / factor) / (1.0 - 1.0 / factor);
        let original = (TAU / f64::from(frequency) * (1.0 + 3.0 * smooth)).round();
        let scaling = Scaling::Llama3 {
            factor,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: original as usize,
        };
        let bands = Self { scaling, ..self.clone() };
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 8.0 * f32::EPSILON * b.abs();
        bands.frequency_factors()?.iter().zip(&factors).all(near).then_some(bands)
    }

    /// Positions before the embedding is stretched; `None` where it never is.
    pub(crate) fn original_positions(&self) -> Option<usize> {
        match self.scaling {
            Scaling::Default | Scaling::Linear { .. } => None,
            Scaling::Dynamic { max_position_embeddings, .. } => Some(max_position_embeddings),
            Scaling::Yarn { original_max_position_embeddings, .. }
            | Scaling::LongRope { original_max_position_embeddings, .. }
            | Scaling::Llama3 { original_max_position_embeddings, .. } => {
                Some(original_max_position_embeddings)
            }
        }
    }

    /// What cosines and sines are multiplied by.
    pub(crate) fn attention_factor(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { factor, attention_factor, mscale, mscale_all_dim, .. } => attention_factor
                .unwrap_or_else(|| match (mscale, mscale_all_dim) {
                    (Some(m), Some(all)) if m != 0.0 && all != 0.0 => {
                        yarn_mscale(factor, m) / yarn_mscale(factor, all)
                    }
                    _ => yarn_mscale(factor, 1.0),
                }),
            Scaling::LongRope { factor, attention_factor, original_max_position_embeddings, .. } => {
                let suggested = || {
                    let original = original_max_position_embeddings as f64;
                    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() }
                };
                attention_factor.unwrap_or_else(suggested)
            }
            _ => 1.0,
        }
    }

    /// The exponent by which dynamic scaling stretches theta.
    pub(crate) fn ntk_exponent(&self) -> f64 {
        self.dim as f64 / (self.dim as f64 - 2.0)
    }

    /// The exponents of theta: `0, 2/dim, 4/dim, ...`.
    pub(crate) fn exponents(&self) -> impl Iterator<Item = f32> {
        let dim = self.dim;
        (0..dim / 2).map(move |i| (2 * i) as f32 / dim as f32)
    }

    fn powers(&self, theta: f64) -> Vec<f32> {
        let base = f64::from(theta as f32);
        self.exponents().map(|e| base.powf(f64::from(e)) as f32).collect()
    }

    fn map(&self, f: impl Fn(f32) -> f32) -> Vec<f32> {
        inverses(&self.powers(self.theta)).into_iter().map(f).collect()
    }

    /// Low frequencies are interpolated, high ones kept, those between blended along a ramp.
    fn yarn(&self) -> Vec<f32> {
        let Scaling::Yarn {
            factor, original_max_position_embeddings, beta_fast, beta_slow, truncate, ..
        } = self.scaling
        else {
            return Vec::new();
        };
        let correction = |rotations: f64| {
            let original = original_max_position_embeddings as f64;
            self.dim as f64 * (original / (rotations * TAU)).ln() / (2.0 * self.theta.ln())
        };
        let (low, high) = (correction(beta_fast), correction(beta_slow));
        let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(self.dim as f64 - 1.0));
        #[allow(clippy::float_cmp, reason = "the reference guards exactly this division by zero")]
        let span = if low == high { 0.001 } else { high - low };
        let powers = self.powers(self.theta);
        let ramp = (0..powers.len()).map(|i| ((i as f32 - low as f32) / span as f32).clamp(0.0, 1.0));
        let blend = |(&p, ramp): (&f32, f32)| {
            let extrapolation = 1.0 - ramp;
            1.0 / (factor as f32 * p) * (1.0 - extrapolation) + 1.0 / p * extrapolation
        };
        powers.iter().zip(ramp).map(blend).collect()
    }
}

fn inverses(powers: &[f32]) -> Vec<f32> {
    powers.iter().map(|p| 1.0 / p).collect()
}

fn yarn_mscale(scale: f64, mscale: f64) -> f64 {
    if scale <= 1.0 { 1.0 } else { 0.1 * mscale * scale.ln() + 1.0 }
}

fn llama3(inv_freq: f32, factor: f32, low: f64, high: f64, original: f64) -> f32 {
    let wavelen = (2.0 * PI) as f32 / inv_freq;
    if wavelen > (original / low) as f32 {
        inv_freq / factor
    } else if wavelen < (original / high) as f32 {
        inv_freq
    } else {
        let smooth = (original as f32 / wavelen - low as f32) / (high - low) as f32;
        (1.0 - smooth) * inv_freq / factor + smooth * inv_freq
    }
}

fn llama3_factor(frequency: f32, factor: f64, low: f64, high: f64, original: f64) -> f32 {
    let wavelen = TAU as f32 / frequency;
    if wavelen < (original / high) as f32 {
        1.0
    } else if wavelen > (original / low) as f32 {
        factor as f32
    } else {
        let smooth = (original as f32 / wavelen - low as f32) / (high - low) as f32;
        1.0 / ((1.0 - smooth) / factor as f32 + smooth)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::config::{Reader, read_rope};

    /// `tests/data/record.py` records what transformers computes for each rope type.
    #[test]
    fn frequencies_are_those_of_transformers() {
        let recorded: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/rope.json")).unwrap();
        for case in &recorded {
            let number = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
            let mut reader = Reader::new(case.as_object().unwrap());
            let rope = read_rope(&mut reader, number("head_dim"), number("max_position_embeddings"));
            let name = &case["rope_parameters"];
            let factor = case["attention_factor"].as_f64().unwrap();
            assert!((rope.attention_factor() - factor).abs() < 1e-12, "{name}: attention factor");

            let expected: Vec<f32> = serde_json::from_value(case["inv_freq"].clone()).unwrap();
            let found = rope.inv_freq(number("length"));
            assert_eq!(found.len(), expected.len());
            for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
                // Three roundings apart at most: pow, and what follows it.
                assert!((f - e).abs() <= 3.0 * f32::EPSILON * e, "{name}: {i}: found {f}, expected {e}");
            }
        }
        assert_eq!(recorded.len(), 18);
    }
}
