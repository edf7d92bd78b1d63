//! Devices by name, without a client.

use std::{fmt, ptr::NonNull};

use pjrt_sys::{
    PJRT_Compile_Args, PJRT_Program, PJRT_TopologyDescription, PJRT_TopologyDescription_Create_Args,
    PJRT_TopologyDescription_Destroy_Args, PJRT_TopologyDescription_GetDeviceDescriptions_Args, StructSize,
};

use crate::{
    CompileOptions, DeviceDescription, Error, Executable, NamedValue, Plugin, Result,
    api::{array, as_c, call, non_null},
    device,
};

/// Which devices to compile for.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyRequest {
    /// The name that the plugin knows: `v6e:2x4`.
    pub name: String,
    /// The plugin's further options, as `chip_config_name`.
    pub options: Vec<NamedValue>,
    /// How many devices that is.
    pub devices: usize,
    /// What the plugin calls such a device: `TPU v6 lite`.
    pub kind: String,
}

/// Devices that a plugin compiles for and that need not be there.
pub struct Topology {
    plugin: Plugin,
    raw: NonNull<PJRT_TopologyDescription>,
}

// SAFETY: the C API's topology is a C++ `PjRtTopologyDescription`, constant after it was made.
unsafe impl Send for Topology {}
// SAFETY: as above.
unsafe impl Sync for Topology {}

impl Topology {
    /// Has `plugin` describe the devices, and checks that they are those which were asked for: libtpu
    /// takes an empty name for eight devices of TPU v2.
    pub fn create(plugin: &Plugin, request: &TopologyRequest) -> Result<Self> {
        let doing = "describe the topology";
        let options: Vec<_> = request.options.iter().map(NamedValue::to_raw).collect();
        let (topology_name, topology_name_size) = as_c(&request.name);
        let mut args = PJRT_TopologyDescription_Create_Args {
            topology_name,
            topology_name_size,
            create_options: options.as_ptr(),
            num_options: options.len(),
            ..StructSize::sized()
        };
        // SAFETY: name and options outlive the call.
        unsafe { call!(plugin.api(), PJRT_TopologyDescription_Create, &raw mut args, doing)? };
        let topology = Self { plugin: plugin.clone(), raw: non_null(args.topology, doing)? };
        topology.check(request)?;
        Ok(topology)
    }

    fn check(&self, request: &TopologyRequest) -> Result<()> {
        let devices = self.raw_devices()?;
        let first = devices.first().map(|&raw| self.describe(raw)).transpose()?;
        let kind = first.map(|first| first.kind).unwrap_or_default();
        if devices.len() == request.devices && kind == request.kind {
            return Ok(());
        }
        let TopologyRequest { name, devices: expected, kind: wanted, .. } = request;
        let found = format!(
            "made {} devices of {kind:?} of the topology {name:?}, expected {expected} of {wanted:?}",
            devices.len()
        );
        Err(Error::Misbehaved { doing: "describe the topology".into(), found })
    }

    /// The plugin's descriptions of the devices, in its order.
    pub fn devices(&self) -> Result<Vec<DeviceDescription>> {
        self.raw_devices()?.iter().map(|&raw| self.describe(raw)).collect()
    }

    fn describe(&self, raw: *mut pjrt_sys::PJRT_DeviceDescription) -> Result<DeviceDescription> {
        device::describe(self.plugin.api(), non_null(raw, "describe a device")?.as_ptr())
    }

    fn raw_devices(&self) -> Result<&[*mut pjrt_sys::PJRT_DeviceDescription]> {
        let doing = "list the topology's devices";
        let mut args = PJRT_TopologyDescription_GetDeviceDescriptions_Args {
            topology: self.raw.as_ptr(),
            ..StructSize::sized()
        };
        // SAFETY: the topology is alive; the array belongs to it and lives as long.
        unsafe {
            call!(self.plugin.api(), PJRT_TopologyDescription_GetDeviceDescriptions, &raw mut args, doing)?;
            Ok(array(args.descriptions, args.num_descriptions))
        }
    }

    /// Compiles a program in MLIR text for the first devices of the topology, as many as `options` need.
    pub fn compile(&self, program: &str, options: &CompileOptions) -> Result<Executable> {
        let has = self.raw_devices()?.len();
        if options.devices() > has {
            let needs = options.devices();
            return Err(Error::Options(format!("the program needs {needs} devices, the topology has {has}")));
        }
        self.compile_with(program, &options.to_bytes()?)
    }

    /// [`compile`](Self::compile) with options that were checked and serialized.
    pub(super) fn compile_with(&self, program: &str, options: &[u8]) -> Result<Executable> {
        let doing = "compile the program";
        let (format, format_size) = as_c("mlir");
        let program = PJRT_Program {
            code: program.as_ptr().cast_mut().cast(),
            code_size: program.len(),
            format,
            format_size,
            ..StructSize::sized()
        };
        let mut args = PJRT_Compile_Args {
            topology: self.raw.as_ptr(),
            program: &raw const program,
            compile_options: options.as_ptr().cast(),
            compile_options_size: options.len(),
            ..StructSize::sized()
        };
        // SAFETY: topology, program and options outlive the call, which does not write to them; what is
        // returned is ours.
        unsafe {
            call!(self.plugin.api(), PJRT_Compile, &raw mut args, doing)?;
            Ok(Executable::new(self.plugin.clone(), non_null(args.executable, doing)?))
        }
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.raw_devices().map_or(0, <[_]>::len);
        f.debug_struct("Topology").field("devices", &devices).finish_non_exhaustive()
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        let mut args =
            PJRT_TopologyDescription_Destroy_Args { topology: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: `self` owns the topology and nobody uses it after this. A failure leaks it.
        drop(unsafe {
            call!(self.plugin.api(), PJRT_TopologyDescription_Destroy, &raw mut args, "destroy a topology")
        });
    }
}
