//! An estimate as text.

use std::fmt;

use super::{Estimate, Resource, Row};

/// So many rows are shown.
const SHOWN: usize = 12;

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::Hbm => "HBM",
            Self::Ici => "links",
        })
    }
}

impl fmt::Display for Estimate {
    /// A summary, and two tables: by source path and by kind of work.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} a run, bound by {}: core {} (matrix units {}), HBM {} ({:.2} GB), links {}",
            time(self.seconds),
            self.bound,
            time(self.core_seconds),
            time(self.mxu_seconds),
            time(self.hbm_seconds),
            self.hbm_bytes / 1e9,
            time(self.ici_seconds),
        )?;
        writeln!(
            f,
            "MFU {:.1}%, HBM busy {:.0}%, links busy {:.0}%; the compiler's windows alone {}",
            100.0 * self.mfu,
            100.0 * self.hbm_share,
            100.0 * self.ici_share,
            time(self.window_seconds),
        )?;
        for collective in &self.collectives {
            let (count, bytes) = (collective.count, collective.bytes / 1e6);
            writeln!(f, "{count:.0} x {}: {bytes:.1} MB, {}", collective.kind, time(collective.seconds))?;
        }
        table(f, "SOURCE", &self.by_source, self.seconds)?;
        table(f, "KIND", &self.by_kind, self.seconds)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter<'_>, name: &str, rows: &[Row], whole: f64) -> fmt::Result {
    let width =
        rows.iter().take(SHOWN).map(|row| row.name.chars().count()).chain([name.len()]).max().unwrap_or(0);
    writeln!(f, "\n{name:<width$}      TIME  SHARE      CORE    HBM MB   STEPS")?;
    for row in rows.iter().take(SHOWN) {
        let share = if whole > 0.0 { 100.0 * row.seconds / whole } else { 0.0 };
        writeln!(
            f,
            "{:<width$} {:>9} {share:>5.1}% {:>9} {:>9.1} {:>7.0}",
            printable(&row.name),
            time(row.seconds),
            time(row.core_seconds),
            row.hbm_bytes / 1e6,
            row.steps,
        )?;
    }
    if let Some(rest) = rows.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        writeln!(f, "and {} more, {}", rest.len(), time(rest.iter().map(|row| row.seconds).sum()))?;
    }
    Ok(())
}

/// A time with three digits and its unit.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "unknown".to_owned(),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s if s >= 5e-8 => format!("{:.1} us", s * 1e6),
        _ => "0".to_owned(),
    }
}

/// Names come from files.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
