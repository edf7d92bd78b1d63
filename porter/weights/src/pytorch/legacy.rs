//! The format of `torch.save` before 1.6 (`torch/serialization.py`, `_legacy_save`): a magic number,
//! the protocol, the machine, the object and the storages' keys as pickles, then the storages.

use std::collections::HashMap;

use super::{
    blob::Blob,
    fault::Fault,
    globals::meaning,
    pickle::{self, Pickle, Value},
    storages::{StorageRef, Storages},
};
use crate::cursor::Cursor;

/// `0x1950a86a20f9469cfc6c`, least byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

/// The object of a legacy file, and where its storages lie.
pub(super) fn read(file: &[u8]) -> Result<(Pickle<'_>, Storages<'_>), Fault> {
    let mut start = 0;
    let mut next = || -> Result<Pickle<'_>, Fault> {
        let pickle = pickle::read(file.get(start..).unwrap_or_default(), file.len())?;
        start += pickle.length;
        Ok(pickle)
    };
    let magic = next()?;
    if !matches!(magic.get(magic.root()), Value::Long(bytes) if **bytes == MAGIC) {
        return Err(bare(&magic));
    }
    let protocol = next()?;
    if protocol.int(protocol.root()) != Some(PROTOCOL) {
        return Err(Fault::Unsupported(format!("the legacy format's version is not {PROTOCOL}")));
    }
    let machine = next()?;
    let little = machine.field(machine.root(), "little_endian").map(|value| machine.get(value));
    if !matches!(little, Some(Value::Bool(true))) {
        return Err(Fault::Unsupported(
            "was saved on a big-endian machine; save it again on a little-endian one".to_owned(),
        ));
    }
    let object = next()?;
    let keys = next()?;
    let storages = storages(file, start, &object, &keys)?;
    Ok((object, storages))
}

/// A pickle that is no checkpoint: what it names is said, and not run.
fn bare(pickle: &Pickle<'_>) -> Fault {
    let unknown = pickle.globals.iter().filter(|(module, name)| meaning(module, name, false).is_none());
    let names: Vec<String> = unknown.take(8).map(|(module, name)| format!("{module}.{name}")).collect();
    let what = "is a pickle and no checkpoint: it does not begin with PyTorch's magic number";
    Fault::Unsupported(if names.is_empty() {
        what.to_owned()
    } else {
        format!("{what}; it names {:?}, which is not run", names.join(", "))
    })
}

/// The storages behind the last pickle: for each key a count of elements, then the elements.
fn storages<'a>(
    file: &'a [u8],
    start: usize,
    object: &Pickle<'a>,
    keys: &Pickle<'a>,
) -> Result<Storages<'a>, Fault> {
    let persistent = object.ids().filter(|id| matches!(object.get(*id), Value::Persistent(_)));
    // A storage that is malformed is reported with the tensor that is in it.
    let sizes: HashMap<&str, usize> = persistent
        .filter_map(|id| StorageRef::read(object, id).ok())
        .map(|storage| (storage.key, storage.element.bytes))
        .collect();
    let keys: Option<Vec<&str>> =
        keys.sequence(keys.root()).and_then(|list| list.iter().map(|key| keys.str(*key)).collect());
    let keys = keys.ok_or_else(|| "the storages' keys are no list of texts".to_owned())?;
    let mut cursor = Cursor::new(file.get(start..).unwrap_or_default());
    let mut blobs = HashMap::new();
    for key in keys {
        let storage = |what: String| format!("is truncated: storage {key:?} {what}");
        let size = sizes
            .get(key)
            .ok_or_else(|| format!("no tensor is in storage {key:?}, so its type is unknown"))?;
        let count = cursor.u64().map_err(storage)?;
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(*size));
        let begin = start + cursor.position();
        let bytes = bytes.ok_or_else(|| storage(format!("says {count} elements")))?;
        cursor.take(bytes).map_err(storage)?;
        blobs.insert(key, Blob::Stored(begin..begin + bytes));
    }
    Ok(Storages::Legacy(blobs))
}
