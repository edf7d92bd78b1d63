//! Reading everything once more.

use std::io::Read;

use sha2::{Digest, Sha256};

use super::{
    Event, Observer, StreamError,
    journal::{Journal, Written},
    pipeline::{self, Size},
    session::{Conversion, Options, literal},
    store::Store,
    tiles,
};
use crate::write::OutputFile;

/// Computes every file of the share again and compares it with what lies in `store`, byte for byte, and
/// with the hash that was taken when it was written.
pub fn verify(
    conversion: &Conversion<'_>,
    store: &dyn Store,
    options: &Options,
    observer: &dyn Observer,
) -> Result<(), StreamError> {
    let size = Size::within(options.memory, options.threads.max(1), conversion.layout)?;
    let place = store.name();
    let journal = Journal::read(store, &options.share.journal())?;
    let journal = journal.ok_or_else(|| StreamError::NotWhole {
        place,
        problems: vec!["there is no record of a conversion".to_owned()],
    })?;
    let layout = conversion.layout;
    let files: Vec<&OutputFile> =
        layout.files.iter().filter(|file| journal.files.contains_key(&file.path)).collect();
    let bytes = files.iter().map(|file| layout.file_bytes(file).unwrap_or(0)).sum();
    observer.event(Event::Begin { what: "verify", bytes, done: 0 });
    let mut open: Option<(usize, Compare<'_>)> = None;
    let finish = |open: Option<(usize, Compare<'_>)>| match open {
        Some((_, reader)) => {
            let written = journal.files.get(reader.path);
            reader.finish(written)
        }
        None => Ok(()),
    };
    let stretches = tiles::of_files(layout, &files, 0, size.tile_bytes);
    pipeline::run(layout, conversion.checkpoint, stretches, size, |file, expected| {
        if open.as_ref().is_none_or(|(index, _)| *index != file) {
            finish(open.take())?;
            open = Some((file, Compare::open(store, &files[file].path)?));
        }
        if let Some((_, reader)) = &mut open {
            reader.next(&expected)?;
        }
        observer.event(Event::Advanced(expected.len() as u64));
        Ok(())
    })?;
    finish(open)?;
    for file in layout.closing.iter().filter(|file| journal.files.contains_key(&file.path)) {
        let mut reader = Compare::open(store, &file.path)?;
        reader.next(&literal(file))?;
        reader.finish(journal.files.get(&file.path))?;
    }
    observer.event(Event::End);
    Ok(())
}

/// A file that is compared with what it should be.
struct Compare<'a> {
    path: &'a str,
    file: Box<dyn Read + Send>,
    at: u64,
    buffer: Vec<u8>,
    hash: Sha256,
}

/// Bytes that are compared at a time.
const STEP: usize = 1 << 20;

impl<'a> Compare<'a> {
    fn open(store: &dyn Store, path: &'a str) -> Result<Self, StreamError> {
        let file = store.open(path).map_err(StreamError::io("open", path))?;
        Ok(Self { path, file, at: 0, buffer: vec![0; STEP], hash: Sha256::new() })
    }

    fn next(&mut self, expected: &[u8]) -> Result<(), StreamError> {
        for expected in expected.chunks(STEP) {
            let found = &mut self.buffer[..expected.len()];
            self.file.read_exact(found).map_err(StreamError::io("read", self.path))?;
            self.hash.update(&*found);
            if let Some(i) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
                let what = format!(
                    "byte {} is {:#04x}; expected {:#04x}",
                    self.at + i as u64,
                    found[i],
                    expected[i]
                );
                return Err(StreamError::Differs { path: self.path.to_owned(), what });
            }
            self.at += expected.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self, written: Option<&Written>) -> Result<(), StreamError> {
        let differs = |what: String| StreamError::Differs { path: self.path.to_owned(), what };
        let more = self.file.read(&mut self.buffer[..1]).map_err(StreamError::io("read", self.path))?;
        if more > 0 {
            return Err(differs(format!("goes on after its {} bytes", self.at)));
        }
        let sha256 = hex::encode(self.hash.finalize());
        match written {
            Some(written) if written.sha256 != sha256 => {
                Err(differs(format!("its SHA-256 is {sha256}; {} was recorded", written.sha256)))
            }
            _ => Ok(()),
        }
    }
}
