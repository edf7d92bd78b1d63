//! A conversion from its first byte to its last, in as many runs as it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    thread,
};

use sha2::{Digest, Sha256};

use super::{
    Event, Observer, StreamError,
    journal::{Begun, Journal, Written},
    local::PART,
    pipeline::Size,
    share::Share,
    store::Store,
    writer::Writer,
};
use crate::{
    Checkpoint,
    write::{Layout, OutputFile, Piece},
};

/// Files that a message names.
const NAMED: usize = 5;

/// What is written from what.
#[derive(Clone, Copy)]
pub struct Conversion<'a> {
    /// What this is, for people: the source and the options.
    pub what: &'a str,
    /// The source.
    pub checkpoint: &'a dyn Checkpoint,
    /// The output.
    pub layout: &'a Layout,
}

/// How to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most bytes that are taken at once: tiles, and what is read for them.
    pub memory: u64,
    /// Threads that evaluate tiles.
    pub threads: usize,
    /// The share of the files that this run writes.
    pub share: Share,
}

impl Options {
    /// All files, on all cores, with `memory` bytes.
    pub fn within(memory: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self { memory, threads, share: Share::default() }
    }
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Every file of this share, those of earlier runs included.
    pub files: BTreeMap<String, Written>,
    /// Bytes that this run wrote.
    pub written: u64,
    /// Bytes that earlier runs had written.
    pub kept: u64,
}

/// Writes the conversion, or what is left of it. See the module's documentation for what happens to
/// what an earlier run left.
pub fn write(
    conversion: &Conversion<'_>,
    store: &dyn Store,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Summary, StreamError> {
    conversion.layout.check("files")?;
    let size = Size::within(options.memory, options.threads.max(1), conversion.layout)?;
    let files = options.share.files(conversion.layout)?;
    let journal_path = options.share.journal();
    let place = store.name();
    let lock = store.lock(&format!("{journal_path}.lock")).map_err(|source| match source.kind() {
        std::io::ErrorKind::WouldBlock => StreamError::Busy { place: place.clone() },
        _ => StreamError::io("lock", &place)(source),
    })?;
    let listed = store.list().map_err(StreamError::io("list", &place))?.into_iter().collect();
    let session = Session { conversion, store, observer, size, journal_path, files, listed };
    let done = session.open().and_then(|journal| session.run(journal));
    drop(lock);
    done
}

struct Session<'a> {
    conversion: &'a Conversion<'a>,
    store: &'a dyn Store,
    observer: &'a dyn Observer,
    size: Size,
    journal_path: String,
    files: Vec<&'a OutputFile>,
    /// What was there when this began.
    listed: BTreeSet<String>,
}

impl Session<'_> {
    /// The journal to go on with. What an earlier run of another plan left is removed; what is not a
    /// conversion's is refused.
    fn open(&self) -> Result<Journal, StreamError> {
        let fresh = Journal::new(self.conversion, self.planned())?;
        let place = self.store.name();
        let Some(mut old) = Journal::read(self.store, &self.journal_path)? else {
            self.refuse_strangers(&[])?;
            return Ok(fresh);
        };
        let written = old.files.len();
        old.files.retain(|path, _| self.listed.contains(path));
        if old.is_of(&fresh) {
            old.complete &= old.files.len() == written;
            self.refuse_strangers(&fresh.planned)?;
            return Ok(old);
        }
        if old.complete && !old.files.is_empty() {
            return Err(StreamError::Finished { place, what: old.what });
        }
        self.refuse_strangers(&old.planned)?;
        self.observer.event(Event::Note(
            "an unfinished conversion of another source, or with other options, is there; it is removed, and this one \
             begins at its start",
        ));
        for path in old.planned.iter().chain([&self.journal_path]) {
            self.store.remove(path).map_err(StreamError::io("remove", path))?;
        }
        Ok(fresh)
    }

    fn planned(&self) -> Vec<String> {
        let closing = if self.alone() { &self.conversion.layout.closing[..] } else { &[] };
        let files = self.files.iter().copied().chain(closing);
        files.map(|file| file.path.clone()).collect()
    }

    /// True if this run writes all files.
    fn alone(&self) -> bool {
        self.journal_path == Share::default().journal()
    }

    /// Refuses a place that holds anything but records of conversions, files that are `known`, and what
    /// other shares write.
    fn refuse_strangers(&self, known: &[String]) -> Result<(), StreamError> {
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        let mut of_others = BTreeSet::new();
        if !self.alone() {
            of_others.extend(self.conversion.layout.files.iter().map(|file| file.path.as_str()));
            for file in &self.files {
                of_others.remove(file.path.as_str());
            }
        }
        let strange = |path: &&String| {
            let file = path.strip_suffix(PART).unwrap_or(path);
            !file.starts_with("porter-convert") && !known.contains(file) && !of_others.contains(file)
        };
        let found: Vec<String> = self.listed.iter().filter(strange).take(NAMED).cloned().collect();
        let place = self.store.name();
        if found.is_empty() { Ok(()) } else { Err(StreamError::NotEmpty { place, found }) }
    }

    fn run(&self, mut journal: Journal) -> Result<Summary, StreamError> {
        let layout = self.conversion.layout;
        let total: u64 = self.files.iter().map(|file| layout.file_bytes(file).unwrap_or(0)).sum();
        let kept = journal.files.values().map(|file| file.bytes).sum::<u64>()
            + journal.begun.as_ref().map_or(0, |begun| begun.bytes);
        let mut left = self.files.clone();
        left.retain(|file| !journal.files.contains_key(&file.path));
        self.remove_unnoted(&left, journal.begun.as_ref())?;
        self.refuse_without_room(total.saturating_sub(kept))?;
        if !journal.complete {
            journal.write(self.store, &self.journal_path)?;
        }
        self.observer.event(Event::Begin { what: "convert", bytes: total, done: kept });
        let writer = Writer {
            conversion: self.conversion,
            store: self.store,
            observer: self.observer,
            size: self.size,
            journal_path: &self.journal_path,
        };
        let written = writer.write(&mut left, &mut journal)?;
        self.close(&mut journal)?;
        self.observer.event(Event::End);
        Ok(Summary { files: journal.files, written, kept })
    }

    /// Frees the room of what will be written again: everything of the files `left` that is not noted.
    fn remove_unnoted(&self, left: &[&OutputFile], begun: Option<&Begun>) -> Result<(), StreamError> {
        for OutputFile { path, .. } in left {
            let there = [path.clone(), format!("{path}{PART}")].iter().any(|path| self.listed.contains(path));
            match begun.filter(|begun| begun.path == *path) {
                Some(begun) => {
                    drop(self.store.begin(path, begun.bytes).map_err(StreamError::io("begin", path))?);
                }
                None if there => self.store.remove(path).map_err(StreamError::io("remove", path))?,
                None => {}
            }
        }
        Ok(())
    }

    fn refuse_without_room(&self, needed: u64) -> Result<(), StreamError> {
        let place = self.store.name();
        match self.store.free_bytes().map_err(StreamError::io("look at", &place))? {
            Some(free) if free < needed => Err(StreamError::NoSpace { place, needed, free }),
            _ => Ok(()),
        }
    }

    /// Writes the files that close the conversion, or keeps them for who merges the shares.
    fn close(&self, journal: &mut Journal) -> Result<(), StreamError> {
        if journal.complete {
            return Ok(());
        }
        for file in &self.conversion.layout.closing {
            let bytes = literal(file);
            if self.alone() {
                self.store.put(&file.path, &bytes).map_err(StreamError::io("write", &file.path))?;
                let sha256 = hex::encode(Sha256::digest(&bytes));
                journal.files.insert(file.path.clone(), Written { bytes: bytes.len() as u64, sha256 });
            } else {
                journal.closing.insert(file.path.clone(), hex::encode(&bytes));
            }
        }
        journal.complete = true;
        journal.write(self.store, &self.journal_path)
    }
}

/// The literal bytes of a closing file.
pub(super) fn literal(file: &OutputFile) -> Vec<u8> {
    let bytes = file.pieces.iter().filter_map(|piece| match piece {
        Piece::Bytes(bytes) => Some(&bytes[..]),
        Piece::Elements { .. } => None,
    });
    bytes.collect::<Vec<_>>().concat()
}
