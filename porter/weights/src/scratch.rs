//! Memory that one thread uses again and again.

/// Buffers that were used and are free.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    free: Vec<Vec<u8>>,
    /// By what read them, the last at the end.
    ahead: Vec<(u64, Vec<Ahead>)>,
}

/// Elements that were read with others and may be wanted next: those from `start` on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    pub(crate) start: usize,
    pub(crate) bytes: Vec<u8>,
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

    /// What the reader `id` left here; nothing if it never did, or long ago.
    pub(crate) fn take_ahead(&mut self, id: u64) -> Vec<Ahead> {
        let found = self.ahead.iter().position(|(reader, _)| *reader == id);
        found.map(|index| self.ahead.remove(index).1).unwrap_or_default()
    }

    /// Leaves what the reader `id` read ahead; the oldest goes where there are many.
    pub(crate) fn leave_ahead(&mut self, id: u64, ahead: Vec<Ahead>) {
        self.ahead.push((id, ahead));
        if self.ahead.len() > KEPT {
            self.ahead.remove(0);
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
