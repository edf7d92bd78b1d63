//! Where Porter keeps its own files.

use std::{env, path::PathBuf};

use crate::{Error, Result};

/// The folder of installed plugins: `$PORTER_PLUGIN_DIR`, else `porter/plugins` in the user's data
/// folder (`$XDG_DATA_HOME` or `~/.local/share`).
pub(crate) fn plugins() -> Result<PathBuf> {
    folder("PORTER_PLUGIN_DIR", "XDG_DATA_HOME", ".local/share", "porter/plugins")
}

/// The folder of things that can be made again: `$PORTER_CACHE_DIR`, else `porter` in the user's
/// cache folder (`$XDG_CACHE_HOME` or `~/.cache`).
pub(crate) fn cache() -> Result<PathBuf> {
    folder("PORTER_CACHE_DIR", "XDG_CACHE_HOME", ".cache", "porter")
}

fn folder(own: &'static str, xdg: &str, in_home: &str, inside: &str) -> Result<PathBuf> {
    if let Some(folder) = variable(own) {
        return Ok(folder);
    }
    // The XDG base directory specification has relative paths ignored.
    let base = variable(xdg).filter(|path| path.is_absolute());
    let home = || env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(in_home));
    base.or_else(home).map(|base| base.join(inside)).ok_or(Error::NoHome { variable: own })
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
