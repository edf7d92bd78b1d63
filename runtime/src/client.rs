//! Clients: a plugin's devices and what lives on them.

use std::{fmt, ptr::NonNull, sync::Arc};

use pjrt_sys::{
    PJRT_Client, PJRT_Client_AddressableDevices_Args, PJRT_Client_Create_Args, PJRT_Client_Destroy_Args,
    PJRT_Client_Devices_Args, PJRT_Client_PlatformName_Args, PJRT_Client_PlatformVersion_Args, StructSize,
};

use crate::{
    Device, Error, NamedValue, Plugin, Result, Value,
    api::{Api, array, call, non_null, string},
    device::RawDevice,
};

/// What to create a [`Client`] with.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// How many devices a CPU plugin shall pretend to have; its own choice (4) where `None`.
    pub cpu_device_count: Option<u32>,
    /// Further options of the plugin. Some plugins ignore names that they do not know.
    pub other: Vec<NamedValue>,
}

impl ClientOptions {
    fn named_values(&self) -> Vec<NamedValue> {
        let count = self.cpu_device_count.map(|n| NamedValue::new("cpu_device_count", Value::Int(n.into())));
        count.into_iter().chain(self.other.iter().cloned()).collect()
    }
}

/// A running plugin: its devices, and the owner of every buffer and executable on them.
///
/// Cheap to clone; buffers and executables keep it alive. All calls may come from any thread.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    plugin: Plugin,
    raw: NonNull<PJRT_Client>,
    platform: String,
    platform_version: String,
    devices: Vec<RawDevice>,
    /// The ids of all devices, also of other processes.
    ids: Vec<i32>,
}

// SAFETY: the C API's client is a C++ `PjRtClient`, whose methods are thread-safe by contract, and
// it may be destroyed on any thread. The device pointers live as long as the client and are only
// passed back to it.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Client {
    /// Starts `plugin`.
    pub fn create(plugin: &Plugin, options: &ClientOptions) -> Result<Self> {
        Self::start(plugin, options)
            .map_err(|e| Error::Start { path: plugin.path().to_owned(), source: Box::new(e) })
    }

    fn start(plugin: &Plugin, options: &ClientOptions) -> Result<Self> {
        let doing = "create a client";
        let options = options.named_values();
        let raw_options: Vec<_> = options.iter().map(NamedValue::to_raw).collect();
        let mut args = PJRT_Client_Create_Args {
            create_options: raw_options.as_ptr(),
            num_options: raw_options.len(),
            ..StructSize::sized()
        };
        // SAFETY: the options live until the call returns, and the plugin copies what it keeps.
        unsafe { call!(plugin.api(), PJRT_Client_Create, &raw mut args, doing)? };
        let raw = non_null(args.client, doing)?;
        // From here on, dropping `inner` destroys the client.
        let mut inner = Inner {
            plugin: plugin.clone(),
            raw,
            platform: String::new(),
            platform_version: String::new(),
            devices: Vec::new(),
            ids: Vec::new(),
        };
        inner.platform = inner.read_platform()?;
        inner.platform_version = inner.read_platform_version()?;
        inner.devices = inner.read_devices()?;
        inner.ids = inner.read_ids()?;
        Ok(Self(Arc::new(inner)))
    }

    /// The plugin that runs the client.
    pub fn plugin(&self) -> &Plugin {
        &self.0.plugin
    }

    /// The platform's name: `cpu`, `tpu`, `cuda`.
    pub fn platform(&self) -> &str {
        &self.0.platform
    }

    /// The platform's version, as the plugin words it.
    pub fn platform_version(&self) -> &str {
        &self.0.platform_version
    }

    /// The devices of this process, in the plugin's order.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = Device> + '_ {
        (0..self.0.devices.len()).map(|index| Device::new(self.clone(), index))
    }

    /// The device at `index`.
    pub fn device(&self, index: usize) -> Result<Device> {
        if index < self.0.devices.len() {
            return Ok(Device::new(self.clone(), index));
        }
        Err(Error::Options(format!("device {index} does not exist: the client has {}", self.0.devices.len())))
    }

    pub(crate) fn api(&self) -> Api {
        self.0.plugin.api()
    }

    pub(crate) fn raw(&self) -> *mut PJRT_Client {
        self.0.raw.as_ptr()
    }

    /// The ids of all devices, also of other processes.
    pub(crate) fn device_ids(&self) -> &[i32] {
        &self.0.ids
    }

    pub(crate) fn raw_devices(&self) -> &[RawDevice] {
        &self.0.devices
    }

    /// True where both are handles of one client.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.0.devices.len();
        f.debug_struct("Client")
            .field("platform", &self.platform())
            .field("devices", &devices)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn read_platform(&self) -> Result<String> {
        let mut args = PJRT_Client_PlatformName_Args { client: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: the client is alive, and so is the string, which is copied.
        unsafe {
            call!(self.plugin.api(), PJRT_Client_PlatformName, &raw mut args, "read the platform's name")?;
            Ok(string(args.platform_name, args.platform_name_size))
        }
    }

    fn read_platform_version(&self) -> Result<String> {
        let mut args = PJRT_Client_PlatformVersion_Args { client: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: the client is alive, and so is the string, which is copied.
        unsafe {
            call!(
                self.plugin.api(),
                PJRT_Client_PlatformVersion,
                &raw mut args,
                "read the platform's version"
            )?;
            Ok(string(args.platform_version, args.platform_version_size))
        }
    }

    fn read_devices(&self) -> Result<Vec<RawDevice>> {
        let doing = "list the devices";
        let mut args =
            PJRT_Client_AddressableDevices_Args { client: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: the client is alive; the array belongs to it and is copied.
        let devices = unsafe {
            call!(self.plugin.api(), PJRT_Client_AddressableDevices, &raw mut args, doing)?;
            array(args.addressable_devices, args.num_addressable_devices)
        };
        devices.iter().map(|&device| RawDevice::new(self.plugin.api(), non_null(device, doing)?)).collect()
    }

    fn read_ids(&self) -> Result<Vec<i32>> {
        let doing = "list the devices of all processes";
        let mut args = PJRT_Client_Devices_Args { client: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: the client is alive; the array belongs to it.
        let devices = unsafe {
            call!(self.plugin.api(), PJRT_Client_Devices, &raw mut args, doing)?;
            array(args.devices, args.num_devices)
        };
        devices
            .iter()
            .map(|&device| Ok(RawDevice::new(self.plugin.api(), non_null(device, doing)?)?.id))
            .collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut args = PJRT_Client_Destroy_Args { client: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: every buffer, executable and device handle holds the `Arc` around `self`, so all
        // are gone. A failure to destroy leaks the client.
        drop(unsafe { call!(self.plugin.api(), PJRT_Client_Destroy, &raw mut args, "destroy the client") });
    }
}
