//! Reading `quantization_config`: every option is understood, known to leave the weights alone, or
//! refused by name.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::Problem;

/// The options of a `quantization_config`, or of a part of it.
pub(super) struct Options<'a> {
    /// Where it lies in the config.
    path: String,
    map: &'a Map<String, Value>,
    known: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Options<'a> {
    pub(super) fn new(path: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { path: path.into(), map, known: BTreeSet::new(), problems: Vec::new() }
    }

    /// An option that is there and not null.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// True if the option is there and not null.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// Options that say nothing of what the stored weights are.
    pub(super) fn inert(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// An option that must be one of these texts, if it is there.
    pub(super) fn only(&mut self, key: &'static str, allowed: &[&str]) -> Option<&'a str> {
        let value = self.get(key)?;
        let text = value.as_str().filter(|text| allowed.contains(text));
        if text.is_none() {
            self.refuse(key, format!("is {value}; {} is read", allowed.join(" or ")));
        }
        text
    }

    /// An option that must be absent, null, false, or empty.
    pub(super) fn nothing(&mut self, key: &'static str) {
        let Some(value) = self.get(key) else { return };
        let empty = match value {
            Value::Bool(on) => !on,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !empty {
            self.refuse(key, format!("is {value}, which is not read"));
        }
    }

    /// A truth value.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        if !value.is_boolean() {
            self.refuse(key, format!("is {value}; expected true or false"));
        }
        value.as_bool()
    }

    /// A positive whole number.
    pub(super) fn count(&mut self, key: &'static str) -> Option<usize> {
        let value = self.get(key)?;
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        if count.is_none() {
            self.refuse(key, format!("is {value}; expected a positive whole number"));
        }
        count
    }

    /// A group size: `-1` is all of a row in one group.
    pub(super) fn group_size(&mut self, key: &'static str) -> Option<usize> {
        if self.get(key).and_then(Value::as_i64) == Some(-1) { None } else { self.count(key) }
    }

    /// Two positive whole numbers.
    pub(super) fn pair(&mut self, key: &'static str) -> Option<[usize; 2]> {
        let value = self.get(key)?;
        let numbers: Option<Vec<usize>> = value.as_array().and_then(|list| {
            list.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)).collect()
        });
        let pair = numbers.and_then(|numbers| <[usize; 2]>::try_from(numbers).ok());
        if pair.is_none() {
            self.refuse(key, format!("is {value}; expected two positive whole numbers"));
        }
        pair
    }

    /// Bits of an element: one of these, which is also what stands for a missing or wrong one.
    pub(super) fn bits(&mut self, key: &'static str, allowed: &[usize]) -> usize {
        let found = self.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        if let Some(bits) = found.filter(|bits| allowed.contains(bits)) {
            return bits;
        }
        let allowed_text: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let found = self.map.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        self.refuse(key, format!("is {found}; {} bits are read", allowed_text.join(" or ")));
        allowed.first().copied().unwrap_or(8)
    }

    /// Says that an option is not read.
    pub(super) fn refuse(&mut self, key: &str, what: String) {
        self.problems.push(Problem::field(format!("{}.{key}", self.path), what));
    }

    /// Takes over what is wrong in a part.
    pub(super) fn absorb(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Everything wrong, unknown options among it.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for (key, value) in self.map {
            if !value.is_null() && !self.known.contains(key.as_str()) {
                let what = "is no option that is known here; it may change what the weights are".to_owned();
                self.refuse(key, what);
            }
        }
        self.problems
    }
}
