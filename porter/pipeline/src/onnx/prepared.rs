//! What of a program depends on weights alone: computed once when they are loaded, and not in every run.
//!
//! Exporters leave such work in graphs: weights dequantised, gates put into another order, matrices transposed.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::{InputRole, Op, Program, Value, program::Definition};

use crate::{Compilable, PipelineError};

/// A program in two parts. Inputs of `main` that `weights` gives have its results' names.
pub(crate) struct Prepared {
    /// Weights in, what `main` reads out; none where nothing is worth computing before.
    pub(crate) weights: Option<Program>,
    /// The rest.
    pub(crate) main: Program,
}

impl Prepared {
    /// `main`, whose inputs that `weights` gives are weights too.
    pub(crate) fn compilable(&self) -> Compilable {
        let mut main = Compilable::from(&self.main);
        for input in main.entry.inputs.iter_mut().filter(|input| self.makes(&input.name)) {
            input.role = InputRole::Weight;
        }
        main
    }

    /// Whether `weights` gives this input of `main`.
    pub(crate) fn makes(&self, name: &str) -> bool {
        self.weights.iter().any(|weights| weights.outputs().iter().any(|output| output.name == name))
    }
}

/// Splits a program. No value is computed before that has more elements than the largest weight that it is made
/// of, so that what is kept in memory grows by element types only.
pub(crate) fn prepare(program: Program) -> Result<Prepared, PipelineError> {
    let made = made_of_weights(&program);
    let chosen = boundary(&program, &made);
    if chosen.is_empty() {
        return Ok(Prepared { weights: None, main: program });
    }
    let names: Vec<String> = (0..chosen.len()).map(|i| format!("@{i}")).collect();
    let fed: Vec<(Value, &str)> = chosen.iter().copied().zip(names.iter().map(String::as_str)).collect();
    let outputs: Vec<(Value, &str)> =
        program.outputs().iter().map(|output| (output.value, output.name.as_str())).collect();
    let main = program.extract(program.name(), &fed, &outputs)?;
    Ok(Prepared { weights: Some(program.extract("weights", &[], &fed)?), main })
}

/// The values of the body that depend on weights and constants alone, with the elements of the largest weight below
/// each; 0 where there is none.
fn made_of_weights(program: &Program) -> BTreeMap<Value, usize> {
    let weights = program.inputs().iter().filter(|input| input.role == InputRole::Weight);
    let mut made: BTreeMap<Value, usize> =
        weights.map(|input| (input.value, program.ty(input.value).shape.elements())).collect();
    for &op in &program.region(program.body()).ops {
        let data = program.op(op);
        if !data.regions.is_empty() && !matches!(data.op, Op::Reduce(_)) {
            continue;
        }
        let below: Option<Vec<usize>> = program.reads(op).map(|value| made.get(&value).copied()).collect();
        if let Some(below) = below {
            let most = below.into_iter().max().unwrap_or(0);
            made.extend(data.results.iter().map(|&result| (result, most)));
        }
    }
    made
}

/// The values to compute before, in their order.
fn boundary(program: &Program, made: &BTreeMap<Value, usize>) -> BTreeSet<Value> {
    let body = &program.region(program.body()).ops;
    let stays =
        |op: &&porter_ir::OpId| program.op(**op).results.iter().any(|result| !made.contains_key(result));
    let read = body.iter().filter(stays).flat_map(|&op| program.reads(op));
    let mut waiting: Vec<Value> = read.chain(program.outputs().iter().map(|output| output.value)).collect();
    let (mut seen, mut chosen) = (BTreeSet::new(), BTreeSet::new());
    while let Some(value) = waiting.pop() {
        let Some(&most) = made.get(&value).filter(|&&most| most > 0 && seen.insert(value)) else { continue };
        let Definition::Result { op, .. } = program.value(value).definition else { continue };
        // Another shape is no work.
        let is_work = !matches!(program.op(op).op, Op::Reshape(_) | Op::BroadcastInDim(_));
        if is_work && program.ty(value).shape.elements() <= most {
            chosen.insert(value);
        } else {
            waiting.extend(program.reads(op));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use porter_ir::{Builder, DType, OpKind, TensorType};

    use super::*;

    /// `x + broadcast(f32(w) * 2)` with a weight of 3 and an `x` of `[4, 3]`.
    fn program() -> Program {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 3])).unwrap();
        let w = b.weight("w", TensorType::new(DType::I8, [3])).unwrap();
        let wide = b.convert(w, DType::F32).unwrap();
        let twice = b.multiply(wide, b.full_like(wide, 2.0).unwrap()).unwrap();
        let rows = b.broadcast_to(twice, [4, 3], &[1]).unwrap();
        b.result("y", b.add(x, rows).unwrap()).unwrap();
        b.finish()
    }

    fn kinds(program: &Program) -> Vec<OpKind> {
        program.ops().map(|(_, op)| op.op.kind()).filter(|kind| *kind != OpKind::Constant).collect()
    }

    #[test]
    fn what_depends_on_weights_alone_and_is_no_larger_is_computed_before() {
        let Prepared { weights, main } = prepare(program()).unwrap();
        let weights = weights.unwrap();
        assert!(kinds(&weights).ends_with(&[OpKind::Multiply]), "{:?}", kinds(&weights));
        assert_eq!(kinds(&main), [OpKind::BroadcastInDim, OpKind::Add]);
        let names: Vec<&str> = main.inputs().iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["@0", "x"]);
        assert!(weights.verify().is_empty() && main.verify().is_empty());
    }

    #[test]
    fn a_program_without_such_work_stays_whole() {
        let b = Builder::new("main");
        let w = b.weight("w", TensorType::new(DType::F32, [6])).unwrap();
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3])).unwrap();
        b.result("y", b.add(x, b.reshape(w, [2, 3]).unwrap()).unwrap()).unwrap();
        assert!(prepare(b.finish()).unwrap().weights.is_none());
    }
}
