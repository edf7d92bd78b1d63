//! Checkpoints in buckets: `s3://BUCKET/KEY` and `gs://BUCKET/KEY`.
//!
//! A [`RemoteUrl`] names an object or what lies under a prefix. A [`Bucket`] lists, reads small objects whole and others by
//! ranges. [`open`] makes a [`Checkpoint`](porter_weights::Checkpoint) of a safetensors file, an index of them or a GGUF
//! file: of it only the header is read, and then of each tensor the bytes that are asked for. [`RemoteStore`] is where
//! the streaming executor of `porter_weights` writes: an object is seen once it is whole.
//!
//! Every object is pinned: its `ETag` is taken when it is first looked at, and each later read demands it, so that a source
//! that changes is an error ([`RemoteError::Changed`]) and never a mixture.
//!
//! Credentials come from the variables that other tools use ([`Variables`]). Everything is blocking; the requests run on a
//! private runtime, over the HTTP client that the rest of Porter has (`docs/remote.md` says what that spares).

mod bucket;
mod checkpoint;
mod error;
mod http;
mod output;
mod url;

pub use bucket::{Bucket, Object, Patience, Variables};
pub use checkpoint::{RemoteFile, open, open_in};
pub use error::RemoteError;
pub use output::RemoteStore;
pub use url::{Provider, RemoteUrl};
