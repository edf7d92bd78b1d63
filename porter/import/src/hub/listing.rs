//! What a repository holds, as the hub says.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::error::ImportError;
use crate::model_files::JsonFile;
use crate::source::is_inside;

/// A checked listing: its names stay below a folder, its hashes are hashes.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// The commit, 40 hexadecimal digits.
    pub(super) commit: String,
    /// Every file.
    pub(super) files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFile {
    /// The path in the repository.
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// What its bytes hash to.
    pub(super) hash: FileHash,
}

/// The hash of a file, in lower-case hexadecimal; also its name in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileHash {
    /// SHA-256 of the bytes: files in large file storage.
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the bytes: files in git.
    Git(String),
}

impl FileHash {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::Git(text) => text,
        }
    }
}

/// `GET /api/models/NAME/revision/REVISION?blobs=true`.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

impl Listing {
    /// Understands and checks the hub's answer; `repository` names it in errors.
    pub(super) fn parse(json: &[u8], repository: &str) -> Result<Self, ImportError> {
        let untrusted = |reason: String| ImportError::Untrusted { name: repository.to_owned(), reason };
        let answer: Answer = serde_json::from_slice(json).map_err(|error| {
            let start: String = String::from_utf8_lossy(json).chars().take(60).collect();
            untrusted(format!(
                "the server's listing is not what a hub answers ({error}); it begins {start:?}"
            ))
        })?;
        if !is_hex(&answer.sha, 40) {
            return Err(untrusted(format!("the server's commit {:?} is no commit", answer.sha)));
        }
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for sibling in answer.siblings {
            match file(sibling) {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self { commit: answer.sha, files })
        } else {
            problems.truncate(8);
            Err(untrusted(format!("the server lists {}", problems.join("; "))))
        }
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.name.as_str()).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// The files that an index names, below the index's folder.
pub(super) fn shards(index: &JsonFile, name: &str) -> Result<Vec<String>, ImportError> {
    let map = index.value.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| ImportError::Untrusted {
        name: name.to_owned(),
        reason: "there is no weight_map object".to_owned(),
    })?;
    let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let names: BTreeSet<&str> = map.values().filter_map(|name| name.as_str()).collect();
    Ok(names.into_iter().map(|name| format!("{folder}{name}")).collect())
}

/// Whether a file lists shards.
pub(super) fn is_index(name: &str) -> bool {
    name.ends_with(".index.json")
}

fn file(sibling: Sibling) -> Result<RemoteFile, String> {
    let name = sibling.rfilename;
    if !is_inside(Path::new(&name)) || name.contains(['\\', '\0']) {
        return Err(format!("{name:?}, which leads out of the repository"));
    }
    let (size, hash) = match (sibling.lfs, sibling.size, sibling.blob_id) {
        (Some(large), _, _) if is_hex(&large.sha256, 64) => (large.size, FileHash::Sha256(large.sha256)),
        (None, Some(size), Some(blob)) if is_hex(&blob, 40) => (size, FileHash::Git(blob)),
        _ => return Err(format!("{name:?} without a size and a hash")),
    };
    Ok(RemoteFile { name, size, hash })
}

pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
