//! Zip archives, as far as PyTorch writes them (APPNOTE.TXT 6.3.9,
//! `caffe2/serialize/inline_container.cc`).
//!
//! The central directory is read once; entries are ranges of the mapped file. Checksums of stored
//! entries are not compared, as `torch.load` does not compare them either: it would read everything,
//! and `torch.serialization.set_crc32_options(False)` writes none.

use std::collections::HashMap;

use super::{blob::Blob, fault::Fault};
use crate::cursor::Cursor;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
const LOCAL_BYTES: usize = 30;
/// The id of the extra field with 64-bit sizes.
const ZIP_64: u16 = 1;
/// A 32-bit field that says to look there.
const SEE_64: u64 = u32::MAX as u64;

/// What the central directory says of one entry.
#[derive(Debug)]
struct Entry {
    encrypted: bool,
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
    local: u64,
}

/// A zip archive over a mapped file.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    file: &'a [u8],
    entries: HashMap<&'a str, Entry>,
}

/// True for a file that begins as an archive.
pub(crate) fn is_archive(file: &[u8]) -> bool {
    file.starts_with(LOCAL) || file.starts_with(END)
}

impl<'a> Archive<'a> {
    /// Reads the central directory.
    pub(crate) fn open(file: &'a [u8]) -> Result<Self, Fault> {
        let (count, start, size) = directory(file)?;
        let range = usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(size)).ok());
        let directory = range.and_then(|(start, end)| file.get(start..end)).ok_or_else(|| {
            format!(
                "is truncated: the central directory of {size} bytes at {start} lies past the end of the file"
            )
        })?;
        let mut cursor = Cursor::new(directory);
        let mut entries = HashMap::new();
        for index in 0..count {
            let (name, entry) =
                entry(&mut cursor).map_err(|what| format!("entry {index} of the archive {what}"))?;
            if name.starts_with('/')
                || name.contains(['\\', '\0'])
                || name.split('/').any(|part| part == "..")
            {
                return Err(Fault::Corrupt(format!("entry {name:?} leads out of the archive")));
            }
            if entries.insert(name, entry).is_some() {
                return Err(Fault::Corrupt(format!("entry {name:?} is there twice")));
            }
        }
        Ok(Self { file, entries })
    }

    /// The names of the entries.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// The entry of that name, if there is one. Only where it lies is looked at.
    pub(crate) fn blob(&self, name: &str) -> Result<Option<Blob>, Fault> {
        self.entries.get(name).map(|entry| entry.blob(self.file)).transpose()
    }
}

impl Entry {
    fn blob(&self, file: &[u8]) -> Result<Blob, Fault> {
        if self.encrypted {
            return Err(Fault::Unsupported("is encrypted".to_owned()));
        }
        let local = usize::try_from(self.local).ok();
        let header = local.and_then(|at| file.get(at..)?.get(..LOCAL_BYTES)).filter(|h| h.starts_with(LOCAL));
        let (local, header) =
            local.zip(header).ok_or_else(|| format!("has no local header at offset {}", self.local))?;
        let skipped = usize::from(u16_at(header, 26)) + usize::from(u16_at(header, 28));
        let start = local + LOCAL_BYTES + skipped;
        let end = usize::try_from(self.compressed).ok().and_then(|size| start.checked_add(size));
        let range = start..end.filter(|end| *end <= file.len()).ok_or_else(|| {
            format!("is truncated: its {} bytes at {start} lie past the end of the file", self.compressed)
        })?;
        let size = usize::try_from(self.size).map_err(|_| format!("has {} bytes", self.size))?;
        match self.method {
            0 if range.len() == size => Ok(Blob::Stored(range)),
            0 => Err(Fault::Corrupt(format!("is stored in {} bytes and has {size}", range.len()))),
            8 => Ok(Blob::Deflated { range, size, crc: self.crc }),
            other => Err(Fault::Unsupported(format!(
                "is compressed by method {other}; stored (0) and deflated (8) entries are read"
            ))),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |two| u16::from_le_bytes(*two))
}

/// How many entries the central directory has, where it starts, and its size.
fn directory(file: &[u8]) -> Result<(u64, u64, u64), String> {
    let tail = file.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let fits = |at: &usize| {
        let record = &file[*at..];
        record.starts_with(END) && record.len() - END_BYTES == usize::from(u16_at(record, 20))
    };
    let last = file.len().checked_sub(END_BYTES);
    let end = last.and_then(|last| (tail..=last).rev().find(fits)).ok_or_else(|| {
        "is a truncated or damaged zip archive: its end record is missing; fetch or save the file again"
            .to_owned()
    })?;
    let mut cursor = Cursor::new(&file[end + 10..]);
    let count = u16::from_le_bytes(cursor.array()?);
    let (size, start) = (cursor.u32()?, cursor.u32()?);
    let narrow = (u64::from(count), u64::from(start), u64::from(size));
    let locator =
        end.checked_sub(LOCATOR_BYTES).map(|at| &file[at..]).filter(|at| at.starts_with(LOCATOR_64));
    let Some(locator) = locator else { return Ok(narrow) };
    let mut cursor = Cursor::new(&locator[8..]);
    let wide = usize::try_from(cursor.u64()?).ok().and_then(|at| file.get(at..));
    let wide = wide.filter(|record| record.starts_with(END_64));
    let wide = wide.ok_or_else(|| "has no 64-bit end record where its locator says".to_owned())?;
    let mut cursor = Cursor::new(wide);
    cursor.take(32)?;
    let (count, size, start) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
    Ok((count, start, size))
}

/// The next entry of the central directory.
fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Entry), String> {
    if cursor.take(4)? != CENTRAL {
        return Err("does not begin with its signature".to_owned());
    }
    cursor.take(4)?;
    let flags = u16::from_le_bytes(cursor.array()?);
    let method = u16::from_le_bytes(cursor.array()?);
    cursor.take(4)?;
    let crc = cursor.u32()?;
    let (mut compressed, mut size) = (u64::from(cursor.u32()?), u64::from(cursor.u32()?));
    let lengths: [[u8; 2]; 3] = [cursor.array()?, cursor.array()?, cursor.array()?];
    let [name, extra, comment] = lengths.map(|length| usize::from(u16::from_le_bytes(length)));
    cursor.take(8)?;
    let mut local = u64::from(cursor.u32()?);
    let name = str::from_utf8(cursor.take(name)?).map_err(|_| "has a name that is not UTF-8".to_owned())?;
    let mut extra = Cursor::new(cursor.take(extra)?);
    cursor.take(comment)?;
    while extra.remaining() >= 4 {
        let id = u16::from_le_bytes(extra.array()?);
        let length = u16::from_le_bytes(extra.array()?);
        let mut field = Cursor::new(extra.take(usize::from(length))?);
        if id == ZIP_64 {
            for wide in [&mut size, &mut compressed, &mut local] {
                if *wide == SEE_64 {
                    *wide = field.u64()?;
                }
            }
        }
    }
    Ok((name, Entry { encrypted: flags & 1 != 0, method, crc, compressed, size, local }))
}
