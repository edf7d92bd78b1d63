//! A report as `JUnit` XML, one test case a comparison.

use crate::{Measured, Named, Report, TokenComparison, bisect::Suspect, escape::escape, tokens};

/// One test case: a name, what it says, and how it went.
struct TestCase {
    name: String,
    text: String,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pass,
    /// It was judged, and is not within its budget: the kind.
    Failure(&'static str),
    /// It could not be judged.
    Error,
    Skipped,
}

/// The report as a `JUnit` XML document: what was compared and is over its budget failed, what could not be
/// compared is an error. Times are zero, as a report keeps none.
pub fn render(report: &Report) -> String {
    let cases = test_cases(report);
    let count = |of: fn(Outcome) -> bool| cases.iter().filter(|case| of(case.outcome)).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"0\"",
        cases.len(),
        count(|outcome| matches!(outcome, Outcome::Failure(_))),
        count(|outcome| outcome == Outcome::Error),
        count(|outcome| outcome == Outcome::Skipped),
    );
    let suite = escape(&format!("{} ({})", report.subject().model, report.subject().dtype));
    let head = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"porter check\" {counts}>\n  <testsuite name=\"{suite}\" {counts}>\n",
    );
    let body = cases.iter().map(|case| case.xml(&suite)).collect::<String>();
    head + &body + &faults(report) + "  </testsuite>\n</testsuites>\n"
}

fn test_cases(report: &Report) -> Vec<TestCase> {
    let findings = report.findings();
    let remark = |outcome| {
        move |named: &Named| TestCase { name: named.name.clone(), text: named.why.clone(), outcome }
    };
    let comparisons = findings.comparisons.iter().map(of_comparison);
    let drifts = report.drifts().iter().map(|drift| TestCase {
        name: format!("{} {} against the ledger", drift.output, drift.figure),
        text: drift.describe(),
        outcome: if drift.fails() { Outcome::Failure("drift") } else { Outcome::Pass },
    });
    comparisons
        .chain(findings.tokens.iter().map(of_tokens))
        .chain(drifts)
        .chain(findings.problems.iter().map(remark(Outcome::Error)))
        .chain(findings.skipped.iter().map(remark(Outcome::Skipped)))
        .collect()
}

/// The modules at fault, as output of the suite.
fn faults(report: &Report) -> String {
    let line = |program: &str, suspect: &Suspect| {
        let op = suspect.op.as_ref().map_or_else(String::new, |op| format!(", {op}"));
        format!("{program}: {}{op}: {}\n", suspect.path, suspect.explanation())
    };
    let lines: String = report
        .findings()
        .bisections
        .iter()
        .flat_map(|found| found.suspects.iter().map(|suspect| line(&found.program, suspect)))
        .collect();
    if lines.is_empty() { lines } else { format!("    <system-out>{}</system-out>\n", escape(&lines)) }
}

fn of_comparison(measured: &Measured) -> TestCase {
    let Measured { comparison: c, budget, .. } = measured;
    let loosened = measured
        .loosened
        .as_ref()
        .map_or_else(String::new, |l| format!(", loosened from {:.3e} by {}: {}", l.derived, l.by, l.reason));
    let floors =
        measured.floors().map_or_else(String::new, |floors| format!(", {floors:.1} noise floors away"));
    let text = format!(
        "max |difference| {:.3e}, budget {:.3e} ({}){loosened}{floors}, rmse {:.3e}, cosine {:.9}, NaN {:?}, Inf {:?}",
        c.max_abs, budget.max_abs, budget.why, c.rmse, c.cosine, c.nan, c.inf
    );
    TestCase { name: c.name.clone(), text, outcome: judged(measured.pass, "over budget") }
}

fn of_tokens(tokens: &TokenComparison) -> TestCase {
    let text = match (tokens.outcome, tokens.first_difference) {
        (tokens::Outcome::Same, _) | (_, None) => format!("{} tokens agree", tokens.expected.len()),
        (_, Some(first)) => format!(
            "{} tokens agree, then {:?} instead of {:?}, margin {:?}",
            first.index, first.found, first.expected, first.margin
        ),
    };
    TestCase { name: tokens.name.clone(), text, outcome: judged(tokens.pass, "other tokens") }
}

fn judged(pass: bool, kind: &'static str) -> Outcome {
    if pass { Outcome::Pass } else { Outcome::Failure(kind) }
}

impl TestCase {
    /// `suite` is XML already.
    fn xml(&self, suite: &str) -> String {
        let (name, text) = (escape(&self.name), escape(&self.text));
        let body = match self.outcome {
            Outcome::Pass => format!("<system-out>{text}</system-out>"),
            Outcome::Failure(kind) => format!("<failure type=\"{kind}\" message=\"{text}\"/>"),
            Outcome::Error => format!("<error type=\"problem\" message=\"{text}\"/>"),
            Outcome::Skipped => format!("<skipped message=\"{text}\"/>"),
        };
        format!(
            "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"0\">\n      {body}\n    </testcase>\n"
        )
    }
}
