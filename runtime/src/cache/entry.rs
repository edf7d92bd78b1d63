//! The format of an entry: a mark, the length of the content, its SHA-256, the content.

use std::io;

use sha2::{Digest as _, Sha256};

const MARK: &[u8; 8] = b"porterx1";
const HEADER: usize = MARK.len() + 8 + 32;

/// What goes before `content`.
pub(super) fn header(content: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (mark, rest) = header.split_at_mut(MARK.len());
    let (len, hash) = rest.split_at_mut(8);
    mark.copy_from_slice(MARK);
    len.copy_from_slice(&(content.len() as u64).to_le_bytes());
    hash.copy_from_slice(&Sha256::digest(content));
    header
}

/// The content of an entry, if it is what was written.
pub(super) fn unpack(mut entry: Vec<u8>) -> io::Result<Vec<u8>> {
    let damaged =
        |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, format!("the entry is damaged: {why}")));
    let Some((found, content)) = entry.split_first_chunk::<HEADER>() else {
        return damaged("it ends within its header");
    };
    if *found != header(content) {
        return damaged("its length or checksum is wrong");
    }
    entry.drain(..HEADER);
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        [&header(content)[..], content].concat()
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(content: Vec<u8>) {
            prop_assert_eq!(unpack(packed(&content)).unwrap(), content);
        }

        #[test]
        fn any_flipped_bit_is_seen(content: Vec<u8>, place: prop::sample::Index, bit in 0_u8..8) {
            let mut entry = packed(&content);
            let len = entry.len();
            entry[place.index(len)] ^= 1_u8 << bit;
            prop_assert!(unpack(entry).is_err());
        }

        #[test]
        fn any_cut_is_seen(content: Vec<u8>, place: prop::sample::Index) {
            let mut entry = packed(&content);
            entry.truncate(place.index(entry.len()));
            prop_assert!(unpack(entry).is_err());
        }
    }
}
