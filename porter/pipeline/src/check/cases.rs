//! Inputs that a language model is checked on where nobody recorded any.

use porter_zoo::{Dimensions, Task};

use super::Inputs;

/// One generated case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// The case's name in reports; empty for the plain one.
    pub(super) name: &'static str,
    /// Arguments, each `[rows, tokens]` in row-major order.
    pub(super) inputs: Vec<(&'static str, Vec<i64>)>,
    pub(super) rows: usize,
    pub(super) tokens: usize,
    /// Tokens that the cached path is given one by one after the first row.
    pub(super) forced: Vec<i64>,
}

/// Tokens of a short case.
const SHORT: usize = 24;
/// Tokens that the cached path is given.
const FORCED: usize = 8;
/// Tokens of the long case, unless a window or the model's positions ask for fewer or more.
const LONG: usize = 192;
/// The most tokens of any case: what a laptop runs in double precision in seconds.
const MOST: usize = 1024;
/// Tokens past the end of a sliding window.
const PAST: usize = 32;

/// The cases for a model.
pub(super) fn samples(task: Task, dimensions: &Dimensions, inputs: Inputs) -> Vec<Sample> {
    let tokens = Tokens { vocabulary: dimensions.vocab_size as i64 };
    let most = dimensions.max_positions.min(MOST);
    let mut samples = match task {
        Task::Encode => encoder(&tokens, most, inputs),
        Task::Generate => decoder(&tokens, dimensions, most, inputs),
    };
    samples.retain(|sample| sample.tokens > 0);
    samples
}

fn decoder(tokens: &Tokens, dimensions: &Dimensions, most: usize, inputs: Inputs) -> Vec<Sample> {
    let room = most.saturating_sub(FORCED);
    let short = SHORT.min(room);
    let plain = Sample::of("", 1, short, tokens.random(1, short)).forcing(tokens.random(2, FORCED));
    let padded = tokens.left_padded("padded", short);
    if inputs == Inputs::Standard {
        return vec![plain, padded];
    }
    let window = dimensions.window.map_or(LONG, |window| LONG.max(window + PAST));
    let long = window.min(room);
    let mut samples = vec![
        plain,
        padded,
        tokens.right_padded("right_padded", short),
        Sample::of("repeated", 1, short, vec![tokens.vocabulary / 2; short]).forcing(vec![
            tokens.vocabulary
                / 2;
            FORCED
        ]),
        Sample::of("special", 1, short, tokens.special(short)),
        Sample::of("batch", 3, short, tokens.random(3, 3 * short)),
        // The same rows in another order: what one row holds is no business of the others.
        Sample::of("permuted", 3, short, rotate(&tokens.random(3, 3 * short), short)),
        Sample::of("long", 1, long, tokens.random(4, long)).forcing(tokens.random(5, FORCED)),
    ];
    let ends = [
        ("far", Some(dimensions.max_positions)),
        ("past_original", dimensions.original_positions.map(|p| p + short / 2)),
    ];
    for (name, end) in ends {
        // A short sequence that ends there: what positions do shows without the work of a long one.
        if let Some(start) = end.and_then(|end| end.checked_sub(short)).filter(|&start| start > 0) {
            let positions = (start..start + short).map(|p| p as i64).collect();
            samples.push(Sample::of(name, 1, short, tokens.random(6, short)).with("position_ids", positions));
        }
    }
    samples
}

fn encoder(tokens: &Tokens, most: usize, inputs: Inputs) -> Vec<Sample> {
    let short = SHORT.min(most);
    let segments = |rows| {
        let row = (0..short).map(|i| i64::from(i >= short / 2));
        row.collect::<Vec<_>>().repeat(rows)
    };
    let plain = Sample::of("", 1, short, tokens.random(1, short)).with("token_type_ids", segments(1));
    let padded = tokens.right_padded("padded", short).with("token_type_ids", segments(2));
    if inputs == Inputs::Standard {
        return vec![plain, padded];
    }
    let long = LONG.max(most / 2).min(most);
    vec![
        plain,
        padded,
        tokens.left_padded("left_padded", short),
        Sample::of("repeated", 1, short, vec![tokens.vocabulary / 2; short]),
        Sample::of("special", 1, short, tokens.special(short)),
        Sample::of("batch", 3, short, tokens.random(3, 3 * short)),
        Sample::of("permuted", 3, short, rotate(&tokens.random(3, 3 * short), short)),
        Sample::of("long", 1, long, tokens.random(4, long)),
    ]
}

/// The rows in another order: the first comes last.
fn rotate(rows: &[i64], row: usize) -> Vec<i64> {
    let (first, rest) = rows.split_at(row.min(rows.len()));
    [rest, first].concat()
}

impl Sample {
    fn of(name: &'static str, rows: usize, tokens: usize, ids: Vec<i64>) -> Self {
        Self { name, inputs: vec![("input_ids", ids)], rows, tokens, forced: Vec::new() }
    }

    fn with(mut self, argument: &'static str, values: Vec<i64>) -> Self {
        self.inputs.push((argument, values));
        self
    }

    fn forcing(self, forced: Vec<i64>) -> Self {
        Self { forced, ..self }
    }
}

/// Token ids of a vocabulary.
struct Tokens {
    vocabulary: i64,
}

impl Tokens {
    /// `count` ids from all of the vocabulary, the same for one seed always: a linear congruential
    /// generator (Knuth's constants, as in MMIX).
    fn random(&self, seed: u64, count: usize) -> Vec<i64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as i64) % self.vocabulary.max(1)
        })
        .take(count)
        .collect()
    }

    /// The ids at both ends of the vocabulary, where special tokens are, in turn with others.
    fn special(&self, count: usize) -> Vec<i64> {
        let random = self.random(7, count);
        let end = |i: usize| match i % 4 {
            0 => Some((i as i64 / 4) % self.vocabulary.max(1)),
            2 => Some(self.vocabulary - 1 - (i as i64 / 4) % self.vocabulary.max(1)),
            _ => None,
        };
        random.iter().enumerate().map(|(i, &id)| end(i).unwrap_or(id)).collect()
    }

    /// Two rows of which the second is shorter, with padding at its left.
    fn left_padded(&self, name: &'static str, tokens: usize) -> Sample {
        let gone = tokens / 3;
        let mask = (0..2 * tokens).map(|i| i64::from(!(tokens..tokens + gone).contains(&i)));
        Sample::of(name, 2, tokens, self.random(8, 2 * tokens)).with("attention_mask", mask.collect())
    }

    /// Two rows of which the second is shorter, with padding at its right.
    fn right_padded(&self, name: &'static str, tokens: usize) -> Sample {
        let kept = 2 * tokens - tokens / 3;
        let mask = (0..2 * tokens).map(|i| i64::from(i < kept));
        Sample::of(name, 2, tokens, self.random(9, 2 * tokens)).with("attention_mask", mask.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Dimensions = Dimensions {
        vocab_size: 389,
        hidden_size: 60,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 15,
        max_positions: 256,
        window: Some(16),
        original_positions: Some(64),
    };

    #[test]
    fn every_case_is_within_the_model() {
        for (task, inputs) in [Task::Generate, Task::Encode]
            .into_iter()
            .flat_map(|task| [Inputs::Standard, Inputs::Hard].map(|inputs| (task, inputs)))
        {
            for sample in samples(task, &MODEL, inputs) {
                assert!(sample.tokens + sample.forced.len() <= MODEL.max_positions, "{}", sample.name);
                for (name, values) in &sample.inputs {
                    assert_eq!(values.len(), sample.rows * sample.tokens, "{} of {}", name, sample.name);
                    let limit = if *name == "position_ids" { MODEL.max_positions } else { MODEL.vocab_size };
                    assert!(values.iter().all(|v| (0..limit as i64).contains(v)), "{}", sample.name);
                }
            }
        }
    }

    #[test]
    fn hard_cases_go_past_the_window_the_original_positions_and_to_the_end() {
        let hard = samples(Task::Generate, &MODEL, Inputs::Hard);
        let of = |name: &str| hard.iter().find(|sample| sample.name == name).unwrap();
        assert!(of("long").tokens > MODEL.window.unwrap());
        let last = |name: &str| *of(name).inputs[1].1.last().unwrap();
        assert_eq!(last("far"), 255);
        assert!(last("past_original") > 64 && of("past_original").inputs[1].1[0] < 64);
        let (batch, permuted) = (&of("batch").inputs[0].1, &of("permuted").inputs[0].1);
        assert_eq!(batch[..SHORT], permuted[2 * SHORT..]);
    }

    #[test]
    fn a_model_with_few_positions_gets_short_cases() {
        let small = Dimensions { max_positions: 16, window: None, original_positions: None, ..MODEL };
        for sample in samples(Task::Generate, &small, Inputs::Hard) {
            assert!(sample.tokens + sample.forced.len() <= 16, "{}", sample.name);
        }
    }
}
