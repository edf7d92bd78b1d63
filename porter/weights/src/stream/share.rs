//! Dividing a conversion among machines.

use std::collections::BTreeSet;

use super::StreamError;
use crate::write::{Layout, OutputFile};

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
    pub(super) fn files(self, layout: &Layout) -> Result<Vec<&OutputFile>, StreamError> {
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
