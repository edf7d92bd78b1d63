//! A graph's numbers against a reference's.

use std::collections::BTreeMap;

use porter_ir::{DType, Kind};
use porter_numerics::{
    Budget, Comparison, Findings, Floor, Judge, Level, MeasureError, Measured, Named, Positions, View,
    compare,
};
use porter_onnx::Recorded;
use porter_runtime::HostTensor;

use super::{Dims, Graph, Reference, ReferenceCase};
use crate::{Engine, Observer, PipelineError};

/// How many roundings of a type narrower than f32 an output may be off: both sides round at the same places,
/// and what lies between them is in another order.
const ROUNDINGS: f64 = 4.0;

/// How many times the reference's own f32-vs-f64 error an output may be off: where both sides round as much, twice
/// that; the rest is for other orders of summation.
const TWIN: f64 = 4.0;
/// How a reference names an output in double precision.
const DOUBLE: &str = "_f64";

/// Runs every case, and compares what it recorded. A recorded output that the graph does not return is a
/// problem.
pub fn check(
    graph: &Graph,
    reference: &Reference,
    dims: &Dims,
    engine: &Engine,
    judge: &Judge<'_>,
    observer: &dyn Observer,
) -> Result<Findings, PipelineError> {
    let mut findings = Findings::default();
    for (i, case) in reference.cases.iter().enumerate() {
        let program = graph.program_of(dims, Some(&case.inputs), &case.lengths)?;
        let (running, _) = graph.bring_up(engine, program)?;
        let results = running.run(&case.inputs)?;
        compare_case(case, &results, reference, judge, &mut findings);
        observer.step("cases", i + 1, reference.cases.len());
    }
    Ok(findings)
}

/// Compares what a case recorded with `results`. A recorded output that is not among them is a problem.
pub(crate) fn compare_case(
    case: &ReferenceCase,
    results: &BTreeMap<String, HostTensor>,
    reference: &Reference,
    judge: &Judge<'_>,
    findings: &mut Findings,
) {
    let twin = |name: &str| case.outputs.iter().find(|o| o.name.strip_suffix(DOUBLE) == Some(name));
    let is_twin = |output: &Recorded| {
        let of = output.name.strip_suffix(DOUBLE);
        of.is_some_and(|of| case.outputs.iter().any(|o| o.name == of))
    };
    for output in case.outputs.iter().filter(|output| !is_twin(output)) {
        let name = named(case, output, reference);
        let Some(found) = results.get(&output.name) else {
            let why = "the graph returns no such output".to_owned();
            findings.problems.push(Named { name, why });
            continue;
        };
        match measure(&name, found, output, twin(&output.name), judge) {
            Ok(Some(measured)) => findings.comparisons.push(measured),
            Ok(None) => findings.skipped.push(Named { name, why: "it has no elements".to_owned() }),
            Err(error) => findings.problems.push(Named { name, why: error.to_string() }),
        }
    }
}

/// The name of an output in the report.
fn named(case: &ReferenceCase, output: &Recorded, reference: &Reference) -> String {
    match reference.cases.len() {
        1 => output.name.clone(),
        _ => format!("{}.{}", case.name, output.name),
    }
}

fn measure(
    name: &str,
    found: &HostTensor,
    expected: &Recorded,
    twin: Option<&Recorded>,
    judge: &Judge<'_>,
) -> Result<Option<Measured>, MeasureError> {
    let expected_view = view(expected)?;
    let ours = View::new(found.ty().dtype, found.ty().shape.clone(), found.bytes())?;
    if expected.bytes.is_empty() && ours.shape() == expected_view.shape() {
        return Ok(None);
    }
    let comparison = compare(name, &ours, &expected_view, &Positions::All)?;
    let Some(twin) = twin else {
        return Ok(Some(judge.measured(name, budget(expected.ty.dtype, &comparison), comparison)));
    };
    let own = compare(name, &expected_view, &view(twin)?, &Positions::All)?.max_abs;
    let measured = judge.measured(name, twin_budget(own, &comparison), comparison);
    Ok(Some(measured.with_floor(Floor::new(own, Floor::TWIN))))
}

fn view(recorded: &Recorded) -> Result<View<'_>, MeasureError> {
    Ok(View::new(recorded.ty.dtype, recorded.ty.shape.clone(), &recorded.bytes[..])?)
}

/// What the reference's own rounding does to the output, several times, or what every output is allowed.
fn twin_budget(own: f64, comparison: &Comparison) -> Budget {
    let plain = Budget::recorded(None, comparison.scale);
    let why = format!("{TWIN} x the reference's own f32-vs-f64 error {own:.2e} of this output");
    if TWIN * own > plain.max_abs { Budget { max_abs: TWIN * own, relative: None, why } } else { plain }
}

/// Whole numbers and booleans are equal; floats are off by roundings of their type.
fn budget(dtype: DType, comparison: &Comparison) -> Budget {
    let digits = match dtype {
        DType::F16 => 11,
        DType::BF16 => 8,
        _ if dtype.kind() != Kind::Float => return Level::Exact.budget(comparison.scale),
        _ => return Budget::recorded(None, comparison.scale),
    };
    let relative = ROUNDINGS * 2_f64.powi(-digits);
    let scale = comparison.scale;
    let why = format!(
        "{ROUNDINGS} roundings of {}, {relative:.2e} x the reference's std {scale:.3e}, or x the element where \
         that is greater",
        dtype.name()
    );
    Budget { max_abs: relative * scale, relative: Some(relative), why }
}
