//! The drift ledger: what earlier checks of a model measured, and whether today's figures are in line.

mod drift;
mod entry;

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

pub use drift::{Drift, DriftKind};
pub use entry::{Entry, Figures, Stamp};

/// The most bytes of a ledger that are read.
const LIMIT: u64 = 256 << 20;

/// A JSON-lines file, one check a line, which a repository keeps under version control.
///
/// It is read whole and only ever grows at its end: [`append`](Self::append) is one write of one line,
/// so that two checks at once leave two lines.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be read or written.
    #[error("{doing} the drift ledger {}: {source}", path.display())]
    Io {
        /// Reading or writing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than any history needs.
    #[error("the drift ledger {} has {bytes} bytes, expected at most {LIMIT}", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Lines that are no entries.
    #[error("{} is no drift ledger{}", path.display(), Lines(problems))]
    Lines {
        /// The file.
        path: PathBuf,
        /// Every such line.
        problems: Vec<LineProblem>,
    },
}

/// A line that is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineProblem {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

struct Lines<'a>(&'a [LineProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, ": {only}");
        }
        write!(f, ": {} problems", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Ledger {
    /// Reads a ledger; one that does not exist yet is empty. Every line that is no entry is reported.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let io = |source| LedgerError::Io { doing: "reading", path: path.to_owned(), source };
        let text = match fs::metadata(path) {
            Ok(file) if file.len() > LIMIT => {
                return Err(LedgerError::Long { path: path.to_owned(), bytes: file.len() });
            }
            Ok(_) => fs::read(path).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io(error)),
        };
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for (line, text) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
            match Entry::parse(text) {
                Ok(entry) => entries.extend(entry),
                Err(what) => problems.push(LineProblem { line, what }),
            }
        }
        if problems.is_empty() {
            Ok(Self { path: path.to_owned(), entries })
        } else {
            Err(LedgerError::Lines { path: path.to_owned(), problems })
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every figure of `entry` that is out of line with earlier passing checks of the same model,
    /// reference, dtype and plugin; see [`Drift`].
    pub fn judge(&self, entry: &Entry) -> Vec<Drift> {
        let history: Vec<&Entry> = self.entries.iter().filter(|earlier| earlier.precedes(entry)).collect();
        drift::judge(&history, entry)
    }

    /// Adds an entry at the end, in one write, and waits until the disk has it.
    pub fn append(&mut self, entry: Entry) -> Result<(), LedgerError> {
        let io = |source| LedgerError::Io { doing: "writing", path: self.path.clone(), source };
        let line = entry.line().map_err(|error| io(error.into()))?;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path).map_err(io)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        self.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
