//! The collectives of a compiled program, and those that the rules predict, by kind.

use std::collections::BTreeMap;

use porter_plan::hlo::Module;
use porter_rewrite::Collective;
use porter_runtime::Step;

/// How many there are of each kind. One that the compiler made of several counts as these.
pub(crate) fn compiled(step: &Step) -> BTreeMap<String, usize> {
    let optimized = step.executable().executable().optimized().unwrap();
    let module = Module::decode(&optimized.code).unwrap();
    let mut counts = BTreeMap::new();
    for instruction in module.computations.iter().flat_map(|computation| &computation.instructions) {
        let kind = instruction.opcode.strip_suffix("-start").unwrap_or(&instruction.opcode);
        let collective = ["all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute"]
            .contains(&kind);
        if collective {
            // XLA's CPU backend writes one exchange as a tuple with a part for each device.
            let joined = if kind == "all-to-all" { 1 } else { instruction.arrays.len() };
            *counts.entry(kind.to_owned()).or_insert(0) += joined;
        }
    }
    counts
}

/// How many the rules ask for.
pub(crate) fn predicted(collectives: &[Collective]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for collective in collectives {
        *counts.entry(collective.kind.to_owned()).or_insert(0) += collective.count;
    }
    counts
}
