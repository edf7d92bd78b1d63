//! What a plugin is and can do.

use std::fmt;

use crate::{Client, ClientOptions, DeviceDescription, NamedValue, Plugin, Result, Value};

/// What a plugin says about itself.
#[derive(Debug)]
pub struct PluginInfo {
    /// The version (major, minor) of the PJRT C API that it was built with.
    pub api_version: (i32, i32),
    /// The newest StableHLO version that it reads.
    pub stablehlo_current: Option<String>,
    /// The oldest StableHLO version that it reads.
    pub stablehlo_minimum: Option<String>,
    /// The extensions of the C API that it has.
    pub extensions: Vec<Extension>,
    /// Its attributes, as it names them.
    pub attributes: Vec<NamedValue>,
    /// Its devices; an error where it finds none that it can use.
    pub client: Result<ClientInfo>,
}

/// A plugin's platform and devices.
#[derive(Debug)]
pub struct ClientInfo {
    /// The platform's name.
    pub platform: String,
    /// The platform's version, as the plugin words it.
    pub version: String,
    /// The devices of this process.
    pub devices: Vec<DeviceDescription>,
}

/// An extension of the C API, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension(pub u32);

impl Extension {
    /// The name in the header of API 0.81; `None` for later ones.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            pjrt_sys::PJRT_Extension_Type_Gpu_Custom_Call => "GPU custom call",
            pjrt_sys::PJRT_Extension_Type_Profiler => "profiler",
            pjrt_sys::PJRT_Extension_Type_Custom_Partitioner => "custom partitioner",
            pjrt_sys::PJRT_Extension_Type_Stream => "stream",
            pjrt_sys::PJRT_Extension_Type_Layouts => "layouts",
            pjrt_sys::PJRT_Extension_Type_FFI => "FFI",
            pjrt_sys::PJRT_Extension_Type_MemoryDescriptions => "memory descriptions",
            pjrt_sys::PJRT_Extension_Type_Triton => "Triton",
            pjrt_sys::PJRT_Extension_Type_RawBuffer => "raw buffer",
            pjrt_sys::PJRT_Extension_Type_PhaseCompile => "phase compile",
            pjrt_sys::PJRT_Extension_Type_Example => "example",
            pjrt_sys::PJRT_Extension_Type_CrossHostTransfers => "cross-host transfers",
            pjrt_sys::PJRT_Extension_Type_ExecutableMetadata => "executable metadata",
            pjrt_sys::PJRT_Extension_Type_Callback => "callback",
            pjrt_sys::PJRT_Extension_Type_HostAllocator => "host allocator",
            _ => return None,
        })
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "number {}", self.0),
        }
    }
}

impl PluginInfo {
    /// Asks `plugin`, starting a client with `options` to see its devices.
    pub fn read(plugin: &Plugin, options: &ClientOptions) -> Self {
        let version = |name| plugin.attribute(name).map(Value::to_string);
        let mut extensions: Vec<u32> = plugin.extensions();
        extensions.sort_unstable();
        Self {
            api_version: plugin.api_version(),
            stablehlo_current: version("stablehlo_current_version"),
            stablehlo_minimum: version("stablehlo_minimum_version"),
            extensions: extensions.into_iter().map(Extension).collect(),
            attributes: plugin.attributes().to_vec(),
            client: ClientInfo::read(plugin, options),
        }
    }
}

impl ClientInfo {
    fn read(plugin: &Plugin, options: &ClientOptions) -> Result<Self> {
        let client = Client::create(plugin, options)?;
        Ok(Self {
            platform: client.platform().to_owned(),
            version: client.platform_version().to_owned(),
            devices: client.devices().map(|device| device.describe()).collect::<Result<_>>()?,
        })
    }
}
