//! Whether a figure is in line with its history.

use serde::Serialize;

use super::Entry;

/// The fewest earlier values that a figure is judged by.
const FEWEST: usize = 5;
/// The most: older ones tell of another toolchain.
const MOST: usize = 50;
/// How many times its own noise a figure may move, as tract's bench gate has it.
const FACTOR: f64 = 3.0;
/// The share of its median that a figure may always move: kernels that sum in another order move a
/// greatest difference by some tenths.
const LEAST: f64 = 0.25;
/// The least that a figure may always move, in the output's units: below it there is nothing to lose.
const FLOOR: f64 = 1e-9;

/// A figure that left its learned noise.
///
/// A series' noise is the 90th percentile of its distances from its median, over the last 50 passing
/// checks; a figure leaves it when it is further from the median than the greatest of three times that
/// noise, a quarter of the median, and 1e-9. That is the rule of tract's nightly benches
/// (`.travis/bench-thresholds.toml`: flagged where |delta| reaches max(floor, 3 x the series' own p90
/// noise)). A series of fewer than five is not judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// The output.
    pub output: String,
    /// The figure: `max_abs`, `rmse`, ...
    pub figure: String,
    /// Which way.
    pub kind: DriftKind,
    /// The figure now; `None` where it is gone or no finite number.
    pub found: Option<f64>,
    /// The median of its history.
    pub median: f64,
    /// How far from the median it may be.
    pub allowed: f64,
    /// How many earlier values there are.
    pub history: usize,
}

/// Which way a figure went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// Further from the reference: fails a check.
    Worse,
    /// No longer measured, though every earlier check did: fails a check.
    Gone,
    /// Nearer to the reference: a note.
    Better,
}

impl Drift {
    /// What it is, in one line.
    pub fn describe(&self) -> String {
        let Self { output, figure, kind, found, median, allowed, history } = self;
        let found = found.map_or_else(|| "no number".to_owned(), |value| format!("{value:.3e}"));
        let what = match kind {
            DriftKind::Worse => "is worse than its history",
            DriftKind::Gone => "is no longer measured",
            DriftKind::Better => "is better than its history",
        };
        format!("{output}: {figure} {what}: {found}, median of {history} checks {median:.3e}, noise {allowed:.1e}")
    }

    /// True if it fails a check.
    pub fn fails(&self) -> bool {
        self.kind != DriftKind::Better
    }
}

/// Judges every figure of `entry` and every figure that its whole history had.
pub(super) fn judge(history: &[&Entry], entry: &Entry) -> Vec<Drift> {
    let mut names: Vec<(&str, &str)> = history.iter().flat_map(|earlier| earlier.names()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|(output, figure)| of_figure(history, entry, output, figure)).collect()
}

fn of_figure(history: &[&Entry], entry: &Entry, output: &str, figure: &str) -> Option<Drift> {
    let earlier = history.iter().rev().filter_map(|earlier| earlier.figure(output, figure));
    let recorded: Vec<f64> = earlier.filter(|value| value.is_finite()).take(MOST).collect();
    if recorded.len() < FEWEST {
        return None;
    }
    let (median, allowed) = noise(&recorded);
    let now = entry.figure(output, figure);
    let kind = match now {
        None if recorded.len() == history.len().min(MOST) => DriftKind::Gone,
        Some(value) if value > median + allowed => DriftKind::Worse,
        Some(value) if value < median - allowed => DriftKind::Better,
        _ => return None,
    };
    Some(Drift {
        output: output.to_owned(),
        figure: figure.to_owned(),
        kind,
        found: now.filter(|value| value.is_finite()),
        median,
        allowed,
        history: recorded.len(),
    })
}

/// The median of a series, and how far from it a value may be.
fn noise(series: &[f64]) -> (f64, f64) {
    let median = quantile(series, 0.5);
    let distances: Vec<f64> = series.iter().map(|value| (value - median).abs()).collect();
    (median, (FACTOR * quantile(&distances, 0.9)).max(LEAST * median.abs()).max(FLOOR))
}

/// The `ceil(share * n)`-th smallest.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

impl Entry {
    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.figures
            .iter()
            .flat_map(|(output, figures)| figures.keys().map(move |f| (output.as_str(), f.as_str())))
    }

    /// A figure; infinite where it was no finite number.
    fn figure(&self, output: &str, figure: &str) -> Option<f64> {
        self.figures.get(output)?.get(figure).map(|value| value.unwrap_or(f64::INFINITY))
    }
}
