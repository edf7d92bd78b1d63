//! Every step of a program and what it costs.

use super::{
    collectives::{Collective, collective},
    traffic::{Meter, Traffic, is_view, moves_nothing},
    trips::trips,
};
use crate::{
    Target,
    hlo::{Computation, HloError, Instruction, Module},
};

/// More steps than any compiled model has.
const MOST: usize = 8_000_000;
/// Calls are nested this deep at most.
const DEEPEST: usize = 64;
/// An instruction takes this long at least, in seconds (`facts/aot.md` part 2).
const LEAST: f64 = 1e-6;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Product,
    Vector,
    Update,
    Copy,
    Collective,
    Kernel,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Product => "matrix products",
            Self::Vector => "vector work",
            Self::Update => "updates in place",
            Self::Copy => "copies",
            Self::Collective => "collectives",
            Self::Kernel => "kernels without an estimate",
        }
    }
}

/// A step, over all its runs.
pub(super) struct Step {
    pub(super) source: String,
    pub(super) kind: Kind,
    pub(super) runs: f64,
    /// Seconds that the core is busy.
    pub(super) busy: f64,
    /// Seconds by the compiler's windows alone.
    pub(super) window: f64,
    pub(super) traffic: Traffic,
    pub(super) flops: f64,
    pub(super) collective: Option<Collective>,
}

/// Every step of a program.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) all: Vec<Step>,
    /// Loops whose length nobody knows; their bodies count once.
    pub(super) endless: usize,
    visited: usize,
}

pub(super) struct Walk<'a> {
    module: &'a Module,
    target: &'a Target,
    meter: Meter<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(module: &'a Module, target: &'a Target) -> Self {
        Self { module, target, meter: Meter::new(module) }
    }

    pub(super) fn steps(mut self) -> Result<Steps, HloError> {
        let mut steps = Steps::default();
        self.computation(self.module.entry, 1.0, DEEPEST, &mut steps)?;
        Ok(steps)
    }

    fn computation(&mut self, at: usize, runs: f64, depth: usize, steps: &mut Steps) -> Result<(), HloError> {
        let module = self.module;
        let Some(computation) = module.computations.get(at) else { return Ok(()) };
        steps.visited += computation.instructions.len();
        if depth == 0 || steps.visited > MOST {
            return Err(HloError::Endless(MOST));
        }
        for instruction in &computation.instructions {
            self.instruction(computation, instruction, runs, depth, steps)?;
        }
        Ok(())
    }

    fn instruction(
        &mut self,
        within: &Computation,
        instruction: &Instruction,
        runs: f64,
        depth: usize,
        steps: &mut Steps,
    ) -> Result<(), HloError> {
        match instruction.opcode.as_str() {
            "while" => {
                let trips = trips(self.module, within, instruction);
                steps.endless += usize::from(trips.is_none());
                let runs = runs * trips.unwrap_or(1) as f64;
                for &call in &instruction.calls {
                    self.computation(call, runs, depth - 1, steps)?;
                }
            }
            "call" => {
                for &call in &instruction.calls {
                    self.computation(call, runs, depth - 1, steps)?;
                }
            }
            "conditional" => self.costliest(instruction, runs, depth, steps)?,
            opcode if moves_nothing(opcode) || is_view(instruction) => {}
            _ => steps.all.push(self.step(within, instruction, runs)),
        }
        Ok(())
    }

    /// The branch that takes longest stands for a conditional.
    fn costliest(
        &mut self,
        instruction: &Instruction,
        runs: f64,
        depth: usize,
        steps: &mut Steps,
    ) -> Result<(), HloError> {
        let mut worst: Option<(f64, Steps)> = None;
        for &call in &instruction.calls {
            let mut branch = Steps { visited: steps.visited, ..Steps::default() };
            self.computation(call, runs, depth - 1, &mut branch)?;
            steps.visited = branch.visited;
            let bandwidth = self.target.chip().device_bandwidth();
            let cost = branch.all.iter().map(|step| step.busy.max(step.traffic.total() / bandwidth)).sum();
            if worst.as_ref().is_none_or(|(most, _)| cost > *most) {
                worst = Some((cost, branch));
            }
        }
        if let Some((_, branch)) = worst {
            steps.all.extend(branch.all);
            steps.endless += branch.endless;
        }
        Ok(())
    }

    fn step(&mut self, within: &Computation, instruction: &Instruction, runs: f64) -> Step {
        let chip = self.target.chip();
        let traffic = self.meter.of(within, instruction);
        let flops = self.flops(instruction, DEEPEST);
        let collective = collective(self.module, within, instruction, self.target);
        let kind = kind(instruction, flops, collective.is_some());
        let window = instruction.cycles.map(|cycles| cycles as f64 / chip.clock.value);
        let moving = traffic.total() / chip.device_bandwidth();
        let busy = match (kind, window) {
            (Kind::Product, Some(window)) => window,
            // Of vector work the windows say 2.5 to 5 times what memory bounds (`facts/aot.md` part 2).
            (_, Some(window)) => window.min(moving.max(LEAST)),
            // Copies in the background hold the memory, not the core.
            (_, None) if is_background(&instruction.opcode) => 0.0,
            (Kind::Collective, None) => 0.0,
            (_, None) => moving,
        };
        Step {
            source: source(within, instruction),
            kind,
            runs,
            busy: busy * runs,
            window: window.unwrap_or(0.0) * runs,
            traffic: Traffic { read: traffic.read * runs, written: traffic.written * runs },
            flops: flops * runs,
            collective: collective.map(|c| Collective {
                bytes: c.bytes * runs,
                seconds: c.seconds * runs,
                ..c
            }),
        }
    }

    /// The operations of the products that an instruction is made of.
    fn flops(&self, instruction: &Instruction, depth: usize) -> f64 {
        let inner = match instruction.opcode.as_str() {
            "fusion" | "async-start" if depth > 0 => self.module.called(instruction),
            _ => None,
        };
        let inside = inner.map_or(0.0, |computation| {
            computation.instructions.iter().map(|x| self.flops(x, depth - 1)).sum()
        });
        instruction.flops + inside
    }
}

fn is_background(opcode: &str) -> bool {
    opcode.ends_with("-start")
}

fn kind(instruction: &Instruction, flops: f64, collective: bool) -> Kind {
    match instruction.opcode.as_str() {
        _ if collective => Kind::Collective,
        _ if flops > 0.0 => Kind::Product,
        "custom-call" if instruction.cycles.is_none() => Kind::Kernel,
        "dynamic-update-slice" | "scatter" => Kind::Update,
        "copy" | "copy-start" | "async-start" | "slice" | "dynamic-slice" | "transpose" | "reshape" => {
            Kind::Copy
        }
        _ => Kind::Vector,
    }
}

/// Where a step comes from. A copy that the compiler made has no source of its own and belongs to what it
/// copies; that of a parameter is the parameter's module.
fn source(within: &Computation, instruction: &Instruction) -> String {
    let mut from = instruction;
    for _ in 0..within.instructions.len() {
        if from.opcode == "parameter" {
            let module = from.source.rsplit_once('.').map(|(module, _)| module);
            return module.unwrap_or(&from.source).to_owned();
        }
        if !from.source.is_empty() {
            return from.source.clone();
        }
        let Some(operand) = within.operands(from).next() else { break };
        from = operand;
    }
    String::new()
}
