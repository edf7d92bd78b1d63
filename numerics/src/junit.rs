//! A report as `JUnit` XML, one test case a comparison.

use crate::{Measured, Outcome, Report, TokenComparison, escape::escape};

/// One test case: a name, what it says, and whether it passed.
struct TestCase {
    name: String,
    text: String,
    kind: &'static str,
    pass: bool,
}

/// The report as a `JUnit` XML document.
pub fn render(report: &Report) -> String {
    let cases = test_cases(report);
    let failures = cases.iter().filter(|case| !case.pass).count();
    let skipped = &report.findings().skipped;
    let suite = escape(&format!("{} ({})", report.subject().model, report.subject().dtype));
    let tests = cases.len() + skipped.len();
    let head = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"porter check\" tests=\"{tests}\" failures=\"{failures}\">\n  \
         <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{}\">\n",
        skipped.len()
    );
    let judged = cases.iter().map(|case| case.xml(&suite));
    let listed = skipped
        .iter()
        .map(|named| element(&suite, &named.name, &format!("<skipped message=\"{}\"/>", escape(&named.why))));
    head + &judged.chain(listed).collect::<String>() + "  </testsuite>\n</testsuites>\n"
}

fn test_cases(report: &Report) -> Vec<TestCase> {
    let findings = report.findings();
    let problems = findings.problems.iter().map(|problem| TestCase {
        name: problem.name.clone(),
        text: problem.why.clone(),
        kind: "problem",
        pass: false,
    });
    let comparisons = findings.comparisons.iter().map(of_comparison);
    let drifts = report.drifts().iter().map(|drift| TestCase {
        name: format!("{} {} against the ledger", drift.output, drift.figure),
        text: drift.describe(),
        kind: "drift",
        pass: !drift.fails(),
    });
    comparisons.chain(findings.tokens.iter().map(of_tokens)).chain(problems).chain(drifts).collect()
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
    TestCase { name: c.name.clone(), text, kind: "over budget", pass: measured.pass }
}

fn of_tokens(tokens: &TokenComparison) -> TestCase {
    let text = match (tokens.outcome, tokens.first_difference) {
        (Outcome::Same, _) | (_, None) => format!("{} tokens agree", tokens.expected.len()),
        (_, Some(first)) => format!(
            "{} tokens agree, then {:?} instead of {:?}, margin {:?}",
            first.index, first.found, first.expected, first.margin
        ),
    };
    TestCase { name: tokens.name.clone(), text, kind: "other tokens", pass: tokens.pass }
}

impl TestCase {
    fn xml(&self, suite: &str) -> String {
        let text = escape(&self.text);
        let body = if self.pass {
            format!("<system-out>{text}</system-out>")
        } else {
            format!("<failure type=\"{}\" message=\"{text}\"/>", self.kind)
        };
        element(suite, &self.name, &body)
    }
}

/// A test case; `suite` and `body` are XML already.
fn element(suite: &str, name: &str, body: &str) -> String {
    let name = escape(name);
    format!("    <testcase classname=\"{suite}\" name=\"{name}\">\n      {body}\n    </testcase>\n")
}
