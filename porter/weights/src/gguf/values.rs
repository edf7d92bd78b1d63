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

/// Writes a value as [`value`] reads it.
pub(crate) fn put(value: &Value, out: &mut Vec<u8>) {
    let mut one = |id: u32, bytes: &[u8]| {
        out.extend(id.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(v) => one(0, &v.to_le_bytes()),
        Value::I8(v) => one(1, &v.to_le_bytes()),
        Value::U16(v) => one(2, &v.to_le_bytes()),
        Value::I16(v) => one(3, &v.to_le_bytes()),
        Value::U32(v) => one(4, &v.to_le_bytes()),
        Value::I32(v) => one(5, &v.to_le_bytes()),
        Value::F32(v) => one(6, &v.to_le_bytes()),
        Value::Bool(v) => one(7, &[u8::from(*v)]),
        Value::String(v) => {
            one(8, &[]);
            put_text(v, out);
        }
        Value::Array(v) => {
            one(ARRAY, &[]);
            put_array(v, out);
        }
        Value::U64(v) => one(10, &v.to_le_bytes()),
        Value::I64(v) => one(11, &v.to_le_bytes()),
        Value::F64(v) => one(12, &v.to_le_bytes()),
    }
}

/// Writes a text as [`Cursor::text`] reads it.
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_array(array: &Array, out: &mut Vec<u8>) {
    match array {
        Array::U8(v) => put_elements(0, v, out, |x, out| out.push(*x)),
        Array::I8(v) => put_elements(1, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::U16(v) => put_elements(2, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::I16(v) => put_elements(3, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::U32(v) => put_elements(4, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::I32(v) => put_elements(5, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::F32(v) => put_elements(6, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::Bool(v) => put_elements(7, v, out, |x, out| out.push(u8::from(*x))),
        Array::String(v) => put_elements(8, v, out, |x, out| put_text(x, out)),
        Array::Array(v) => put_elements(ARRAY, v, out, put_array),
        Array::U64(v) => put_elements(10, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::I64(v) => put_elements(11, v, out, |x, out| out.extend(x.to_le_bytes())),
        Array::F64(v) => put_elements(12, v, out, |x, out| out.extend(x.to_le_bytes())),
    }
}

fn put_elements<T>(id: u32, elements: &[T], out: &mut Vec<u8>, put: fn(&T, &mut Vec<u8>)) {
    out.extend(id.to_le_bytes());
    out.extend((elements.len() as u64).to_le_bytes());
    for element in elements {
        put(element, out);
    }
}
