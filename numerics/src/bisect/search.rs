//! The search itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use porter_ir::{Op, Program, Value};

use super::{
    BisectError, Bisection, Reach, Runner, Search, Suspect, Tensor, Truth,
    diff::differences,
    pairs::{Pair, Pairing},
    taps::module,
    units::Unit,
};
use crate::{Budget, Floor, Measured, Positions, compare};

/// The most suspects that are looked for.
const MOST_SUSPECTS: usize = 16;
/// The most contributors that accumulated error is traced to.
const MOST_CONTRIBUTORS: usize = 5;

type Values = HashMap<Value, Tensor>;
type Found<T, E> = Result<T, BisectError<E>>;

pub(super) fn run<E>(search: Search<'_, E>) -> Found<Bisection, E> {
    let mut pairing = Pairing::new(search.port, search.reference);
    let whole = pairing.whole();
    let cuts = flatten(&mut pairing, whole, true);
    if cuts.len() < 2 {
        let (port, reference) = (search.port.name(), search.reference.name());
        let problem = format!("the modules of {port} are not those of {reference}: nothing can be compared");
        return Err(BisectError::Structure(problem));
    }
    let named = |program: &Program| -> Values {
        let value = |i: &porter_ir::Input| Some((i.value, search.arguments.get(&i.name)?.clone()));
        program.inputs().iter().filter_map(value).collect()
    };
    let exact = named(search.reference);
    let mut state = State { search, pairing, exact, runs: 0, comparisons: 0 };
    let suspects = state.level(&cuts)?;
    let State { search, runs, comparisons, .. } = state;
    Ok(Bisection { program: search.port.name().to_owned(), suspects, cuts: cuts.len(), runs, comparisons })
}

/// The layers, and what stands around them.
fn flatten(pairing: &mut Pairing<'_>, pair: Pair, first: bool) -> Vec<Pair> {
    if !first && !pair.port.holds_layers(pairing.port.program) {
        return vec![pair];
    }
    match pairing.parts(&pair) {
        None => vec![pair],
        Some(parts) => parts.into_iter().flat_map(|part| flatten(pairing, part, false)).collect(),
    }
}

struct State<'a, E> {
    search: Search<'a, E>,
    pairing: Pairing<'a>,
    /// The reference's values, as far as they are known.
    exact: Values,
    runs: usize,
    comparisons: usize,
}

/// What parts gave that were not run on the reference's values alone.
#[derive(Default)]
struct Carried {
    /// Of the port.
    port: Values,
    /// Of the reference as it rounds.
    rounded: Values,
}

impl<E> State<'_, E> {
    /// The suspects among the parts of one pair, whose inputs are known in the reference.
    fn level(&mut self, parts: &[Pair]) -> Found<Vec<Suspect>, E> {
        let mut suspects = Vec::new();
        let mut carried = Carried::default();
        let mut since = 0;
        for (i, part) in parts.iter().enumerate() {
            let truth = self.know(part)?;
            let measured = self.measure(part, &mut carried)?;
            if measured.pass {
                continue;
            }
            let injected = if i == since { measured.clone() } else { self.inject(part)? };
            if injected.pass {
                suspects.push(self.accumulated(part, truth, measured, &parts[since..i])?);
            } else {
                suspects.extend(self.descend(part, truth, injected)?);
            }
            // Go on behind the part with the reference's values.
            carried = Carried::default();
            since = i + 1;
            if suspects.len() >= MOST_SUSPECTS {
                break;
            }
        }
        Ok(suspects)
    }

    /// Looks for what is wrong in a part that is over budget on the reference's inputs.
    fn descend(&mut self, part: &Pair, truth: Truth, measured: Measured) -> Found<Vec<Suspect>, E> {
        let Some(parts) = self.pairing.parts(part) else {
            return Ok(vec![self.suspect(part, Reach::Local, truth, measured)]);
        };
        let known: HashSet<Value> = self.exact.keys().copied().collect();
        let found = self.level(&parts)?;
        self.exact.retain(|value, _| known.contains(value));
        Ok(if found.is_empty() { vec![self.suspect(part, Reach::Spread, truth, measured)] } else { found })
    }

    /// A part that is right on the reference's inputs, and which of those before it bring the error.
    fn accumulated(
        &mut self,
        part: &Pair,
        truth: Truth,
        measured: Measured,
        before: &[Pair],
    ) -> Found<Suspect, E> {
        let mut shares = Vec::new();
        for earlier in before {
            shares.push((earlier.port.path.clone(), self.inject(earlier)?.budget_share()));
        }
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares.truncate(MOST_CONTRIBUTORS);
        Ok(Suspect { contributors: shares, ..self.suspect(part, Reach::Accumulated, truth, measured) })
    }

    fn suspect(&self, part: &Pair, reach: Reach, truth: Truth, measured: Measured) -> Suspect {
        let (port, reference) = (self.pairing.port.program, self.pairing.reference.program);
        let op = part.port.ops.first().filter(|_| part.port.is_op()).map(|&op| match &port.op(op).op {
            Op::Composite(composite) => composite.name.clone(),
            op => op.as_operation().name().to_owned(),
        });
        let differs = differences((port, &part.port), (reference, &part.reference));
        let path = part.port.path.clone();
        Suspect { path, op, reach, truth, measured, differs, contributors: Vec::new() }
    }

    /// Makes sure that the reference's outputs of a part are known; recorded ones count more.
    fn know(&mut self, part: &Pair) -> Found<Truth, E> {
        let outputs = self.reference_outputs(part);
        let computed = self.run_reference(part, &Values::new(), false)?;
        self.exact.extend(computed);
        let mut truth = Truth::Computed;
        for (&ours, theirs) in part.outputs.iter().zip(outputs) {
            if let Some(recorded) = self.recorded(part, ours).cloned() {
                self.exact.insert(theirs, recorded);
                truth = Truth::Recorded;
            }
        }
        Ok(truth)
    }

    /// What was recorded of an output: under the result that it is, or under its module's path.
    fn recorded(&self, part: &Pair, output: Value) -> Option<&Tensor> {
        let program = self.pairing.port.program;
        let results = program.outputs().iter().filter(|o| o.value == output).map(|o| o.name.as_str());
        let by_result = results.map(|name| self.search.recorded.get(name)).find_map(|found| found);
        let is_module = part.outputs.len() == 1 && !part.port.is_op();
        let of_module = || {
            let mut taps = self.search.recorded.iter().filter(|(tap, _)| module(tap) == part.port.path);
            taps.find(|_| is_module).map(|(_, tensor)| tensor)
        };
        let found = by_result.or_else(of_module)?;
        (*found.shape() == program.ty(output).shape).then_some(found)
    }

    fn reference_outputs(&self, part: &Pair) -> Vec<Value> {
        part.outputs.iter().filter_map(|&value| self.pairing.counterpart(value)).collect()
    }

    /// Runs a part of the port on what was carried so far, and compares it.
    fn measure(&mut self, part: &Pair, carried: &mut Carried) -> Found<Measured, E> {
        let ours = self.run_port(part, &carried.port)?;
        let rounded = self.run_reference(part, &carried.rounded, true)?;
        let measured = self.compare(part, &ours, &rounded)?;
        carried.port.extend(ours);
        carried.rounded.extend(rounded);
        Ok(measured)
    }

    /// Runs a part of the port on the reference's inputs, and compares it.
    fn inject(&mut self, part: &Pair) -> Found<Measured, E> {
        self.measure(part, &mut Carried::default())
    }

    /// The output that is furthest over its budget, or nearest to it.
    fn compare(&mut self, part: &Pair, ours: &Values, rounded: &Values) -> Found<Measured, E> {
        let mut worst: Option<Measured> = None;
        for &output in &part.outputs {
            self.comparisons += 1;
            let counterpart = self.pairing.counterpart(output);
            let (Some(found), Some(expected), Some(rounded)) = (
                ours.get(&output),
                counterpart.and_then(|value| self.exact.get(&value)),
                counterpart.and_then(|value| rounded.get(&value)),
            ) else {
                continue;
            };
            let measured = self.judge(part, found, expected, rounded)?;
            let is_worse = worst.as_ref().is_none_or(|worst| {
                (worst.pass && !measured.pass)
                    || (worst.pass == measured.pass && measured.budget_share() > worst.budget_share())
            });
            if is_worse {
                worst = Some(measured);
            }
        }
        worst.ok_or_else(|| {
            BisectError::Structure(format!("{} has no output that can be compared", label(&part.port)))
        })
    }

    fn judge(&self, part: &Pair, ours: &Tensor, exact: &Tensor, rounded: &Tensor) -> Found<Measured, E> {
        let failed = |source| BisectError::Compare { part: label(&part.port), source };
        let positions = match &self.search.positions {
            Positions::Rows(rows) if leading(exact) == Some(rows.len()) => self.search.positions.clone(),
            _ => Positions::All,
        };
        let comparison = compare(&label(&part.port), ours, exact, &positions).map_err(failed)?;
        if !exact.dtype().is_float() {
            let why = "whole numbers and truth values must be the same".to_owned();
            return Ok(Measured::new(comparison, Budget { max_abs: 0.0, relative: None, why }, None));
        }
        let floor = compare("", rounded, exact, &positions).map_err(failed)?.max_abs;
        let budget = Budget::measured(floor, self.search.narrow, comparison.scale);
        Ok(Measured::new(comparison, budget, None).with_floor(Floor::new(floor, Floor::EXECUTOR)))
    }

    /// The outputs of a part of the port, by its values; what was not carried is the reference's.
    fn run_port(&mut self, part: &Pair, carried: &Values) -> Found<Values, E> {
        let program = self.pairing.port.program;
        let (exact, pairing) = (&self.exact, &self.pairing);
        let feed = |value| carried.get(&value).or_else(|| exact.get(&pairing.counterpart(value)?)).cloned();
        self.runs += 1;
        execute(program, &part.port, &part.outputs, feed, self.search.port_runner, "port")
    }

    /// The outputs of a part of the reference, by its values.
    fn run_reference(&mut self, part: &Pair, carried: &Values, rounded: bool) -> Found<Values, E> {
        let program = self.pairing.reference.program;
        let outputs = self.reference_outputs(part);
        let exact = &self.exact;
        let feed = |value| carried.get(&value).or_else(|| exact.get(&value)).cloned();
        let runner = if rounded { &mut *self.search.rounded } else { &mut *self.search.exact };
        execute(program, &part.reference, &outputs, feed, runner, "reference")
    }
}

/// `[batch, position]` of a tensor, as a number of rows.
fn leading(tensor: &Tensor) -> Option<usize> {
    match &**tensor.shape() {
        [batch, positions, _, ..] => Some(batch * positions),
        _ => None,
    }
}

/// Cuts a unit out of its program and runs it.
fn execute<E>(
    program: &Program,
    unit: &Unit,
    outputs: &[Value],
    feed: impl Fn(Value) -> Option<Tensor>,
    runner: &mut dyn Runner<E>,
    side: &'static str,
) -> Found<Values, E> {
    let inputs = unit.inputs(program);
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("in.{i}")).collect();
    let wanted: Vec<String> = (0..outputs.len()).map(|i| format!("out.{i}")).collect();
    let mut arguments = BTreeMap::new();
    for (&value, name) in inputs.iter().zip(&names) {
        let tensor = feed(value).ok_or_else(|| {
            BisectError::Structure(format!("{} reads a value that is not known", label(unit)))
        })?;
        arguments.insert(name.clone(), tensor);
    }
    let fed: Vec<(Value, &str)> = inputs.iter().copied().zip(names.iter().map(String::as_str)).collect();
    let wanted_values: Vec<(Value, &str)> =
        outputs.iter().copied().zip(wanted.iter().map(String::as_str)).collect();
    let part = program.extract(&identifier(unit), &fed, &wanted_values)?;
    let mut results = runner.run(&part, &arguments).map_err(|source| BisectError::Run {
        part: label(unit),
        side,
        source,
    })?;
    Ok(outputs
        .iter()
        .zip(&wanted)
        .filter_map(|(&value, name)| Some((value, results.remove(name)?)))
        .collect())
}

fn label(unit: &Unit) -> String {
    if unit.path.is_empty() { "the program's own ops".to_owned() } else { unit.path.clone() }
}

/// A name for a part, an MLIR identifier.
fn identifier(unit: &Unit) -> String {
    let name: String = unit.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("part_{name}")
}
