//! Bytes of a file: as they lie there, compressed, or taken out of a pickle.

use std::{borrow::Cow, ops::Range, sync::Arc};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// No deflate stream grows more: a match of 258 bytes takes at least 2 bits.
const MAX_INFLATION: usize = 1032;

/// Bytes that belong to a mapped file.
#[derive(Clone, Debug)]
pub(crate) enum Blob {
    /// A range of the file.
    Stored(Range<usize>),
    /// A deflate stream in a range of the file.
    Deflated { range: Range<usize>, size: usize, crc: u32 },
    /// Bytes that lie nowhere in the file as they are.
    Owned(Arc<[u8]>),
}

impl Blob {
    /// The size of the bytes. That of a compressed blob is what its entry says, and nothing is taken
    /// for it before [`bytes`](Self::bytes) is called.
    pub(crate) fn len(&self) -> usize {
        match self {
            Blob::Stored(range) => range.len(),
            Blob::Deflated { size, .. } => *size,
            Blob::Owned(bytes) => bytes.len(),
        }
    }

    pub(crate) fn bytes<'a>(&'a self, file: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        match self {
            Blob::Stored(range) => Ok(slice(file, range)?.into()),
            Blob::Deflated { range, size, crc } => inflate(slice(file, range)?, *size, *crc).map(Cow::Owned),
            Blob::Owned(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// The first bytes, `most` of them where there are as many.
    pub(crate) fn start<'a>(&'a self, file: &'a [u8], most: usize) -> Result<Cow<'a, [u8]>, String> {
        let most = most.min(self.len());
        match self {
            Blob::Stored(range) => Ok(slice(file, &(range.start..range.start + most))?.into()),
            Blob::Deflated { range, .. } => inflate_start(slice(file, range)?, most).map(Cow::Owned),
            Blob::Owned(bytes) => Ok(Cow::Borrowed(&bytes[..most])),
        }
    }

    /// The range of the file that the bytes take.
    pub(crate) fn range(&self) -> Option<Range<usize>> {
        match self {
            Blob::Stored(range) | Blob::Deflated { range, .. } => Some(range.clone()),
            Blob::Owned(_) => None,
        }
    }
}

fn slice<'a>(file: &'a [u8], range: &Range<usize>) -> Result<&'a [u8], String> {
    file.get(range.clone()).ok_or_else(|| format!("bytes {range:?} lie past the end of the file"))
}

/// Zeroed memory, or an error in place of the end of the process.
pub(crate) fn zeroed(size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(size)
        .map_err(|_| format!("takes {size} bytes, which this machine does not give"))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// The first `size` bytes of a stream.
fn inflate_start(stream: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut out = zeroed(size)?;
    let mut decoder = Decompress::new(false);
    let status = decoder.decompress(stream, &mut out, FlushDecompress::None);
    status.map_err(|error| format!("is not a deflate stream: {error}"))?;
    if decoder.total_out() != size as u64 {
        return Err(format!("ends before its first {size} bytes"));
    }
    Ok(out)
}

/// Decompresses a stream that must have exactly `size` bytes.
fn inflate(stream: &[u8], size: usize, crc: u32) -> Result<Vec<u8>, String> {
    if size / MAX_INFLATION > stream.len() {
        return Err(format!(
            "says that {} compressed bytes become {size}, which deflate cannot do",
            stream.len()
        ));
    }
    let mut out = zeroed(size)?;
    let mut decoder = Decompress::new(false);
    let status = decoder.decompress(stream, &mut out, FlushDecompress::Finish);
    let status = status.map_err(|error| format!("is not a deflate stream: {error}"))?;
    if status != Status::StreamEnd || decoder.total_out() != size as u64 {
        return Err(format!("does not decompress to the {size} bytes that its entry says"));
    }
    let mut found = Crc::new();
    found.update(&out);
    if found.sum() != crc {
        return Err(format!("has CRC {:08x}, and its entry says {crc:08x}", found.sum()));
    }
    Ok(out)
}
