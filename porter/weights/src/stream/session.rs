//! A conversion from its first byte to its last, in as many runs as it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    Event, Observer, StreamError,
    journal::{Begun, Journal, Written, hex},
    local::PART,
    pipeline::{self, Size},
    store::{Part, Store},
    tiles,
};
use crate::{
    Checkpoint,
    write::{Layout, OutputFile, Piece},
};

/// Files that a message names.
const NAMED: usize = 5;
/// How often what was written becomes durable.
const DURABLE_EVERY: Duration = Duration::from_millis(500);
/// How often finished files are noted, so that a journal of very many is not written for each. One that
/// was not noted is written again.
const NOTED_EVERY: Duration = Duration::from_millis(500);

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

/// One of several shares of a conversion. The default is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which, from 1 on.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { part: 1, of: 1 }
    }
}

impl Share {
    /// The journal of this share.
    pub(super) fn journal(self) -> String {
        match self.of {
            1 => "porter-convert.json".to_owned(),
            _ => format!("porter-convert-{:05}-of-{:05}.json", self.part, self.of),
        }
    }

    /// The files of this share: the largest first, each to the share that has least so far, so that
    /// every machine comes to the same.
    fn files(self, layout: &Layout) -> Result<Vec<&OutputFile>, StreamError> {
        let wrong = |why: String| StreamError::Share { part: self.part, of: self.of, why };
        if self.part == 0 || self.part > self.of {
            return Err(wrong("shares are numbered from 1 to their number".to_owned()));
        }
        if self.of > layout.files.len().max(1) {
            return Err(wrong(format!("the output has {} files; use smaller shards", layout.files.len())));
        }
        let mut sizes: Vec<(u64, usize)> = layout
            .files
            .iter()
            .enumerate()
            .map(|(i, file)| (layout.file_bytes(file).unwrap_or(0), i))
            .collect();
        sizes.sort_by_key(|&(bytes, i)| (std::cmp::Reverse(bytes), i));
        let mut taken = vec![0_u64; self.of];
        let mut mine = BTreeSet::new();
        for (bytes, i) in sizes {
            let least = (0..self.of).min_by_key(|&share| taken[share]).unwrap_or(0);
            taken[least] += bytes;
            if least + 1 == self.part {
                mine.insert(i);
            }
        }
        Ok(mine.into_iter().map(|i| &layout.files[i]).collect())
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
    let session = Session { conversion, store, observer, size, journal_path, files };
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
}

impl Session<'_> {
    /// The journal to go on with. What an earlier run of another plan left is removed; what is not a
    /// conversion's is refused.
    fn open(&self) -> Result<Journal, StreamError> {
        let fresh = Journal::new(self.conversion, self.planned())?;
        let place = self.store.name();
        let listed: BTreeSet<String> =
            self.store.list().map_err(StreamError::io("list", &place))?.into_iter().collect();
        let Some(mut old) = Journal::read(self.store, &self.journal_path)? else {
            self.refuse_strangers(&listed, &[])?;
            return Ok(fresh);
        };
        let written = old.files.len();
        old.files.retain(|path, _| listed.contains(path));
        if old.is_of(&fresh) {
            old.complete &= old.files.len() == written;
            self.refuse_strangers(&listed, &fresh.planned)?;
            return Ok(old);
        }
        if old.complete && !old.files.is_empty() {
            return Err(StreamError::Finished { place, what: old.what });
        }
        self.refuse_strangers(&listed, &old.planned)?;
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
    fn refuse_strangers(&self, listed: &BTreeSet<String>, known: &[String]) -> Result<(), StreamError> {
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
        let found: Vec<String> = listed.iter().filter(strange).take(NAMED).cloned().collect();
        let place = self.store.name();
        if found.is_empty() { Ok(()) } else { Err(StreamError::NotEmpty { place, found }) }
    }

    fn run(&self, mut journal: Journal) -> Result<Summary, StreamError> {
        let layout = self.conversion.layout;
        let total: u64 = self.files.iter().map(|file| layout.file_bytes(file).unwrap_or(0)).sum();
        let kept = journal.files.values().map(|file| file.bytes).sum::<u64>()
            + journal.begun.as_ref().map_or(0, |begun| begun.bytes);
        self.refuse_without_room(total.saturating_sub(kept))?;
        if !journal.complete {
            journal.write(self.store, &self.journal_path)?;
        }
        self.observer.event(Event::Begin { what: "convert", bytes: total, done: kept });
        let (mut written, mut noted) = (0, Instant::now());
        for file in &self.files {
            if journal.files.contains_key(&file.path) {
                continue;
            }
            written += self.file(file, &mut journal).inspect_err(|_| {
                // The error that is there says more than one of noting it.
                let _ = journal.write(self.store, &self.journal_path);
            })?;
            if noted.elapsed() > NOTED_EVERY {
                journal.write(self.store, &self.journal_path)?;
                noted = Instant::now();
            }
        }
        self.close(&mut journal)?;
        self.observer.event(Event::End);
        Ok(Summary { files: journal.files, written, kept })
    }

    fn refuse_without_room(&self, needed: u64) -> Result<(), StreamError> {
        let place = self.store.name();
        match self.store.free_bytes().map_err(StreamError::io("look at", &place))? {
            Some(free) if free < needed => Err(StreamError::NoSpace { place, needed, free }),
            _ => Ok(()),
        }
    }

    /// Writes one file, or what is left of it, and says how many bytes that were.
    fn file(&self, file: &OutputFile, journal: &mut Journal) -> Result<u64, StreamError> {
        let path = &file.path;
        let io = |doing| StreamError::io(doing, path);
        let layout = self.conversion.layout;
        let keep = journal.begun.take().filter(|begun| begun.path == *path).map_or(0, |begun| begun.bytes);
        let mut part = self.store.begin(path, keep).map_err(io("begin"))?;
        let mut tiles = tiles::cut(layout, file, part.kept(), self.size.tile_bytes);
        if tiles.is_none() {
            part = self.store.begin(path, 0).map_err(io("begin"))?;
            tiles = tiles::cut(layout, file, 0, self.size.tile_bytes);
        }
        let tiles = tiles.unwrap_or_default();
        let mut hash = Sha256::new();
        feed(&mut *part, &mut hash).map_err(io("read"))?;
        let progress = Progress { bytes: AtomicU64::new(part.kept()), over: AtomicBool::new(false) };
        let durable = part.durable().map_err(io("open"))?;
        let kept = part.kept();
        let saved = Mutex::new(journal);
        let written = thread::scope(|scope| {
            let saver = durable.map(|durable| {
                let (progress, saved) = (&progress, &saved);
                scope.spawn(move || self.save_often(path, progress, &*durable, saved))
            });
            let done = pipeline::run(layout, self.conversion.checkpoint, &tiles, self.size, |bytes| {
                let (written, ()) = rayon::join(|| part.write(bytes), || hash.update(bytes));
                written.map_err(io("write"))?;
                progress.bytes.fetch_add(bytes.len() as u64, Ordering::Release);
                self.observer.event(Event::Advanced(bytes.len() as u64));
                Ok(())
            });
            progress.over.store(true, Ordering::Release);
            if let Some(saver) = saver {
                saver.thread().unpark();
            }
            done
        });
        let journal = saved.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.refuse_changed_source(journal)?;
        written?;
        part.finish().map_err(io("finish"))?;
        let bytes = progress.bytes.load(Ordering::Acquire);
        journal.begun = None;
        journal.files.insert(path.clone(), Written { bytes, sha256: hex(&hash.finalize()) });
        Ok(bytes - kept)
    }

    /// Makes durable what was written, again and again, and notes it.
    fn save_often(
        &self,
        path: &str,
        progress: &Progress,
        durable: &dyn Fn() -> std::io::Result<()>,
        journal: &Mutex<&mut Journal>,
    ) {
        let mut saved = progress.bytes.load(Ordering::Acquire);
        while !progress.over.load(Ordering::Acquire) {
            thread::park_timeout(DURABLE_EVERY);
            let bytes = progress.bytes.load(Ordering::Acquire);
            if bytes == saved || progress.over.load(Ordering::Acquire) {
                continue;
            }
            // What fails here fails again, and is reported, when the file is finished.
            if durable().is_ok() {
                let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                journal.begun = Some(Begun { path: path.to_owned(), bytes });
                if journal.write(self.store, &self.journal_path).is_ok() {
                    saved = bytes;
                }
            }
        }
    }

    fn refuse_changed_source(&self, journal: &Journal) -> Result<(), StreamError> {
        let after = self.conversion.checkpoint.identity().map_err(StreamError::Source)?;
        if after == journal.source {
            return Ok(());
        }
        Err(StreamError::SourceChanged { before: journal.source.clone(), after })
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
                let sha256 = hex(&Sha256::digest(&bytes));
                journal.files.insert(file.path.clone(), Written { bytes: bytes.len() as u64, sha256 });
            } else {
                journal.closing.insert(file.path.clone(), hex(&bytes));
            }
        }
        journal.complete = true;
        journal.write(self.store, &self.journal_path)
    }
}

/// How far the file is.
struct Progress {
    bytes: AtomicU64,
    over: AtomicBool,
}

/// The literal bytes of a closing file.
pub(super) fn literal(file: &OutputFile) -> Vec<u8> {
    let bytes = file.pieces.iter().filter_map(|piece| match piece {
        Piece::Bytes(bytes) => Some(&bytes[..]),
        Piece::Elements { .. } => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Hashes what an earlier run left.
fn feed(part: &mut dyn Part, hash: &mut Sha256) -> std::io::Result<()> {
    let mut kept = part.read_kept()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match kept.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => hash.update(&buffer[..bytes]),
        }
    }
}
