//! Memory that one thread uses again and again.

/// Buffers that were used and are free.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    free: Vec<Vec<u8>>,
}

impl Scratch {
    /// At least `len` bytes of any content.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let fitting = self.free.iter().enumerate().filter(|(_, buffer)| buffer.len() >= len);
        let best = fitting.min_by_key(|(_, buffer)| buffer.len()).map(|(index, _)| index);
        match best {
            Some(index) => self.free.swap_remove(index),
            None => vec![0; len],
        }
    }

    /// Gives a buffer back; the smallest goes where there are many.
    pub(crate) fn give(&mut self, buffer: Vec<u8>) {
        self.free.push(buffer);
        if self.free.len() > KEPT {
            let smallest = self.free.iter().enumerate().min_by_key(|(_, buffer)| buffer.len());
            if let Some(index) = smallest.map(|(index, _)| index) {
                self.free.swap_remove(index);
            }
        }
    }
}

/// More levels of terms that need one are rare.
const KEPT: usize = 3;
