//! Tensors on a device.

use std::{fmt, ptr, ptr::NonNull, sync::Arc};

use host_memory::{ALIGNMENT, AlignedBytes};
use pjrt_sys::{
    PJRT_Buffer, PJRT_Buffer_Destroy_Args, PJRT_Buffer_MemoryLayout,
    PJRT_Buffer_MemoryLayout__bindgen_ty_1 as Layout, PJRT_Buffer_MemoryLayout_Tiled,
    PJRT_Buffer_ReadyEvent_Args, PJRT_Buffer_ToHostBuffer_Args, PJRT_Buffer_UnsafePointer_Args,
    PJRT_Client_BufferFromHostBuffer_Args, PJRT_HostBufferSemantics, StructSize,
};
use porter_ir::TensorType;

use crate::{
    Client, Device, Error, HostTensor, Result,
    api::{call, non_null},
    element_type,
    event::Event,
    host::checked_bytes,
};

/// Below this size a copy costs less than keeping the host memory alive.
const IN_PLACE_FROM: usize = 4096;

/// A tensor on a device. Dropping it frees its memory once nothing that was started uses it.
pub struct Buffer {
    client: Client,
    raw: NonNull<PJRT_Buffer>,
    ty: Arc<TensorType>,
    device: usize,
    origin: Origin,
}

/// Whose memory a buffer lies in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The plugin's.
    Plugin,
    /// Perhaps the host's, which the plugin was told not to change.
    Host,
}

// SAFETY: the C API's buffer is a C++ `PjRtBuffer`, whose methods are thread-safe by contract and
// which may be destroyed on any thread.
unsafe impl Send for Buffer {}
// SAFETY: as above. What consumes a buffer (donation) takes it by value.
unsafe impl Sync for Buffer {}

impl Device {
    /// Copies or lends a tensor to the device.
    ///
    /// Bytes that start on a 64-byte boundary and are not small are lent: a CPU plugin then uses them
    /// in place, without copying. Whoever owns them is kept alive until the plugin lets go of them.
    pub fn upload(&self, tensor: &HostTensor) -> Result<Buffer> {
        let doing = || format!("upload a {} tensor", tensor.ty());
        let bytes = tensor.bytes();
        // The owner's `AsRef` is foreign code: what it returns now is what counts.
        if bytes.len() != checked_bytes(tensor.ty())? {
            return Err(Error::Host(format!("{}: its bytes have changed their length", doing())));
        }
        let lend = bytes.len() >= IN_PLACE_FROM && bytes.as_ptr().addr().is_multiple_of(ALIGNMENT);
        let (semantics, origin) = if lend {
            (pjrt_sys::PJRT_HostBufferSemantics_kImmutableZeroCopy, Origin::Host)
        } else {
            (pjrt_sys::PJRT_HostBufferSemantics_kImmutableOnlyDuringCall, Origin::Plugin)
        };
        // SAFETY: below, the plugin's event either is awaited while `tensor` holds the bytes, or
        // keeps their owner alive. Bytes behind a shared `Arc` stay where they are, unchanged.
        let (raw, done) = unsafe { self.start_upload(tensor.ty(), bytes, semantics, &doing)? };
        let buffer = Buffer {
            client: self.client().clone(),
            raw,
            ty: Arc::new(tensor.ty().clone()),
            device: self.index(),
            origin,
        };
        match done {
            Some(done) if lend => done.keep_until_ready(Arc::clone(tensor.owner()))?,
            Some(done) => done.wait(&doing())?,
            None => {}
        }
        Ok(buffer)
    }

    /// # Safety
    /// `bytes` must stay readable and unchanged until the returned event has happened.
    unsafe fn start_upload(
        &self,
        ty: &TensorType,
        bytes: &[u8],
        host_buffer_semantics: PJRT_HostBufferSemantics,
        doing: &dyn Fn() -> String,
    ) -> Result<(NonNull<PJRT_Buffer>, Option<Event>)> {
        let dims: Vec<i64> = ty.shape.iter().map(|&d| d as i64).collect();
        let mut args = PJRT_Client_BufferFromHostBuffer_Args {
            client: self.client().raw(),
            data: bytes.as_ptr().cast(),
            type_: element_type::to_raw(ty.dtype),
            dims: dims.as_ptr(),
            num_dims: dims.len(),
            host_buffer_semantics,
            device: self.raw().as_ptr(),
            ..StructSize::sized()
        };
        let api = self.client().api();
        // SAFETY: client and device are alive, `bytes` holds a dense tensor of this type (checked by
        // `upload`) and stays for as long as the semantics ask by this function's contract.
        unsafe {
            call!(api, PJRT_Client_BufferFromHostBuffer, &raw mut args, &doing())?;
            let done = Event::new(api, args.done_with_host_buffer);
            Ok((non_null(args.buffer, "upload a tensor")?, done))
        }
    }
}

impl Buffer {
    /// Takes over an output of an execution.
    ///
    /// # Safety
    /// `raw` is a buffer of `client`, on its device number `device` and of type `ty`, that the caller owns.
    pub(crate) unsafe fn from_output(
        client: Client,
        raw: NonNull<PJRT_Buffer>,
        ty: Arc<TensorType>,
        device: usize,
    ) -> Self {
        Self { client, raw, ty, device, origin: Origin::Plugin }
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The client that the buffer belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The position of the buffer's device among the client's devices.
    pub fn device_index(&self) -> usize {
        self.device
    }

    /// Waits until the buffer has its value; an error of what computes it is returned here.
    pub fn wait(&self) -> Result<()> {
        let mut args = PJRT_Buffer_ReadyEvent_Args { buffer: self.raw.as_ptr(), ..StructSize::sized() };
        let doing = "wait for a buffer";
        // SAFETY: the buffer is alive; the event is ours.
        let event = unsafe {
            call!(self.client.api(), PJRT_Buffer_ReadyEvent, &raw mut args, doing)?;
            Event::new(self.client.api(), args.event)
        };
        event.map_or(Ok(()), |event| event.wait(doing))
    }

    /// Waits for the value and copies it to the host, in row-major order whatever the device's layout.
    pub fn download(&self) -> Result<HostTensor> {
        let doing = || format!("download a {} tensor", self.ty);
        let mut bytes = AlignedBytes::zeroed(checked_bytes(&self.ty)?);
        let minor_to_major: Vec<i64> = (0..self.ty.shape.rank() as i64).rev().collect();
        let mut host_layout = row_major(&minor_to_major);
        let mut args = PJRT_Buffer_ToHostBuffer_Args {
            src: self.raw.as_ptr(),
            host_layout: &raw mut host_layout,
            dst: ptr::null_mut(),
            ..StructSize::sized()
        };
        let api = self.client.api();
        // SAFETY: without a destination the call only returns the size that it needs.
        unsafe { call!(api, PJRT_Buffer_ToHostBuffer, &raw mut args, &doing())? };
        if args.dst_size != bytes.len() {
            let found = format!("wants {} bytes of host memory instead of {}", args.dst_size, bytes.len());
            return Err(Error::Misbehaved { doing: doing(), found });
        }
        args.dst = bytes.as_mut_ptr().cast();
        // SAFETY: `bytes` has the size just asked for and outlives the transfer, which is awaited
        // before it is read, moved or freed; the layout outlives the call.
        let event = unsafe {
            call!(api, PJRT_Buffer_ToHostBuffer, &raw mut args, &doing())?;
            Event::new(api, args.event)
        };
        if let Some(event) = event {
            event.wait(&doing())?;
        }
        HostTensor::new(self.ty().clone(), Arc::new(bytes))
    }

    /// Where the buffer lies in its device's memory, to tell whether two buffers share it.
    pub fn address(&self) -> Result<usize> {
        let mut args = PJRT_Buffer_UnsafePointer_Args { buffer: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: the buffer is alive; the address is a number to us.
        unsafe {
            call!(self.client.api(), PJRT_Buffer_UnsafePointer, &raw mut args, "read a buffer's address")?;
        }
        Ok(args.buffer_pointer)
    }

    pub(crate) fn raw(&self) -> *mut PJRT_Buffer {
        self.raw.as_ptr()
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn shared_ty(&self) -> &Arc<TensorType> {
        &self.ty
    }
}

/// A layout without tiles. It borrows `minor_to_major`.
fn row_major(minor_to_major: &[i64]) -> PJRT_Buffer_MemoryLayout {
    let tiled = PJRT_Buffer_MemoryLayout_Tiled {
        minor_to_major: minor_to_major.as_ptr(),
        minor_to_major_size: minor_to_major.len(),
        ..StructSize::sized()
    };
    PJRT_Buffer_MemoryLayout {
        __bindgen_anon_1: Layout { tiled },
        type_: pjrt_sys::PJRT_Buffer_MemoryLayout_Type_Tiled,
        ..StructSize::sized()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} on device {})", self.ty, self.device)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut args = PJRT_Buffer_Destroy_Args { buffer: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: `self` owns the buffer and nobody uses it after this; executions that were started
        // with it hold their own reference to its memory. A failure to destroy leaks it.
        drop(unsafe { call!(self.client.api(), PJRT_Buffer_Destroy, &raw mut args, "destroy a buffer") });
    }
}
