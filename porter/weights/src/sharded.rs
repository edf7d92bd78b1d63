//! Several safetensors files under a `*.safetensors.index.json`, as Hugging Face writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Checkpoint, Error, ErrorKind, Format, Metadata, SafetensorsFile, TensorInfo, TensorView, Value,
    error::Problem,
};

/// No index is larger: it holds one short line a tensor.
const MAX_INDEX_BYTES: u64 = 100_000_000;

/// The index file.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    metadata: BTreeMap<String, serde_json::Value>,
    weight_map: BTreeMap<String, String>,
}

/// A sharded safetensors checkpoint. Every shard is mapped, none is read.
#[derive(Debug)]
pub struct ShardedSafetensors {
    path: PathBuf,
    shards: BTreeMap<String, SafetensorsFile>,
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
    shard_of: BTreeMap<String, String>,
}

impl ShardedSafetensors {
    /// Reads the index at `path` and maps its shards, which must lie beside it. A tensor that a
    /// shard holds and the index does not list is kept. All problems of index and shards are
    /// reported at once.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let index = read_index(path)?;
        let shards = open_shards(path, &index)?;
        let (shard_of, tensors) = join(path, &index, &shards)?;
        let metadata = index_metadata(&index);
        Ok(Self { path: path.to_owned(), shards, metadata, tensors, shard_of })
    }

    fn shard(&self, tensor: &str) -> Option<&SafetensorsFile> {
        self.shards.get(self.shard_of.get(tensor)?)
    }
}

impl Checkpoint for ShardedSafetensors {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        Format::SafetensorsShards { shards: self.shards.len() }
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let shard = self.shard(name);
        shard.ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: name.to_owned() })?.tensor(name)
    }

    fn release(&self, name: &str) {
        if let Some(shard) = self.shard(name) {
            shard.release(name);
        }
    }
}

fn read_index(path: &Path) -> Result<Index, Error> {
    let size = fs::metadata(path).map_err(|source| Error::open(path, source))?.len();
    if size > MAX_INDEX_BYTES {
        let what = format!("the index has {size} bytes; at most {MAX_INDEX_BYTES} are read");
        return Err(Error::corrupt(path, Problem::file(what)));
    }
    let bytes = fs::read(path).map_err(|source| Error::open(path, source))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(path, Problem::file(error.to_string())))
}

/// Maps every shard that the index names, or says which ones it could not map.
fn open_shards(path: &Path, index: &Index) -> Result<BTreeMap<String, SafetensorsFile>, Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    let mut shards = BTreeMap::new();
    let mut problems = Problems::default();
    for name in names {
        if !is_file_name(name) {
            problems
                .corrupt
                .push(Problem::shard(name, "is not a plain file name; shards lie beside the index"));
            continue;
        }
        match SafetensorsFile::open(&folder.join(name)) {
            Ok(shard) => drop(shards.insert(name.clone(), shard)),
            Err(error) => problems.add(name, &error),
        }
    }
    problems.finish(path)?;
    Ok(shards)
}

/// What is wrong with the shards, by what it means.
#[derive(Default)]
struct Problems {
    corrupt: Vec<Problem>,
    unsupported: Vec<Problem>,
}

impl Problems {
    /// A shard that cannot be opened counts as corrupt: the index promises it.
    fn add(&mut self, shard: &str, error: &Error) {
        let list =
            if error.kind() == ErrorKind::Unsupported { &mut self.unsupported } else { &mut self.corrupt };
        list.push(Problem::shard(shard, error.to_string()));
    }

    fn finish(self, path: &Path) -> Result<(), Error> {
        let path = path.to_owned();
        if !self.corrupt.is_empty() {
            let problems = self.corrupt.into_iter().chain(self.unsupported).collect();
            return Err(Error::Corrupt { path, problems });
        }
        if !self.unsupported.is_empty() {
            return Err(Error::Unsupported { path, problems: self.unsupported });
        }
        Ok(())
    }
}

type Joined = (BTreeMap<String, String>, BTreeMap<String, TensorInfo>);

/// Which shard holds each tensor, and every tensor's entry.
fn join(path: &Path, index: &Index, shards: &BTreeMap<String, SafetensorsFile>) -> Result<Joined, Error> {
    let mut shard_of = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    for (name, shard) in shards {
        for (tensor, info) in shard.tensors() {
            if index.weight_map.get(tensor).is_none_or(|listed| listed == name) {
                shard_of.insert(tensor.clone(), name.clone());
                tensors.insert(tensor.clone(), info.clone());
            }
        }
    }
    let absent = index.weight_map.iter().filter(|(tensor, _)| !tensors.contains_key(*tensor));
    let problems: Vec<Problem> = absent
        .map(|(tensor, shard)| {
            Problem::tensor(tensor, format!("the index places it in {shard:?}, which lacks it"))
        })
        .collect();
    if problems.is_empty() {
        Ok((shard_of, tensors))
    } else {
        Err(Error::Corrupt { path: path.to_owned(), problems })
    }
}

fn index_metadata(index: &Index) -> Metadata {
    let mut metadata = Metadata::default();
    for (key, value) in &index.metadata {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        metadata.insert(key.clone(), Value::String(text));
    }
    metadata
}

/// True for a name that stays in its folder on every system.
fn is_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let only = components.next();
    matches!(only, Some(Component::Normal(_)))
        && components.next().is_none()
        && !name.contains(['/', '\\', ':', '\0'])
}
