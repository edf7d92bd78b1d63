//! Reading little-endian fields from untrusted bytes.

/// Why a field could not be read: what was wanted, and where.
pub(crate) type FieldError = String;

/// A position in a byte slice. Nothing is allocated before its bytes are known to be there.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes already taken.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FieldError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let taken = rest.get(..count).ok_or_else(|| {
            format!("wants {count} bytes at offset {}, but only {} are left", self.position, rest.len())
        })?;
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FieldError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FieldError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that take at least `least_bytes` each, checked against what is left.
    pub(crate) fn count(&mut self, what: &str, least_bytes: usize) -> Result<usize, FieldError> {
        let count = self.u64()?;
        let most = self.remaining() / least_bytes.max(1);
        usize::try_from(count).ok().filter(|&n| n <= most).ok_or_else(|| {
            format!("says {count} {what}, but the {} bytes left hold at most {most}", self.remaining())
        })
    }

    /// UTF-8 text up to the next line end, which is taken too.
    pub(crate) fn line(&mut self) -> Result<&'a str, FieldError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or_else(|| format!("the line at offset {} has no end", self.position))?;
        let line = self.take(length)?;
        self.position += 1;
        std::str::from_utf8(line).map_err(|error| format!("text is not UTF-8: {error}"))
    }

    /// A length-prefixed UTF-8 text.
    pub(crate) fn text(&mut self) -> Result<&'a str, FieldError> {
        let length = self.count("bytes of text", 1)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|error| format!("text is not UTF-8: {error}"))
    }
}
