//! A model's programs before a mesh is chosen, as they are written and padded.

use std::collections::{HashMap, hash_map::Entry};

use porter_ir::{InputRole, Program};
use porter_plan::{Demand, Exchange, Memory, model_flops};
use porter_rewrite::{Pads, Port, Profile, Shard, ShardError, Share, Target, apply};
use porter_zoo::Phase;

use super::Padding;
use crate::{Configured, PipelineError, Quantize, Variant, lower::programs_of};

/// The programs of a model for so many rows.
pub(super) struct Written {
    phases: Vec<Phase>,
    quantize: Option<Quantize>,
    port: Port,
    /// As they are written.
    pub(super) form: Form,
    padded: HashMap<Pads, Form>,
}

/// The programs in one form.
pub(super) struct Form {
    pub(super) programs: Vec<Unplaced>,
    pub(super) padding: Padding,
}

/// A program that lies nowhere yet.
pub(super) struct Unplaced {
    pub(super) name: String,
    pub(super) phase: Phase,
    profile: Profile,
    flops: f64,
}

impl Written {
    pub(super) fn new(
        model: &Configured,
        phases: Vec<Phase>,
        variant: &Variant<'_>,
    ) -> Result<Self, PipelineError> {
        let programs = programs_of(&model.model, &phases, variant, Target::Plain)?;
        let port = variant.port(programs, &model.weight_map)?;
        let quantize = variant.quantize;
        let form = Form { programs: unplaced(&phases, &port, quantize)?, padding: Padding::default() };
        Ok(Self { phases, quantize, port, form, padded: HashMap::new() })
    }

    /// Whether a weight has a dimension of experts.
    pub(super) fn has_experts(&self) -> bool {
        let inputs = self.port.programs.iter().flat_map(|p| p.inputs().iter().map(move |i| p.value(i.value)));
        inputs.filter_map(|value| value.axes.as_ref()).flatten().flatten().any(|axis| axis.name == "exp")
    }

    /// The programs with what `pads` adds.
    pub(super) fn padded(&mut self, pads: Pads) -> Result<&Form, PipelineError> {
        match self.padded.entry(pads) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let (port, applied) = pads.apply(self.port.clone())?;
                let programs = unplaced(&self.phases, &port, self.quantize)?;
                let bytes = self.port.programs.iter().zip(&port.programs);
                let bytes = bytes.map(|(before, now)| weight_bytes(now).saturating_sub(weight_bytes(before)));
                let flops = self.form.programs.iter().zip(&programs);
                let flops = flops.map(|(before, now)| now.flops / before.flops - 1.0);
                let padding =
                    Padding { applied, bytes: bytes.max().unwrap_or(0), flops: flops.fold(0.0, f64::max) };
                Ok(unknown.insert(Form { programs, padding }))
            }
        }
    }
}

/// What programs are like with narrow weights, which come after padding and keep what dimensions mean.
fn unplaced(
    phases: &[Phase],
    port: &Port,
    quantize: Option<Quantize>,
) -> Result<Vec<Unplaced>, PipelineError> {
    let narrow = quantize.map(Quantize::rewrites).unwrap_or_default();
    let (narrow, _) = apply(narrow, port.clone())?;
    let programs = phases.iter().zip(&narrow.programs);
    let programs = programs.map(|(&phase, program)| Unplaced {
        name: program.name().to_owned(),
        phase,
        profile: Profile::of(program),
        flops: model_flops(program),
    });
    Ok(programs.collect())
}

/// The bytes of a program's weights.
fn weight_bytes(program: &Program) -> usize {
    let weights = program.inputs().iter().filter(|input| input.role == InputRole::Weight);
    weights.map(|input| program.ty(input.value).device_bytes()).sum()
}

impl Unplaced {
    /// What a device does, from what it has. A run reads every weight of a product and writes what it gives; a
    /// decode step reads the whole cache, a prefill writes its part of it.
    pub(super) fn demand(&self, shard: &Shard, devices: usize) -> Result<Demand, ShardError> {
        let share: Share = shard.share(&self.profile, &self.name)?;
        let cache = match self.phase {
            Phase::Prefill { tokens, cache, .. } => share.states as f64 * tokens as f64 / cache.max(1) as f64,
            _ => share.states as f64,
        };
        let exchanges = share.collectives.into_iter().map(|collective| Exchange {
            kind: collective.kind,
            axes: collective.axes,
            bytes: collective.bytes as f64,
            count: collective.count,
        });
        Ok(Demand {
            memory: Memory {
                weights: share.weights,
                cache: share.states,
                interface: share.interface,
                temporaries: share.temporaries,
            },
            traffic: share.read as f64 + cache + share.interface as f64,
            flops: self.flops / devices as f64,
            exchanges: exchanges.collect(),
        })
    }
}
