//! Devices.

use std::{fmt, ptr::NonNull};

use pjrt_sys::{
    PJRT_Device, PJRT_Device_GetDescription_Args, PJRT_Device_MemoryStats_Args, PJRT_DeviceDescription,
    PJRT_DeviceDescription_Attributes_Args, PJRT_DeviceDescription_DebugString_Args,
    PJRT_DeviceDescription_Id_Args, PJRT_DeviceDescription_Kind_Args,
    PJRT_DeviceDescription_ProcessIndex_Args, StructSize,
};

use crate::{
    Client, NamedValue, Result,
    api::{Api, call, non_null, string},
};

const DOING: &str = "describe a device";

/// A device of a [`Client`]. Cheap to clone.
#[derive(Clone)]
pub struct Device {
    client: Client,
    index: usize,
}

/// A device's handle and its id, which is asked for once.
pub(crate) struct RawDevice {
    pub(crate) raw: NonNull<PJRT_Device>,
    pub(crate) id: i32,
}

/// What a plugin says about a device.
#[derive(Clone, Debug)]
pub struct DeviceDescription {
    /// The id by which device assignments name the device.
    pub id: i32,
    /// The process (host) that the device belongs to.
    pub process: i32,
    /// The model: `cpu`, `TPU v5e`, `NVIDIA H200`.
    pub kind: String,
    /// A line about the device, as the plugin words it.
    pub text: String,
    /// Coordinates, core counts, memory limits, ...
    pub attributes: Vec<NamedValue>,
}

/// A device's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DeviceMemory {
    /// In use now.
    pub in_use: i64,
    /// The most that was in use, where the plugin counts it.
    pub peak: Option<i64>,
    /// The most that can be in use, where the plugin knows it.
    pub limit: Option<i64>,
}

impl Device {
    pub(crate) fn new(client: Client, index: usize) -> Self {
        Self { client, index }
    }

    /// The client that the device belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The position among the client's devices.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The plugin's description of the device.
    pub fn describe(&self) -> Result<DeviceDescription> {
        describe(self.client.api(), description(self.client.api(), self.raw())?)
    }

    /// How full the device's memory is. CPU plugins do not count it.
    pub fn memory(&self) -> Result<DeviceMemory> {
        let mut args = PJRT_Device_MemoryStats_Args { device: self.raw().as_ptr(), ..StructSize::sized() };
        // SAFETY: the device belongs to the client, which is alive.
        unsafe {
            call!(self.client.api(), PJRT_Device_MemoryStats, &raw mut args, "read a device's memory use")?;
        }
        Ok(DeviceMemory {
            in_use: args.bytes_in_use,
            peak: args.peak_bytes_in_use_is_set.then_some(args.peak_bytes_in_use),
            limit: args.bytes_limit_is_set.then_some(args.bytes_limit),
        })
    }

    pub(crate) fn raw(&self) -> NonNull<PJRT_Device> {
        // `Client` makes devices only for indices that it has.
        self.client.raw_devices()[self.index].raw
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({} {})", self.client.platform(), self.index)
    }
}

impl RawDevice {
    /// Asks for the id of a device, which must belong to a live client of `api`.
    pub(crate) fn new(api: Api, raw: NonNull<PJRT_Device>) -> Result<Self> {
        Ok(Self { raw, id: id(api, description(api, raw)?)? })
    }
}

// In the functions below, devices and descriptions belong to a client or a topology that their caller
// keeps alive.

/// Reads all that a description says.
pub(crate) fn describe(api: Api, description: *mut PJRT_DeviceDescription) -> Result<DeviceDescription> {
    Ok(DeviceDescription {
        id: id(api, description)?,
        process: process(api, description)?,
        kind: kind(api, description)?,
        text: text(api, description)?,
        attributes: attributes(api, description)?,
    })
}

fn description(api: Api, device: NonNull<PJRT_Device>) -> Result<*mut PJRT_DeviceDescription> {
    let mut args = PJRT_Device_GetDescription_Args { device: device.as_ptr(), ..StructSize::sized() };
    // SAFETY: the device is alive.
    unsafe { call!(api, PJRT_Device_GetDescription, &raw mut args, DOING)? };
    Ok(non_null(args.device_description, DOING)?.as_ptr())
}

fn id(api: Api, device_description: *mut PJRT_DeviceDescription) -> Result<i32> {
    let mut args = PJRT_DeviceDescription_Id_Args { device_description, ..StructSize::sized() };
    // SAFETY: the description is alive.
    unsafe { call!(api, PJRT_DeviceDescription_Id, &raw mut args, DOING)? };
    Ok(args.id)
}

fn process(api: Api, device_description: *mut PJRT_DeviceDescription) -> Result<i32> {
    let mut args = PJRT_DeviceDescription_ProcessIndex_Args { device_description, ..StructSize::sized() };
    // SAFETY: the description is alive.
    unsafe { call!(api, PJRT_DeviceDescription_ProcessIndex, &raw mut args, DOING)? };
    Ok(args.process_index)
}

fn kind(api: Api, device_description: *mut PJRT_DeviceDescription) -> Result<String> {
    let mut args = PJRT_DeviceDescription_Kind_Args { device_description, ..StructSize::sized() };
    // SAFETY: the description is alive, and so is the string, which is copied.
    unsafe {
        call!(api, PJRT_DeviceDescription_Kind, &raw mut args, DOING)?;
        Ok(string(args.device_kind, args.device_kind_size))
    }
}

fn text(api: Api, device_description: *mut PJRT_DeviceDescription) -> Result<String> {
    let mut args = PJRT_DeviceDescription_DebugString_Args { device_description, ..StructSize::sized() };
    // SAFETY: the description is alive, and so is the string, which is copied.
    unsafe {
        call!(api, PJRT_DeviceDescription_DebugString, &raw mut args, DOING)?;
        Ok(string(args.debug_string, args.debug_string_size))
    }
}

fn attributes(api: Api, device_description: *mut PJRT_DeviceDescription) -> Result<Vec<NamedValue>> {
    let mut args = PJRT_DeviceDescription_Attributes_Args { device_description, ..StructSize::sized() };
    // SAFETY: the description is alive, and so are the attributes, which are copied.
    unsafe {
        call!(api, PJRT_DeviceDescription_Attributes, &raw mut args, DOING)?;
        Ok(NamedValue::copy_all(args.attributes, args.num_attributes))
    }
}
