//! One line of a ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Measured, Report, Verdict};

/// The version of an entry's form.
const SCHEMA: u32 = 1;

/// Figures of one output by name: `max_abs`, `rmse`, ... `None` (JSON's `null`) where a figure is no
/// finite number.
pub type Figures = BTreeMap<String, Option<f64>>;

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The version of this form: 1.
    pub schema: u32,
    /// The model, as it was named.
    pub model: String,
    /// What it was compared with.
    pub reference: String,
    /// The element type that it ran in.
    pub dtype: String,
    /// The plugin that ran it.
    pub plugin: String,
    /// The commit that was checked.
    pub commit: String,
    /// Versions of what took part: porter, the plugin, ...
    pub versions: BTreeMap<String, String>,
    /// When, as the caller writes it (RFC 3339).
    pub date: String,
    /// Figures by output.
    pub figures: BTreeMap<String, Figures>,
    /// What the check said.
    pub verdict: Verdict,
}

/// What a report does not know of the run it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The commit that was checked.
    pub commit: String,
    /// Versions of what took part.
    pub versions: BTreeMap<String, String>,
    /// When, RFC 3339.
    pub date: String,
}

impl Entry {
    /// The entry of a report.
    pub fn new(report: &Report, stamp: Stamp) -> Self {
        let subject = report.subject().clone();
        let measured = report.findings().comparisons.iter();
        Self {
            schema: SCHEMA,
            model: subject.model,
            reference: subject.reference,
            dtype: subject.dtype,
            plugin: subject.plugin,
            commit: stamp.commit,
            versions: stamp.versions,
            date: stamp.date,
            figures: measured.map(|m| (m.comparison.name.clone(), figures(m))).collect(),
            verdict: report.verdict(),
        }
    }

    /// True if this entry belongs to the history of `later`: a passing check of the same thing.
    pub(super) fn precedes(&self, later: &Self) -> bool {
        let subject =
            |entry: &Self| [&entry.model, &entry.reference, &entry.dtype, &entry.plugin].map(String::clone);
        self.verdict == Verdict::Pass && subject(self) == subject(later)
    }

    /// `None` for a blank line.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, String> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let entry: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if entry.schema != SCHEMA {
            return Err(format!("found schema {}, expected {SCHEMA}", entry.schema));
        }
        if !line.ends_with(b"\n") {
            return Err("the line does not end: its writer was cut off".to_owned());
        }
        Ok(Some(entry))
    }

    /// The entry as a line, with its end.
    pub(super) fn line(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

fn figures(measured: &Measured) -> Figures {
    let c = &measured.comparison;
    let finite = |value: f64| Some(value).filter(|value| value.is_finite() && c.comparable());
    let mut figures =
        vec![("max_abs", finite(c.max_abs)), ("rmse", finite(c.rmse)), ("p999", finite(c.percentiles.p999))];
    if let Some(logits) = &measured.logits {
        figures.push(("kl", finite(logits.kl.mean)));
        figures.push(("flips", finite((logits.flips - logits.ties) as f64)));
    }
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
