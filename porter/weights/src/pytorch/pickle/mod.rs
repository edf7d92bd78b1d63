//! Pickles as values, never as programs (<https://docs.python.org/3/library/pickletools.html>).
//!
//! A pickle is a program for a stack machine that may call any function. This machine calls none: a
//! call becomes a [`Value::Object`] that says what was to be called with what, and every class and
//! function is listed by name. What such an object means is decided elsewhere, by its name alone.
//!
//! Every opcode makes at most one value, so memory is bounded by the pickle's length; values are
//! held in one table and refer to each other by number, so nesting costs no stack.

mod arena;
mod machine;
mod opcodes;
mod value;

pub(super) use machine::{PickleError, read};
pub(super) use value::{Id, Object, Pickle, Value};
