use super::*;
use crate::{Comparison, Judge, Positions, View, compare};

fn parse(text: &str) -> Result<BudgetFile, BudgetFileError> {
    BudgetFile::parse(Path::new("budgets.json"), text.as_bytes())
}

fn comparison() -> Comparison {
    let (ours, reference) = ([1.0, 3.5], [1.0, 3.0]);
    let view = |values| View::f64(values, [2]).unwrap();
    compare("x", &view(&ours), &view(&reference), &Positions::All).unwrap()
}

#[test]
fn globs() {
    for (pattern, name) in [
        ("*", ""),
        ("logits", "logits"),
        ("hidden_states.*", "hidden_states.12"),
        ("l?gits*", "logits.3"),
        ("*a*b", "xaab"),
    ] {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("", "x"), ("logits", "logits.1"), ("?", ""), ("*a*b", "xaba")] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let error = parse(
        r#"[{"output": "a", "max_abs": -1}, {"max_abs": 1, "relative": 2}, {"output": "b", "level": "loose"},
            {"output": "c"}, 7, {"output": "d", "max_abs": 1, "why": 3, "wyh": ""}, {"output": "e", "level": 2}]"#,
    );
    let message = error.unwrap_err().to_string();
    for part in [
        "9 problems",
        "entry 1 (\"a\"): \"max_abs\" is -1",
        "entry 2: \"output\" is missing",
        "entry 2: 2 of \"max_abs\", \"relative\" and \"level\"",
        "entry 3 (\"b\"): found the level \"loose\"",
        "entry 4 (\"c\"): 0 of",
        "entry 5: found a number",
        "entry 6 (\"d\"): unknown key \"wyh\"",
        "entry 6 (\"d\"): \"why\" is a number",
        "entry 7 (\"e\"): \"level\" is a number",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    assert!(parse("{}").unwrap_err().to_string().contains("expected a list"));
    assert!(parse("[").unwrap_err().to_string().contains("EOF"));
    assert!(matches!(BudgetFile::open(Path::new("/nowhere")), Err(BudgetFileError::Read { .. })));
}

#[test]
fn looser_than_derived_needs_a_reason_and_tighter_does_not() {
    let derived = || Budget { max_abs: 0.1, relative: None, why: "derived".to_owned() };
    let rule = |text: &str| {
        let file = parse(text).unwrap();
        Judge { file: Some(&file), ..Judge::default() }.rule("logits", derived(), &comparison())
    };
    let tighter = rule(r#"[{"output": "log*", "relative": 0.05}]"#);
    approx::assert_relative_eq!(tighter.budget.max_abs, 0.05);
    assert_eq!((tighter.loosened, tighter.refused), (None, None));

    let unexplained = rule(r#"[{"output": "*", "max_abs": 1, "why": "  "}]"#);
    approx::assert_relative_eq!(unexplained.budget.max_abs, 0.1);
    assert!(unexplained.refused.unwrap().contains("gives no reason"));

    let explained = rule(r#"[{"output": "*", "max_abs": 1, "why": "int8 weights"}]"#);
    let loosened = explained.loosened.unwrap();
    assert_eq!(loosened.reason, "int8 weights");
    approx::assert_relative_eq!(loosened.derived, 0.1);
    approx::assert_relative_eq!(loosened.allowed, 1.0);

    let other = rule(r#"[{"output": "hidden*", "level": "exact"}]"#);
    approx::assert_relative_eq!(other.budget.max_abs, 0.1);
}

#[test]
fn a_level_holds_where_the_file_is_silent() {
    let file = parse(r#"[{"output": "a", "level": "exact"}]"#).unwrap();
    assert_eq!(file.unused(["b", "c"]), ["a"]);
    let judge = Judge { file: Some(&file), level: Some(Level::Approximate), roundings: None };
    let derived = Budget { max_abs: 0.5, relative: None, why: String::new() };
    approx::assert_relative_eq!(judge.rule("a", derived.clone(), &comparison()).budget.max_abs, 0.0);
    approx::assert_relative_eq!(judge.rule("b", derived, &comparison()).budget.max_abs, 0.01);
}
