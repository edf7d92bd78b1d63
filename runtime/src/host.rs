//! Tensors in host memory.

use std::{fmt, sync::Arc};

use bytemuck::{CheckedBitPattern, NoUninit};
use half::{bf16, f16};
use host_memory::AlignedBytes;
use porter_ir::{DType, Shape, TensorType};

use crate::{Error, Result};

/// Bytes that somebody owns: an allocation, a file map, a part of either.
pub type HostBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A tensor in host memory: dense, row-major, types below a byte one byte an element.
///
/// It shares its bytes: clones are cheap, and an upload may use them in place.
#[derive(Clone)]
pub struct HostTensor {
    ty: TensorType,
    bytes: HostBytes,
}

/// A Rust type that is the element of a tensor.
pub trait Element: NoUninit + CheckedBitPattern {
    /// The dtype of a tensor of such elements.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident,)*) => {
        $(impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

elements! {
    bool => Bool,
    i8 => I8,
    i16 => I16,
    i32 => I32,
    i64 => I64,
    u8 => U8,
    u16 => U16,
    u32 => U32,
    u64 => U64,
    bf16 => BF16,
    f16 => F16,
    f32 => F32,
    f64 => F64,
}

impl HostTensor {
    /// The tensor of type `ty` whose elements `bytes` holds.
    pub fn new(ty: TensorType, bytes: HostBytes) -> Result<Self> {
        check_length(&ty, (*bytes).as_ref().len())?;
        Ok(Self { ty, bytes })
    }

    /// A copy of `elements` in the given shape, aligned for an upload in place.
    pub fn from_slice<T: Element>(shape: impl Into<Shape>, elements: &[T]) -> Result<Self> {
        let bytes = AlignedBytes::copy_of(bytemuck::cast_slice(elements));
        Self::new(TensorType::new(T::DTYPE, shape), Arc::new(bytes))
    }

    /// A tensor without dimensions.
    pub fn scalar<T: Element>(value: T) -> Self {
        let bytes = AlignedBytes::copy_of(bytemuck::bytes_of(&value));
        Self { ty: TensorType::scalar(T::DTYPE), bytes: Arc::new(bytes) }
    }

    /// A tensor of zeros. Its memory is taken from the system only where it is written or read.
    pub fn zeros(ty: TensorType) -> Result<Self> {
        let len = checked_bytes(&ty)?;
        Ok(Self { ty, bytes: Arc::new(AlignedBytes::zeroed(len)) })
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The bytes, little-endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// Whoever owns the bytes.
    pub(crate) fn owner(&self) -> &HostBytes {
        &self.bytes
    }

    /// A copy of the elements, which must be of the tensor's dtype.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.ty.dtype {
            return Err(Error::Host(format!("read a {} tensor as {}: the dtypes differ", self.ty, T::DTYPE)));
        }
        let read = |chunk| bytemuck::checked::try_pod_read_unaligned::<T>(chunk);
        self.bytes()
            .chunks_exact(size_of::<T>())
            .map(read)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| Error::Host(format!("read a {} tensor: {e}", self.ty)))
    }
}

impl fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostTensor({})", self.ty)
    }
}

/// The size of a tensor in host memory. No tensor that it accepts overflows a plugin's arithmetic,
/// not even an empty one whose other sizes are absurd.
pub(crate) fn checked_bytes(ty: &TensorType) -> Result<usize> {
    let slots = ty.shape.iter().try_fold(ty.dtype.host_bytes(), |n, &d| n.checked_mul(d.max(1)));
    slots
        .filter(|&n| isize::try_from(n).is_ok())
        .map(|_| ty.host_bytes())
        .ok_or_else(|| Error::Host(format!("a {ty} tensor is larger than the address space")))
}

fn check_length(ty: &TensorType, found: usize) -> Result<()> {
    let expected = checked_bytes(ty)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::Host(format!("a {ty} tensor takes {expected} bytes, {found} were given")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back_as_they_went_in() {
        let floats = [1.5_f32, -0.0, f32::INFINITY];
        let tensor = HostTensor::from_slice([3], &floats).unwrap();
        assert_eq!(tensor.to_vec::<f32>().unwrap(), floats);
        assert_eq!(tensor.ty(), &TensorType::new(DType::F32, [3]));
        assert_eq!(HostTensor::scalar(true).to_vec::<bool>().unwrap(), [true]);
    }

    #[test]
    fn unaligned_bytes_are_read_too() {
        struct Tail(Vec<u8>);
        impl AsRef<[u8]> for Tail {
            fn as_ref(&self) -> &[u8] {
                &self.0[1..]
            }
        }
        let mut bytes = vec![0_u8];
        bytes.extend(7_i32.to_le_bytes());
        let tensor = HostTensor::new(TensorType::new(DType::I32, [1]), Arc::new(Tail(bytes))).unwrap();
        assert_eq!(tensor.to_vec::<i32>().unwrap(), [7]);
    }

    #[test]
    fn lengths_and_dtypes_are_checked() {
        assert!(HostTensor::from_slice([2, 2], &[0_i32; 3]).is_err());
        assert!(HostTensor::zeros(TensorType::new(DType::F64, [usize::MAX / 2, 2])).is_err());
        assert!(HostTensor::zeros(TensorType::new(DType::U8, [0, usize::MAX])).is_err());
        assert!(HostTensor::zeros(TensorType::new(DType::U8, [0, 1 << 40])).is_ok());
        assert!(HostTensor::scalar(1_i32).to_vec::<f32>().is_err());
        // A byte that is neither 0 nor 1 is no bool.
        let bytes: HostBytes = Arc::new(vec![2_u8]);
        assert!(HostTensor::new(TensorType::scalar(DType::Bool), bytes).unwrap().to_vec::<bool>().is_err());
    }
}
