//! Closing what several machines wrote.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{
    StreamError,
    journal::{Journal, Written},
    session::Summary,
    share::Share,
    store::Store,
};

/// Checks that every share is complete and of one plan, writes the index and the files beside it, and
/// puts one record in the place of the shares'. The sources are not needed.
pub fn merge_index(store: &dyn Store) -> Result<Summary, StreamError> {
    let place = store.name();
    let not_whole = |problems| StreamError::NotWhole { place: place.clone(), problems };
    let listed = store.list().map_err(StreamError::io("list", &place))?;
    let numbers = listed.iter().filter_map(|path| number_of_shares(path)).max();
    let of = numbers.ok_or_else(|| not_whole(vec!["there is no record of a share".to_owned()]))?;
    let shares = (1..=of).map(|part| Share { part, of }.journal());
    let mut journals = BTreeMap::new();
    let mut problems = Vec::new();
    for path in shares {
        match Journal::read(store, &path)? {
            Some(journal) if journal.complete => drop(journals.insert(path, journal)),
            Some(_) => problems.push(format!("{path}: the share is not finished; run it again")),
            None => problems.push(format!("{path}: the share was not begun")),
        }
    }
    let first = journals.values().next().cloned();
    for (path, journal) in &journals {
        if first.as_ref().is_some_and(|first| first.plan != journal.plan) {
            problems.push(format!("{path}: the share is of another plan ({})", journal.what));
        }
        let absent = journal.files.keys().filter(|file| !listed.contains(file));
        problems.extend(absent.map(|file| format!("{file}: was written and is not there")));
    }
    let Some(first) = first.filter(|_| problems.is_empty()) else { return Err(not_whole(problems)) };
    let mut files: BTreeMap<String, Written> = BTreeMap::new();
    for journal in journals.values() {
        files.extend(journal.files.clone());
    }
    let mut written = 0;
    for (path, text) in &first.closing {
        let bytes = hex::decode(text).map_err(|error| StreamError::Journal {
            path: place.clone(),
            reason: format!("the bytes of {path:?} are not hexadecimal: {error}"),
        })?;
        store.put(path, &bytes).map_err(StreamError::io("write", path))?;
        written += bytes.len() as u64;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        files.insert(path.clone(), Written { bytes: bytes.len() as u64, sha256 });
    }
    let merged = Journal { files: files.clone(), closing: BTreeMap::new(), ..first };
    merged.write(store, &Share::default().journal())?;
    for path in journals.keys() {
        store.remove(path).map_err(StreamError::io("remove", path))?;
    }
    let kept = files.values().map(|file| file.bytes).sum::<u64>() - written;
    Ok(Summary { files, written, kept })
}

/// `8` of `porter-convert-00003-of-00008.json`.
fn number_of_shares(path: &str) -> Option<usize> {
    let (_, of) = path.strip_prefix("porter-convert-")?.strip_suffix(".json")?.split_once("-of-")?;
    of.parse().ok()
}
