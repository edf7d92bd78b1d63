//! A checkpoint in a bucket, of which only what is asked for travels.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use porter_weights::{
    Checkpoint, Error, Format, Header, HeaderRead, Metadata, ShardedCheckpoint, StoredTensor, TensorInfo,
    TensorView,
};

use crate::{Bucket, Object, RemoteError, RemoteUrl};

/// The first request of a file: enough for the header of most.
const FIRST_BYTES: u64 = 1 << 20;
/// No index is larger: it holds one short line a tensor.
const MAX_INDEX_BYTES: u64 = 100_000_000;

/// Opens the safetensors file, `.safetensors.index.json` or GGUF file at `url` with this process's credentials.
pub fn open(url: &RemoteUrl) -> Result<Box<dyn Checkpoint>, Error> {
    let bucket = Bucket::open(url).map_err(|error| cannot_open(url, error))?;
    open_in(&Arc::new(bucket), url)
}

/// The same in a bucket that is open.
pub fn open_in(bucket: &Arc<Bucket>, url: &RemoteUrl) -> Result<Box<dyn Checkpoint>, Error> {
    if !url.file_name().ends_with(".index.json") {
        return Ok(Box::new(RemoteFile::open(bucket, url)?));
    }
    let opened = bucket.look(url).and_then(|object| Ok((bucket.small(&object, MAX_INDEX_BYTES)?, object)));
    let (index, object) = opened.map_err(|error| cannot_open(url, error))?;
    let folder = url.parent();
    let shard = |name: &str| -> Result<Box<dyn Checkpoint>, Error> {
        let url = folder.join(name).map_err(|error| cannot_open(&folder, error))?;
        Ok(Box::new(RemoteFile::open(bucket, &url)?))
    };
    Ok(Box::new(ShardedCheckpoint::from_index(&place(url), &index, identity(&object), shard)?))
}

/// One safetensors or GGUF file in a bucket. Its path is its URL.
#[derive(Debug)]
pub struct RemoteFile {
    bucket: Arc<Bucket>,
    object: Object,
    path: PathBuf,
    format: Format,
    metadata: Metadata,
    infos: BTreeMap<String, TensorInfo>,
    tensors: BTreeMap<String, StoredTensor>,
}

impl RemoteFile {
    /// Reads the header of the file at `url`.
    pub fn open(bucket: &Arc<Bucket>, url: &RemoteUrl) -> Result<Self, Error> {
        let path = place(url);
        let read: fn(&Path, &[u8], u64) -> Result<HeaderRead, Error> = match url
            .file_name()
            .rsplit('.')
            .next()
        {
            Some("safetensors") => Header::safetensors,
            Some("gguf") => Header::gguf,
            _ => {
                let what = "only .safetensors, .safetensors.index.json and .gguf are read by ranges; download other files \
                            and give their path";
                return Err(Error::Open { path, source: io::Error::new(io::ErrorKind::Unsupported, what) });
            }
        };
        let object = bucket.look(url).map_err(|error| cannot_open(url, error))?;
        let header = header(bucket, &object, &path, read)?;
        let Header { format, metadata, tensors } = header;
        if let Some(parts) = metadata.unsigned("split.count").filter(|parts| *parts > 1) {
            let what =
                format!("it is one of {parts} parts, which are not joined by ranges; download all of them");
            return Err(Error::Open { path, source: io::Error::new(io::ErrorKind::Unsupported, what) });
        }
        let infos = tensors.iter().map(|(name, stored)| (name.clone(), stored.info.clone())).collect();
        Ok(Self { bucket: bucket.clone(), object, path, format, metadata, infos, tensors })
    }

    fn stored(&self, name: &str) -> Result<&StoredTensor, Error> {
        let stored = self.tensors.get(name);
        stored.ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: name.to_owned() })
    }

    fn unread(&self, name: &str, source: io::Error) -> Error {
        Error::Read { path: self.path.clone(), name: name.to_owned(), source }
    }
}

impl Checkpoint for RemoteFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        self.format
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.infos
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let stored = self.stored(name)?;
        let mut bytes = vec![0; stored.info.bytes];
        let read = self.bucket.read(&self.object, stored.range.start, &mut bytes);
        read.map_err(|error| self.unread(name, error.into_io()))?;
        Ok(TensorView { info: &stored.info, bytes: Cow::Owned(bytes) })
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let range = &self.stored(name)?.range;
        let begin = range.start.checked_add(offset);
        let begin =
            begin.filter(|begin| begin.checked_add(out.len() as u64).is_some_and(|end| end <= range.end));
        let begin = begin.ok_or_else(|| self.unread(name, io::ErrorKind::UnexpectedEof.into()))?;
        let read = self.bucket.read_within(&self.object, range, begin, out);
        read.map_err(|error| self.unread(name, error.into_io()))
    }

    fn reads_in_place(&self, _name: &str) -> bool {
        true
    }

    fn release(&self, _name: &str) {}

    /// What the object is now: asked of the bucket each time.
    fn identity(&self) -> Result<String, Error> {
        let url = &self.object.url;
        self.bucket.look(url).map(|object| identity(&object)).map_err(|error| cannot_open(url, error))
    }
}

/// Reads as many first bytes as the header takes.
fn header(
    bucket: &Bucket,
    object: &Object,
    path: &Path,
    read: fn(&Path, &[u8], u64) -> Result<HeaderRead, Error>,
) -> Result<Header, Error> {
    let mut first = Vec::new();
    let mut needs = FIRST_BYTES.min(object.bytes);
    loop {
        let have = first.len();
        first.resize(usize::try_from(needs).unwrap_or(usize::MAX), 0);
        let more = first.get_mut(have..).unwrap_or_default();
        bucket.read(object, have as u64, more).map_err(|error| cannot_open(&object.url, error))?;
        match read(path, &first, object.bytes)? {
            HeaderRead::Whole(header) => return Ok(*header),
            HeaderRead::Needs(more) if more > needs => needs = more,
            HeaderRead::Needs(_) => {
                let source = io::Error::new(io::ErrorKind::UnexpectedEof, "its header has no end");
                return Err(Error::Open { path: path.to_owned(), source });
            }
        }
    }
}

fn place(url: &RemoteUrl) -> PathBuf {
    PathBuf::from(url.to_string())
}

fn identity(object: &Object) -> String {
    format!("{}: {} bytes, ETag {}", object.url, object.bytes, object.etag)
}

fn cannot_open(url: &RemoteUrl, error: RemoteError) -> Error {
    Error::Open { path: place(url), source: error.into_io() }
}
