//! Tensors inside a run: shared bytes under a strided view.

use std::sync::Arc;

use burn_backend::{Bytes, DType as Stored};
use burn_flex::{FlexTensor, Layout};
use porter_ir::{DType, Literal, Shape, TensorType};

use crate::{ExecuteError, Tensor, lane::Lane};

/// A value of a program. Broadcasts, transpositions, slices and the like are views, and copies share.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    ty: TensorType,
    bytes: Arc<Bytes>,
    layout: Layout,
}

impl Array {
    /// The elements in `bytes`, which has as many as `ty`.
    pub(crate) fn new(ty: TensorType, bytes: Vec<u8>) -> Self {
        let layout = Layout::contiguous(burn_shape(&ty.shape));
        Self { ty, bytes: Arc::new(Bytes::from_bytes_vec(bytes)), layout }
    }

    /// The elements of a lane that has as many as `ty`.
    pub(crate) fn of_lane(ty: &TensorType, lane: &Lane) -> Result<Self, ExecuteError> {
        let mut bytes = allocate(ty)?;
        lane.encode(ty.dtype, &mut bytes);
        Ok(Self::new(ty.clone(), bytes))
    }

    /// What Burn computed, as `ty`.
    pub(crate) fn from_flex(ty: TensorType, tensor: &FlexTensor) -> Self {
        let layout = Layout::new(
            burn_shape(&ty.shape),
            tensor.layout().strides().to_vec(),
            tensor.layout().start_offset(),
        );
        Self { ty, bytes: tensor.data_arc(), layout }
    }

    /// A literal as `held`, its type in this run: a splat stays one element.
    pub(crate) fn from_literal(literal: &Literal, held: &TensorType) -> Result<Self, ExecuteError> {
        let convert = |bytes: &[u8]| {
            if literal.ty().dtype == held.dtype {
                return bytes.to_vec();
            }
            let mut converted =
                vec![0; bytes.len() / literal.ty().dtype.host_bytes() * held.dtype.host_bytes()];
            Lane::decode(literal.ty().dtype, bytes).encode(held.dtype, &mut converted);
            converted
        };
        check_size(held)?;
        Ok(match literal.splat_bytes() {
            Some(element) => Self::splat(held, convert(element)),
            None => Self::new(held.clone(), convert(&literal.bytes())),
        })
    }

    /// `element` everywhere.
    pub(crate) fn splat(ty: &TensorType, element: Vec<u8>) -> Self {
        let layout = Layout::new(burn_shape(&ty.shape), vec![0; ty.shape.rank()], 0);
        Self { ty: ty.clone(), bytes: Arc::new(Bytes::from_bytes_vec(element)), layout }
    }

    /// A caller's tensor as `held`: of its own type, or any float's values as f64.
    pub(crate) fn from_tensor(tensor: Tensor, held: &TensorType) -> Result<Self, ExecuteError> {
        let dtype = tensor.ty().dtype;
        let normal = !matches!(dtype, DType::Bool | DType::I4 | DType::U4 | DType::F4E2M1FN);
        if dtype == held.dtype && normal {
            return Ok(Self::new(held.clone(), tensor.into_bytes()));
        }
        let (mut bytes, given) = (allocate(held)?, tensor.bytes());
        let (from, to) = (dtype.host_bytes(), held.dtype.host_bytes());
        for (given, held_bytes) in given.chunks(CHUNK * from).zip(bytes.chunks_mut(CHUNK * to)) {
            Lane::decode(dtype, given).encode(held.dtype, held_bytes);
        }
        Ok(Self::new(held.clone(), bytes))
    }

    /// For the caller.
    pub(crate) fn into_tensor(self) -> Result<Tensor, ExecuteError> {
        let this = self.contiguous();
        drop(self);
        let whole = this.layout.start_offset() == 0 && this.bytes.len() == this.ty.host_bytes();
        if !whole {
            return Tensor::new(this.ty.clone(), this.as_bytes().to_vec());
        }
        match Arc::try_unwrap(this.bytes) {
            Ok(bytes) => {
                let bytes = bytes.try_into_vec::<u8>().unwrap_or_else(|bytes| bytes.to_vec());
                Tensor::new(this.ty, bytes)
            }
            Err(shared) => Tensor::new(this.ty, shared.to_vec()),
        }
    }

    pub(crate) fn ty(&self) -> &TensorType {
        &self.ty
    }

    pub(crate) fn dtype(&self) -> DType {
        self.ty.dtype
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// The number of elements.
    pub(crate) fn elements(&self) -> usize {
        self.ty.shape.elements()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The same elements under a view of `shape`.
    pub(crate) fn view(&self, shape: Shape, layout: Layout) -> Self {
        let ty = TensorType::new(self.ty.dtype, shape);
        Self { ty, bytes: Arc::clone(&self.bytes), layout }
    }

    /// The same elements in row-major order under another shape of as many.
    pub(crate) fn reshaped(&self, shape: impl Into<Shape>) -> Self {
        let (this, shape) = (self.contiguous(), shape.into());
        let start = this.layout.start_offset();
        let strides = crate::shapes::strides(&shape).into_iter().map(|stride| stride as isize).collect();
        let layout = Layout::new(burn_shape(&shape), strides, start);
        this.view(shape, layout)
    }

    /// The dimensions in another order.
    pub(crate) fn permuted(&self, dims: &[usize]) -> Self {
        self.view(crate::shapes::pick(&self.ty.shape, dims).into(), self.layout.permute(dims))
    }

    /// As [`Array::contiguous`], without sharing the bytes with itself.
    pub(crate) fn into_contiguous(self) -> Self {
        if self.layout.is_contiguous() { self } else { self.contiguous() }
    }

    /// Its elements alone, copied, so that it keeps no larger tensor alive.
    pub(crate) fn compact(&self) -> Self {
        let this = self.contiguous();
        if this.bytes.len() == this.ty.host_bytes() {
            return this;
        }
        Self::new(this.ty.clone(), this.as_bytes().to_vec())
    }

    /// Row-major, copied where the view is not.
    pub(crate) fn contiguous(&self) -> Self {
        if self.layout.is_contiguous() {
            return self.clone();
        }
        let stored =
            [Stored::U8, Stored::U16, Stored::U32, Stored::U64][self.ty.dtype.host_bytes().ilog2() as usize];
        let tensor = FlexTensor::from_arc(Arc::clone(&self.bytes), self.layout.clone(), stored);
        Self::from_flex(self.ty.clone(), &tensor.to_contiguous())
    }

    /// The bytes of a contiguous array.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let size = self.ty.dtype.host_bytes();
        let start = self.layout.start_offset() * size;
        self.bytes.get(start..start + self.elements() * size).unwrap_or_default()
    }

    /// The bytes of a contiguous array to write to, copied where they are shared.
    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        let size = self.ty.dtype.host_bytes();
        let start = self.layout.start_offset() * size;
        let end = start + self.elements() * size;
        Arc::make_mut(&mut self.bytes).get_mut(start..end).unwrap_or_default()
    }

    /// One element's bytes, where all elements are that one.
    pub(crate) fn splat_bytes(&self) -> Option<&[u8]> {
        let same = |(&size, &stride): (&usize, &isize)| size == 1 || stride == 0;
        let is_splat = self.elements() > 0 && self.ty.shape.iter().zip(self.layout.strides()).all(same);
        let size = self.ty.dtype.host_bytes();
        let start = self.layout.start_offset() * size;
        if is_splat { self.bytes.get(start..start + size) } else { None }
    }

    /// Its elements in row-major order.
    pub(crate) fn lane(&self) -> Lane {
        match self.splat_bytes() {
            Some(element) => Lane::decode(self.ty.dtype, element).repeated(0, self.elements()),
            None => Lane::decode(self.ty.dtype, self.contiguous().as_bytes()),
        }
    }

    /// Its elements as integers; none for a float.
    pub(crate) fn integers(&self) -> Vec<i128> {
        match self.lane() {
            Lane::Integers(values) => values,
            Lane::Floats(_) => Vec::new(),
        }
    }

    /// Its elements as floats, integers too.
    pub(crate) fn floats(&self) -> Vec<f64> {
        match self.lane() {
            Lane::Floats(values) => values,
            Lane::Integers(values) => values.into_iter().map(|value| value as f64).collect(),
        }
    }

    /// Its elements as `dtype`: rounded, or from integers.
    pub(crate) fn as_float(&self, dtype: DType) -> Result<Self, ExecuteError> {
        if self.ty.dtype == dtype {
            return Ok(self.clone());
        }
        let ty = TensorType::new(dtype, self.ty.shape.clone());
        let (mut bytes, this) = (allocate(&ty)?, self.contiguous());
        let (from, to) = (self.ty.dtype.host_bytes(), dtype.host_bytes());
        for (given, bytes) in this.as_bytes().chunks(CHUNK * from).zip(bytes.chunks_mut(CHUNK * to)) {
            let lane = match Lane::decode(self.ty.dtype, given) {
                Lane::Integers(values) => {
                    Lane::Floats(values.into_iter().map(|value| value as f64).collect())
                }
                floats @ Lane::Floats(_) => floats,
            };
            lane.encode(dtype, bytes);
        }
        Ok(Self::new(ty, bytes))
    }

    /// For Burn: f32 and f64 only.
    pub(crate) fn into_flex(self) -> FlexTensor {
        let stored = if self.ty.dtype == DType::F64 { Stored::F64 } else { Stored::F32 };
        FlexTensor::from_arc(self.bytes, self.layout, stored)
    }
}

/// Elements that are worked on at a time.
pub(crate) const CHUNK: usize = 4096;

/// Zeroed memory for a tensor, or an error where there is none.
pub(crate) fn allocate(ty: &TensorType) -> Result<Vec<u8>, ExecuteError> {
    let size = size_of_tensor(ty)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| ExecuteError::TooLarge { ty: ty.clone() })?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// An error where memory cannot hold a tensor.
pub(crate) fn check_size(ty: &TensorType) -> Result<(), ExecuteError> {
    const SMALL: usize = 1 << 24;
    let size = size_of_tensor(ty)?;
    if size > SMALL {
        Vec::<u8>::new().try_reserve_exact(size).map_err(|_| ExecuteError::TooLarge { ty: ty.clone() })?;
    }
    Ok(())
}

fn size_of_tensor(ty: &TensorType) -> Result<usize, ExecuteError> {
    let size = ty.shape.checked_elements().and_then(|n| n.checked_mul(ty.dtype.host_bytes()));
    size.filter(|&size| isize::try_from(size).is_ok())
        .ok_or_else(|| ExecuteError::TooLarge { ty: ty.clone() })
}

/// The shape as Burn's. Of an empty tensor every size is at most one, so that no product overflows.
pub(crate) fn burn_shape(shape: &[usize]) -> burn_backend::Shape {
    if shape.contains(&0) {
        return shape.iter().map(|&size| size.min(1)).collect::<Vec<_>>().into();
    }
    shape.to_vec().into()
}
