//! For which prompt lengths prefill programs are worth having.

use std::collections::BTreeMap;

use serde::Serialize;

/// Prompts by their length in tokens: how many there are of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts(BTreeMap<usize, u64>);

/// A choice of programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Buckets {
    /// Tokens that each program reads, ascending. A prompt runs in the first that holds it.
    pub sizes: Vec<usize>,
    /// Tokens of padding, as a share of all tokens that are read.
    pub padding: f64,
}

/// Why a text is no histogram.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "line {line}: {found:?}\nexpected: a prompt's tokens, and how many prompts have that length if more than one: 512 37"
)]
pub struct PromptsError {
    /// The line, from 1.
    line: usize,
    /// What stands there.
    found: String,
}

impl Prompts {
    /// Reads a line for each length, or for each prompt: `LENGTH [COUNT]`. Empty lines are skipped.
    pub fn parse(text: &str) -> Result<Self, PromptsError> {
        let mut prompts = Self::default();
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let refuse = || PromptsError { line: i + 1, found: line.chars().take(80).collect() };
            let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
            let (length, count) = match numbers.map_err(|_| refuse())?[..] {
                [length] => (length, 1),
                [length, count] if count > 0 => (length, count),
                _ => return Err(refuse()),
            };
            let length = usize::try_from(length).ok().filter(|&length| length > 0).ok_or_else(refuse)?;
            let all = prompts.0.entry(length).or_insert(0);
            *all = all.saturating_add(count);
        }
        Ok(prompts)
    }

    /// The longest; none where there are no prompts.
    pub fn longest(&self) -> Option<usize> {
        self.0.last_key_value().map(|(&length, _)| length)
    }

    /// For 1, 2, ... up to `most` programs the sizes with the least padding, as long as one more brings
    /// something. Sizes are multiples of `tile` tokens, which is what a program reads at no further cost.
    pub fn buckets(&self, tile: usize, most: usize) -> Vec<Buckets> {
        let tile = tile.max(1);
        // Prompts and their tokens by the size that holds them.
        let mut by_size: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for (&length, &count) in &self.0 {
            let (prompts, tokens) = by_size.entry(length.div_ceil(tile).saturating_mul(tile)).or_default();
            *prompts += count as f64;
            *tokens += length as f64 * count as f64;
        }
        let sizes: Vec<usize> = by_size.keys().copied().collect();
        let prompts: Vec<f64> = by_size.values().map(|(prompts, _)| *prompts).collect();
        let tokens: f64 = by_size.values().map(|(_, tokens)| tokens).sum();
        let mut chosen: Vec<Buckets> = Vec::new();
        for (read, sizes) in fewest_tokens(&sizes, &prompts, most) {
            let padding = 1.0 - tokens / read;
            if chosen.last().is_some_and(|last| padding >= last.padding) {
                break;
            }
            chosen.push(Buckets { sizes, padding });
        }
        chosen
    }
}

/// For 1 to `most` of `sizes` the choice that reads the fewest tokens, where `prompts[i]` need `sizes[i]`: the
/// largest is always among them. The best choice that ends at a size is the best that ends at a smaller one,
/// and that size.
fn fewest_tokens(sizes: &[usize], prompts: &[f64], most: usize) -> Vec<(f64, Vec<usize>)> {
    let mut chosen = Vec::new();
    let Some(last) = sizes.len().checked_sub(1) else { return chosen };
    let below: Vec<f64> = std::iter::once(0.0)
        .chain(prompts.iter().scan(0.0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
        .collect();
    let one = |from: usize, to: usize| sizes[to] as f64 * (below[to + 1] - below[from]);
    let mut best: Vec<(f64, Vec<usize>)> = (0..sizes.len()).map(|to| (one(0, to), vec![to])).collect();
    for _ in 0..most.min(sizes.len()) {
        chosen.push((best[last].0, best[last].1.iter().map(|&size| sizes[size]).collect()));
        let longer = |to: usize| {
            let with = (0..to).map(|from| (best[from].0 + one(from + 1, to), from));
            let (read, from) = with.min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some((read, [&best[from].1[..], &[to]].concat()))
        };
        let next: Vec<_> =
            (0..sizes.len()).map(|to| longer(to).unwrap_or_else(|| best[to].clone())).collect();
        best = next;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_kinds_of_prompts_want_two_programs() {
        let prompts = Prompts::parse("100 50\n120 50\n\n1000 10\n").unwrap();
        assert_eq!(prompts.longest(), Some(1000));
        let buckets = prompts.buckets(128, 4);
        let sizes: Vec<_> = buckets.iter().map(|b| b.sizes.clone()).collect();
        assert_eq!(sizes, [vec![1024], vec![128, 1024]]);
        assert!((buckets[1].padding - (1.0 - 21_000.0 / 23_040.0)).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_length_is_named() {
        let error = Prompts::parse("12\n-3\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2: \"-3\""), "{error}");
        assert!(
            Prompts::parse("0").is_err()
                && Prompts::parse("7 0").is_err()
                && Prompts::parse("1 2 3").is_err()
        );
        assert_eq!(Prompts::parse("").unwrap().buckets(128, 8), []);
    }

    proptest! {
        #[test]
        fn no_other_choice_reads_fewer_tokens(
            lengths in prop::collection::btree_map(1_usize..40, 1_u64..9, 1..6),
            tile in 1_usize..5,
        ) {
            let prompts = Prompts(lengths.clone());
            let up = |length: usize| length.div_ceil(tile) * tile;
            let mut sizes: Vec<usize> = lengths.keys().map(|&length| up(length)).collect();
            sizes.dedup();
            for Buckets { sizes: chosen, padding } in prompts.buckets(tile, 6) {
                let tokens: u64 = lengths.iter().map(|(&length, &count)| length as u64 * count).sum();
                let read = |sizes: &[usize]| -> Option<u64> {
                    let read = lengths.iter().map(|(&length, &count)| {
                        Some(*sizes.iter().find(|&&size| size >= length)? as u64 * count)
                    });
                    read.sum()
                };
                prop_assert!((padding - (1.0 - tokens as f64 / read(&chosen).unwrap() as f64)).abs() < 1e-12);
                let all = (0..1_usize << sizes.len()).map(|bits| {
                    let of = sizes.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
                    of.map(|(_, &size)| size).collect::<Vec<_>>()
                });
                let least = all.filter(|sizes| sizes.len() == chosen.len()).filter_map(|sizes| read(&sizes)).min();
                prop_assert_eq!(read(&chosen), least);
            }
        }
    }
}
