//! GGUF metadata values.

use crate::cursor::{Cursor, FieldError};
use crate::{Array, Value};

/// Arrays nested deeper than this are refused; no known writer nests at all.
const MAX_DEPTH: usize = 4;

/// The type id of an array.
const ARRAY: u32 = 9;

/// Reads a value: its type id, then its content.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<Value, FieldError> {
    let id = cursor.u32()?;
    Ok(match id {
        0 => Value::U8(u8::from_le_bytes(cursor.array()?)),
        1 => Value::I8(i8::from_le_bytes(cursor.array()?)),
        2 => Value::U16(u16::from_le_bytes(cursor.array()?)),
        3 => Value::I16(i16::from_le_bytes(cursor.array()?)),
        4 => Value::U32(cursor.u32()?),
        5 => Value::I32(i32::from_le_bytes(cursor.array()?)),
        6 => Value::F32(f32::from_le_bytes(cursor.array()?)),
        7 => Value::Bool(boolean(cursor)?),
        8 => Value::String(cursor.text()?.to_owned()),
        ARRAY => Value::Array(array(cursor, 1)?),
        10 => Value::U64(cursor.u64()?),
        11 => Value::I64(i64::from_le_bytes(cursor.array()?)),
        12 => Value::F64(f64::from_le_bytes(cursor.array()?)),
        _ => return Err(format!("has value type {id}; expected 0 to 12")),
    })
}

/// Reads an array: its element type id, its length, its elements.
fn array(cursor: &mut Cursor<'_>, depth: usize) -> Result<Array, FieldError> {
    if depth > MAX_DEPTH {
        return Err(format!("nests arrays more than {MAX_DEPTH} deep"));
    }
    let id = cursor.u32()?;
    Ok(match id {
        0 => Array::U8(numbers(cursor, u8::from_le_bytes)?),
        1 => Array::I8(numbers(cursor, i8::from_le_bytes)?),
        2 => Array::U16(numbers(cursor, u16::from_le_bytes)?),
        3 => Array::I16(numbers(cursor, i16::from_le_bytes)?),
        4 => Array::U32(numbers(cursor, u32::from_le_bytes)?),
        5 => Array::I32(numbers(cursor, i32::from_le_bytes)?),
        6 => Array::F32(numbers(cursor, f32::from_le_bytes)?),
        7 => Array::Bool(elements(cursor, 1, boolean)?),
        8 => Array::String(elements(cursor, 8, |c| c.text().map(str::to_owned))?),
        ARRAY => Array::Array(elements(cursor, 12, |c| array(c, depth + 1))?),
        10 => Array::U64(numbers(cursor, u64::from_le_bytes)?),
        11 => Array::I64(numbers(cursor, i64::from_le_bytes)?),
        12 => Array::F64(numbers(cursor, f64::from_le_bytes)?),
        _ => return Err(format!("has array element type {id}; expected 0 to 12")),
    })
}

/// An array of fixed-size numbers.
fn numbers<T, const N: usize>(cursor: &mut Cursor<'_>, read: fn([u8; N]) -> T) -> Result<Vec<T>, FieldError> {
    let count = cursor.count("array elements", N)?;
    let bytes = cursor.take(count * N)?;
    Ok(bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect())
}

/// An array of elements that take at least `least_bytes` each.
fn elements<T>(
    cursor: &mut Cursor<'_>,
    least_bytes: usize,
    mut read: impl FnMut(&mut Cursor<'_>) -> Result<T, FieldError>,
) -> Result<Vec<T>, FieldError> {
    let count = cursor.count("array elements", least_bytes)?;
    (0..count).map(|_| read(cursor)).collect()
}

fn boolean(cursor: &mut Cursor<'_>) -> Result<bool, FieldError> {
    match cursor.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [byte] => Err(format!("has truth value {byte}; expected 0 or 1")),
    }
}
