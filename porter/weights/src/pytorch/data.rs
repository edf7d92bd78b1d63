//! A tensor's elements: where they lie, and how they are put in order.

use std::{borrow::Cow, ops::Range};

use super::{
    blob::{Blob, zeroed},
    fault::Fault,
    layout::Layout,
    rebuild::{Source, Strided, Tensor},
    storages::Storages,
};
use crate::{Checkpoint, Encoding, Error, TensorInfo, checkpoint::copy_stored, mapped::read_range};
use host_memory::MappedFile;
use porter_ir::{DType, Kind};

/// A view may repeat its storage's elements, as `expand` does; it may not become larger than the
/// file this many times, or than [`FREE_BYTES`].
const MAX_REPEAT: usize = 16;
const FREE_BYTES: usize = 1 << 20;

/// A tensor's elements.
#[derive(Debug)]
pub(crate) enum Data {
    /// One after another, in a range of a blob.
    Range(Blob, Range<usize>),
    /// Strided, or with signs to change, in a range of a blob.
    Gather { blob: Blob, range: Range<usize>, layout: Layout, element: usize, signs: Signs },
    /// Not read, and why.
    Unreadable(String),
}

/// Which parts of an element have the other sign than what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    complex: bool,
    conjugated: bool,
    negated: bool,
}

/// What makes two names one tensor: storage, first byte, layout, element type.
pub(super) type Identity = (String, usize, Vec<usize>, Vec<usize>, String);

/// The entry and the elements of a tensor, checked against its storage; and its identity, if it has
/// elements in a storage.
pub(super) fn locate(
    tensor: Tensor<'_>,
    storages: &Storages<'_>,
    file_bytes: usize,
) -> Result<(TensorInfo, Data, Option<Identity>), Fault> {
    match tensor {
        Tensor::Strided(strided) => locate_strided(strided, storages, file_bytes),
        Tensor::Unreadable { shape, encoding, why } => Ok((
            TensorInfo { shape, encoding: Encoding::Other(encoding), bytes: 0 },
            Data::Unreadable(why),
            None,
        )),
    }
}

fn locate_strided(
    tensor: Strided<'_>,
    storages: &Storages<'_>,
    file_bytes: usize,
) -> Result<(TensorInfo, Data, Option<Identity>), Fault> {
    let Strided { element, layout, source, conjugated, negated } = tensor;
    let (blob, base, room, key) = match source {
        Source::Storage(storage) => {
            let blob = storages.find(&storage)?;
            // `find` compared their product with the storage's size.
            let base = storage.start * storage.element.bytes;
            (blob, base, storage.count * storage.element.bytes, Some(storage.key.to_owned()))
        }
        Source::Inline(blob) => {
            let room = blob.len();
            (blob, 0, room, None)
        }
    };
    if layout.end().checked_mul(element.bytes).is_none_or(|end| end > room) {
        return Err(Fault::Corrupt(format!(
            "reaches past its storage: it wants {} elements of {} bytes, and the storage has {room} bytes",
            layout.end(),
            element.bytes
        )));
    }
    let bytes = layout.elements().saturating_mul(element.bytes);
    if bytes > room && bytes > FREE_BYTES.max(file_bytes.saturating_mul(MAX_REPEAT)) {
        return Err(Fault::Corrupt(format!(
            "repeats the {room} bytes of its storage until they are {bytes}, in a file of {file_bytes}"
        )));
    }
    let signs = Signs { complex: element.complex, conjugated: conjugated && element.complex, negated };
    let float = matches!(&element.encoding, Encoding::Plain(dtype) if is_wide_float(*dtype));
    if negated && !float && !element.complex {
        return Err(Fault::Unsupported(format!("is a negated view of {}", element.encoding)));
    }
    let info = TensorInfo { shape: layout.shape(), encoding: element.encoding, bytes };
    let begin = base + if bytes == 0 { 0 } else { layout.offset * element.bytes };
    let identity = key.filter(|_| bytes > 0).map(|key| {
        let encoding = format!("{} {conjugated} {negated}", info.encoding);
        (key, begin, layout.sizes.clone(), layout.strides.clone(), encoding)
    });
    let data = if layout.is_contiguous() && !signs.change() {
        Data::Range(blob, begin..begin + bytes)
    } else {
        Data::Gather { blob, range: base..base + room, layout, element: element.bytes, signs }
    };
    Ok((info, data, identity))
}

/// True for the types whose sign is the highest bit of the last byte.
fn is_wide_float(dtype: DType) -> bool {
    dtype.kind() == Kind::Float && dtype.host_bytes() > 1
}

impl Data {
    /// The elements in row-major order.
    pub(crate) fn bytes<'a>(&'a self, file: &'a [u8]) -> Result<Cow<'a, [u8]>, Fault> {
        let past = || "lies past its storage".to_owned();
        match self {
            Data::Range(blob, range) => match blob.bytes(file)? {
                Cow::Borrowed(bytes) => Ok(bytes.get(range.clone()).ok_or_else(past)?.into()),
                Cow::Owned(bytes) if *range == (0..bytes.len()) => Ok(bytes.into()),
                Cow::Owned(bytes) => Ok(bytes.get(range.clone()).ok_or_else(past)?.to_vec().into()),
            },
            Data::Gather { blob, range, layout, element, signs } => {
                let storage = blob.bytes(file)?;
                let storage = storage.get(range.clone()).ok_or_else(past)?;
                let mut out = zeroed(layout.elements() * element)?;
                layout.gather(storage, *element, &mut out);
                signs.apply(&mut out, *element);
                Ok(out.into())
            }
            Data::Unreadable(why) => Err(Fault::Unsupported(why.clone())),
        }
    }

    /// The range of the file that is the elements in row-major order, if there is one.
    pub(crate) fn in_place(&self) -> Option<Range<usize>> {
        match self {
            Data::Range(Blob::Stored(blob), range) if range.end <= blob.len() => {
                Some(blob.start + range.start..blob.start + range.end)
            }
            _ => None,
        }
    }

    /// Stored bytes of the tensor `name` of `checkpoint`, whose file is `map`, from byte `offset` of it on.
    pub(crate) fn read_at<C: Checkpoint>(
        &self,
        checkpoint: &C,
        map: &MappedFile,
        name: &str,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), Error> {
        let Some(range) = self.in_place() else { return copy_stored(checkpoint, name, offset, out) };
        read_range(map, &range, offset, out).map_err(|source| Error::Read {
            path: checkpoint.path().to_owned(),
            name: name.to_owned(),
            source,
        })
    }

    /// The range of the file that the elements lie in.
    pub(crate) fn range(&self) -> Option<Range<usize>> {
        match self {
            Data::Range(Blob::Stored(blob), range) => Some(blob.start + range.start..blob.start + range.end),
            Data::Range(blob, _) | Data::Gather { blob, .. } => blob.range(),
            Data::Unreadable(_) => None,
        }
    }
}

impl Signs {
    fn change(self) -> bool {
        self.conjugated || self.negated
    }

    /// Changes the signs of elements of `bytes` each.
    fn apply(self, out: &mut [u8], bytes: usize) {
        if !self.change() {
            return;
        }
        let part = if self.complex { bytes / 2 } else { bytes };
        for (index, part) in out.chunks_exact_mut(part).enumerate() {
            let imaginary = self.complex && index % 2 == 1;
            if self.negated != (self.conjugated && imaginary)
                && let Some(last) = part.last_mut()
            {
                *last ^= 0x80;
            }
        }
    }
}
