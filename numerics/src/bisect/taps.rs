//! What modules give, as results of a program.

use std::collections::HashMap;

use porter_ir::{Program, Result, Shape, Value};

use super::units::{Unit, Uses};

/// The suffix of a tap on a module that returned a tuple: its first value, which is its output.
const FIRST: &str = ".0";

/// `program` with the outputs of modules as further results. `taps` are their paths, as a recorder names
/// them (`model.layers.3.mlp`, `model.layers.3.self_attn.0`), with the shapes that they have; paths of no
/// module, and modules without one output of that shape, are left out.
pub fn tapped(program: &Program, taps: &[(&str, Shape)]) -> Result<Program> {
    let outputs = module_outputs(program);
    let mut wanted: Vec<(Value, &str)> = program.outputs().iter().map(|o| (o.value, o.name.as_str())).collect();
    for (tap, shape) in taps {
        let value = outputs.get(module(tap)).copied();
        let known = wanted.iter().any(|(_, name)| name == tap);
        if let Some(value) = value.filter(|&value| program.ty(value).shape == *shape && !known) {
            wanted.push((value, tap));
        }
    }
    if wanted.len() == program.outputs().len() {
        return Ok(program.clone());
    }
    program.extract(program.name(), &[], &wanted)
}

/// The module that a tap is on.
pub(super) fn module(tap: &str) -> &str {
    let outer = tap.strip_suffix(FIRST).filter(|outer| !outer.ends_with(|c: char| c.is_ascii_digit()));
    // `layers.0` is a module, `self_attn.0` a tuple's first value: lists of modules have names of theirs.
    outer.filter(|outer| !LISTS.iter().any(|list| outer.ends_with(list))).unwrap_or(tap)
}

/// What Hugging Face calls its lists of layers.
const LISTS: [&str; 5] = ["layers", "layer", "blocks", "block", "h"];

/// The one output of every module that has one.
fn module_outputs(program: &Program) -> HashMap<String, Value> {
    let uses = Uses::of(program);
    let mut outputs = HashMap::new();
    let mut pending = vec![Unit::whole(program)];
    while let Some(unit) = pending.pop() {
        if let [only] = unit.outputs(program, &uses)[..] {
            // A module that is called twice (a tied table) has the path of its first call.
            outputs.entry(unit.path.clone()).or_insert(only);
        }
        let modules = unit.parts(program).into_iter().filter(|part| part.path != unit.path);
        // The last is taken first.
        pending.extend(modules.collect::<Vec<_>>().into_iter().rev());
    }
    outputs
}

#[cfg(test)]
mod tests {
    use porter_ir::{Builder, DType, TensorType};

    use super::*;

    #[test]
    fn modules_become_results_by_the_names_of_their_taps() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3])).unwrap();
        let layer = b.scope("model.layers.0");
        let y = layer.scope("self_attn").negate(x).unwrap();
        let z = layer.add(layer.scope("mlp").tanh(y).unwrap(), y).unwrap();
        b.result("logits", b.scope("lm_head").abs(z).unwrap()).unwrap();
        let program = b.finish();
        let shape = || Shape::new([2, 3]);
        let taps = [
            ("model.layers.0.self_attn.0", shape()),
            ("model.layers.0", shape()),
            ("model.layers.0.mlp", Shape::new([2])),
            ("model.rotary_emb.0", shape()),
        ];
        let tapped = tapped(&program, &taps).unwrap();
        let names: Vec<&str> = tapped.outputs().iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["logits", "model.layers.0.self_attn.0", "model.layers.0"]);
        assert_eq!(tapped.ops().count(), program.ops().count());
    }
}
