//! A ported model's numbers against a bundle's, by its own programs.
//!
//! The programs of an artefact give the logits of the last token alone, and so every recorded position is
//! reached as a server would: the first token of each row through prefill, every other through a decode step
//! with the recorded token. A recorded continuation begins with its whole prompt in prefill.

use std::{collections::BTreeMap, iter};

use porter_ir::{DType, InputRole};
use porter_numerics::{
    Budget, Bundle, Case, Findings, Generated, Judge, MeasureError, Measured, Named, Noise, Output,
    Roundings, TokenComparison, View, greatest,
};
use porter_runtime::{HostTensor, Next, States, Step};
use porter_text::{Sampler, SamplerOptions};
use porter_zoo::{Phase, Precision, Taps, Task};

use super::Ported;
use crate::{Engine, Narrow, Observer, PipelineError, Sequences};

/// The output that every position has.
const LOGITS: &str = "logits";

impl Ported<'_> {
    /// Compares what the programs give with what a bundle recorded of outputs; taps are left out.
    pub fn check(
        &self,
        engine: &Engine,
        bundle: &Bundle,
        judge: Judge<'_>,
        observer: &dyn Observer,
    ) -> Result<Findings, PipelineError> {
        let steps = self.bring_up(engine, observer)?.steps;
        let checker = Checker { ported: self, engine, steps: &steps, judge };
        let mut findings = Findings::default();
        let count = bundle.cases().count();
        for (i, case) in bundle.cases().enumerate() {
            checker.case(case, &mut findings)?;
            observer.step("cases", i + 1, count);
        }
        Ok(findings)
    }
}

struct Checker<'a> {
    ported: &'a Ported<'a>,
    engine: &'a Engine,
    steps: &'a [Step],
    judge: Judge<'a>,
}

/// The real tokens of a row, and where they begin in the recorded sequence.
struct Row {
    start: usize,
    tokens: Vec<u32>,
}

impl Checker<'_> {
    fn case(&self, case: Case<'_>, findings: &mut Findings) -> Result<(), PipelineError> {
        let mut sequences = Sequences::default();
        for name in case.arguments() {
            let Some(view) = case.input(name)? else { continue };
            sequences.insert(name, view.shape().clone(), view.to_i64().unwrap_or_default());
        }
        let Phase::Forward { batch, tokens, .. } = sequences.phase(Taps::None)? else { return Ok(()) };
        let results = match self.ported.model.task() {
            Task::Generate => {
                BTreeMap::from([(LOGITS.to_owned(), self.every_position(&sequences, [batch, tokens])?)])
            }
            Task::Encode => self.encoded(&sequences, [batch, tokens])?,
        };
        let roundings = self.roundings(&Phase::Forward { batch, tokens, taps: Taps::None })?;
        for output in case.outputs() {
            match results.get(&output.name) {
                Some(found) => self.output(case, output, found, roundings.get(&output.name), findings)?,
                None => findings.skipped.push(Named {
                    name: output.tensor.clone(),
                    why: "the programs of a port give no such output".to_owned(),
                }),
            }
        }
        match case.generated()? {
            Some(recorded) if self.ported.model.task() == Task::Generate => {
                self.continuation(case, &recorded, findings)
            }
            _ => Ok(()),
        }
    }

    fn output(
        &self,
        case: Case<'_>,
        output: &Output,
        found: &HostTensor,
        roundings: Option<&Roundings>,
        findings: &mut Findings,
    ) -> Result<(), PipelineError> {
        let view = View::new(found.ty().dtype, found.ty().shape.clone(), found.bytes())
            .map_err(MeasureError::from)?;
        let measured = case.measure_by(output, &view, &Judge { roundings, ..self.judge })?;
        findings.comparisons.push(self.held(measured));
        Ok(())
    }

    /// A comparison held to what the port's types and the form of its weights do to a value.
    fn held(&self, measured: Measured) -> Measured {
        // How noisy the reference is in f32 says nothing of a port that rounds to less.
        let measured = if self.is_narrow() { measured.with_floor(None) } else { measured };
        let layers = self.ported.model.dimensions().layers;
        let quantize = self.ported.quantize;
        let cache = self.cache().filter(|dtype| dtype.bits() < 16);
        let error = Narrow { quantize, cache }.error(layers);
        if error == 0.0 || measured.loosened.is_some() {
            return measured;
        }
        let form = quantize.map(|form| format!("{} weights", form.name()));
        let of = form.into_iter().chain(cache.map(|_| "an 8-bit cache".to_owned()));
        let of = of.collect::<Vec<_>>().join(" and ");
        // Of many errors the greatest is compared.
        let greatest = greatest(measured.comparison.count);
        let added = error * greatest * measured.comparison.scale;
        let why = format!(
            "{}, and {of}: {error:.2e} of {layers} layers x {greatest:.1}, the greatest of {} errors, x the \
             reference's std {:.3e}",
            measured.budget.why, measured.comparison.count, measured.comparison.scale
        );
        let max_abs = measured.budget.max_abs + added;
        let budget = Budget { max_abs, why, ..measured.budget.clone() };
        measured.held_to(budget)
    }

    /// The logits of every position that is no padding, and zeros elsewhere: `[batch, tokens, vocabulary]`.
    fn every_position(
        &self,
        sequences: &Sequences,
        [batch, tokens]: [usize; 2],
    ) -> Result<HostTensor, PipelineError> {
        let vocabulary = self.ported.model.dimensions().vocab_size;
        let rows = rows(&sequences.arguments(self.ported.model)?, tokens)?;
        let mut logits = vec![0_f32; batch * tokens * vocabulary];
        let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        let pair = self.ported.generator(1, longest)?;
        let Some(generator) = self.ported.generate(pair, self.steps) else {
            return Ok(HostTensor::from_slice([batch, tokens, vocabulary], &logits)?);
        };
        for (group, rows) in rows.chunks(generator.batch).enumerate() {
            let prompt =
                |row: Option<&Row>| vec![row.and_then(|row| row.tokens.first()).copied().unwrap_or(0)];
            let prompts: Vec<Vec<u32>> = (0..generator.batch).map(|i| prompt(rows.get(i))).collect();
            let mut states = self.states(pair)?;
            let mut read = vec![0; generator.batch];
            generator.generate(&prompts, &mut states, |i, found| {
                let Some(row) = rows.get(i) else { return Ok(Next::Stop) };
                let position = (group * generator.batch + i) * tokens + row.start + read[i];
                if let Some(place) = logits.get_mut(position * vocabulary..(position + 1) * vocabulary) {
                    place.copy_from_slice(found);
                }
                read[i] += 1;
                Ok::<_, PipelineError>(row.tokens.get(read[i]).map_or(Next::Stop, |&id| Next::Token(id)))
            })?;
        }
        Ok(HostTensor::from_slice([batch, tokens, vocabulary], &logits)?)
    }

    /// Continues the case's prompt with the recorded tokens, whatever the model would have chosen.
    fn continuation(
        &self,
        case: Case<'_>,
        recorded: &Generated<'_>,
        findings: &mut Findings,
    ) -> Result<(), PipelineError> {
        let pair = self.ported.generator(recorded.prompt.len(), recorded.tokens.len())?;
        let Some(generator) = self.ported.generate(pair, self.steps) else { return Ok(()) };
        let prompt: Vec<u32> = recorded.prompt.iter().map(|&id| id as u32).collect();
        let prompts: Vec<Vec<u32>> = iter::repeat_n(prompt, generator.batch).collect();
        let mut states = self.states(pair)?;
        let mut sampler = Sampler::new(SamplerOptions::GREEDY)?;
        let (mut tokens, mut logits) = (Vec::new(), Vec::new());
        generator.generate(&prompts, &mut states, |i, row| {
            if i > 0 {
                return Ok(Next::Stop);
            }
            let forced = recorded.tokens.get(tokens.len()).map(|&id| id as u32);
            tokens.push(i64::from(sampler.sample(row)?));
            logits.extend_from_slice(row);
            Ok::<_, PipelineError>(match forced {
                Some(token) if tokens.len() < recorded.tokens.len() => Next::Token(token),
                _ => Next::Stop,
            })
        })?;
        let decode = Phase::Decode { batch: generator.batch, cache: generator.cache };
        let roundings = self.roundings(&decode)?;
        if recorded.logits.is_some() {
            let vocabulary = logits.len() / tokens.len().max(1);
            let ours = View::f32(&logits, [tokens.len(), vocabulary]).map_err(MeasureError::from)?;
            let judge = Judge { roundings: roundings.get(LOGITS), ..self.judge };
            findings.comparisons.extend(case.measure_generated(&ours, &judge)?.map(|m| self.held(m)));
        }
        if recorded.greedy {
            let logits = findings.comparisons.iter().rev().find(|m| m.comparison.name.ends_with(LOGITS));
            let max_abs = logits.map_or(0.0, |measured| measured.budget.max_abs);
            let noise = Noise { max_abs, narrower: self.is_narrow() };
            findings.tokens.push(TokenComparison::new(recorded, tokens, noise));
        }
        Ok(())
    }

    /// The outputs of an encoder's program, rows and tokens padded to its sizes and cut to the recorded ones.
    fn encoded(
        &self,
        sequences: &Sequences,
        [batch, tokens]: [usize; 2],
    ) -> Result<BTreeMap<String, HostTensor>, PipelineError> {
        let programs = self.ported.programs.iter().enumerate();
        let fitting = programs.filter(|(_, (phase, _))| phase.tokens() >= tokens);
        let best = fitting.min_by_key(|(_, (phase, _))| phase.tokens());
        let (place, (phase, _)) = best.ok_or_else(|| {
            PipelineError::Usage(format!(
                "no program of the port reads {tokens} tokens; port the model with --prompt {tokens} to check it"
            ))
        })?;
        let sizes = [phase.batch(), phase.tokens()];
        let arguments = sequences.arguments(self.ported.model)?;
        let Some(step) = self.steps.get(place) else { return Ok(BTreeMap::new()) };
        let mut outputs: BTreeMap<String, Vec<HostTensor>> = BTreeMap::new();
        for first in (0..batch).step_by(sizes[0].max(1)) {
            let padded =
                arguments.iter().map(|(name, tensor)| Ok((*name, padded(tensor, first, tokens, sizes)?)));
            let padded: Vec<_> = padded.collect::<Result<_, PipelineError>>()?;
            let mut states = self.states([place, place])?;
            for (name, tensor) in step.run(&padded, &mut states)? {
                outputs.entry(name).or_default().push(tensor);
            }
        }
        let joined =
            outputs.into_iter().map(|(name, parts)| Ok((name, cut(&parts, [batch, tokens], sizes)?)));
        joined.collect()
    }

    fn states(&self, [_, decode]: [usize; 2]) -> Result<States, PipelineError> {
        let entry = self.ported.programs.get(decode).map(|(_, program)| &program.entry);
        let none = || PipelineError::Unsupported("the port has no such program".into());
        Ok(States::zeros(&self.engine.devices, entry.ok_or_else(none)?)?)
    }

    fn is_narrow(&self) -> bool {
        let cache = self.cache().is_some_and(|dtype| dtype != DType::F32);
        self.ported.dtype != DType::F32 || self.ported.quantize.is_some() || cache
    }

    /// The type of the KV cache, where there is one.
    fn cache(&self) -> Option<DType> {
        let mut inputs = self.ported.programs.iter().flat_map(|(_, program)| &program.entry.inputs);
        inputs.find(|input| input.role == InputRole::State).map(|input| input.ty.dtype)
    }

    /// The roundings that reach the outputs of a phase as the zoo writes it: what a rewrite adds is no excuse.
    fn roundings(&self, phase: &Phase) -> Result<BTreeMap<String, Roundings>, PipelineError> {
        if self.ported.dtype == DType::F32 {
            return Ok(BTreeMap::new());
        }
        let program = self.ported.model.program(phase, &Precision::uniform(self.ported.dtype))?;
        Ok(Roundings::all(&program))
    }
}

/// The rows of a decoder's arguments, without the padding at their left. What is padded at the right is read
/// too: no position before it sees it.
fn rows(arguments: &[(&str, HostTensor)], tokens: usize) -> Result<Vec<Row>, PipelineError> {
    let values = |name: &str| {
        let found = arguments.iter().find(|(given, _)| *given == name);
        found.map_or(Ok(Vec::new()), |(_, tensor)| tensor.to_vec::<i32>())
    };
    let (ids, padding) = (values("input_ids")?, values("padding")?);
    let rows = ids.chunks_exact(tokens.max(1)).zip(padding).map(|(ids, padding)| {
        let start = usize::try_from(padding).map_err(|_| {
            PipelineError::Unsupported(
                "a recorded row starts at a position above 0, which a served prompt never does".to_owned(),
            )
        })?;
        let real = ids.get(start..).unwrap_or_default();
        Ok(Row { start, tokens: real.iter().map(|&id| id as u32).collect() })
    });
    rows.collect()
}

/// Rows of `[batch, tokens]` numbers from `first` on, with zeros after them: `[rows, length]`.
fn padded(
    tensor: &HostTensor,
    first: usize,
    tokens: usize,
    [rows, length]: [usize; 2],
) -> Result<HostTensor, PipelineError> {
    let values = tensor.to_vec::<i32>()?;
    let mut padded = vec![0; rows * length];
    let own = values.chunks_exact(tokens.max(1)).skip(first);
    for (row, values) in padded.chunks_exact_mut(length.max(1)).zip(own) {
        row.iter_mut().zip(values).for_each(|(place, value)| *place = *value);
    }
    Ok(HostTensor::from_slice([rows, length], &padded)?)
}

/// The first `batch` rows of all parts, and of outputs that have a place for every token the first `tokens`.
fn cut(
    parts: &[HostTensor],
    [batch, tokens]: [usize; 2],
    [_, length]: [usize; 2],
) -> Result<HostTensor, PipelineError> {
    let shape = parts.first().map(|part| part.ty().shape.to_vec()).unwrap_or_default();
    let of_tokens = shape.len() > 2 && shape.get(1) == Some(&length);
    let row: usize = shape.iter().skip(1).product();
    let kept = if of_tokens { row / length.max(1) * tokens } else { row };
    let mut values = Vec::with_capacity(batch * kept);
    for part in parts {
        for row in part.to_vec::<f32>()?.chunks_exact(row.max(1)).take(batch - values.len() / kept.max(1)) {
            values.extend_from_slice(row.get(..kept).unwrap_or_default());
        }
    }
    let mut sizes = shape;
    sizes.iter_mut().zip([batch]).for_each(|(size, rows)| *size = rows);
    if let (true, Some(size)) = (of_tokens, sizes.get_mut(1)) {
        *size = tokens;
    }
    Ok(HostTensor::from_slice(sizes, &values)?)
}
