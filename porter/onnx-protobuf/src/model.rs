//! A model file, and the files beside it that hold tensors.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use host_memory::MappedFile;
use prost::Message;

use crate::{GraphProto, ModelProto, TensorError, TensorProto};

/// A file that cannot be read as a model or as a tensor.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: no ONNX model: {problem}", path = path.display())]
    Decode { path: PathBuf, problem: String },
    #[error("tensor {name:?}: {problem}")]
    Tensor { name: String, problem: TensorError },
    #[error("tensor {name:?}: external data at {location:?}: {problem}")]
    External { name: String, location: String, problem: String },
}

/// A decoded model. Tensors kept in the message are slices of the mapped file; those kept beside it are
/// mapped when first asked for.
pub struct Model {
    proto: ModelProto,
    path: PathBuf,
    external: Mutex<BTreeMap<String, Bytes>>,
}

impl Model {
    /// Maps and decodes the file at `path`. Takes time by the number of nodes and tensors, not by
    /// their bytes.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = map(path)?;
        Self::decode(bytes, path)
    }

    /// Decodes a model as if it were read from `path`, beside which external data is looked for.
    pub fn decode(bytes: Bytes, path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        match ModelProto::decode(bytes) {
            Ok(proto) if proto.graph.is_some() => Ok(Self { proto, path, external: Mutex::default() }),
            Ok(_) => Err(Error::Decode { path, problem: "it has no graph".to_owned() }),
            Err(error) => Err(Error::Decode { path, problem: error.to_string() }),
        }
    }

    /// A model of an empty graph, for tensors of their own: their external data is looked for in `folder`.
    pub fn empty(folder: &Path) -> Self {
        let proto = ModelProto { graph: Some(GraphProto::default()), ..ModelProto::default() };
        Self { proto, path: folder.join("model.onnx"), external: Mutex::default() }
    }

    /// The message.
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The elements of a tensor of this model, as `raw_data` packs them: little-endian, types below a
    /// byte packed from the low bits up. Nothing is copied that lies in a file that way.
    pub fn packed<'t>(&self, tensor: &'t TensorProto) -> Result<Packed<'t>, Error> {
        let name = || tensor.name().to_owned();
        if !tensor.is_external() {
            let packed = tensor.packed().map_err(|problem| Error::Tensor { name: name(), problem })?;
            return Ok(match (packed, &tensor.raw_data) {
                (Cow::Borrowed(_), Some(raw)) => Packed::Shared(raw.clone()),
                (other, _) => Packed::Held(other),
            });
        }
        let expected = tensor.packed_bytes().map_err(|problem| Error::Tensor { name: name(), problem })?;
        let location = tensor.external("location").unwrap_or_default();
        let external =
            |problem: String| Error::External { name: name(), location: location.to_owned(), problem };
        let number = |key: &str| match tensor.external(key) {
            None => Ok(None),
            Some(text) => {
                text.parse::<usize>().map(Some).map_err(|_| external(format!("{key} {text:?} is no size")))
            }
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if let Some(length) = length.filter(|&length| length != expected) {
            return Err(external(format!("length is {length}, expected {expected} by type and shape")));
        }
        let file = self.beside(location).map_err(external)?;
        let end = offset.checked_add(expected).filter(|&end| end <= file.len());
        match end {
            Some(end) => Ok(Packed::Shared(file.slice(offset..end))),
            None => Err(external(format!(
                "{expected} bytes from {offset} do not fit in the file of {}",
                file.len()
            ))),
        }
    }

    /// The map of a file in the model's folder or below; neither `..` nor a link leads out of it.
    fn beside(&self, location: &str) -> Result<Bytes, String> {
        let mut maps = self.external.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = maps.get(location) {
            return Ok(known.clone());
        }
        let relative = Path::new(location);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if location.is_empty() || !relative.components().all(plain) {
            return Err("is no path below the model's folder".to_owned());
        }
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let real = |path: &Path| path.canonicalize().map_err(|e| format!("{}: {e}", path.display()));
        let (folder, file) = (real(folder)?, real(&folder.join(relative))?);
        if !file.starts_with(&folder) {
            return Err(format!("is a link out of the model's folder, to {}", file.display()));
        }
        let bytes = map(&file).map_err(|e| e.to_string())?;
        maps.insert(location.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// Elements as `raw_data` packs them: a part of a mapped file, or of the message.
#[derive(Clone, Debug)]
pub enum Packed<'t> {
    /// A part of a file, which it keeps mapped.
    Shared(Bytes),
    /// A part of the message, or made from its typed fields.
    Held(Cow<'t, [u8]>),
}

impl AsRef<[u8]> for Packed<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Packed::Shared(bytes) => bytes,
            Packed::Held(bytes) => bytes,
        }
    }
}

fn map(path: &Path) -> Result<Bytes, Error> {
    let file = MappedFile::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(Bytes::from_owner(file))
}
