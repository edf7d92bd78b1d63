//! What a repository holds, as the hub says, and what of it a model needs.

use std::path::Path;

use serde::Deserialize;

use crate::error::ImportError;
use crate::source::is_inside;

/// Files that a model is read from besides its weights.
const BESIDE: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

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

    /// The files to read a model from; the shards of an index are not known yet.
    pub(super) fn needed(&self, repository: &str) -> Result<Vec<&RemoteFile>, ImportError> {
        let beside = BESIDE.iter().filter_map(|name| self.find(name));
        Ok(beside.chain([self.weights(repository)?]).collect())
    }

    fn weights(&self, repository: &str) -> Result<&RemoteFile, ImportError> {
        if let Some(standard) = self.find(SINGLE).or_else(|| self.find(INDEX)) {
            return Ok(standard);
        }
        let top = |ending: &'static str| {
            self.files.iter().filter(move |file| file.name.ends_with(ending) && !file.name.contains('/'))
        };
        let found: Vec<&RemoteFile> = top(".safetensors").chain(top(".gguf")).collect();
        let names = |files: &mut dyn Iterator<Item = &RemoteFile>| -> Vec<String> {
            files.take(40).map(|file| file.name.clone()).collect()
        };
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(ImportError::NoModel {
                place: format!("hf:{repository}"),
                found: names(&mut self.files.iter()).join(", "),
            }),
            several => Err(ImportError::Ambiguous {
                place: format!("hf:{repository}"),
                candidates: names(&mut several.iter().copied()),
            }),
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// The shards that an index names, each of them in the listing.
pub(super) fn shards<'a>(
    index: &serde_json::Value,
    listing: &'a Listing,
    repository: &str,
) -> Result<Vec<&'a RemoteFile>, ImportError> {
    let untrusted =
        |reason: String| ImportError::Untrusted { name: format!("{repository}: {INDEX}"), reason };
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| untrusted("there is no weight_map object".to_owned()))?;
    let mut names: Vec<&str> = map.values().filter_map(|name| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let missing = |name: &str| untrusted(format!("it names {name:?}, which the repository does not hold"));
    names.into_iter().map(|name| listing.find(name).ok_or_else(|| missing(name))).collect()
}

pub(super) fn is_index(file: &RemoteFile) -> bool {
    file.name == INDEX
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
