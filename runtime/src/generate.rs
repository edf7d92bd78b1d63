//! Text generation as token ids: one prefill, then decode steps over a donated KV cache.

use std::time::{Duration, Instant};

use crate::{Error, HostTensor, Result, States, Step};

/// What follows the logits of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on with this token.
    Token(u32),
    /// The row is done.
    Stop,
}

/// How long the parts of a generation took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// The prefill, including its upload and the download of its logits.
    pub prefill: Duration,
    /// Each decode step, likewise.
    pub decode: Vec<Duration>,
}

/// A language model ready to generate: a prefill program of `batch x bucket` tokens and a decode
/// program over a cache of `cache` slots.
///
/// The programs take `input_ids: i32[batch, tokens]` and `padding: i32[batch]`, the number of
/// left-padding tokens of each row; decode also takes `offset: i32[]`, the cache slot of the token.
/// Both give `logits: f32[batch, vocab]` of the last position.
#[derive(Clone, Copy, Debug)]
pub struct Generator<'a> {
    /// Reads the prompts.
    pub prefill: &'a Step,
    /// Reads one token a row.
    pub decode: &'a Step,
    /// Rows that run together.
    pub batch: usize,
    /// Tokens of the prefill program.
    pub bucket: usize,
    /// Slots of the KV cache.
    pub cache: usize,
}

impl Generator<'_> {
    /// Runs `prompts` (as many as `batch`, each of 1 to `bucket` tokens), asking `next` for the
    /// token that follows each row's logits until every row has stopped or the cache is full.
    ///
    /// `states` holds the cache; what it held before is not read.
    pub fn generate<E: From<Error>>(
        &self,
        prompts: &[Vec<u32>],
        states: &mut States,
        mut next: impl FnMut(usize, &[f32]) -> Result<Next, E>,
    ) -> Result<Times, E> {
        self.check(prompts)?;
        let (ids, padding) = self.left_padded(prompts)?;
        let mut times = Times::default();

        let started = Instant::now();
        let arguments = [("input_ids", ids), ("padding", padding.clone())];
        let mut logits = logits_of(self.prefill, &arguments, states)?;
        times.prefill = started.elapsed();

        let mut running = vec![true; self.batch];
        for slot in self.bucket..=self.cache {
            let tokens = choose(&logits, &mut running, &mut next)?;
            if !running.contains(&true) || slot == self.cache {
                break;
            }
            let started = Instant::now();
            let arguments = [
                ("input_ids", HostTensor::from_slice([self.batch, 1], &tokens)?),
                ("padding", padding.clone()),
                ("offset", HostTensor::scalar(slot as i32)),
            ];
            logits = logits_of(self.decode, &arguments, states)?;
            times.decode.push(started.elapsed());
        }
        Ok(times)
    }

    fn check(&self, prompts: &[Vec<u32>]) -> Result<()> {
        let mut problems = Vec::new();
        if prompts.len() != self.batch {
            problems.push(format!("{} prompts were given to a batch of {}", prompts.len(), self.batch));
        }
        for (row, prompt) in prompts.iter().enumerate() {
            if prompt.is_empty() {
                problems.push(format!("prompt {row} is empty: it needs at least one token"));
            }
            if prompt.len() > self.bucket {
                problems.push(format!(
                    "prompt {row} has {} tokens, the prefill program {}",
                    prompt.len(),
                    self.bucket
                ));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Signature(problems)) }
    }

    /// The prompts right-aligned in the bucket, and how many padding tokens each row has.
    fn left_padded(&self, prompts: &[Vec<u32>]) -> Result<(HostTensor, HostTensor)> {
        let padding: Vec<i32> = prompts.iter().map(|p| (self.bucket - p.len()) as i32).collect();
        let ids: Vec<i32> = prompts
            .iter()
            .flat_map(|p| std::iter::repeat_n(0, self.bucket - p.len()).chain(p.iter().map(|&id| id as i32)))
            .collect();
        Ok((
            HostTensor::from_slice([self.batch, self.bucket], &ids)?,
            HostTensor::from_slice([self.batch], &padding)?,
        ))
    }
}

/// The logits that `step` gives, `[batch, vocab]`.
fn logits_of(step: &Step, arguments: &[(&str, HostTensor)], states: &mut States) -> Result<Vec<f32>> {
    let results = step.run(arguments, states)?;
    let logits = results.get("logits");
    logits.ok_or_else(|| Error::Signature(vec!["the program has no result \"logits\"".into()]))?.to_vec()
}

/// The next token of every row; 0 for rows that have stopped.
fn choose<E>(
    logits: &[f32],
    running: &mut [bool],
    next: &mut impl FnMut(usize, &[f32]) -> Result<Next, E>,
) -> Result<Vec<i32>, E> {
    let mut tokens = vec![0; running.len()];
    let vocab = (logits.len() / running.len().max(1)).max(1);
    let rows = tokens.iter_mut().zip(running).zip(logits.chunks_exact(vocab)).enumerate();
    for (row, ((token, running), logits)) in rows.filter(|(_, ((_, running), _))| **running) {
        match next(row, logits)? {
            Next::Token(id) => *token = id as i32,
            Next::Stop => *running = false,
        }
    }
    Ok(tokens)
}
