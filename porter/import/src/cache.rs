//! Porter's own folder for what it downloads.

use std::path::PathBuf;

use crate::error::ImportError;

/// `$PORTER_CACHE_DIR`, or `$XDG_CACHE_HOME/porter`, or `~/.cache/porter`. Not created here.
pub(crate) fn folder() -> Result<PathBuf, ImportError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("PORTER_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("porter")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/porter")))
        .ok_or(ImportError::NoCache("PORTER_CACHE_DIR"))
}
