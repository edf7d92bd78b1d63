//! Checkpoint formats behind one faithful reader, and typed weight maps.
//!
//! # Reading
//! [`open`] (and [`open_with`] [`OpenOptions`]) gives a [`Checkpoint`]: [`SafetensorsFile`],
//! [`PyTorchFile`] (of a [`PyTorchKind`]; [`PickleGlobals`] says how strict), [`ShardedCheckpoint`] of
//! either, [`GgufFile`] or [`GgufShards`], [`NpzFile`], or [`OrbaxCheckpoint`]. It lists [`TensorInfo`]s ([`Encoding`], shape,
//! stored bytes) and [`Metadata`] ([`Value`],
//! [`Array`]), and lends each tensor's stored bytes as a [`TensorView`],
//! copied only where they are strided or compressed.
//! [`TensorView::read_into`] turns them into numbers of one dtype. [`GgmlType`] names the block
//! types of GGUF, [`Format`] the file format.
//!
//! [`Header`] reads the same from a file's first bytes ([`HeaderRead`]), with each tensor's place in the file
//! ([`StoredTensor`]), for files that lie elsewhere.
//!
//! # Mapping
//! An [`Expr`] is a parameter as an expression over checkpoint tensors: it infers its type, states
//! its [`Cost`], evaluates into the caller's memory, and has an inverse where one exists
//! ([`NoInverse`] says where not). A [`WeightMap`] holds the [`Parameter`]s of a model;
//! [`WeightMap::check`] compares it with a checkpoint and returns a [`Report`] ([`Missing`],
//! [`MisShaped`], [`Unfit`]); [`WeightMap::load`] evaluates it into [`HostTensor`]s, reporting each
//! as [`Loaded`].
//!
//! [`Expr::uses`] and [`WeightMap::uses`] say how often each element of a source is used, as boxes of
//! equal [`Use`]. A [`Rename`] calls tensors by a pattern as another says ([`RenameError`] where it cannot),
//! and [`rename_all`] finds the names that collide.
//!
//! # Quantised checkpoints
//! [`QuantisedConfig`] reads `quantization_config` of a `config.json`; [`QuantisedTensors`] finds the
//! tensors that are stored in pieces and puts what they stand for into a map, each as an
//! [`Expr::Dequantise`] of a [`Scheme`] ([`Fp8Block`], [`Mxfp4`], [`Gptq`], [`Awq`],
//! [`BitsAndBytesInt8`], [`BitsAndBytes4`] of [`FourBits`], and of [`Compressed`] tensors [`Scaled`] and
//! [`Packed`]). [`holds`] says whether a tensor is there in either form. [`Expr::Quantise`] is the way
//! back for int8 and fp8, one [`QuantisedPart`] at a time.
//!
//! # Errors
//! [`Error`] (with [`Problem`]s at [`Place`]s), [`ExprError`] and [`CastError`] say what is wrong
//! and where; [`ErrorKind`] says what it means for the person who gave the file. No input panics,
//! and no size is believed before it was compared with the file's length.
//!
//! ```no_run
//! use porter_ir::DType;
//! use porter_weights::{Expr, WeightMap};
//!
//! let checkpoint = porter_weights::open("model.gguf".as_ref())?;
//! let mut map = WeightMap::new();
//! map.insert("model.embed_tokens.weight", [49152, 576], Expr::source("token_embd.weight"));
//! map.tie("lm_head.weight", "model.embed_tokens.weight");
//! let weights = map.load(checkpoint.as_ref(), |_, _| DType::BF16, |_| ())?;
//! # Ok::<(), porter_weights::Error>(())
//! ```

mod checkpoint;
mod convert;
mod cursor;
mod error;
mod gguf;
mod header;
mod map;
mod mapped;
mod metadata;
mod npz;
mod open;
mod orbax;
mod pytorch;
mod quantised;
mod read;
mod safetensors_file;
mod safetensors_header;
mod scratch;
mod sharded;
mod stored;
pub mod stream;
mod value;
pub mod write;
mod zarr3;

pub use checkpoint::{Checkpoint, Encoding, Format, PyTorchKind, TensorInfo, TensorView};
pub use convert::CastError;
pub use error::{Error, ErrorKind, Place, Problem};
pub use gguf::{GgmlType, GgufFile, GgufShards};
pub use header::{Header, HeaderRead, StoredTensor};
pub use map::{
    Cost, Expr, ExprError, HostTensor, Inverse, Loaded, MisShaped, Missing, NoInverse, Parameter,
    QuantisedPart, QuantisedTo, Rename, RenameError, Report, Unfit, Use, WeightMap, matches, rename_all,
};
pub use metadata::Metadata;
pub use npz::NpzFile;
pub use open::{OpenOptions, PickleGlobals, open, open_with};
pub use orbax::OrbaxCheckpoint;
pub use pytorch::PyTorchFile;
pub use quantised::{
    Awq, BitsAndBytes4, BitsAndBytesInt8, Compressed, FourBits, Fp8Block, Gptq, Mxfp4, Packed,
    QuantisedConfig, QuantisedTensors, Scaled, Scheme, holds,
};
pub use safetensors_file::SafetensorsFile;
pub use sharded::ShardedCheckpoint;
pub use value::{Array, Value};
