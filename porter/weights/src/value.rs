//! Typed metadata values.

use std::fmt;

/// A metadata value, in the type that the file gives it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is its type")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Array),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The whole number, if it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::U8(v) => Some(v.into()),
            Value::I8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::I16(v) => Some(v.into()),
            Value::U32(v) => Some(v.into()),
            Value::I32(v) => Some(v.into()),
            Value::U64(v) => i64::try_from(v).ok(),
            Value::I64(v) => Some(v),
            _ => None,
        }
    }

    /// The whole number, if it is one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::U64(v) => Some(v),
            _ => self.as_i64().and_then(|v| u64::try_from(v).ok()),
        }
    }

    /// The number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(v) => Some(v.into()),
            Value::F64(v) => Some(v),
            Value::U64(v) => Some(v as f64),
            _ => self.as_i64().map(|v| v as f64),
        }
    }
}

/// A metadata array: elements of one type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is its type")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Array>),
}

impl Array {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(v) => v.len(),
            Array::I8(v) => v.len(),
            Array::U16(v) => v.len(),
            Array::I16(v) => v.len(),
            Array::U32(v) => v.len(),
            Array::I32(v) => v.len(),
            Array::U64(v) => v.len(),
            Array::I64(v) => v.len(),
            Array::F32(v) => v.len(),
            Array::F64(v) => v.len(),
            Array::Bool(v) => v.len(),
            Array::String(v) => v.len(),
            Array::Array(v) => v.len(),
        }
    }

    /// True if there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts, if they are.
    pub fn strings(&self) -> Option<&[String]> {
        match self {
            Array::String(texts) => Some(texts),
            _ => None,
        }
    }

    /// The whole numbers, if they are and all fit.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match self {
            Array::U8(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::I8(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::U16(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::I16(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::U32(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::I32(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::U64(v) => v.iter().map(|&x| i64::try_from(x).ok()).collect(),
            Array::I64(v) => Some(v.clone()),
            _ => None,
        }
    }

    /// The numbers, whole or not.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self {
            Array::F32(v) => Some(v.iter().map(|&x| x.into()).collect()),
            Array::F64(v) => Some(v.clone()),
            _ => Some(self.to_i64()?.into_iter().map(|x| x as f64).collect()),
        }
    }
}

/// Elements of an array that are printed.
const PRINTED: usize = 8;

impl fmt::Display for Value {
    /// The value alone; text is quoted and escaped, and long arrays are cut short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U8(v) => v.fmt(f),
            Value::I8(v) => v.fmt(f),
            Value::U16(v) => v.fmt(f),
            Value::I16(v) => v.fmt(f),
            Value::U32(v) => v.fmt(f),
            Value::I32(v) => v.fmt(f),
            Value::U64(v) => v.fmt(f),
            Value::I64(v) => v.fmt(f),
            Value::F32(v) => v.fmt(f),
            Value::F64(v) => v.fmt(f),
            Value::Bool(v) => v.fmt(f),
            Value::String(v) => fmt::Debug::fmt(v, f),
            Value::Array(v) => v.fmt(f),
        }
    }
}

impl fmt::Display for Array {
    /// The first elements, and the length where there are more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Array::U8(v) => list(f, v, fmt::Display::fmt),
            Array::I8(v) => list(f, v, fmt::Display::fmt),
            Array::U16(v) => list(f, v, fmt::Display::fmt),
            Array::I16(v) => list(f, v, fmt::Display::fmt),
            Array::U32(v) => list(f, v, fmt::Display::fmt),
            Array::I32(v) => list(f, v, fmt::Display::fmt),
            Array::U64(v) => list(f, v, fmt::Display::fmt),
            Array::I64(v) => list(f, v, fmt::Display::fmt),
            Array::F32(v) => list(f, v, fmt::Display::fmt),
            Array::F64(v) => list(f, v, fmt::Display::fmt),
            Array::Bool(v) => list(f, v, fmt::Display::fmt),
            Array::String(v) => list(f, v, fmt::Debug::fmt),
            Array::Array(v) => list(f, v, fmt::Display::fmt),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    item: fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_str("[")?;
    for (i, one) in items.iter().take(PRINTED).enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        item(one, f)?;
    }
    if items.len() > PRINTED {
        write!(f, ", ... {} in all", items.len())?;
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_short_and_escaped() {
        assert_eq!(Value::String("a\u{1b}[2J".to_owned()).to_string(), "\"a\\u{1b}[2J\"");
        assert_eq!(
            Value::Array(Array::I32((0..100).collect())).to_string(),
            "[0, 1, 2, 3, 4, 5, 6, 7, ... 100 in all]"
        );
        assert_eq!(Array::Array(vec![Array::String(vec!["x".to_owned()])]).to_string(), "[[\"x\"]]");
    }

    #[test]
    fn numbers_convert_where_they_fit() {
        assert_eq!(Value::I8(-1).as_u64(), None);
        assert_eq!(Value::U64(u64::MAX).as_i64(), None);
        assert_eq!(Value::U64(u64::MAX).as_u64(), Some(u64::MAX));
        assert_eq!(Value::F32(0.5).as_f64(), Some(0.5));
        assert_eq!(Value::String("1".to_owned()).as_f64(), None);
    }
}
