//! The stack machine: protocols 2 to 5.

use std::collections::HashMap;

use super::value::{Id, Object, Pickle, Value};
use crate::cursor::Cursor;

/// No checkpoint needs more: one tensor takes some twenty values.
const MAX_VALUES: usize = 1 << 23;

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

type Step<T = ()> = Result<T, PickleError>;

/// Reads the pickle that `bytes` begin with. Nothing that it asks for is run.
pub(in crate::pytorch) fn read(bytes: &[u8]) -> Result<Pickle<'_>, PickleError> {
    let mut machine = Machine::new(bytes);
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

struct Machine<'a> {
    cursor: Cursor<'a>,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// The stack's length at every open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    globals: Vec<(&'a str, &'a str)>,
    global_ids: HashMap<(&'a str, &'a str), Id>,
    none: Id,
    empty: Id,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(bytes),
            values: vec![Value::None, Value::Tuple(Box::default())],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            globals: Vec::new(),
            global_ids: HashMap::new(),
            none: Id(0),
            empty: Id(1),
        }
    }

    /// One opcode. The root, once the pickle stops.
    #[allow(clippy::too_many_lines, reason = "one line an opcode, as the format's own table")]
    fn step(&mut self) -> Step<Option<Id>> {
        let [opcode] = self.cursor.array()?;
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => self.protocol()?,
            // FRAME: how many bytes to read ahead.
            0x95 => drop(self.cursor.take(8)?),

            b'N' => self.stack.push(self.none),
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => self.int(|b| i32::from_le_bytes(b).into())?,
            b'K' => self.int(|b| u8::from_le_bytes(b).into())?,
            b'M' => self.int(|b| u16::from_le_bytes(b).into())?,
            0x8a => self.counted(1, long)?,
            0x8b => self.counted(4, long)?,
            b'G' => {
                let value = f64::from_be_bytes(self.cursor.array()?);
                self.push(Value::Float(value))?;
            }

            b'X' => self.counted(4, text)?,
            0x8c => self.counted(1, text)?,
            0x8d => self.counted(8, text)?,
            // Texts of Python 2 are bytes; keys and names are plain text.
            b'T' => self.counted(4, text_or_bytes)?,
            b'U' => self.counted(1, text_or_bytes)?,
            b'B' => self.counted(4, bytes)?,
            b'C' => self.counted(1, bytes)?,
            0x8e | 0x96 => self.counted(8, bytes)?,

            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop_or_unmark()?,
            b'1' => drop(self.unmark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }

            b')' => self.stack.push(self.empty),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let items = self.unmark()?;
                self.push(Value::Tuple(items.into()))?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let items = self.unmark()?;
                self.push(Value::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.unmark()?;
                self.append(&items)?;
            }
            0x8f => self.push(Value::Set(Vec::new()))?,
            0x91 => {
                let items = self.unmark()?;
                self.push(Value::Set(items))?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let items = self.unmark()?;
                self.push(Value::Dict(pairs(&items)?))?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.unmark()?;
                self.set(&items)?;
            }

            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.global(module, name)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            // REDUCE and NEWOBJ: a callable and its arguments.
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.object(callable, args)?;
            }
            // NEWOBJ_EX: keyword arguments come last.
            0x92 => {
                let (keywords, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.object(callable, args)?;
                self.build(keywords)?;
            }
            b'o' => {
                let items = self.unmark()?;
                let (callable, args) = items.split_first().ok_or_else(|| "OBJ without a class".to_owned())?;
                let args = self.add(Value::Tuple(args.into()))?;
                self.object(*callable, args)?;
            }
            b'b' => {
                let state = self.pop()?;
                self.build(state)?;
            }
            other => return Err(refuse(other)),
        }
        Ok(None)
    }

    fn protocol(&mut self) -> Step {
        match self.cursor.array()? {
            [2..=5] => Ok(()),
            [other] => Err(PickleError::Unsupported(format!("protocol {other}; protocols 2 to 5 are read"))),
        }
    }

    fn add(&mut self, value: Value<'a>) -> Step<Id> {
        if self.values.len() >= MAX_VALUES {
            return Err(PickleError::Unsupported(format!("more than {MAX_VALUES} values")));
        }
        self.values.push(value);
        Ok(Id(self.values.len() as u32 - 1))
    }

    fn push(&mut self, value: Value<'a>) -> Step {
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn int<const N: usize>(&mut self, read: fn([u8; N]) -> i64) -> Step {
        let value = read(self.cursor.array()?);
        self.push(Value::Int(value))
    }

    /// A value of as many bytes as the next `width` bytes say.
    fn counted(&mut self, width: usize, read: fn(&'a [u8]) -> Result<Value<'a>, String>) -> Step {
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
    fn line(&mut self) -> Step<&'a str> {
        Ok(self.cursor.line()?)
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Id> {
        let above = self.stack.len() > self.floor();
        self.stack
            .pop()
            .filter(|_| above)
            .ok_or_else(|| "takes a value from an empty stack".to_owned().into())
    }

    fn top(&self) -> Step<Id> {
        let above = self.stack.len() > self.floor();
        let top = self.stack.last().copied().filter(|_| above);
        top.ok_or_else(|| "wants a value on an empty stack".to_owned().into())
    }

    fn pop_or_unmark(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_text(&mut self) -> Step<&'a str> {
        let id = self.pop()?;
        match self.values.get(id.0 as usize) {
            Some(Value::Str(text)) => Ok(text),
            _ => Err("STACK_GLOBAL takes two texts".to_owned().into()),
        }
    }

    fn unmark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| "wants a mark, and there is none".to_owned())?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Step {
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| format!("a tuple of {count} wants {count} values on the stack"))?;
        let items = self.stack.split_off(start);
        self.push(Value::Tuple(items.into()))
    }

    fn target(&mut self) -> Step<&mut Value<'a>> {
        let id = self.top()?;
        self.values.get_mut(id.0 as usize).ok_or_else(|| "no such value".to_owned().into())
    }

    fn append(&mut self, new: &[Id]) -> Step {
        match self.target()? {
            Value::List(items) | Value::Set(items) => items.extend(new),
            Value::Object(object) => object.items.extend(new),
            _ => return Err("appends to what is no list".to_owned().into()),
        }
        Ok(())
    }

    fn set(&mut self, new: &[Id]) -> Step {
        let new = pairs(new)?;
        match self.target()? {
            Value::Dict(entries) => entries.extend(new),
            Value::Object(object) => object.entries.extend(new),
            _ => return Err("sets a key in what is no dict".to_owned().into()),
        }
        Ok(())
    }

    fn put(&mut self, width: usize) -> Step {
        let key = self.number(width)? as u32;
        self.memoize(key)
    }

    fn memoize(&mut self, key: u32) -> Step {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, width: usize) -> Step {
        let key = self.number(width)? as u32;
        let found = self.memo.get(&key).copied();
        self.stack.push(found.ok_or_else(|| format!("memo {key} was not written"))?);
        Ok(())
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Step {
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

    fn object(&mut self, callable: Id, args: Id) -> Step {
        let object = Object { callable, args, state: None, items: Vec::new(), entries: Vec::new() };
        self.push(Value::Object(Box::new(object)))
    }

    fn build(&mut self, state: Id) -> Step {
        match self.target()? {
            Value::Object(object) => object.state = Some(state),
            _ => return Err("gives a state to what has none".to_owned().into()),
        }
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, []) = items.as_chunks::<2>() else {
        return Err("a dict with a key and no value".to_owned());
    };
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// Little-endian two's complement of any length.
#[allow(clippy::unnecessary_wraps, reason = "the form of `counted`")]
fn long(bytes: &[u8]) -> Result<Value<'_>, String> {
    if bytes.len() > 8 {
        return Ok(Value::Long(bytes));
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut word = [if negative { 0xff } else { 0 }; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Ok(Value::Int(i64::from_le_bytes(word)))
}

fn text(bytes: &[u8]) -> Result<Value<'_>, String> {
    str::from_utf8(bytes).map(Value::Str).map_err(|error| format!("text is not UTF-8: {error}"))
}

fn text_or_bytes(stored: &[u8]) -> Result<Value<'_>, String> {
    text(stored).or_else(|_| bytes(stored))
}

#[allow(clippy::unnecessary_wraps, reason = "the form of `counted`")]
fn bytes(bytes: &[u8]) -> Result<Value<'_>, String> {
    Ok(Value::Bytes(bytes))
}

/// What is said of an opcode that is not read.
fn refuse(opcode: u8) -> PickleError {
    match opcode {
        b'I' | b'L' | b'F' | b'S' | b'V' | b'g' | b'p' | b'P' | b'i' => PickleError::Unsupported(format!(
            "opcode {:?} of protocol 0; protocols 2 to 5 are read",
            char::from(opcode)
        )),
        0x82..=0x84 => PickleError::Unsupported("an extension registry's code".to_owned()),
        0x97 | 0x98 => PickleError::Unsupported("a buffer outside the pickle".to_owned()),
        other => PickleError::Corrupt(format!("byte {other:#04x} is no opcode")),
    }
}
