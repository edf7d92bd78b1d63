//! Several files under a `*.safetensors.index.json` or `*.bin.index.json`, as Hugging Face writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Checkpoint, Error, ErrorKind, Format, Metadata, OpenOptions, PyTorchFile, SafetensorsFile, TensorInfo,
    TensorView, Value,
    checkpoint::file_identity,
    error::{Problem, Problems},
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

/// The format of the shards.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Safetensors,
    PyTorch,
}

/// A sharded checkpoint. Every shard is mapped, none is read.
pub struct ShardedCheckpoint {
    path: PathBuf,
    kind: Kind,
    /// Of an index that is no file of this machine.
    index_identity: Option<String>,
    shards: Shards,
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
    shard_of: BTreeMap<String, String>,
    notes: Vec<String>,
}

type Shards = BTreeMap<String, Box<dyn Checkpoint>>;

impl ShardedCheckpoint {
    /// Reads the index at `path` and maps its safetensors shards, which must lie beside it. A
    /// tensor that a shard holds and the index does not list is kept. All problems of index and
    /// shards are reported at once.
    pub fn open_safetensors(path: &Path) -> Result<Self, Error> {
        Self::open(path, Kind::Safetensors, |shard| Ok(Box::new(SafetensorsFile::open(shard)?)))
    }

    /// The same for safetensors shards that lie elsewhere: `index` holds the bytes of the index, which is
    /// called `path` and has `identity` (see [`Checkpoint::identity`]), and `open` opens a shard by its
    /// plain file name.
    pub fn from_index(
        path: &Path,
        index: &[u8],
        identity: String,
        open: impl Fn(&str) -> Result<Box<dyn Checkpoint>, Error>,
    ) -> Result<Self, Error> {
        let sharded = Self::join(path, Kind::Safetensors, &parse_index(path, index)?, open)?;
        Ok(Self { index_identity: Some(identity), ..sharded })
    }

    /// The same for an index of PyTorch files. A shard is a state dict as a whole.
    pub fn open_pytorch(path: &Path, options: &OpenOptions) -> Result<Self, Error> {
        let options = OpenOptions { prefix: Some(String::new()), ..options.clone() };
        Self::open(path, Kind::PyTorch, |shard| Ok(Box::new(PyTorchFile::open(shard, &options)?)))
    }

    fn open(
        path: &Path,
        kind: Kind,
        open: impl Fn(&Path) -> Result<Box<dyn Checkpoint>, Error>,
    ) -> Result<Self, Error> {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::join(path, kind, &read_index(path)?, |name| open(&folder.join(name)))
    }

    fn join(
        path: &Path,
        kind: Kind,
        index: &Index,
        open: impl Fn(&str) -> Result<Box<dyn Checkpoint>, Error>,
    ) -> Result<Self, Error> {
        let shards = open_shards(path, index, open)?;
        let (shard_of, tensors) = join(path, index, &shards)?;
        let metadata = index_metadata(index);
        let notes =
            shards.iter().flat_map(|(name, shard)| shard.notes().iter().map(move |n| format!("{name}: {n}")));
        let notes = notes.collect();
        let path = path.to_owned();
        Ok(Self { path, kind, index_identity: None, shards, metadata, tensors, shard_of, notes })
    }

    fn shard(&self, tensor: &str) -> Option<&dyn Checkpoint> {
        Some(self.shards.get(self.shard_of.get(tensor)?)?.as_ref())
    }

    fn holder(&self, tensor: &str) -> Result<&dyn Checkpoint, Error> {
        self.shard(tensor).ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: tensor.to_owned() })
    }
}

impl Checkpoint for ShardedCheckpoint {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        let shards = self.shards.len();
        match self.kind {
            Kind::Safetensors => Format::SafetensorsShards { shards },
            Kind::PyTorch => Format::PyTorchShards { shards },
        }
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        self.holder(name)?.tensor(name)
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.holder(name)?.read_at(name, offset, out)
    }

    fn reads_in_place(&self, name: &str) -> bool {
        self.shard(name).is_some_and(|shard| shard.reads_in_place(name))
    }

    fn release(&self, name: &str) {
        if let Some(shard) = self.shard(name) {
            shard.release(name);
        }
    }

    fn identity(&self) -> Result<String, Error> {
        let index = self.index_identity.clone().map_or_else(|| file_identity(&self.path), Ok);
        let all = std::iter::once(index).chain(self.shards.values().map(|shard| shard.identity()));
        Ok(all.collect::<Result<Vec<_>, _>>()?.join("; "))
    }

    /// Ties within a shard; two shards share no storage.
    fn ties(&self) -> Vec<Vec<String>> {
        self.shards.values().flat_map(|shard| shard.ties()).collect()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn read_index(path: &Path) -> Result<Index, Error> {
    let size = fs::metadata(path).map_err(|source| Error::open(path, source))?.len();
    if size > MAX_INDEX_BYTES {
        let what = format!("the index has {size} bytes; at most {MAX_INDEX_BYTES} are read");
        return Err(Error::corrupt(path, Problem::file(what)));
    }
    let bytes = fs::read(path).map_err(|source| Error::open(path, source))?;
    parse_index(path, &bytes)
}

fn parse_index(path: &Path, bytes: &[u8]) -> Result<Index, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::corrupt(path, Problem::file(error.to_string())))
}

/// Maps every shard that the index names, or says which ones it could not map.
fn open_shards(
    path: &Path,
    index: &Index,
    open: impl Fn(&str) -> Result<Box<dyn Checkpoint>, Error>,
) -> Result<Shards, Error> {
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
        match open(name) {
            Ok(shard) => drop(shards.insert(name.clone(), shard)),
            Err(error) => add(&mut problems, name, &error),
        }
    }
    problems.finish(path)?;
    Ok(shards)
}

/// A shard that cannot be opened counts as corrupt: the index promises it.
fn add(problems: &mut Problems, shard: &str, error: &Error) {
    let unsupported = error.kind() == ErrorKind::Unsupported;
    let list = if unsupported { &mut problems.unsupported } else { &mut problems.corrupt };
    list.push(Problem::shard(shard, error.to_string()));
}

type Joined = (BTreeMap<String, String>, BTreeMap<String, TensorInfo>);

/// Which shard holds each tensor, and every tensor's entry.
fn join(path: &Path, index: &Index, shards: &Shards) -> Result<Joined, Error> {
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
