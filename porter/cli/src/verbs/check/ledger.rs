//! The drift ledger of a repository.

use std::{collections::BTreeMap, env, path::Path, process::Command, time::SystemTime};

use porter_numerics::{Entry, Ledger, LedgerError, Report, Stamp};

use crate::exit::{Exit, Failure};

/// Judges a report by the ledger's history, and adds it there.
pub(super) fn keep(report: Report, path: &Path) -> Result<Report, Failure> {
    let mut ledger = Ledger::open(path).map_err(|error| failure(&error))?;
    let entry = Entry::new(&report, stamp());
    let drifts = ledger.judge(&entry);
    ledger.append(entry).map_err(|error| failure(&error))?;
    Ok(report.with_drifts(drifts))
}

fn stamp() -> Stamp {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let versions = BTreeMap::from([("porter".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    Stamp { commit: commit().unwrap_or_else(|| "unknown".to_owned()), versions, date }
}

/// The commit that is checked: what a CI system says, or the work tree's.
fn commit() -> Option<String> {
    let said = ["GITHUB_SHA", "CI_COMMIT_SHA"].iter().find_map(|name| env::var(name).ok());
    said.filter(|commit| !commit.is_empty()).or_else(|| {
        let output = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    })
}

fn failure(error: &LedgerError) -> Failure {
    let exit = match error {
        LedgerError::Io { .. } => Exit::Environment,
        LedgerError::Long { .. } | LedgerError::Lines { .. } => Exit::Corrupt,
    };
    Failure::new(exit, error)
}
