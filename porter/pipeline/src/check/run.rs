//! A model's programs on a bundle's cases.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use porter_ir::{OpId, Program, Shape, program::Definition};
use porter_numerics::{Roundings, bisect::tapped};
use porter_runtime::{Generator, HostTensor, Next, States, Step};
use porter_text::{Sampler, SamplerOptions};
use porter_zoo::Phase;

use super::{Checker, plan::Plan};
use crate::{PipelineError, Running, Sizes, Variant, bring_up_programs, programs};

/// Everything that some cases need, brought up.
pub(super) struct Run<'a> {
    checker: Checker<'a>,
    steps: BTreeMap<Phase, (Program, Step)>,
    /// The outputs of each phase's program, in the order in which it computes them.
    order: BTreeMap<Phase, Vec<String>>,
    /// Where a side is narrow, each phase's program in that type as the zoo writes it, and the roundings
    /// that reach its outputs: what a rewrite adds is no excuse.
    narrow: BTreeMap<Phase, (Program, BTreeMap<String, Roundings>)>,
}

/// Modules that were recorded in cases that run `phase`, with the shapes of their outputs.
fn taps<'a>(phase: &Phase, plans: &'a [Plan<'_>]) -> Vec<(&'a str, Shape)> {
    let plans = plans.iter().filter(|plan| plan.forward == *phase);
    let outputs = plans.flat_map(|plan| plan.case.outputs().iter().map(move |output| (plan, output)));
    let inner = outputs.filter(|(_, output)| output.name.contains('.'));
    let shape = |plan: &Plan<'_>, output| Some(plan.case.reference(output).ok()?.shape().clone());
    inner.filter_map(|(plan, output)| Some((output.name.as_str(), shape(plan, output)?))).collect()
}

/// The names of a program's outputs, in the order in which it computes them.
fn in_order(program: &Program) -> Vec<String> {
    let place = |value| match program.value(value).definition {
        Definition::Result { op, .. } => Some(op),
        Definition::Argument { .. } => None,
    };
    let mut outputs: Vec<(Option<OpId>, &str)> =
        program.outputs().iter().map(|o| (place(o.value), o.name.as_str())).collect();
    outputs.sort_by_key(|&(op, _)| op);
    outputs.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// What the cached path did with the tokens that it was given.
pub(super) struct Continued {
    /// The likeliest token at each step.
    pub(super) tokens: Vec<i64>,
    /// The logits of each step, `[token, vocabulary]`.
    pub(super) logits: Vec<f32>,
    /// The phase of the steps but the first.
    pub(super) decode: Phase,
}

impl<'a> Run<'a> {
    pub(super) fn new(checker: &Checker<'a>, plans: &[Plan<'_>]) -> Result<Self, PipelineError> {
        let phases: Vec<Phase> =
            plans.iter().flat_map(Plan::phases).collect::<BTreeSet<_>>().into_iter().collect();
        let Checker { engine, opened, variant, observer, .. } = *checker;
        let written = |variant: &Variant<'_>| {
            let programs = programs(opened, &phases, variant, engine.target)?;
            let tapped =
                phases.iter().zip(&programs).map(|(phase, program)| tapped(program, &taps(phase, plans)));
            Ok::<Vec<Program>, PipelineError>(tapped.collect::<Result<_, _>>()?)
        };
        let narrow = match checker.narrowest() {
            Some(dtype) => written(&Variant::new(dtype))?,
            None => Vec::new(),
        };
        let counted = narrow.into_iter().map(|program| {
            let roundings = Roundings::all(&program);
            (program, roundings)
        });
        let narrow = phases.iter().copied().zip(counted).collect();
        let programs = written(&variant)?;
        let order = phases.iter().copied().zip(programs.iter().map(in_order)).collect();
        let Running { programs, resident } = bring_up_programs(engine, opened, programs, &variant, observer)?;
        let steps = phases.into_iter().zip(programs.into_iter().zip(resident.steps)).collect();
        Ok(Self { checker: *checker, steps, order, narrow })
    }

    /// Where an output stands among those of a phase's program, as they are computed.
    pub(super) fn place(&self, phase: &Phase, output: &str) -> Option<usize> {
        self.order.get(phase)?.iter().position(|name| name == output)
    }

    /// The roundings that reach each output of a phase's program; none where neither side is narrow.
    pub(super) fn roundings(&self, phase: &Phase) -> Option<&BTreeMap<String, Roundings>> {
        self.narrow.get(phase).map(|(_, roundings)| roundings)
    }

    /// A phase's program in the narrower type, as the zoo writes it; none where neither side is narrow.
    pub(super) fn narrow_program(&self, phase: &Phase) -> Option<&Program> {
        self.narrow.get(phase).map(|(program, _)| program)
    }

    /// The results of the forward program.
    pub(super) fn forward(&self, plan: &Plan<'_>) -> Result<BTreeMap<String, HostTensor>, PipelineError> {
        let Some((program, step)) = self.steps.get(&plan.forward) else { return Ok(BTreeMap::new()) };
        let arguments = plan.sequences.arguments(&self.checker.opened.model)?;
        let mut states = States::zeros(&self.checker.engine.devices, &program.entry())?;
        Ok(step.run(&arguments, &mut states)?)
    }

    /// Continues the case's prompt through the cache with the recorded tokens, whatever the model would
    /// have chosen, so that each step can be compared. `None` where the case has no continuation.
    pub(super) fn continuation(&self, plan: &Plan<'_>) -> Result<Option<Continued>, PipelineError> {
        let Some((recorded, sizes)) = &plan.continuation else { return Ok(None) };
        let (Some((_, prefill)), Some((program, decode))) =
            (self.steps.get(&sizes.prefill()), self.steps.get(&sizes.decode()))
        else {
            return Ok(None);
        };
        let prompt: Vec<u32> = recorded.prompt.iter().map(|&id| id as u32).collect();
        let mut states = States::zeros(&self.checker.engine.devices, &program.entry())?;
        let mut sampler = Sampler::new(SamplerOptions::GREEDY)?;
        let (mut tokens, mut logits) = (Vec::new(), Vec::new());
        let Sizes { batch, bucket, cache } = *sizes;
        let generator = Generator { prefill, decode, batch, bucket, cache };
        generator.generate(slice::from_ref(&prompt), &mut states, |_, row| {
            let forced = recorded.tokens.get(tokens.len()).map(|&id| id as u32);
            tokens.push(i64::from(sampler.sample(row)?));
            logits.extend_from_slice(row);
            Ok::<_, PipelineError>(match forced {
                Some(token) if tokens.len() < recorded.tokens.len() => Next::Token(token),
                _ => Next::Stop,
            })
        })?;
        Ok(Some(Continued { tokens, logits, decode: sizes.decode() }))
    }

    /// The logits behind the prompt and all tokens of the continuation but the last, which are read at
    /// once after the prompt. `None` where the case is not run in chunks.
    pub(super) fn chunked(&self, plan: &Plan<'_>) -> Result<Option<HostTensor>, PipelineError> {
        let (Some((recorded, sizes)), Some(chunk)) = (&plan.continuation, plan.chunk()) else {
            return Ok(None);
        };
        let (Some((program, prefill)), Some((_, extend))) =
            (self.steps.get(&sizes.prefill()), self.steps.get(&chunk))
        else {
            return Ok(None);
        };
        let missing = sizes.bucket.saturating_sub(recorded.prompt.len());
        let ids = |ids: &[i64]| ids.iter().map(|&id| id as i32).collect::<Vec<_>>();
        let prompt = [vec![0; missing], ids(&recorded.prompt)].concat();
        let padding = HostTensor::from_slice([1], &[missing as i32])?;
        let mut states = States::zeros(&self.checker.engine.devices, &program.entry())?;
        let arguments = [
            ("input_ids", HostTensor::from_slice([1, sizes.bucket], &prompt)?),
            ("padding", padding.clone()),
        ];
        prefill.run(&arguments, &mut states)?;
        let tokens = ids(&recorded.tokens[..chunk.tokens()]);
        let arguments = [
            ("input_ids", HostTensor::from_slice([1, tokens.len()], &tokens)?),
            ("padding", padding),
            ("offset", HostTensor::scalar(sizes.bucket as i32)),
        ];
        Ok(extend.run(&arguments, &mut states)?.remove("logits"))
    }
}
