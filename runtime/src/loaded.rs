//! Programs that are loaded on devices.

use std::{fmt, ptr::NonNull, sync::Arc};

use pjrt_sys::{
    PJRT_Client_Compile_Args, PJRT_Executable_DeserializeAndLoad_Args, PJRT_LoadedExecutable,
    PJRT_LoadedExecutable_AddressableDevices_Args, PJRT_LoadedExecutable_Destroy_Args,
    PJRT_LoadedExecutable_GetExecutable_Args, PJRT_Program, StructSize,
};
use porter_ir::TensorType;

use crate::{
    Client, CompileOptions, Error, Executable, Result, Signature,
    api::{array, as_c, call, non_null},
    interface::Interface,
};

/// A program that is ready to run on its devices. Safe to run from several threads at once.
pub struct LoadedExecutable {
    /// May point into the client; declared first, so that it goes before `raw` lets go of that.
    executable: Executable,
    pub(crate) raw: RawLoaded,
    interface: Interface,
    pub(crate) inputs: Vec<Arc<TensorType>>,
    pub(crate) outputs: Vec<Arc<TensorType>>,
    /// Whether the program reuses the memory of the argument at the same place.
    pub(crate) donated: Vec<bool>,
    /// The program's devices, as positions among the client's devices.
    pub(crate) devices: Vec<usize>,
}

/// The plugin's handle of a loaded program.
pub(crate) struct RawLoaded {
    pub(crate) client: Client,
    pub(crate) raw: NonNull<PJRT_LoadedExecutable>,
}

// SAFETY: the C API's loaded executable is a C++ `PjRtLoadedExecutable`, whose methods, execution
// among them, are thread-safe by contract, and which may be destroyed on any thread.
unsafe impl Send for RawLoaded {}
// SAFETY: as above.
unsafe impl Sync for RawLoaded {}

impl Client {
    /// Compiles a program in MLIR text (StableHLO, with chlo and sdy) and loads it on its devices.
    ///
    /// `signature` says what the program takes and gives, and is compared with the compiled program.
    pub fn compile(
        &self,
        program: &str,
        signature: &Signature,
        options: &CompileOptions,
    ) -> Result<LoadedExecutable> {
        let doing = "compile the program";
        let options = self.checked_options(options)?;
        let (format, format_size) = as_c("mlir");
        let mut program = PJRT_Program {
            code: program.as_ptr().cast_mut().cast(),
            code_size: program.len(),
            format,
            format_size,
            ..StructSize::sized()
        };
        let mut args = PJRT_Client_Compile_Args {
            client: self.raw(),
            program: &raw mut program,
            compile_options: options.as_ptr().cast(),
            compile_options_size: options.len(),
            ..StructSize::sized()
        };
        // SAFETY: program and options outlive the call, which does not write to them.
        unsafe { call!(self.api(), PJRT_Client_Compile, &raw mut args, doing)? };
        let raw = RawLoaded { client: self.clone(), raw: non_null(args.executable, doing)? };
        let executable = raw.executable()?;
        let interface = Interface::read(&executable.optimized()?)?;
        LoadedExecutable::new(raw, executable, interface, signature)
    }

    /// Loads what [`Executable::serialize`] gave. The bytes must come from the same plugin on the
    /// same kind of machine (plugins trust them), and `interface` from the same program.
    pub(crate) fn deserialize(
        &self,
        bytes: &[u8],
        interface: Interface,
        signature: &Signature,
    ) -> Result<LoadedExecutable> {
        let doing = "load the compiled program";
        let mut args = PJRT_Executable_DeserializeAndLoad_Args {
            client: self.raw(),
            serialized_executable: bytes.as_ptr().cast(),
            serialized_executable_size: bytes.len(),
            ..StructSize::sized()
        };
        // SAFETY: the bytes outlive the call, which does not write to them.
        unsafe { call!(self.api(), PJRT_Executable_DeserializeAndLoad, &raw mut args, doing)? };
        let raw = RawLoaded { client: self.clone(), raw: non_null(args.loaded_executable, doing)? };
        let executable = raw.executable()?;
        LoadedExecutable::new(raw, executable, interface, signature)
    }

    /// The options as bytes, if the client's devices can meet them.
    pub(crate) fn checked_options(&self, options: &CompileOptions) -> Result<Vec<u8>> {
        let ids = self.device_ids();
        // Plugins abort the process where a program needs more devices than there are.
        if options.devices() > ids.len() {
            let (needs, has) = (options.devices(), ids.len());
            return Err(Error::Options(format!("the program needs {needs} devices, the client has {has}")));
        }
        if let Some(id) = options.device_ids.iter().flatten().flatten().find(|id| !ids.contains(id)) {
            return Err(Error::Options(format!("the client has no device with the id {id}")));
        }
        options.to_bytes()
    }
}

impl LoadedExecutable {
    /// Reads what every execution needs to know, and checks that `signature` is the program's, whose
    /// interface `interface` is.
    fn new(
        raw: RawLoaded,
        executable: Executable,
        interface: Interface,
        signature: &Signature,
    ) -> Result<Self> {
        let devices = raw.devices()?;
        signature.check(&interface, &executable.outputs()?)?;
        let shared = |types: &[TensorType]| types.iter().cloned().map(Arc::new).collect();
        Ok(Self {
            executable,
            interface,
            inputs: shared(&signature.inputs),
            outputs: shared(&signature.outputs),
            donated: (0..signature.inputs.len()).map(|i| signature.donated.contains(&i)).collect(),
            devices,
            raw,
        })
    }

    /// The compiled program: its cost, memory, fingerprint, serialized form.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The client that the program is loaded on.
    pub fn client(&self) -> &Client {
        &self.raw.client
    }

    /// The program's devices in the order of its argument lists, as positions among the client's.
    pub fn devices(&self) -> &[usize] {
        &self.devices
    }

    /// The types of the arguments on one device.
    pub fn inputs(&self) -> &[Arc<TensorType>] {
        &self.inputs
    }

    /// The types of the results on one device.
    pub fn outputs(&self) -> &[Arc<TensorType>] {
        &self.outputs
    }
}

impl RawLoaded {
    fn executable(&self) -> Result<Executable> {
        let doing = "describe the compiled program";
        let mut args = PJRT_LoadedExecutable_GetExecutable_Args {
            loaded_executable: self.raw.as_ptr(),
            ..StructSize::sized()
        };
        // SAFETY: the loaded executable is alive; what is returned is ours.
        unsafe {
            call!(self.client.api(), PJRT_LoadedExecutable_GetExecutable, &raw mut args, doing)?;
            Ok(Executable::new(self.client.plugin().clone(), non_null(args.executable, doing)?))
        }
    }

    fn devices(&self) -> Result<Vec<usize>> {
        let doing = "list the program's devices";
        let mut args = PJRT_LoadedExecutable_AddressableDevices_Args {
            executable: self.raw.as_ptr(),
            ..StructSize::sized()
        };
        // SAFETY: the loaded executable is alive; the array belongs to it and is read at once.
        let devices = unsafe {
            call!(self.client.api(), PJRT_LoadedExecutable_AddressableDevices, &raw mut args, doing)?;
            array(args.addressable_devices, args.num_addressable_devices)
        };
        let position = |device| self.client.raw_devices().iter().position(|d| d.raw.as_ptr() == device);
        devices.iter().map(|&device| position(device)).collect::<Option<_>>().ok_or_else(|| {
            Error::Misbehaved { doing: doing.into(), found: "named a device that is not the client's".into() }
        })
    }
}

impl fmt::Debug for LoadedExecutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inputs, outputs) = (self.inputs.len(), self.outputs.len());
        write!(f, "LoadedExecutable({inputs} arguments, {outputs} results, {} devices)", self.devices.len())
    }
}

impl Drop for RawLoaded {
    fn drop(&mut self) {
        let mut args =
            PJRT_LoadedExecutable_Destroy_Args { executable: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: `self` owns the handle and nobody uses it after this; running executions hold
        // their own reference. A failure to destroy leaks it.
        drop(unsafe {
            call!(self.client.api(), PJRT_LoadedExecutable_Destroy, &raw mut args, "destroy a loaded program")
        });
    }
}
