//! What a pickle builds.

use super::arena::Arena;

/// A value's number in its [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::pytorch) struct Id(pub(super) u32);

/// A Python value. Texts and bytes are borrowed from the pickle.
#[derive(Debug)]
pub(in crate::pytorch) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number that needs more than 64 bits: its bytes, least first, as two's complement.
    Long(&'a [u8]),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by its place in [`Pickle::globals`].
    Global(usize),
    /// What the program that wrote the pickle keeps outside of it: for PyTorch, a storage.
    Persistent(Id),
    /// The result of a call that was not made.
    Object(Box<Object>),
}

/// A call, and what was done to its result.
#[derive(Debug)]
pub(in crate::pytorch) struct Object {
    /// What was to be called.
    pub(in crate::pytorch) callable: Id,
    /// A tuple, unless the pickle lies.
    pub(in crate::pytorch) args: Id,
    /// What `BUILD` gives to `__setstate__` or `__dict__`.
    pub(in crate::pytorch) state: Option<Id>,
    /// What was appended or added.
    pub(in crate::pytorch) items: Vec<Id>,
    /// What was set by key.
    pub(in crate::pytorch) entries: Vec<(Id, Id)>,
}

/// Everything that one pickle builds.
#[derive(Debug)]
pub(in crate::pytorch) struct Pickle<'a> {
    pub(super) values: Arena<'a>,
    pub(super) root: Id,
    /// Every class and function that the pickle names, used or not, as module and name.
    pub(in crate::pytorch) globals: Vec<(&'a str, &'a str)>,
    /// The pickle's length in bytes.
    pub(in crate::pytorch) length: usize,
}

impl<'a> Pickle<'a> {
    /// The value that the pickle is.
    pub(in crate::pytorch) fn root(&self) -> Id {
        self.root
    }

    pub(in crate::pytorch) fn get(&self, id: Id) -> &Value<'a> {
        // Ids are made by the machine only, for values that it put there.
        self.values.get(id).unwrap_or(&Value::None)
    }

    /// Every value, the root's or not.
    pub(in crate::pytorch) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.values.len() as u32).map(Id)
    }

    /// Module and name, if the value is a class or function.
    pub(in crate::pytorch) fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.get(id) {
            Value::Global(index) => self.globals.get(*index).copied(),
            _ => None,
        }
    }

    pub(in crate::pytorch) fn str(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(in crate::pytorch) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of a tuple or list.
    pub(in crate::pytorch) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dict, or of an object that entries were set in.
    pub(in crate::pytorch) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(entries) => Some(entries),
            Value::Object(object) => Some(&object.entries),
            _ => None,
        }
    }

    /// The value of a text key in a dict; the last one counts, as in Python.
    pub(in crate::pytorch) fn field(&self, dict: Id, key: &str) -> Option<Id> {
        let mut entries = self.entries(dict)?.iter().rev();
        entries.find(|(k, _)| self.str(*k) == Some(key)).map(|(_, value)| *value)
    }
}
