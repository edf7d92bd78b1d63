use std::collections::BTreeMap;

use super::*;
use crate::Verdict;

fn entry(max_abs: Option<f64>) -> Entry {
    let figures = |value| BTreeMap::from([("max_abs".to_owned(), value)]);
    Entry {
        schema: 1,
        model: "llama".to_owned(),
        reference: "bundle".to_owned(),
        dtype: "f32".to_owned(),
        plugin: "cpu".to_owned(),
        commit: "abc".to_owned(),
        versions: BTreeMap::from([("porter".to_owned(), "0.1.0".to_owned())]),
        date: "2026-11-24T19:00:00Z".to_owned(),
        figures: BTreeMap::from([("logits".to_owned(), figures(max_abs))]),
        verdict: Verdict::Pass,
    }
}

/// A ledger file with these greatest differences.
fn ledger(values: &[f64]) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(&dir.path().join("drift.jsonl")).unwrap();
    for &value in values {
        ledger.append(entry(Some(value))).unwrap();
    }
    (dir, ledger)
}

fn kinds(ledger: &Ledger, entry: &Entry) -> Vec<DriftKind> {
    ledger.judge(entry).iter().map(|drift| drift.kind).collect()
}

#[test]
fn what_is_appended_is_read_again() {
    let (_dir, ledger) = ledger(&[1e-6, 2e-6]);
    let again = Ledger::open(ledger.path()).unwrap();
    assert_eq!(again.entries(), ledger.entries());
    assert_eq!(again.entries().len(), 2);
}

#[test]
fn a_figure_is_judged_by_its_own_noise() {
    let (_dir, steady) = ledger(&[1e-5; 6]);
    assert_eq!(kinds(&steady, &entry(Some(1.2e-5))), []);
    assert_eq!(kinds(&steady, &entry(Some(1.3e-5))), [DriftKind::Worse]);
    let drifts = steady.judge(&entry(Some(5e-6)));
    assert_eq!((drifts[0].kind, drifts[0].fails(), drifts[0].history), (DriftKind::Better, false, 6));
    assert_eq!(kinds(&steady, &entry(None)), [DriftKind::Worse], "not finite");

    let (_dir, noisy) = ledger(&[1e-5, 2e-5, 1.5e-5, 1e-5, 2e-5, 1.5e-5]);
    let allowed = noisy.judge(&entry(Some(1.0)))[0].allowed;
    approx::assert_relative_eq!(allowed, 3.0 * 0.5e-5, max_relative = 1e-9);
    assert_eq!(kinds(&noisy, &entry(Some(2.9e-5))), []);
}

#[test]
fn a_short_history_says_nothing_and_a_lost_figure_does() {
    let (_dir, short) = ledger(&[1e-5; 4]);
    assert_eq!(kinds(&short, &entry(Some(1.0))), []);
    let (_dir, long) = ledger(&[1e-5; 5]);
    let mut lost = entry(None);
    lost.figures.clear();
    assert_eq!(kinds(&long, &lost), [DriftKind::Gone]);
}

#[test]
fn other_models_and_failed_checks_are_no_history() {
    let (_dir, mut ledger) = ledger(&[1e-5; 4]);
    ledger.append(Entry { model: "bert".to_owned(), ..entry(Some(1e-5)) }).unwrap();
    ledger.append(Entry { verdict: Verdict::Fail, ..entry(Some(1e-5)) }).unwrap();
    assert_eq!(kinds(&ledger, &entry(Some(1.0))), []);
}

#[test]
fn hostile_lines_are_all_reported_with_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("drift.jsonl");
    let good = entry(Some(1.0)).line().unwrap();
    let deep = "[".repeat(100_000);
    let later = good.replace("\"schema\":1", "\"schema\":2");
    let unknown = good.replace("\"commit\"", "\"comit\"");
    let cut = good.trim_end();
    fs::write(&path, format!("{good}{deep}\n\nnull\n{later}{unknown}{good}{cut}")).unwrap();
    let message = Ledger::open(&path).unwrap_err().to_string();
    for part in [
        "5 problems",
        "line 2: ",
        "line 4: ",
        "line 5: found schema 2",
        "line 6: unknown field `comit`",
        "line 8: the line does not end",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    fs::write(&path, [0xff, 0xfe, b'\n']).unwrap();
    assert!(Ledger::open(&path).unwrap_err().to_string().contains("line 1"));
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Io { .. })), "a folder");
}

proptest::proptest! {
    #[test]
    fn a_value_of_the_history_is_never_worse(values in proptest::collection::vec(1e-7..1e-3_f64, 5..30), pick in 0..5_usize) {
        let entries: Vec<Entry> = values.iter().map(|&v| entry(Some(v))).collect();
        let ledger = Ledger { path: PathBuf::new(), entries };
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        // The rule cannot promise it of the last tenth.
        let inner = sorted[pick.min(sorted.len() / 2)];
        proptest::prop_assert!(ledger.judge(&entry(Some(inner))).iter().all(|drift| !drift.fails()));
    }
}
