//! A report as `JUnit` XML, read by an XML parser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use approx::assert_relative_eq;
use porter_numerics::{
    Budget, Findings, Measured, Named, Noise, Positions, Report, Subject, TokenComparison, View,
    bisect::{Bisection, Reach, Suspect, Truth},
    compare, junit,
};
use roxmltree::{Document, Node};

const HOSTILE: &str = "a<b>'c'</b>&\"]]>é日";

fn measured(name: &str, ours: &[f32]) -> Measured {
    let (ours, reference) = (View::f32(ours, [3]).unwrap(), View::f32(&[1.0, 2.0, 4.0], [3]).unwrap());
    let comparison = compare(name, &ours, &reference, &Positions::All).unwrap();
    Measured::new(comparison, Budget { max_abs: 1e-4, relative: None, why: HOSTILE.to_owned() }, None)
}

fn named(name: &str) -> Named {
    Named { name: name.to_owned(), why: HOSTILE.to_owned() }
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

/// Two that pass, two failures, an error, three that are skipped, a module at fault.
fn full() -> Report {
    let recorded = porter_numerics::Generated {
        name: "generated",
        prompt: vec![1],
        tokens: vec![7, 8],
        logits: None,
        greedy: true,
    };
    let tokens = |found| TokenComparison::new(&recorded, found, Noise { max_abs: 0.0, narrower: false });
    let suspect = Suspect {
        path: "model.layers.3".to_owned(),
        op: Some("stablehlo.dot_general".to_owned()),
        reach: Reach::Local,
        truth: Truth::Computed,
        measured: measured("x", &[0.0; 3]),
        differs: Vec::new(),
        contributors: Vec::new(),
    };
    report(Findings {
        comparisons: vec![measured("logits", &[1.0, 2.0, 4.0]), measured(HOSTILE, &[1.0, f32::NAN, 4.5])],
        tokens: vec![tokens(vec![7, 8]), tokens(vec![7, 9])],
        problems: vec![named("\u{1b}\u{0}missing")],
        skipped: vec![named("a"), named("b"), named("c")],
        bisections: vec![Bisection {
            program: "forward".to_owned(),
            suspects: vec![suspect],
            cuts: 1,
            runs: 1,
            comparisons: 1,
        }],
        ..Findings::default()
    })
}

/// The document, held to the form that its readers expect.
fn parsed(xml: &str) -> Document<'_> {
    let document = Document::parse(xml).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let suites = elements(root);
    assert!(!suites.is_empty() && suites.iter().all(|suite| suite.tag_name().name() == "testsuite"));
    for suite in &suites {
        for case in named_elements(*suite, "testcase") {
            assert_eq!(case.attribute("classname"), suite.attribute("name"));
            assert!(case.attribute("name").is_some_and(|name| !name.is_empty()));
            let outcomes = elements(case);
            assert_eq!(outcomes.len(), 1, "one outcome a case");
            let outcome = outcomes[0].tag_name().name();
            assert!(["system-out", "failure", "error", "skipped"].contains(&outcome), "{outcome}");
        }
        let cases = named_elements(*suite, "testcase");
        let with = |outcome: &str| cases.iter().filter(|c| !named_elements(**c, outcome).is_empty()).count();
        assert_relative_eq!(number(*suite, "tests"), cases.len() as f64);
        assert_relative_eq!(number(*suite, "failures"), with("failure") as f64);
        assert_relative_eq!(number(*suite, "errors"), with("error") as f64);
        assert_relative_eq!(number(*suite, "skipped"), with("skipped") as f64);
        assert_relative_eq!(number(*suite, "time"), sum(&cases, "time"));
    }
    for key in ["tests", "failures", "errors", "skipped", "time"] {
        assert_relative_eq!(number(root, key), sum(&suites, key));
    }
    document
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> Vec<Node<'a, 'input>> {
    node.children().filter(Node::is_element).collect()
}

fn named_elements<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Vec<Node<'a, 'input>> {
    elements(node).into_iter().filter(|element| element.tag_name().name() == name).collect()
}

fn number(node: Node<'_, '_>, key: &str) -> f64 {
    node.attribute(key).unwrap_or_else(|| panic!("{key} of {node:?}")).parse().unwrap()
}

fn sum(nodes: &[Node<'_, '_>], key: &str) -> f64 {
    nodes.iter().map(|node| number(*node, key)).sum()
}

#[test]
fn counts_add_up_and_hostile_names_come_back() {
    let xml = junit::render(&full());
    let document = parsed(&xml);
    let root = document.root_element();
    let counts = ["tests", "failures", "errors", "skipped"].map(|key| number(root, key) as usize);
    assert_eq!(counts, [8, 2, 1, 3]);
    let suite = elements(root)[0];
    assert_eq!(suite.attribute("name"), Some(format!("{HOSTILE} (f32)").as_str()));
    let cases = named_elements(suite, "testcase");
    assert_eq!(cases[1].attribute("name"), Some(HOSTILE));
    let failure = elements(cases[1])[0];
    assert_eq!(failure.attribute("type"), Some("over budget"));
    assert!(failure.attribute("message").unwrap().contains(HOSTILE), "the budget's reason");
    let error = cases.iter().find(|case| !named_elements(**case, "error").is_empty()).unwrap();
    assert_eq!(error.attribute("name"), Some("\u{fffd}\u{fffd}missing"));
    assert_eq!(elements(*error)[0].attribute("message"), Some(HOSTILE));
}

#[test]
fn modules_at_fault_are_the_suites_output() {
    let xml = junit::render(&full());
    let document = parsed(&xml);
    let suite = elements(document.root_element())[0];
    let out = named_elements(suite, "system-out");
    assert_eq!(
        out[0].text(),
        Some("forward: model.layers.3, stablehlo.dot_general: wrong on the reference's own inputs\n")
    );
}

#[test]
fn a_report_of_nothing_is_a_document_too() {
    let xml = junit::render(&report(Findings::default()));
    assert_relative_eq!(number(parsed(&xml).root_element(), "tests"), 0.0);
}
