//! A static roofline of a compiled program.
//!
//! For each step of the optimised program, loops times their trip counts:
//! - a **matrix product** keeps the core busy for the compiler's own window cycles;
//! - **other work** for the lesser of its window and of its bytes over the HBM bandwidth, a microsecond at
//!   least, because the windows overstate vector work 2.5 to 5 times;
//! - **copies in the background** hold the memory only;
//! - **collectives** hold links: bytes over the torus, axis by axis; those that go other ways run at once.
//!
//! The program takes the greatest of busy time, HBM time and the links' time behind computation, and the
//! links' time that nothing hides. `facts/aot.md` part 2 is where these rules come from.

mod collectives;
mod rows;
mod text;
mod traffic;
mod trips;
mod walk;

use serde::Serialize;

pub use collectives::Collectives;
pub(crate) use collectives::collective_seconds;
pub use rows::Row;
pub(crate) use text::time;

use crate::{
    Target,
    hlo::{HloError, Module},
};
use collectives::Collective;
use walk::{Steps, Walk};

/// What every report must say of an estimate.
pub const CAVEAT: &str = "compiler estimate, not checked on hardware";

/// What bounds a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// The core: matrix units, vector units, and what each step takes at least.
    Core,
    /// The bandwidth of HBM: memory is busy longest, or the core is busy with products that read for longer
    /// than the matrix units need.
    Hbm,
    /// The links between chips.
    Ici,
}

/// What is known of a program beside its compiled form.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The operations of the model's products on one device ([`model_flops`](crate::model_flops) over the
    /// devices that share them); those of the compiled program where it is none.
    pub model_flops: Option<f64>,
}

/// What a program should cost on one device. Times in seconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// How long one run takes.
    pub seconds: f64,
    /// What bounds it.
    pub bound: Resource,
    /// How long the core is busy, waiting for what a product reads included.
    pub core_seconds: f64,
    /// What the products would take on the matrix units alone, at the peak.
    pub mxu_seconds: f64,
    /// How long HBM is.
    pub hbm_seconds: f64,
    /// How long the busiest link is, hidden or not.
    pub ici_seconds: f64,
    /// The sum of the compiler's windows alone. Where it ranks two programs otherwise than `seconds`, the
    /// two are undecided.
    pub window_seconds: f64,
    /// Bytes read from and written to HBM.
    pub hbm_bytes: f64,
    /// The operations of the model's products.
    pub model_flops: f64,
    /// The operations of the compiled program's products on the matrix units.
    pub compiled_flops: f64,
    /// Model operations over what the chip could do in that time with bf16 operands.
    pub mfu: f64,
    /// The share of the time that HBM is busy.
    pub hbm_share: f64,
    /// The share of the time that the links are.
    pub ici_share: f64,
    /// Time by source path, layers taken together, most first.
    pub by_source: Vec<Row>,
    /// Time by kind of work, most first.
    pub by_kind: Vec<Row>,
    /// Collectives by kind.
    pub collectives: Vec<Collectives>,
    /// What to know before one believes it; the first is always [`CAVEAT`].
    pub notes: Vec<String>,
}

impl Estimate {
    /// Estimates a program that was compiled for `target`.
    pub fn new(module: &Module, target: &Target, inputs: &Inputs) -> Result<Self, HloError> {
        let steps = Walk::new(module, target).steps()?;
        let chip = target.chip();
        let sum = |of: &dyn Fn(&walk::Step) -> f64| steps.all.iter().map(of).sum::<f64>();
        let core_seconds = sum(&|step| step.busy);
        let hbm_bytes = sum(&|step| step.traffic.total());
        let hbm_seconds = hbm_bytes / chip.device_bandwidth();
        let (behind, before): (Vec<&Collective>, Vec<&Collective>) =
            steps.all.iter().filter_map(|step| step.collective.as_ref()).partition(|c| c.overlapped);
        let hidden = collectives::busiest_link(&behind);
        let exposed: f64 = before.iter().map(|c| c.seconds).sum();
        let busiest = core_seconds.max(hbm_seconds).max(hidden);
        let resource = if hidden >= busiest && hidden > 0.0 {
            Resource::Ici
        } else if hbm_seconds > core_seconds {
            Resource::Hbm
        } else {
            Resource::Core
        };
        let seconds = busiest + exposed;
        let compiled_flops = sum(&|step| step.flops);
        let mxu_seconds = compiled_flops / chip.bf16_peak();
        let products = sum(&|step| if step.kind == walk::Kind::Product { step.busy } else { 0.0 });
        // Products that wait for what they read; where they read little they are slow by themselves.
        let waiting = hbm_seconds > mxu_seconds && 2.0 * hbm_seconds > core_seconds;
        let reading = 2.0 * products > core_seconds && waiting;
        let bound = match resource {
            _ if exposed > busiest => Resource::Ici,
            Resource::Core if reading => Resource::Hbm,
            resource => resource,
        };
        let part = rows::Part { busiest, resource, target };
        let model_flops = inputs.model_flops.unwrap_or(compiled_flops);
        let share = |part: f64| if seconds > 0.0 { part / seconds } else { 0.0 };
        Ok(Self {
            seconds,
            bound,
            core_seconds,
            mxu_seconds,
            hbm_seconds,
            ici_seconds: hidden + exposed,
            window_seconds: sum(&|step| step.window),
            hbm_bytes,
            model_flops,
            compiled_flops,
            mfu: share(model_flops / chip.bf16_peak()),
            hbm_share: share(hbm_seconds),
            ici_share: share(hidden + exposed),
            by_source: rows::by(&steps, part, |step| rows::path(&step.source)),
            by_kind: rows::by(&steps, part, |step| step.kind.name().to_owned()),
            collectives: rows::collectives(&steps),
            notes: notes(&steps),
        })
    }
}

fn notes(steps: &Steps) -> Vec<String> {
    let mut notes = vec![CAVEAT.to_owned()];
    if steps.endless > 0 {
        notes.push(format!(
            "{} loops of unknown length, which count as one turn each: the time is a lower limit",
            steps.endless
        ));
    }
    let kernels = steps.all.iter().filter(|step| step.kind == walk::Kind::Kernel).count();
    if kernels > 0 {
        notes
            .push(format!("{kernels} custom kernels count by their bytes only: the compiler estimates none"));
    }
    notes
}
