//! A report and its views, on names that try to break out of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use porter_numerics::{
    Attribution, Budget, Contribution, Findings, Floor, Generated, Loosened, Measured, Named, Noise,
    Positions, Report, Subject, TokenComparison, Verdict, View,
    bisect::{Bisection, Reach, Suspect, Truth},
    compare, compare_logits, html, junit,
};

const HOSTILE: &str = "a<script>alert('1')</script>&\"]]>\u{1b}\u{0}";

fn measured(name: &str, ours: &[f32], budget: f64) -> Measured {
    let (ours, reference) = (View::f32(ours, [1, 3]).unwrap(), View::f32(&[1.0, 2.0, 4.0], [1, 3]).unwrap());
    let comparison = compare(name, &ours, &reference, &Positions::All).unwrap();
    let logits = compare_logits(&ours, &reference, &Positions::All, 0.0).unwrap();
    Measured::new(
        comparison,
        Budget { max_abs: budget, relative: None, why: HOSTILE.to_owned() },
        Some(logits),
    )
}

fn tokens(found: Vec<i64>) -> TokenComparison {
    let recorded =
        Generated { name: HOSTILE, prompt: vec![1], tokens: vec![7, 8], logits: None, greedy: true };
    TokenComparison::new(&recorded, found, Noise { max_abs: 0.0, narrower: false })
}

fn report(findings: Findings) -> Report {
    let subject = Subject {
        model: HOSTILE.to_owned(),
        dtype: "f32".to_owned(),
        reference: "bundle".to_owned(),
        plugin: "cpu".to_owned(),
    };
    Report::new(subject, findings)
}

fn hostile() -> Report {
    report(Findings {
        comparisons: vec![
            measured("logits", &[1.0, 2.0, 4.0], 1e-4),
            measured(HOSTILE, &[1.0, f32::NAN, 4.5], 1e-4),
        ],
        tokens: vec![tokens(vec![7, 9])],
        problems: vec![Named { name: HOSTILE.to_owned(), why: HOSTILE.to_owned() }],
        skipped: vec![Named { name: HOSTILE.to_owned(), why: HOSTILE.to_owned() }],
        ..Findings::default()
    })
}

#[test]
fn a_pass_needs_something_that_passed_and_nothing_that_failed() {
    let good = || vec![measured("logits", &[1.0, 2.0, 4.0], 1e-4)];
    let verdict = |findings| report(findings).verdict();
    assert_eq!(verdict(Findings::default()), Verdict::Fail);
    assert_eq!(
        verdict(Findings { comparisons: good(), tokens: vec![tokens(vec![7, 8])], ..Findings::default() }),
        Verdict::Pass
    );
    assert_eq!(
        verdict(Findings { comparisons: good(), tokens: vec![tokens(vec![7, 9])], ..Findings::default() }),
        Verdict::Fail
    );
    let problem = Named { name: "x".to_owned(), why: "y".to_owned() };
    assert_eq!(
        verdict(Findings { comparisons: good(), problems: vec![problem], ..Findings::default() }),
        Verdict::Fail
    );
    let bad = vec![measured("logits", &[1.0, 2.0, 4.1], 1e-4)];
    assert_eq!(verdict(Findings { comparisons: bad, ..Findings::default() }), Verdict::Fail);
}

#[test]
fn json_has_the_fields_that_the_command_line_promises() {
    let json = serde_json::to_value(hostile()).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys[..3], ["verdict", "model", "dtype"]);
    assert_eq!(json["verdict"], "fail");
    assert_eq!(json["model"], HOSTILE);
    let first = &json["comparisons"][0];
    for key in [
        "name", "shape", "max_abs", "rmse", "cosine", "p50", "p90", "p99", "p999", "pass", "ulp", "nan",
        "inf",
    ] {
        assert!(!first[key].is_null(), "{key}");
    }
    assert_eq!((&first["pass"], &first["budget"]["max_abs"]), (&true.into(), &1e-4.into()));
    assert_eq!(first["budget"]["why"], HOSTILE);
    assert_eq!(json["comparisons"][1]["nan"]["ours_only"], 1);
    assert_eq!(json["tokens"][0]["first_difference"]["index"], 1);
}

#[test]
fn html_is_self_contained_and_escaped() {
    let page = html::render(&hostile());
    assert!(
        !page.contains("<script")
            && !page.contains("http:")
            && !page.contains("https:")
            && !page.contains("url(")
    );
    assert!(page.contains("&lt;script&gt;"));
    assert!(page.contains("1 in the port only"), "NaN is told");
    assert!(page.contains("<mark>9</mark>"), "the token that differs is marked");
    assert!(page.chars().all(|c| c >= ' ' || c == '\n'));
}

#[test]
fn every_view_shows_a_loosened_budget_and_the_floor() {
    let mut loose = measured("logits", &[1.0, 2.0, 4.1], 1.0).with_floor(Floor::new(1e-2, Floor::TWIN));
    loose.loosened = Some(Loosened {
        derived: 1e-4,
        allowed: 1.0,
        by: "budgets.json".to_owned(),
        reason: "int8 weights".to_owned(),
    });
    let layer = measured("hidden_states.0", &[1.0, 2.0, 4.0], 1e-4);
    let report = report(Findings { comparisons: vec![layer, loose], ..Findings::default() });
    assert_eq!(report.verdict(), Verdict::Pass);
    let summary = report.summary().unwrap();
    assert_eq!((summary.worst.as_str(), summary.loosened), ("logits", 1));
    approx::assert_relative_eq!(summary.floors.unwrap(), 10.0, max_relative = 1e-5);
    let page = html::render(&report);
    assert!(
        page.contains("int8 weights") && page.contains("10.0 noise floors") && page.contains("<svg"),
        "{page}"
    );
    assert!(junit::render(&report).contains("loosened from 1.000e-4 by budgets.json: int8 weights"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["comparisons"][1]["loosened"]["reason"], "int8 weights");
    assert_eq!(json["comparisons"][1]["floor"]["how"], "f64 twin");
    assert_eq!(json["summary"]["worst"], "logits");
}

#[test]
fn a_refused_budget_fails_the_report() {
    let mut refused = measured("logits", &[1.0, 2.0, 4.0], 1e-4);
    refused.refused = Some("no reason".to_owned());
    let report = report(Findings { comparisons: vec![refused], ..Findings::default() });
    assert_eq!((report.verdict(), report.findings().problems.len()), (Verdict::Fail, 1));
}

#[test]
fn the_page_names_modules_at_fault_and_what_rewrites_bring() {
    let suspect = Suspect {
        path: HOSTILE.to_owned(),
        op: Some("stablehlo.multiply".to_owned()),
        reach: Reach::Local,
        truth: Truth::Recorded,
        measured: measured("x", &[1.0, 2.0, 4.5], 1e-4),
        differs: vec!["- %1 = tensor<3xf32>".to_owned()],
        contributors: vec![("model.layers.0".to_owned(), 0.25)],
    };
    let searched = |program: &str, suspects| Bisection {
        program: program.to_owned(),
        suspects,
        cuts: 3,
        runs: 7,
        comparisons: 9,
    };
    let all = Contribution { rewrites: "all".to_owned(), max_abs: 2e-6, rmse: 1e-6, ratio: 1.5, pass: true };
    let page = html::render(&report(Findings {
        comparisons: vec![measured("logits", &[1.0, 2.0, 4.0], 1e-4)],
        bisections: vec![searched("forward_1x24", vec![suspect]), searched("padded", Vec::new())],
        attribution: Some(Attribution { output: "logits".to_owned(), contributions: vec![all] }),
        ..Findings::default()
    }));
    for part in [
        "<h2>Modules at fault</h2>",
        "stablehlo.multiply",
        "wrong on the reference&#39;s own inputs",
        "worst at [0, 2]: found 4.5, expected 4",
        "model.layers.0 takes 25.0% of its own budget",
        "- %1 = tensor&lt;3xf32&gt;",
        "<p>padded (3 cuts, 7 runs of a part, 9 comparisons)</p>\n<p>No module is over its budget by itself",
        "<td>all<td>2.00e-6<td>1.00e-6<td>1.50",
    ] {
        assert!(page.contains(part), "{part:?} in {page}");
    }
    assert!(!page.contains("<script"));
}
