//! Writing a [`Layout`](crate::write::Layout): streamed, resumable, in bounded memory.
//!
//! [`write()`] cuts every output file into tiles, evaluates them on all threads and writes them in order.
//! Memory is the budget of [`Options`], whatever the size of the model: sources are read by position,
//! never through a map. A file is written beside its place, hashed on the way, made durable, and
//! renamed; a [journal] beside it lets a killed run go on where it was, and a run over another
//! source or with other options begins again. [`verify`] reads everything once more, and
//! [`merge_index`] closes what several machines wrote ([`Share`]).
//!
//! Files go to a [`Store`]: a folder or a file ([`LocalStore`]), or what else implements it.

mod error;
pub mod journal;
mod local;
mod merge;
mod pipeline;
mod session;
mod share;
mod store;
mod tiles;
mod verify;
mod writer;

pub use error::StreamError;
pub use journal::Written;
pub use local::LocalStore;
pub use merge::merge_index;
pub use session::{Conversion, Options, Summary, write};
pub use share::Share;
pub use store::{Durable, Lock, Part, Store};
pub use verify::verify;

/// What is happening, for whoever waits.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something that a person should know.
    Note(&'a str),
    /// A pass over so many bytes begins; `done` of them are there from an earlier run.
    Begin {
        /// What the pass does: `convert`, `verify`.
        what: &'a str,
        /// Bytes of all files of the pass.
        bytes: u64,
        /// Bytes that are there already.
        done: u64,
    },
    /// So many bytes more are done.
    Advanced(u64),
    /// The pass is over.
    End,
}

/// Takes [`Event`]s.
pub trait Observer: Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Says nothing.
impl Observer for () {
    fn event(&self, _: Event<'_>) {}
}
