//! Finding plugins.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{CATALOG, KnownPlugin, install, known, python};
use crate::{Error, Result, folders};

/// A plugin's library and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The library.
    pub path: PathBuf,
    /// What named it.
    pub source: Source,
    /// Its entry in the catalog, where it has one.
    pub known: Option<&'static KnownPlugin>,
    /// Its package's version, where that is known.
    pub version: Option<String>,
}

/// What named a plugin, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller, by its path.
    Path,
    /// The environment variable `PJRT_PLUGIN_LIBRARY_PATH`.
    Environment,
    /// Porter's own plugin folder.
    Porter,
    /// A package that the `python3` on the path would import.
    Python,
}

/// A plugin of the catalog, and every place where this machine has it.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The catalog's entry.
    pub plugin: &'static KnownPlugin,
    /// Where it was found, in the order in which it would be used, and in what state.
    pub found: Vec<(Located, State)>,
}

/// Whether a plugin that was found can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is as it was installed, as far as its size tells.
    Ready,
    /// It is not, or it says nothing about itself; why.
    Damaged(String),
}

/// What an installation leaves beside the plugin.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: String,
    pub(crate) library_sha256: String,
    pub(crate) library_bytes: u64,
}

const RECORD: &str = "porter-plugin.json";
const VARIABLE: &str = "PJRT_PLUGIN_LIBRARY_PATH";

impl Record {
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(RECORD);
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::io("write", &path)(e.into()))?;
        fs::write(&path, json).map_err(Error::io("write", &path))
    }

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(RECORD);
        let json = fs::read(&path).map_err(Error::io("read", &path))?;
        serde_json::from_slice(&json).map_err(|e| Error::io("read", &path)(e.into()))
    }
}

/// Finds a plugin: `wanted` is the path of a library, or a name in the catalog; where it is `None`,
/// `PJRT_PLUGIN_LIBRARY_PATH` decides, and the catalog's default after it.
///
/// A name is looked up in Porter's own folder and then among Python's packages.
pub fn locate(wanted: Option<&str>) -> Result<Located> {
    let by_path = |path: PathBuf, source| Located { path, source, known: None, version: None };
    match (wanted, env::var_os(VARIABLE).filter(|path| !path.is_empty())) {
        (Some(wanted), _) => match known(wanted) {
            Some(plugin) => by_name(plugin),
            None => Ok(by_path(wanted.into(), Source::Path)),
        },
        (None, Some(path)) => Ok(by_path(path.into(), Source::Environment)),
        (None, None) => by_name(&CATALOG[0]),
    }
}

/// Finds a plugin as [`locate`] does, and installs it where it has a name and is nowhere.
pub fn ensure(wanted: Option<&str>, progress: &mut dyn FnMut(&str)) -> Result<Located> {
    match locate(wanted) {
        Err(Error::NoPlugin { plugin }) => install(plugin, progress),
        located => located,
    }
}

/// Everything in the catalog, and where this machine has it.
pub fn list() -> Result<Vec<Listing>> {
    let folders = python::package_folders();
    CATALOG
        .iter()
        .map(|plugin| {
            let mut found = Vec::from_iter(inspect_porters_folder(plugin)?);
            found.extend(in_packages(plugin, &folders).map(|located| (located, State::Ready)));
            Ok(Listing { plugin, found })
        })
        .collect()
}

fn by_name(plugin: &'static KnownPlugin) -> Result<Located> {
    if let Some(found) = in_porters_folder(plugin)? {
        return Ok(found);
    }
    let in_python = in_packages(plugin, &python::package_folders()).next();
    in_python.ok_or(Error::NoPlugin { plugin })
}

/// The plugin in Porter's folder, if it is whole.
pub(crate) fn in_porters_folder(plugin: &'static KnownPlugin) -> Result<Option<Located>> {
    Ok(inspect_porters_folder(plugin)?
        .filter(|(_, state)| *state == State::Ready)
        .map(|(located, _)| located))
}

fn inspect_porters_folder(plugin: &'static KnownPlugin) -> Result<Option<(Located, State)>> {
    let folder = folders::plugins()?.join(plugin.folder());
    if !folder.is_dir() {
        return Ok(None);
    }
    let path = folder.join(plugin.library);
    let state = Record::read(&folder)
        .map_err(|e| e.to_string())
        .and_then(|record| check_size(&path, &record))
        .map_or_else(State::Damaged, |()| State::Ready);
    let version = Some(plugin.version.to_owned());
    Ok(Some((Located { path, source: Source::Porter, known: Some(plugin), version }, state)))
}

fn check_size(library: &Path, record: &Record) -> Result<(), String> {
    let found = fs::metadata(library).map_err(|e| format!("{}: {e}", library.display()))?.len();
    if found == record.library_bytes {
        return Ok(());
    }
    Err(format!("{} has {found} bytes instead of {}", library.display(), record.library_bytes))
}

fn in_packages(plugin: &'static KnownPlugin, folders: &[PathBuf]) -> impl Iterator<Item = Located> {
    folders.iter().filter_map(move |folder| {
        let path = folder.join(plugin.library);
        let version = python::installed_version(folder, plugin);
        path.is_file().then_some(Located { path, source: Source::Python, known: Some(plugin), version })
    })
}
