//! A report as JUnit XML, one test case a comparison.

use crate::{Measured, Outcome, Report, TokenComparison, escape::escape};

/// One test case: a name, what it says, and whether it passed.
struct TestCase {
    name: String,
    text: String,
    kind: &'static str,
    pass: bool,
}

/// The report as a JUnit XML document.
pub fn render(report: &Report) -> String {
    let cases = test_cases(report);
    let failures = cases.iter().filter(|case| !case.pass).count();
    let skipped = &report.findings().skipped;
    let suite = escape(&format!("{} ({})", report.subject().model, report.subject().dtype));
    let tests = cases.len() + skipped.len();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml += &format!("<testsuites name=\"porter check\" tests=\"{tests}\" failures=\"{failures}\">\n");
    xml += &format!(
        "  <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{}\">\n",
        skipped.len()
    );
    cases.iter().for_each(|case| xml += &case.xml(&suite));
    for named in skipped {
        let (name, why) = (escape(&named.name), escape(&named.why));
        xml += &format!(
            "    <testcase classname=\"{suite}\" name=\"{name}\">\n      <skipped message=\"{why}\"/>\n    </testcase>\n"
        );
    }
    xml + "  </testsuite>\n</testsuites>\n"
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
    comparisons.chain(findings.tokens.iter().map(of_tokens)).chain(problems).collect()
}

fn of_comparison(measured: &Measured) -> TestCase {
    let Measured { comparison: c, budget, .. } = measured;
    let text = format!(
        "max |difference| {:.3e}, budget {:.3e} ({}), rmse {:.3e}, cosine {:.9}, NaN {:?}, Inf {:?}",
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
        let (name, text) = (escape(&self.name), escape(&self.text));
        let body = if self.pass {
            format!("<system-out>{text}</system-out>")
        } else {
            format!("<failure type=\"{}\" message=\"{text}\"/>", self.kind)
        };
        format!("    <testcase classname=\"{suite}\" name=\"{name}\">\n      {body}\n    </testcase>\n")
    }
}
