//! The header of a `.npy` array: a Python dict as text, read as data.

use porter_ir::DType;

use crate::{Encoding, cursor::Cursor, pytorch::layout::Layout};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers are some 100 bytes. NumPy itself asks before it reads one of more than 10,000.
pub(super) const MAX_HEADER: usize = 1 << 16;
/// NumPy's own limit.
const MAX_RANK: usize = 64;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// How many bytes come before the elements.
    pub(super) bytes: usize,
    pub(super) element: Element,
    pub(super) layout: Layout,
}

/// The element type.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// One whose bytes are read.
    Read {
        /// What they are.
        encoding: Encoding,
        /// Bytes of an element.
        bytes: usize,
    },
    /// One that is listed only: its name, and why.
    Listed {
        /// NumPy's name of it.
        name: String,
        /// Why it is not read.
        why: &'static str,
    },
}

impl Header {
    /// Reads the header at the start of an array's bytes.
    pub(super) fn read(start: &[u8]) -> Result<Self, String> {
        let mut cursor = Cursor::new(start);
        if cursor.take(MAGIC.len())? != MAGIC {
            return Err("does not begin as a .npy array".to_owned());
        }
        let [major, minor] = cursor.array()?;
        let length = match major {
            1 => usize::from(u16::from_le_bytes(cursor.array()?)),
            2 | 3 => cursor.u32()? as usize,
            _ => return Err(format!("is of version {major}.{minor} of the .npy format; 1 to 3 are read")),
        };
        if length > MAX_HEADER {
            return Err(format!("says that its header has {length} bytes; {MAX_HEADER} at most are read"));
        }
        let text =
            str::from_utf8(cursor.take(length)?).map_err(|_| "has a header that is not UTF-8".to_owned())?;
        let fields = Fields::read(text)
            .ok_or_else(|| format!("has the header {:?}, which is not read", short(text)))?;
        let mut strides = vec![1_i64; fields.shape.len()];
        let dims: Vec<usize> = (0..fields.shape.len()).collect();
        let inner_first: Vec<usize> = if fields.fortran { dims } else { dims.into_iter().rev().collect() };
        let mut stride = 1_i64;
        for dim in inner_first {
            strides[dim] = stride;
            stride = stride.saturating_mul(fields.shape[dim]);
        }
        let layout = Layout::new(0, &fields.shape, &strides)?;
        Ok(Self { bytes: cursor.position(), element: element(&fields.descr), layout })
    }
}

/// The fields of the dict.
struct Fields {
    descr: Descr,
    fortran: bool,
    shape: Vec<i64>,
}

/// The field `descr`.
enum Descr {
    Name(String),
    /// A list: fields with names.
    Structured,
}

fn element(descr: &Descr) -> Element {
    let Descr::Name(name) = descr else {
        return Element::Listed {
            name: "structured".to_owned(),
            why: "it has fields, and is no plain array",
        };
    };
    let listed = |why| Element::Listed { name: name.clone(), why };
    let little = name.strip_prefix(['<', '|', '=']);
    let plain = |dtype: DType| Element::Read { encoding: Encoding::Plain(dtype), bytes: dtype.host_bytes() };
    match little {
        None if name.starts_with('>') => listed("its numbers are big endian; save it again as little endian"),
        Some("O") => listed("it holds objects, which are pickles, and those are not run"),
        Some("b1") => plain(DType::Bool),
        Some("i1") => plain(DType::I8),
        Some("i2") => plain(DType::I16),
        Some("i4") => plain(DType::I32),
        Some("i8") => plain(DType::I64),
        Some("u1") => plain(DType::U8),
        Some("u2") => plain(DType::U16),
        Some("u4") => plain(DType::U32),
        Some("u8") => plain(DType::U64),
        Some("f2") => plain(DType::F16),
        Some("f4") => plain(DType::F32),
        Some("f8") => plain(DType::F64),
        _ => listed("its elements are none of the numbers that are read"),
    }
}

impl Fields {
    fn read(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while let Some((key, after)) = quoted(rest) {
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            match key {
                "descr" if descr.is_none() => {
                    let (value, after) = description(rest)?;
                    (descr, rest) = (Some(value), after);
                }
                "fortran_order" if fortran.is_none() => {
                    let after = rest.strip_prefix("True");
                    fortran = Some(after.is_some());
                    rest = after.or_else(|| rest.strip_prefix("False"))?;
                }
                "shape" if shape.is_none() => {
                    let (value, after) = tuple(rest)?;
                    (shape, rest) = (Some(value), after);
                }
                _ => return None,
            }
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        rest.strip_prefix('}').filter(|rest| rest.trim().is_empty())?;
        Some(Self { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// A text in quotes, and what comes after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (inside, after) = text.get(1..)?.split_once(quote)?;
    (!inside.contains('\\')).then_some((inside, after))
}

fn description(text: &str) -> Option<(Descr, &str)> {
    if let Some((name, after)) = quoted(text) {
        return Some((Descr::Name(name.to_owned()), after));
    }
    // What the fields are does not matter; the list ends where its brackets do.
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return text.starts_with('[').then(|| (Descr::Structured, &text[at + 1..]));
        }
    }
    None
}

/// Whole numbers in parentheses.
fn tuple(text: &str) -> Option<(Vec<i64>, &str)> {
    let (inside, after) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some((Vec::new(), after));
    }
    let numbers = inside.split(',').take(MAX_RANK + 1).map(|number| number.trim().parse().ok());
    let numbers: Vec<i64> = numbers.collect::<Option<_>>()?;
    (numbers.len() <= MAX_RANK).then_some((numbers, after))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dict: &str) -> Result<Header, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(dict.len()).unwrap().to_le_bytes());
        bytes.extend(dict.as_bytes());
        Header::read(&bytes)
    }

    #[test]
    fn headers_that_numpy_writes() {
        let header = read("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!(header.element, Element::Read { encoding: Encoding::Plain(DType::F32), bytes: 4 });
        assert_eq!((header.layout.shape().to_vec(), header.layout.is_contiguous()), (vec![3, 4], true));
        let fortran = read("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }").unwrap();
        assert_eq!(fortran.layout.strides, [1, 3]);
        let scalar = read("{\"descr\": \"|b1\", \"fortran_order\": False, \"shape\": ()}").unwrap();
        assert_eq!(scalar.layout.elements(), 1);
        let one = read("{'descr': '<i8', 'fortran_order': True, 'shape': (7,), }").unwrap();
        assert!(one.layout.is_contiguous());
        let fields =
            read("{'descr': [('a', '<f4', (2,)), ('b', '<i4')], 'fortran_order': False, 'shape': (7,)}");
        assert!(matches!(fields.unwrap().element, Element::Listed { .. }));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for wrong in [
            "",
            "{",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 9223372036854775807)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': [[[[, 'fortran_order': False, 'shape': (3,)}",
            "{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (3,)}",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(
            read(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(65)))
                .is_err()
        );
        assert!(Header::read(b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{").is_err());
        assert!(Header::read(b"\x93NUMPY\x09\x00\x00\x00").is_err());
    }
}
