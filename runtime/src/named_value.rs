//! Named values: the attributes and options of the C API.

use std::fmt;

use pjrt_sys::{PJRT_NamedValue, PJRT_NamedValue__bindgen_ty_1 as Union, StructSize};

use crate::api::{array, as_c, string};

/// A value with a name: an attribute of a plugin or a device, or an option of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedValue {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// The types that a [`NamedValue`] can have.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are their types")]
pub enum Value {
    String(String),
    Int(i64),
    IntList(Vec<i64>),
    Float(f32),
    Bool(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Int(n) => n.fmt(f),
            Self::IntList(list) => {
                let numbers: Vec<String> = list.iter().map(ToString::to_string).collect();
                f.write_str(&numbers.join("."))
            }
            Self::Float(x) => x.fmt(f),
            Self::Bool(b) => b.fmt(f),
        }
    }
}

impl NamedValue {
    /// `value` by the name of `name`.
    pub fn new(name: impl Into<String>, value: Value) -> Self {
        Self { name: name.into(), value }
    }

    /// The value as the C API takes it. It borrows from `self`.
    pub(crate) fn to_raw(&self) -> PJRT_NamedValue {
        let (name, name_size) = as_c(&self.name);
        let mut raw = PJRT_NamedValue { name, name_size, value_size: 1, ..StructSize::sized() };
        match &self.value {
            Value::String(text) => {
                let (string_value, size) = as_c(text);
                raw.type_ = pjrt_sys::PJRT_NamedValue_kString;
                raw.__bindgen_anon_1 = Union { string_value };
                raw.value_size = size;
            }
            Value::Int(int64_value) => {
                raw.type_ = pjrt_sys::PJRT_NamedValue_kInt64;
                raw.__bindgen_anon_1 = Union { int64_value: *int64_value };
            }
            Value::IntList(list) => {
                raw.type_ = pjrt_sys::PJRT_NamedValue_kInt64List;
                raw.__bindgen_anon_1 = Union { int64_array_value: list.as_ptr() };
                raw.value_size = list.len();
            }
            Value::Float(float_value) => {
                raw.type_ = pjrt_sys::PJRT_NamedValue_kFloat;
                raw.__bindgen_anon_1 = Union { float_value: *float_value };
            }
            Value::Bool(bool_value) => {
                raw.type_ = pjrt_sys::PJRT_NamedValue_kBool;
                raw.__bindgen_anon_1 = Union { bool_value: *bool_value };
            }
        }
        raw
    }

    /// Copies the `len` named values at `raw`, leaving out those of a type that is newer than API 0.81.
    ///
    /// # Safety
    /// `raw` is null or points to `len` named values that a plugin filled in.
    pub(crate) unsafe fn copy_all(raw: *const PJRT_NamedValue, len: usize) -> Vec<Self> {
        // SAFETY: passed on; every value starts with its size.
        if len == 0 || raw.is_null() || unsafe { (*raw).struct_size } > PJRT_NamedValue::STRUCT_SIZE {
            // Of longer structs, the second would not be where it is looked for.
            return Vec::new();
        }
        // SAFETY: passed on.
        let values = unsafe { array(raw, len) };
        // SAFETY: passed on.
        values.iter().filter_map(|value| unsafe { Self::copy(value) }).collect()
    }

    /// # Safety
    /// A plugin filled `raw` in.
    unsafe fn copy(raw: &PJRT_NamedValue) -> Option<Self> {
        let union = &raw.__bindgen_anon_1;
        // SAFETY: the tag says which member of the union is set, and sizes belong to their pointers.
        // The boolean is read as a byte, of which any value is valid.
        let (name, value) = unsafe {
            let value = match raw.type_ {
                pjrt_sys::PJRT_NamedValue_kString => {
                    Value::String(string(union.string_value, raw.value_size))
                }
                pjrt_sys::PJRT_NamedValue_kInt64 => Value::Int(union.int64_value),
                pjrt_sys::PJRT_NamedValue_kInt64List => {
                    Value::IntList(array(union.int64_array_value, raw.value_size).to_vec())
                }
                pjrt_sys::PJRT_NamedValue_kFloat => Value::Float(union.float_value),
                pjrt_sys::PJRT_NamedValue_kBool => {
                    Value::Bool((&raw const union.bool_value).cast::<u8>().read() != 0)
                }
                _ => return None,
            };
            (string(raw.name, raw.name_size), value)
        };
        Some(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_the_way_through_c() {
        let values = [
            Value::String("v5e:2x2".into()),
            Value::String(String::new()),
            Value::Int(-3),
            Value::IntList(vec![1, 20, 0]),
            Value::Float(0.5),
            Value::Bool(true),
        ];
        let named: Vec<NamedValue> = values.into_iter().map(|v| NamedValue::new("name", v)).collect();
        let raw: Vec<PJRT_NamedValue> = named.iter().map(NamedValue::to_raw).collect();
        // SAFETY: the array is ours and `named` outlives the call.
        assert_eq!(unsafe { NamedValue::copy_all(raw.as_ptr(), raw.len()) }, named);
    }
}
