//! What a conversion has done so far.
//!
//! One JSON file beside the output, replaced as a whole whenever something became durable. Once
//! everything is written it stays as the conversion's record, with the SHA-256 of every file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{StreamError, session::Conversion, store::Store};

/// What this version writes; other versions begin again.
const VERSION: u32 = 1;

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// Its hash, in hexadecimal.
    pub sha256: String,
}

/// A file of which the beginning is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The file.
    pub path: String,
    /// Bytes that are durable.
    pub bytes: u64,
}

/// The journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The version of this format.
    pub version: u32,
    /// What is converted how, for people.
    pub what: String,
    /// The hash of the layout and of the sources' sizes: the same on every machine of a conversion.
    pub plan: String,
    /// The identity of the source on this machine, times of change included.
    pub source: String,
    /// Every file that this share writes.
    pub planned: Vec<String>,
    /// True once everything of this share is written.
    pub complete: bool,
    /// The files that are finished.
    pub files: BTreeMap<String, Written>,
    /// The file that is being written.
    pub begun: Option<Begun>,
    /// The files that close the conversion, kept for [`merge_index`](super::merge_index).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub closing: BTreeMap<String, String>,
}

impl Journal {
    /// The journal of a conversion that has done nothing yet.
    pub(super) fn new(conversion: &Conversion<'_>, planned: Vec<String>) -> Result<Self, StreamError> {
        let source = conversion.checkpoint.identity().map_err(StreamError::Source)?;
        Ok(Self {
            version: VERSION,
            what: conversion.what.to_owned(),
            plan: plan(conversion),
            source,
            planned,
            complete: false,
            files: BTreeMap::new(),
            begun: None,
            closing: BTreeMap::new(),
        })
    }

    /// The journal at `path`, if there is one.
    pub(super) fn read(store: &dyn Store, path: &str) -> Result<Option<Self>, StreamError> {
        let bytes = store.get(path).map_err(StreamError::io("read", path))?;
        let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes);
        bytes
            .map(parse)
            .transpose()
            .map_err(|error| StreamError::Journal { path: path.to_owned(), reason: error.to_string() })
    }

    pub(super) fn write(&self, store: &dyn Store, path: &str) -> Result<(), StreamError> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| StreamError::Journal { path: path.to_owned(), reason: error.to_string() })?;
        store.put(path, &bytes).map_err(StreamError::io("write", path))
    }

    /// True if this is of the same plan over the same source.
    pub(super) fn is_of(&self, other: &Journal) -> bool {
        (self.version, &self.plan, &self.source) == (other.version, &other.plan, &other.source)
    }
}

/// The hash of what will be written: every expression, shape, encoding and literal byte.
fn plan(conversion: &Conversion<'_>) -> String {
    let layout = conversion.layout;
    let mut hash = Sha256::new();
    for tensor in &layout.tensors {
        hash.update(format!("{tensor:?}\n"));
        for source in tensor.expr.sources() {
            hash.update(format!("{:?}\n", conversion.checkpoint.tensors().get(source)));
        }
    }
    for file in layout.files.iter().chain(&layout.closing) {
        hash.update(format!("{file:?}\n"));
    }
    hex::encode(hash.finalize())
}
