//! Owned bytes whose first byte lies on a cache-line boundary.

use std::ops::{Deref, DerefMut};

/// The alignment of every [`AlignedBytes`], in bytes.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// Zero-initialised bytes, aligned to [`ALIGNMENT`].
///
/// ```
/// let bytes = host_memory::AlignedBytes::zeroed(100);
/// assert_eq!(bytes.len(), 100);
/// assert_eq!(bytes.as_ptr() as usize % host_memory::ALIGNMENT, 0);
/// ```
pub struct AlignedBytes {
    lines: Box<[Line]>,
    len: usize,
}

impl AlignedBytes {
    /// `len` zero bytes. Pages are taken from the system only when they are first written.
    pub fn zeroed(len: usize) -> Self {
        Self { lines: bytemuck::allocation::zeroed_slice_box(len.div_ceil(ALIGNMENT)), len }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_starts_on_a_line_and_keeps_its_bytes() {
        for len in [0, 1, 63, 64, 65, 4097] {
            let source: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let copy = AlignedBytes::copy_of(&source);
            assert_eq!(&*copy, &source[..]);
            assert_eq!(copy.as_ptr() as usize % ALIGNMENT, 0);
        }
    }
}
