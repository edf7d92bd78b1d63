//! Attributes as MLIR text.

use std::fmt::Display;

use crate::{DType, literal::float_mlir};

/// An attribute in MLIR text: name and value.
pub type Attribute = (&'static str, String);

/// The value of a named attribute that an op carries as data.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum AttributeValue {
    Bool(bool),
    I64(i64),
    I64s(Vec<i64>),
    F64(f64),
    String(String),
}

impl AttributeValue {
    fn mlir(&self) -> String {
        match self {
            AttributeValue::Bool(value) => value.to_string(),
            AttributeValue::I64(value) => i64_number(value),
            AttributeValue::I64s(values) => i64_array(values),
            AttributeValue::F64(value) => format!("{} : f64", float_mlir(DType::F64, value.to_bits())),
            AttributeValue::String(value) => string(value),
        }
    }
}

/// `{eps = 1.0e-5 : f64}`.
pub(crate) fn dictionary(entries: &[(String, AttributeValue)]) -> String {
    let entries: Vec<String> =
        entries.iter().map(|(name, value)| format!("{} = {}", key(name), value.mlir())).collect();
    format!("{{{}}}", entries.join(", "))
}

/// `array<i64: 1, 2>`.
pub(crate) fn i64_array<T: Display>(items: &[T]) -> String {
    if items.is_empty() { "array<i64>".to_owned() } else { format!("array<i64: {}>", list(items)) }
}

/// `1 : i64`.
pub(crate) fn i64_number(value: impl Display) -> String {
    format!("{value} : i64")
}

/// `dense<[[1, 2], [3, 4]]> : tensor<2x2xi64>`, of rows of one length.
pub(crate) fn i64_matrix<T: Display, R: AsRef<[T]>>(rows: &[R]) -> String {
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let ty = format!("tensor<{}x{columns}xi64>", rows.len());
    if columns == 0 {
        return format!("dense<> : {ty}");
    }
    let rows: Vec<String> = rows.iter().map(|row| format!("[{}]", list(row.as_ref()))).collect();
    format!("dense<[{}]> : {ty}", rows.join(", "))
}

/// `dense<[[0, 0]]> : tensor<1x2xi64>`: the padding before and after each dimension.
pub(crate) fn padding(pairs: &[(i64, i64)]) -> String {
    if pairs.is_empty() {
        return "dense<> : tensor<0x2xi64>".to_owned();
    }
    i64_matrix(&pairs.iter().map(|&(low, high)| [low, high]).collect::<Vec<_>>())
}

/// `[1, 2]`.
pub(crate) fn bracketed<T: Display>(items: &[T]) -> String {
    format!("[{}]", list(items))
}

/// A string literal. MLIR knows the escapes `\"`, `\\` and two hex digits, none of Rust's others.
pub(crate) fn string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                literal.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:02X}")));
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// A symbol: `@main`, or `@"any text"` where the name is no identifier.
pub(crate) fn symbol(name: &str) -> String {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let bare = |c: char| c.is_ascii_alphanumeric() || "_$.-".contains(c);
    if starts_well && name.chars().all(bare) { format!("@{name}") } else { format!("@{}", string(name)) }
}

/// A location: `loc("model.layers.3.mlp")`.
pub(crate) fn location(name: &str) -> String {
    format!("loc({})", string(name))
}

/// A dictionary key: bare where it is an identifier, quoted otherwise.
fn key(name: &str) -> String {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if starts_well && name.chars().all(bare) { name.to_owned() } else { string(name) }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_matrices() {
        assert_eq!(i64_array(&[1, 2]), "array<i64: 1, 2>");
        assert_eq!(i64_array::<usize>(&[]), "array<i64>");
        assert_eq!(padding(&[(0, 1), (2, 3)]), "dense<[[0, 1], [2, 3]]> : tensor<2x2xi64>");
        assert_eq!(padding(&[]), "dense<> : tensor<0x2xi64>");
    }

    #[test]
    fn strings_use_mlir_escapes_only() {
        assert_eq!(string("it's \"q\" \\ \n é"), "\"it's \\\"q\\\" \\\\ \\0A é\"");
        assert_eq!(symbol("prefill_128"), "@prefill_128");
        assert_eq!(symbol("2 b"), "@\"2 b\"");
        assert_eq!(key("eps"), "eps");
        assert_eq!(key("a-b"), "\"a-b\"");
    }

    #[test]
    fn dictionaries() {
        use AttributeValue::{Bool, F64, I64, I64s, String};
        let entries = [
            ("eps".to_owned(), F64(1e-5)),
            ("axes".to_owned(), I64s(vec![-1])),
            ("n".to_owned(), I64(2)),
            ("mean".to_owned(), Bool(false)),
            ("kind".to_owned(), String("rms".to_owned())),
        ];
        let expected =
            "{eps = 1.0e-5 : f64, axes = array<i64: -1>, n = 2 : i64, mean = false, kind = \"rms\"}";
        assert_eq!(dictionary(&entries), expected);
    }
}
