//! The stack machine: what every opcode is made of.

use std::collections::HashMap;

use super::{
    arena::Arena,
    value::{Id, Object, Pickle, Value},
};
use crate::cursor::Cursor;

/// No checkpoint needs more: one tensor takes some twenty values.
const MAX_VALUES: usize = 1 << 23;
/// Small files may have this many.
const FREE_VALUES: usize = 1 << 16;

/// Why a pickle is not read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pytorch) enum PickleError {
    /// It breaks the format.
    Corrupt(String),
    /// It is sound, as far as it was read, and uses what is not read.
    Unsupported(String),
}

impl From<String> for PickleError {
    fn from(what: String) -> Self {
        PickleError::Corrupt(what)
    }
}

pub(super) type Step<T = ()> = Result<T, PickleError>;

/// Reads the pickle that `bytes` begin with. Nothing that it asks for is run.
///
/// No more values are made than `most`: the length of the file, since a tensor takes more bytes in it than
/// values in the pickle, which may be compressed.
pub(in crate::pytorch) fn read(bytes: &[u8], most: usize) -> Result<Pickle<'_>, PickleError> {
    let mut machine = Machine::new(bytes, most.clamp(FREE_VALUES, MAX_VALUES));
    loop {
        let at = machine.cursor.position();
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => {
                let length = machine.cursor.position();
                return Ok(Pickle { values: machine.values, root, globals: machine.globals, length });
            }
            Err(PickleError::Corrupt(what)) => {
                return Err(PickleError::Corrupt(format!("pickle, offset {at}: {what}")));
            }
            Err(PickleError::Unsupported(what)) => {
                return Err(PickleError::Unsupported(format!("pickle, offset {at}: {what}")));
            }
        }
    }
}

pub(super) struct Machine<'a> {
    pub(super) cursor: Cursor<'a>,
    /// How many values may be made.
    most: usize,
    values: Arena<'a>,
    pub(super) stack: Vec<Id>,
    /// The stack's length at every open mark.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Id>,
    globals: Vec<(&'a str, &'a str)>,
    global_ids: HashMap<(&'a str, &'a str), Id>,
    pub(super) none: Id,
    pub(super) empty: Id,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8], most: usize) -> Self {
        let mut values = Arena::default();
        let (none, empty) = (values.add(Value::None), values.add(Value::Tuple(Box::default())));
        Self {
            cursor: Cursor::new(bytes),
            most,
            values,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            globals: Vec::new(),
            global_ids: HashMap::new(),
            none,
            empty,
        }
    }

    pub(super) fn protocol(&mut self) -> Step {
        match self.cursor.array()? {
            [2..=5] => Ok(()),
            [other] => Err(PickleError::Unsupported(format!("protocol {other}; protocols 2 to 5 are read"))),
        }
    }

    pub(super) fn add(&mut self, value: Value<'a>) -> Step<Id> {
        if self.values.len() >= self.most.saturating_add(2) {
            return Err(PickleError::Unsupported(format!("makes more than {} values", self.most)));
        }
        Ok(self.values.add(value))
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Step {
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn int<const N: usize>(&mut self, read: fn([u8; N]) -> i64) -> Step {
        let value = read(self.cursor.array()?);
        self.push(Value::Int(value))
    }

    /// A value of as many bytes as the next `width` bytes say.
    pub(super) fn counted(&mut self, width: usize, read: fn(&'a [u8]) -> Result<Value<'a>, String>) -> Step {
        let count = self.number(width)?;
        let bytes = self.cursor.take(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.push(read(bytes)?)
    }

    fn number(&mut self, width: usize) -> Step<u64> {
        let mut number = [0; 8];
        number[..width].copy_from_slice(self.cursor.take(width)?);
        Ok(u64::from_le_bytes(number))
    }

    /// Text up to a line's end, which is all that protocol 2 has left of protocol 0.
    pub(super) fn line(&mut self) -> Step<&'a str> {
        Ok(self.cursor.line()?)
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn pop(&mut self) -> Step<Id> {
        let above = self.stack.len() > self.floor();
        self.stack
            .pop()
            .filter(|_| above)
            .ok_or_else(|| "takes a value from an empty stack".to_owned().into())
    }

    pub(super) fn top(&self) -> Step<Id> {
        let above = self.stack.len() > self.floor();
        let top = self.stack.last().copied().filter(|_| above);
        top.ok_or_else(|| "wants a value on an empty stack".to_owned().into())
    }

    pub(super) fn pop_or_unmark(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    pub(super) fn pop_text(&mut self) -> Step<&'a str> {
        let id = self.pop()?;
        match self.values.get(id) {
            Some(Value::Str(text)) => Ok(text),
            _ => Err("STACK_GLOBAL takes two texts".to_owned().into()),
        }
    }

    pub(super) fn unmark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| "wants a mark, and there is none".to_owned())?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn tuple(&mut self, count: usize) -> Step {
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| format!("a tuple of {count} wants {count} values on the stack"))?;
        let items = self.stack.split_off(start);
        self.push(Value::Tuple(items.into()))
    }

    fn target(&mut self) -> Step<&mut Value<'a>> {
        let id = self.top()?;
        self.values.get_mut(id).ok_or_else(|| "no such value".to_owned().into())
    }

    pub(super) fn append(&mut self, new: &[Id]) -> Step {
        match self.target()? {
            Value::List(items) | Value::Set(items) => items.extend(new),
            Value::Object(object) => object.items.extend(new),
            _ => return Err("appends to what is no list".to_owned().into()),
        }
        Ok(())
    }

    pub(super) fn set(&mut self, new: &[Id]) -> Step {
        let new = pairs(new)?;
        match self.target()? {
            Value::Dict(entries) => entries.extend(new),
            Value::Object(object) => object.entries.extend(new),
            _ => return Err("sets a key in what is no dict".to_owned().into()),
        }
        Ok(())
    }

    pub(super) fn put(&mut self, width: usize) -> Step {
        let key = self.number(width)? as u32;
        self.memoize(key)
    }

    pub(super) fn memoize(&mut self, key: u32) -> Step {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    pub(super) fn get(&mut self, width: usize) -> Step {
        let key = self.number(width)? as u32;
        let found = self.memo.get(&key).copied();
        self.stack.push(found.ok_or_else(|| format!("memo {key} was not written"))?);
        Ok(())
    }

    pub(super) fn global(&mut self, module: &'a str, name: &'a str) -> Step {
        if let Some(id) = self.global_ids.get(&(module, name)) {
            self.stack.push(*id);
            return Ok(());
        }
        self.push(Value::Global(self.globals.len()))?;
        self.globals.push((module, name));
        let id = self.top()?;
        self.global_ids.insert((module, name), id);
        Ok(())
    }

    pub(super) fn object(&mut self, callable: Id, args: Id) -> Step {
        let object = Object { callable, args, state: None, items: Vec::new(), entries: Vec::new() };
        self.push(Value::Object(Box::new(object)))
    }

    pub(super) fn build(&mut self, state: Id) -> Step {
        match self.target()? {
            Value::Object(object) => object.state = Some(state),
            _ => return Err("gives a state to what has none".to_owned().into()),
        }
        Ok(())
    }
}

pub(super) fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, []) = items.as_chunks::<2>() else {
        return Err("a dict with a key and no value".to_owned());
    };
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}
