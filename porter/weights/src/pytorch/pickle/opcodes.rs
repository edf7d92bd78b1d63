//! The opcodes of protocols 2 to 5, a line each (`Lib/pickletools.py` has the table).

use super::{
    machine::{Machine, PickleError, Step, pairs},
    value::{Id, Value},
};

impl Machine<'_> {
    /// One opcode. The root, once the pickle stops.
    #[allow(clippy::too_many_lines, reason = "one line an opcode, as the format's own table")]
    pub(super) fn step(&mut self) -> Step<Option<Id>> {
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
