//! Storages: what a pickle says of them, and where their bytes lie.

use std::collections::HashMap;

use super::{
    archive::Archive,
    blob::Blob,
    element::Element,
    fault::Fault,
    pickle::{Id, Pickle, Value},
};

/// Keys are numbers in decimal.
const MAX_KEY: usize = 64;

/// A storage as a pickle names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageRef<'a> {
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Elements, as the pickle says.
    pub(super) count: usize,
    /// Where a legacy view begins in the storage, in elements.
    pub(super) start: usize,
}

impl<'a> StorageRef<'a> {
    /// Reads `('storage', type, key, location, count[, view])` (`torch/serialization.py`,
    /// `persistent_id`). A legacy view is `(key, offset, count)`.
    pub(super) fn read(pickle: &Pickle<'a>, id: Id) -> Result<Self, String> {
        let Value::Persistent(fields) = pickle.get(id) else {
            return Err("is built from what is no storage".to_owned());
        };
        let malformed = || "names its storage in a way that PyTorch does not".to_owned();
        let fields = pickle.sequence(*fields).ok_or_else(malformed)?;
        let [tag, kind, key, _location, count, view @ ..] = fields else { return Err(malformed()) };
        if pickle.str(*tag) != Some("storage") {
            return Err(malformed());
        }
        let (_, kind) = pickle.global(*kind).ok_or_else(malformed)?;
        let element =
            Element::of_storage(kind).ok_or_else(|| format!("is in a storage of unknown type {kind:?}"))?;
        let key = pickle.str(*key).filter(|key| key.len() <= MAX_KEY).ok_or_else(malformed)?;
        let whole = |id: &Id| pickle.int(*id).and_then(|n| usize::try_from(n).ok()).ok_or_else(malformed);
        let mut storage = StorageRef { key, element, count: whole(count)?, start: 0 };
        if let [view] = view
            && let Some([_key, start, count]) = pickle.sequence(*view)
        {
            (storage.start, storage.count) = (whole(start)?, whole(count)?);
        }
        Ok(storage)
    }
}

/// Where the storages of a file lie.
#[derive(Debug)]
pub(super) enum Storages<'a> {
    /// Entries of an archive, under this path.
    Archive(&'a Archive<'a>, String),
    /// Ranges behind the pickles of a legacy file, by key.
    Legacy(HashMap<&'a str, Blob>),
}

impl Storages<'_> {
    /// The bytes of a storage, which must be as many as the pickle says.
    pub(super) fn find(&self, storage: &StorageRef<'_>) -> Result<Blob, Fault> {
        let key = storage.key;
        let blob = match self {
            Storages::Archive(archive, folder) => {
                let name = format!("{folder}{key}");
                archive.blob(&name).map_err(|fault| fault.of(&format!("its storage {name:?}")))?
            }
            Storages::Legacy(blobs) => blobs.get(key).cloned(),
        };
        let blob = blob.ok_or_else(|| format!("its storage {key:?} is not in the file"))?;
        let count = storage.start.checked_add(storage.count);
        let needed = count.and_then(|count| count.checked_mul(storage.element.bytes));
        let exact = !matches!(blob, Blob::Stored(_));
        match needed {
            Some(needed) if needed == blob.len() || (needed < blob.len() && !exact) => Ok(blob),
            _ => Err(Fault::Corrupt(format!(
                "its storage {key:?} has {} bytes; {} elements of {} bytes were expected",
                blob.len(),
                storage.count,
                storage.element.bytes
            ))),
        }
    }
}
