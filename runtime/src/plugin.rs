//! A loaded plugin.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use pjrt_sys::{PJRT_Api, PJRT_Plugin_Attributes_Args, PJRT_Plugin_Initialize_Args, StructSize};

use crate::{
    Error, NamedValue, Result, Value,
    api::{Api, call},
    plugins::prepare_libtpu,
};

/// A PJRT plugin: a shared library that compiles and runs programs on one kind of device.
///
/// Loading one runs its code, as starting a program does: load only plugins that you trust. A plugin
/// that breaks the C API's rules breaks this process. It stays loaded until the process ends.
/// Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Loaded>);

struct Loaded {
    api: Api,
    path: PathBuf,
    attributes: Vec<NamedValue>,
}

/// Each library is initialised once a process, however often it is asked for.
static LOADED: LazyLock<Mutex<HashMap<PathBuf, Plugin>>> = LazyLock::new(Mutex::default);

impl Plugin {
    /// Loads and initialises the plugin in the shared library at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let path = path.canonicalize().map_err(Error::io("open the plugin", path))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = loaded.get(&path) {
            return Ok(plugin.clone());
        }
        if path.file_name().is_some_and(|name| name == "libtpu.so") {
            prepare_libtpu()?;
        }
        let api = open(&path)?;
        let attributes = initialize(api)?;
        let plugin = Self(Arc::new(Loaded { api, path: path.clone(), attributes }));
        loaded.insert(path, plugin.clone());
        Ok(plugin)
    }

    /// The library that the plugin was loaded from, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The version (major, minor) of the PJRT C API that the plugin was built with.
    pub fn api_version(&self) -> (i32, i32) {
        self.0.api.version()
    }

    /// The numbers of the C API extensions that the plugin has (`PJRT_Extension_Type`).
    pub fn extensions(&self) -> Vec<u32> {
        self.0.api.extensions()
    }

    /// What the plugin says about itself: `xla_version`, `stablehlo_current_version`, ...
    pub fn attributes(&self) -> &[NamedValue] {
        &self.0.attributes
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes().iter().find(|a| a.name == name).map(|a| &a.value)
    }

    pub(crate) fn api(&self) -> Api {
        self.0.api
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("path", &self.0.path)
            .field("api_version", &self.api_version())
            .finish()
    }
}

/// Loads the library and finds its function table.
fn open(path: &Path) -> Result<Api> {
    let failed = |why: String| Error::Load { path: path.to_owned(), why };
    check_is_library(path)?;
    // SAFETY: loading a library runs its initialisers; that the file is a plugin which may do so is
    // the caller's word, given by naming it.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|e| failed(format!("the system cannot load it: {e}")))?;
    // SAFETY: a library with a symbol of this name exports the function that PJRT defines.
    let get: Symbol<unsafe extern "C" fn() -> *const PJRT_Api> = unsafe { library.get(b"GetPjrtApi\0") }
        .map_err(|_| {
            failed("it has no function GetPjrtApi, so it is a shared library but not a PJRT plugin".into())
        })?;
    let get = *get;
    // Threads of the plugin may run until the process ends, so its code must stay mapped.
    std::mem::forget(library);
    // SAFETY: the function takes nothing and returns a table that is static in the library.
    let api = unsafe { Api::new(get()) };
    let api = api.ok_or_else(|| failed("GetPjrtApi returned no function table".into()))?;
    let (major, minor) = api.version();
    if major != pjrt_sys::PJRT_API_MAJOR as i32 {
        return Err(failed(format!("it speaks PJRT API {major}.{minor}, Porter speaks major version 0")));
    }
    Ok(api)
}

/// Refuses what is plainly no shared library, with a clearer message than the system's.
fn check_is_library(path: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::Load { path: path.to_owned(), why: why.to_owned() });
    let file = File::open(path).map_err(Error::io("open the plugin", path))?;
    let metadata = file.metadata().map_err(Error::io("open the plugin", path))?;
    if !metadata.is_file() {
        return refuse("it is not a file: give the shared library itself");
    }
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic).map_err(Error::io("read the plugin", path))?;
    match magic.as_slice() {
        [] => refuse("the file is empty"),
        b"\x7fELF" => Ok(()),
        _ if cfg!(target_os = "linux") => refuse("it is not a shared library (no ELF header)"),
        _ => Ok(()),
    }
}

/// Runs the plugin's own initialisation and reads its attributes.
fn initialize(api: Api) -> Result<Vec<NamedValue>> {
    api.require_core()?;
    let mut args = PJRT_Plugin_Initialize_Args::sized();
    // SAFETY: the function takes nothing.
    unsafe { call!(api, PJRT_Plugin_Initialize, &raw mut args, "initialise the plugin")? };
    let mut args = PJRT_Plugin_Attributes_Args::sized();
    // SAFETY: the plugin fills in an array that lives as long as it does.
    unsafe {
        call!(api, PJRT_Plugin_Attributes, &raw mut args, "read the plugin's attributes")?;
        Ok(NamedValue::copy_all(args.attributes, args.num_attributes))
    }
}
