//! Files written one behind the other: while one is made durable and named, the next are computed.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    Event, Observer, StreamError,
    journal::{Begun, Journal, Written},
    pipeline::{self, Lent, Size},
    session::Conversion,
    store::{Durable, Part, Store},
    tiles,
};
use crate::write::OutputFile;

/// How often what was written becomes durable.
const DURABLE_EVERY: Duration = Duration::from_millis(500);
/// How often finished files are noted, so that a journal of very many is not written for each. One that
/// was not noted is written again.
const NOTED_EVERY: Duration = Duration::from_millis(500);
/// Files that are written and wait to be made durable: what a slow disk holds up.
const UNFINISHED: usize = 2;

/// Writes files.
pub(super) struct Writer<'a> {
    pub(super) conversion: &'a Conversion<'a>,
    pub(super) store: &'a dyn Store,
    pub(super) observer: &'a dyn Observer,
    pub(super) size: Size,
    pub(super) journal_path: &'a str,
}

/// The file whose bytes are being written.
struct InHand<'a> {
    index: usize,
    path: &'a str,
    part: Box<dyn Part>,
    hash: Sha256,
    bytes: u64,
}

/// What the thread that hashes is given.
enum ToHash {
    /// A file begins, with this hash of what an earlier run left of it.
    Begin(Sha256),
    /// Its next bytes.
    Bytes(Arc<Lent>),
    /// It ends.
    End,
}

/// Where files go, byte by byte and as a whole.
struct HandOn<'a> {
    hash: mpsc::Sender<ToHash>,
    finish: mpsc::SyncSender<InHand<'a>>,
}

impl<'a> HandOn<'a> {
    fn begin(&self, file: &mut InHand<'a>) -> Result<(), StreamError> {
        let hash = std::mem::take(&mut file.hash);
        self.hash.send(ToHash::Begin(hash)).map_err(|_| gone(file.path))
    }

    fn bytes(&self, file: &InHand<'a>, bytes: &Arc<Lent>) -> Result<(), StreamError> {
        self.hash.send(ToHash::Bytes(Arc::clone(bytes))).map_err(|_| gone(file.path))
    }

    fn end(&self, file: InHand<'a>) -> Result<(), StreamError> {
        self.hash.send(ToHash::End).map_err(|_| gone(file.path))?;
        self.finish.send(file).map_err(|file| gone(file.0.path))
    }
}

/// Gives the SHA-256 of every file that ends.
fn hash_all(files: mpsc::Receiver<ToHash>, digest: &mpsc::Sender<String>) {
    let mut hash = Sha256::new();
    for next in files {
        match next {
            ToHash::Begin(of_kept) => hash = of_kept,
            ToHash::Bytes(bytes) => hash.update(&**bytes),
            // Who no longer listens has failed, and says so.
            ToHash::End => drop(digest.send(hex::encode(hash.finalize_reset()))),
        }
    }
}

/// What the thread that makes bytes durable looks at now and then.
#[derive(Default)]
struct Watched {
    path: String,
    durable: Option<Durable>,
    bytes: u64,
    over: bool,
}

impl Writer<'_> {
    /// Writes `files`, the one that `journal` says is begun first, and says how many bytes that were.
    /// What is finished is noted in `journal`, and in the store before this returns or fails.
    pub(super) fn write(&self, files: &mut [&OutputFile], journal: &mut Journal) -> Result<u64, StreamError> {
        if files.is_empty() {
            return Ok(0);
        }
        if let Some(begun) = &journal.begun {
            files.sort_by_key(|file| file.path != begun.path);
        }
        let first = self.resume(files, journal)?;
        let from = first.as_ref().map_or(0, |file| file.bytes);
        let journal = Mutex::new(journal);
        let watched = Mutex::new(Watched::default());
        let files = &*files;
        let done = thread::scope(|scope| {
            let saver = scope.spawn(|| self.save_often(&watched, &journal));
            let (finished, to_finish) = mpsc::sync_channel(UNFINISHED);
            let (hashed, to_hash) = mpsc::channel();
            let (digest, digests) = mpsc::channel();
            scope.spawn(move || hash_all(to_hash, &digest));
            let finisher = scope.spawn(|| self.finish_all(to_finish, digests, &journal));
            let hand_on = HandOn { hash: hashed, finish: finished };
            let written = self.write_all(files, first, from, &watched, &hand_on);
            drop(hand_on);
            let finished = finisher.join();
            locked(&watched).over = true;
            saver.thread().unpark();
            // A finisher that failed is why a file could not be handed on.
            finished.unwrap_or_else(|_| Err(gone("files"))).and(written)
        });
        let journal = journal.into_inner().unwrap_or_else(PoisonError::into_inner);
        let noted = journal.write(self.store, self.journal_path);
        self.refuse_changed_source(journal)?;
        let written = done?;
        noted?;
        Ok(written)
    }

    /// The first of `files` with what an earlier run left of it.
    fn resume<'f>(
        &self,
        files: &[&'f OutputFile],
        journal: &Journal,
    ) -> Result<Option<InHand<'f>>, StreamError> {
        let Some(file) = files.first() else { return Ok(None) };
        let keep =
            journal.begun.as_ref().filter(|begun| begun.path == file.path).map_or(0, |begun| begun.bytes);
        let begun = self.begin(0, file, keep)?;
        let cut = tiles::cut(self.conversion.layout, file, begun.bytes, self.size.tile_bytes);
        if cut.is_some() { Ok(Some(begun)) } else { self.begin(0, file, 0).map(Some) }
    }

    fn begin<'f>(&self, index: usize, file: &'f OutputFile, keep: u64) -> Result<InHand<'f>, StreamError> {
        let path = &file.path;
        let part = self.store.begin(path, keep).map_err(StreamError::io("begin", path))?;
        let mut hash = Sha256::new();
        feed(&*part, &mut hash).map_err(StreamError::io("read", path))?;
        Ok(InHand { index, path, bytes: part.kept(), part, hash })
    }

    /// Writes the bytes of all files, and hands each on when it has all of them.
    fn write_all<'f>(
        &self,
        files: &[&'f OutputFile],
        first: Option<InHand<'f>>,
        from: u64,
        watched: &Mutex<Watched>,
        hand_on: &HandOn<'f>,
    ) -> Result<u64, StreamError> {
        let layout = self.conversion.layout;
        let mut written = 0;
        let mut in_hand = first;
        if let Some(file) = &mut in_hand {
            hand_on.begin(file)?;
            watch(watched, file)?;
        }
        let stretches = tiles::of_files(layout, files, from, self.size.tile_bytes);
        pipeline::run(layout, self.conversion.checkpoint, stretches, self.size, |index, bytes| {
            let file = match in_hand.take() {
                Some(file) if file.index == index => in_hand.insert(file),
                other => {
                    other.map_or(Ok(()), |file| hand_on.end(file))?;
                    let file = in_hand.insert(self.begin(index, files[index], 0)?);
                    hand_on.begin(file)?;
                    watch(watched, file)?;
                    file
                }
            };
            let (count, bytes) = (bytes.len() as u64, Arc::new(bytes));
            hand_on.bytes(file, &bytes)?;
            file.part.write(&bytes).map_err(StreamError::io("write", file.path))?;
            file.bytes += count;
            written += count;
            locked(watched).bytes = file.bytes;
            self.observer.event(Event::Advanced(count));
            Ok(())
        })?;
        in_hand.map_or(Ok(()), |file| hand_on.end(file))?;
        Ok(written)
    }

    /// Makes files durable, names and notes them.
    fn finish_all(
        &self,
        files: mpsc::Receiver<InHand<'_>>,
        digests: mpsc::Receiver<String>,
        journal: &Mutex<&mut Journal>,
    ) -> Result<(), StreamError> {
        let mut noted = Instant::now();
        for (file, sha256) in files.into_iter().zip(digests) {
            self.refuse_changed_source(&locked(journal))?;
            file.part.finish().map_err(StreamError::io("finish", file.path))?;
            let mut journal = locked(journal);
            journal.begun.take_if(|begun| begun.path == file.path);
            let written = Written { bytes: file.bytes, sha256 };
            journal.files.insert(file.path.to_owned(), written);
            if noted.elapsed() > NOTED_EVERY {
                journal.write(self.store, self.journal_path)?;
                noted = Instant::now();
            }
        }
        Ok(())
    }

    /// Makes durable what was written, again and again, and notes it.
    fn save_often(&self, watched: &Mutex<Watched>, journal: &Mutex<&mut Journal>) {
        let mut saved = Begun { path: String::new(), bytes: 0 };
        loop {
            thread::park_timeout(DURABLE_EVERY);
            let (durable, now) = {
                let mut watched = locked(watched);
                if watched.over {
                    return;
                }
                (watched.durable.take(), Begun { path: watched.path.clone(), bytes: watched.bytes })
            };
            let Some(durable) = durable else { continue };
            // What fails here fails again, and is reported, when the file is finished.
            if now != saved && durable().is_ok() {
                let mut journal = locked(journal);
                if !journal.files.contains_key(&now.path) {
                    journal.begun = Some(now.clone());
                    if journal.write(self.store, self.journal_path).is_ok() {
                        saved = now.clone();
                    }
                }
            }
            let mut watched = locked(watched);
            if watched.path == now.path {
                watched.durable = Some(durable);
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
}

/// Has `file` made durable now and then.
fn watch(watched: &Mutex<Watched>, file: &InHand<'_>) -> Result<(), StreamError> {
    let durable = file.part.durable().map_err(StreamError::io("open", file.path))?;
    let mut watched = locked(watched);
    (watched.path, watched.durable, watched.bytes) = (file.path.to_owned(), durable, file.bytes);
    Ok(())
}

/// Hashes what an earlier run left.
fn feed(part: &dyn Part, hash: &mut Sha256) -> io::Result<()> {
    let mut kept = part.read_kept()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match kept.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => hash.update(&buffer[..bytes]),
        }
    }
}

fn gone(path: &str) -> StreamError {
    StreamError::io("finish", path)(io::Error::other("the thread that finishes files ended"))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
