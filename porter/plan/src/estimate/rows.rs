//! Steps taken together.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Collectives, Resource,
    walk::{Step, Steps},
};
use crate::Target;

/// Steps that have something in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// What they have in common.
    pub name: String,
    /// Their part of the program's time: of what runs side by side, by what they use of the busiest
    /// resource; and the links' time that nothing hides.
    pub seconds: f64,
    /// How long the core is busy with them.
    pub core_seconds: f64,
    /// Bytes of HBM.
    pub hbm_bytes: f64,
    /// How long they hold the links.
    pub ici_seconds: f64,
    /// The operations of their products on the matrix units.
    pub flops: f64,
    /// How many run.
    pub steps: f64,
}

/// What runs side by side.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// How long it takes.
    pub(super) busiest: f64,
    /// The resource that is busy all that time.
    pub(super) resource: Resource,
    pub(super) target: &'a Target,
}

impl Part<'_> {
    /// How long a step holds the busiest resource.
    fn used(self, step: &Step) -> f64 {
        match self.resource {
            Resource::Core => step.busy,
            Resource::Hbm => step.traffic.total() / self.target.chip().device_bandwidth(),
            Resource::Ici => step.collective.as_ref().filter(|c| c.overlapped).map_or(0.0, |c| c.seconds),
        }
    }
}

/// The steps by what `name` calls them, most first. The rows' seconds add up to the program's.
pub(super) fn by(steps: &Steps, part: Part<'_>, name: impl Fn(&Step) -> String) -> Vec<Row> {
    let total: f64 = steps.all.iter().map(|step| part.used(step)).sum();
    let scale = if total > 0.0 { part.busiest / total } else { 0.0 };
    let mut rows: HashMap<String, Row> = HashMap::new();
    for step in &steps.all {
        let name = name(step);
        let row = rows.entry(name).or_default();
        let exposed = step.collective.as_ref().filter(|c| !c.overlapped).map_or(0.0, |c| c.seconds);
        row.seconds += scale * part.used(step) + exposed;
        row.core_seconds += step.busy;
        row.hbm_bytes += step.traffic.total();
        row.ici_seconds += step.collective.as_ref().map_or(0.0, |c| c.seconds);
        row.flops += step.flops;
        row.steps += step.runs;
    }
    let mut rows: Vec<Row> = rows.into_iter().map(|(name, row)| Row { name, ..row }).collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.name.cmp(&b.name)));
    rows
}

pub(super) fn collectives(steps: &Steps) -> Vec<Collectives> {
    let mut kinds: Vec<Collectives> = Vec::new();
    for step in &steps.all {
        let Some(collective) = &step.collective else { continue };
        let place = kinds.iter().position(|known| known.kind == collective.kind).unwrap_or(kinds.len());
        if place == kinds.len() {
            kinds.push(Collectives { kind: collective.kind.to_owned(), ..Collectives::default() });
        }
        if let Some(known) = kinds.get_mut(place) {
            known.count += step.runs;
            known.bytes += collective.bytes;
            known.seconds += collective.seconds;
        }
    }
    kinds
}

/// A source path with the numbers of layers and experts left open, so that equal parts come together:
/// `model.layers.*.mlp`.
pub(super) fn path(source: &str) -> String {
    if source.is_empty() {
        return "(made by the compiler)".to_owned();
    }
    let open = |part: &str| {
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() { "*" } else { part }.to_owned()
    };
    source.split('.').map(open).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn layers_come_together() {
        assert_eq!(path("model.layers.17.mlp.gate_proj"), "model.layers.*.mlp.gate_proj");
        assert_eq!(path(""), "(made by the compiler)");
    }
}
