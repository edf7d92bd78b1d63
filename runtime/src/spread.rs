//! Tensors that lie over several devices.

use std::{fmt, ops::Range, sync::Arc};

use host_memory::AlignedBytes;
use porter_ir::{Entry, Mesh, Sharding, Slot, TensorType};

use crate::{Buffer, Client, Device, Error, HostTensor, Result, host::HostBytes};

/// The devices that programs may run on, in the order of their meshes. A program takes the first ones.
#[derive(Clone, Debug)]
pub struct Devices(Vec<Device>);

/// How a tensor lies over devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On one device.
    One,
    /// Over a mesh.
    Over(Arc<Mesh>, Sharding),
}

/// A tensor on devices: on each its part, which is the whole tensor where nothing is split.
#[derive(Debug)]
pub struct DeviceTensor {
    ty: TensorType,
    placement: Placement,
    /// By the devices of the mesh, in its order.
    parts: Vec<Buffer>,
}

impl From<Device> for Devices {
    fn from(device: Device) -> Self {
        Self(vec![device])
    }
}

impl Devices {
    /// All devices of a client.
    pub fn of(client: &Client) -> Self {
        Self(client.devices().collect())
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty, reason = "a client has devices")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first `count`.
    pub fn first(&self, count: usize) -> Result<Self> {
        let first = self.0.get(..count).ok_or_else(|| {
            Error::Options(format!("the program needs {count} devices, there are {}", self.0.len()))
        })?;
        Ok(Self(first.to_vec()))
    }

    /// Brings a tensor to the devices, to each its part. Parts whose bytes follow each other in `tensor` are
    /// lent as [`Device::upload`] lends.
    pub fn upload(&self, tensor: &HostTensor, placement: &Placement) -> Result<DeviceTensor> {
        placement.check(tensor.ty())?;
        let on = |(index, device): (usize, &Device)| device.upload(&placement.part(tensor, index)?);
        let devices = self.first(placement.devices())?;
        let parts = devices.0.iter().enumerate().map(on).collect::<Result<_>>()?;
        DeviceTensor::new(tensor.ty().clone(), placement.clone(), parts)
    }
}

impl Placement {
    /// How an input or output of a program lies; without a sharding it is whole on every device.
    pub fn of<Role>(entry: &Entry, slot: &Slot<Role>) -> Self {
        match (&entry.mesh, &slot.sharding) {
            (Some(mesh), Some(sharding)) => Self::Over(Arc::new(mesh.clone()), sharding.clone()),
            (Some(mesh), None) => Self::Over(Arc::new(mesh.clone()), Sharding::whole(0)),
            (None, _) => Self::One,
        }
    }

    /// The number of devices.
    pub fn devices(&self) -> usize {
        match self {
            Self::One => 1,
            Self::Over(mesh, _) => mesh.devices(),
        }
    }

    fn check(&self, ty: &TensorType) -> Result<()> {
        let Self::Over(mesh, sharding) = self else { return Ok(()) };
        let parts = sharding.parts(mesh);
        let divides =
            ty.shape.iter().zip(&parts).all(|(&size, &parts)| parts > 0 && size.is_multiple_of(parts));
        if parts.len() <= ty.shape.rank() && divides {
            return Ok(());
        }
        Err(Error::Host(format!("a {ty} tensor does not divide as {self}")))
    }

    /// The type of every part.
    fn part_type(&self, ty: &TensorType) -> TensorType {
        match self {
            Self::One => ty.clone(),
            Self::Over(mesh, sharding) => sharding.part_type(mesh, ty),
        }
    }

    /// Where the part of the device at `index` lies in a tensor of type `ty`.
    fn window(&self, ty: &TensorType, index: usize) -> Window {
        let sizes = self.part_type(ty).shape.to_vec();
        let mut start = match self {
            Self::One => Vec::new(),
            Self::Over(mesh, sharding) => sharding.part_start(mesh, ty, index),
        };
        start.resize(sizes.len(), 0);
        Window { start, sizes, whole: ty.shape.to_vec(), element: ty.dtype.host_bytes() }
    }

    /// The part of the device at `index`.
    fn part(&self, tensor: &HostTensor, index: usize) -> Result<HostTensor> {
        let (ty, window) = (self.part_type(tensor.ty()), self.window(tensor.ty(), index));
        if ty == *tensor.ty() {
            return Ok(tensor.clone());
        }
        let runs: Vec<Range<usize>> = window.runs().collect();
        let bytes: HostBytes = if let [range] = &runs[..] {
            Arc::new(Slice { owner: Arc::clone(tensor.owner()), range: range.clone() })
        } else {
            let mut bytes = AlignedBytes::zeroed(ty.host_bytes());
            let mut rest: &mut [u8] = &mut bytes;
            for run in runs {
                let source = tensor.bytes().get(run).unwrap_or_default();
                let Some((here, after)) = rest.split_at_mut_checked(source.len()) else { break };
                here.copy_from_slice(source);
                rest = after;
            }
            Arc::new(bytes)
        };
        HostTensor::new(ty, bytes)
    }
}

/// `[{"tensor"}, {}] over data=2,tensor=4`.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One => f.write_str("a tensor of one device"),
            Self::Over(mesh, sharding) => {
                let dims: Vec<String> =
                    sharding.dims.iter().map(|axes| format!("{{{}}}", axes.join(", "))).collect();
                write!(f, "[{}] over {mesh}", dims.join(", "))
            }
        }
    }
}

/// A part of an owner's bytes.
struct Slice {
    owner: HostBytes,
    range: Range<usize>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        (*self.owner).as_ref().get(self.range.clone()).unwrap_or_default()
    }
}

/// A box of a row-major tensor.
struct Window {
    start: Vec<usize>,
    sizes: Vec<usize>,
    whole: Vec<usize>,
    /// Bytes of an element.
    element: usize,
}

impl Window {
    /// The byte ranges of the tensor that make up the box, in its own order.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        // Dimensions behind the last one that is cut follow each other.
        let cut = self.sizes.iter().zip(&self.whole).rposition(|(size, whole)| size != whole).unwrap_or(0);
        let inner: usize = self.sizes.iter().skip(cut).product::<usize>() * self.element;
        let outer: usize = self.sizes.iter().take(cut).product();
        (0..outer).map(move |run| {
            let mut rest = run;
            let mut stride = self.whole.iter().skip(cut).product::<usize>() * self.element;
            let row = self.whole.iter().skip(cut + 1).product::<usize>() * self.element;
            let mut at = self.start.get(cut).copied().unwrap_or(0) * row;
            for dim in (0..cut).rev() {
                let size = self.sizes[dim].max(1);
                at += (self.start[dim] + rest % size) * stride;
                rest /= size;
                stride *= self.whole[dim];
            }
            at..at + inner
        })
    }
}

impl DeviceTensor {
    /// A tensor of type `ty` whose parts lie on devices, in the order of the placement's mesh.
    pub fn new(ty: TensorType, placement: Placement, parts: Vec<Buffer>) -> Result<Self> {
        placement.check(&ty)?;
        let (part, devices) = (placement.part_type(&ty), placement.devices());
        if parts.len() != devices {
            let found = parts.len();
            return Err(Error::Host(format!("a {ty} tensor over {devices} devices was given {found} parts")));
        }
        if let Some(other) = parts.iter().find(|buffer| *buffer.ty() != part) {
            return Err(Error::Host(format!("a {ty} tensor as {placement} has the part {}", other.ty())));
        }
        Ok(Self { ty, placement, parts })
    }

    /// The type of the whole tensor.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// How it lies over the devices.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The parts, by the devices of the mesh.
    pub fn parts(&self) -> &[Buffer] {
        &self.parts
    }

    pub(crate) fn into_parts(self) -> Vec<Buffer> {
        self.parts
    }

    /// Waits for the value and brings the whole tensor to the host. Of parts that several devices have, that
    /// of the first is taken.
    pub fn download(&self) -> Result<HostTensor> {
        let windows: Vec<Window> =
            (0..self.parts.len()).map(|index| self.placement.window(&self.ty, index)).collect();
        if let ([first, ..], true) = (&self.parts[..], self.placement.part_type(&self.ty) == self.ty) {
            return first.download();
        }
        let mut bytes = AlignedBytes::zeroed(self.ty.host_bytes());
        for (index, (part, window)) in self.parts.iter().zip(&windows).enumerate() {
            if windows.iter().take(index).any(|earlier| earlier.start == window.start) {
                continue;
            }
            let part = part.download()?;
            let mut rest = part.bytes();
            for run in window.runs() {
                let Some((here, after)) = rest.split_at_checked(run.len()) else { break };
                if let Some(there) = bytes.get_mut(run) {
                    there.copy_from_slice(here);
                }
                rest = after;
            }
        }
        HostTensor::new(self.ty.clone(), Arc::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use porter_ir::DType;

    use super::*;

    fn placement(mesh: &str, dims: &[&[&str]]) -> Placement {
        let dims = dims.iter().map(|axes| axes.iter().map(ToString::to_string).collect()).collect();
        Placement::Over(Arc::new(mesh.parse().unwrap()), Sharding { dims })
    }

    fn parts(placement: &Placement, shape: &[usize]) -> Vec<Vec<i32>> {
        let count: usize = shape.iter().product();
        let tensor = HostTensor::from_slice(shape, &(0..count as i32).collect::<Vec<_>>()).unwrap();
        placement.check(tensor.ty()).unwrap();
        let part = |index| placement.part(&tensor, index).unwrap().to_vec().unwrap();
        (0..placement.devices()).map(part).collect()
    }

    #[test]
    fn parts_are_boxes_of_the_tensor() {
        let rows = placement("x=2", &[&["x"], &[]]);
        assert_eq!(parts(&rows, &[2, 3]), [[0, 1, 2], [3, 4, 5]]);
        let columns = placement("x=2", &[&[], &["x"]]);
        assert_eq!(parts(&columns, &[2, 4]), [[0, 1, 4, 5], [2, 3, 6, 7]]);
        let both = placement("y=2,x=2", &[&["x"], &[], &["y"]]);
        assert_eq!(parts(&both, &[2, 2, 2]), [[0, 2], [4, 6], [1, 3], [5, 7]]);
        let whole = placement("x=2", &[&[]]);
        assert_eq!(parts(&whole, &[2]), [[0, 1], [0, 1]]);
    }

    #[test]
    fn what_does_not_divide_is_refused() {
        let odd = placement("x=2", &[&["x"]]);
        assert!(odd.check(&TensorType::new(DType::F32, [3])).is_err());
        assert!(odd.check(&TensorType::scalar(DType::F32)).is_err());
        assert!(odd.check(&TensorType::new(DType::F32, [4])).is_ok());
    }
}
