//! A team's budgets: `--budget FILE`.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{Budget, Level};

/// The most bytes of a budget file that are read.
const LIMIT: u64 = 16 << 20;
/// The keys of an entry.
const KEYS: [&str; 5] = ["output", "max_abs", "relative", "level", "why"];

/// Budgets by output, written by hand: a JSON list of
/// `{"output": GLOB, "max_abs" | "relative" | "level": ..., "why": TEXT}`.
///
/// - `output` names outputs; `*` stands for any characters and `?` for one. The first entry that
///   matches counts.
/// - `max_abs` is in the output's units, `relative` in standard deviations of the reference, `level` is
///   the name of a [`Level`]. An entry has exactly one of them.
/// - `why` is the reason. An entry that allows more than what is derived needs one.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One entry of a budget file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    output: String,
    limit: Limit,
    why: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    MaxAbs(f64),
    Relative(f64),
    Level(Level),
}

/// Why a budget file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BudgetFileError {
    /// It cannot be read.
    #[error("reading the budgets {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be read, but does not say what budgets are.
    #[error("{} holds no usable budgets{}", path.display(), List(problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// Everything found wrong.
        problems: Vec<BudgetProblem>,
    },
}

/// One thing wrong with a budget file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetProblem {
    /// The file as a whole.
    #[error("{0}")]
    File(String),
    /// One entry.
    #[error("entry {index}{}: {what}", output.as_ref().map_or_else(String::new, |o| format!(" ({o:?})")))]
    Entry {
        /// Which, from 1.
        index: usize,
        /// The outputs it is for, if it says.
        output: Option<String>,
        /// What is wrong.
        what: String,
    },
}

struct List<'a>(&'a [BudgetProblem]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, ": {only}");
        }
        write!(f, ": {} problems", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl BudgetFile {
    /// Reads a budget file. Everything wrong with it is reported at once.
    pub fn open(path: &Path) -> Result<Self, BudgetFileError> {
        let read = |source| BudgetFileError::Read { path: path.to_owned(), source };
        let bytes = fs::metadata(path).map_err(read)?.len();
        if bytes > LIMIT {
            let problems = vec![BudgetProblem::File(format!("{bytes} bytes, expected at most {LIMIT}"))];
            return Err(BudgetFileError::Problems { path: path.to_owned(), problems });
        }
        Self::parse(path, &fs::read(path).map_err(read)?)
    }

    /// Reads budgets from `text`, which came from `path`.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, BudgetFileError> {
        let mut problems = Vec::new();
        let entries = match serde_json::from_slice(text) {
            Ok(Value::Array(list)) => {
                let numbered = list.iter().zip(1..);
                numbered.filter_map(|(value, index)| entry(index, value, &mut problems)).collect()
            }
            Ok(_) => {
                problems.push(BudgetProblem::File("expected a list of entries".to_owned()));
                Vec::new()
            }
            Err(error) => {
                problems.push(BudgetProblem::File(error.to_string()));
                Vec::new()
            }
        };
        if problems.is_empty() {
            Ok(Self { path: path.to_owned(), entries })
        } else {
            Err(BudgetFileError::Problems { path: path.to_owned(), problems })
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The patterns that match none of `outputs`: most likely misspelt.
    pub fn unused<'a>(&self, outputs: impl IntoIterator<Item = &'a str>) -> Vec<&str> {
        let outputs: Vec<&str> = outputs.into_iter().collect();
        let idle = |entry: &&Entry| !outputs.iter().any(|name| matches(&entry.output, name));
        self.entries.iter().filter(idle).map(|entry| entry.output.as_str()).collect()
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| matches(&entry.output, name))
    }
}

impl Entry {
    pub(crate) fn output(&self) -> &str {
        &self.output
    }

    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    pub(crate) fn budget(&self, scale: f64) -> Budget {
        let reason = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        match self.limit {
            Limit::MaxAbs(max_abs) => {
                Budget { max_abs, relative: None, why: format!("{max_abs:e}, from the budget file{reason}") }
            }
            Limit::Relative(relative) => Budget {
                max_abs: relative * scale,
                relative: None,
                why: format!("{relative:e} x the reference's std {scale:.3e}, from the budget file{reason}"),
            },
            Limit::Level(level) => {
                let Budget { max_abs, relative, why } = level.budget(scale);
                Budget { max_abs, relative, why: format!("{why}, from the budget file{reason}") }
            }
        }
    }
}

fn entry(index: usize, value: &Value, problems: &mut Vec<BudgetProblem>) -> Option<Entry> {
    let before = problems.len();
    let output = value.get("output").and_then(Value::as_str).map(str::to_owned);
    let mut wrong =
        |what: String| problems.push(BudgetProblem::Entry { index, output: output.clone(), what });
    let Value::Object(map) = value else {
        wrong(format!("found {}, expected an object", kind(value)));
        return None;
    };
    for key in map.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        wrong(format!("unknown key {key:?}, expected {}", KEYS.join(", ")));
    }
    if output.as_deref().is_none_or(str::is_empty) {
        wrong("\"output\" is missing or no text".to_owned());
    }
    let why = match map.get("why") {
        None => "",
        Some(Value::String(text)) => text.trim(),
        Some(other) => {
            wrong(format!("\"why\" is {}, expected text", kind(other)));
            ""
        }
    };
    let limit = limit(map, &mut wrong);
    let (output, why) = (output.unwrap_or_default(), why.to_owned());
    limit.filter(|_| problems.len() == before).map(|limit| Entry { output, limit, why })
}

fn limit(map: &Map<String, Value>, wrong: &mut impl FnMut(String)) -> Option<Limit> {
    let mut found = Vec::new();
    for key in ["max_abs", "relative"] {
        let Some(value) = map.get(key) else { continue };
        match value.as_f64().filter(|limit| limit.is_finite() && *limit >= 0.0) {
            Some(limit) if key == "max_abs" => found.push(Limit::MaxAbs(limit)),
            Some(limit) => found.push(Limit::Relative(limit)),
            None => wrong(format!("{key:?} is {value}, expected a number of zero or more")),
        }
    }
    if let Some(value) = map.get("level") {
        match value.as_str().ok_or_else(|| format!("\"level\" is {}, expected text", kind(value))) {
            Ok(text) => match text.parse() {
                Ok(level) => found.push(Limit::Level(level)),
                Err(what) => wrong(what),
            },
            Err(what) => wrong(what),
        }
    }
    let given = ["max_abs", "relative", "level"].iter().filter(|key| map.contains_key(**key)).count();
    if given != 1 {
        wrong(format!("{given} of \"max_abs\", \"relative\" and \"level\" are given, expected one"));
    }
    found.first().copied()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// True if `pattern` matches all of `name`: `*` any characters, `?` one. In linear memory and at most
/// quadratic time.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || Some(&c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|&c| c == '*')
}

#[cfg(test)]
mod tests;
