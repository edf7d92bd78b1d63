//! The Python that is found on the path: its packages, and its pip.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::plugins::KnownPlugin;

/// Prints the folders that `import` searches, each ended by a null byte.
const LIST_FOLDERS: &str =
    "import os, sys; [sys.stdout.buffer.write(os.fsencode(p) + b'\\0') for p in sys.path if p]";

/// The folders in which Python looks for packages; none where there is no `python3`.
pub(crate) fn package_folders() -> Vec<PathBuf> {
    let Ok(output) = Command::new("python3").args(["-c", LIST_FOLDERS]).output() else { return Vec::new() };
    let folders = output.stdout.split(|&b| b == 0).filter(|path| !path.is_empty());
    folders.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
}

/// The version of an installed package, from the name of its `.dist-info` folder.
pub(crate) fn installed_version(packages: &Path, known: &KnownPlugin) -> Option<String> {
    let prefix = format!("{}-", known.package.replace('-', "_"));
    packages.read_dir().ok()?.find_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        Some(name.strip_prefix(&prefix)?.strip_suffix(".dist-info")?.to_owned())
    })
}

/// Why pip did not do what it was asked.
pub(crate) enum PipError {
    /// There is no `python3`, or it cannot be started.
    NoPython(std::io::Error),
    /// pip ended with an error; the end of what it wrote.
    Failed(String),
}

/// Installs the packages of a requirements file into a folder, and nothing that they depend on.
///
/// The user's own configuration of pip (index, proxy, certificates) applies.
pub(crate) fn install(requirements: &Path, target: &Path, by_hash: Hashes) -> Result<(), PipError> {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-compile",
        "--only-binary=:all:",
        "--no-input",
        "--quiet",
    ]);
    pip.args(["--disable-pip-version-check", "--root-user-action=ignore"]);
    if by_hash == Hashes::Required {
        pip.arg("--require-hashes");
    }
    pip.arg("--target").arg(target).arg("--requirement").arg(requirements);
    let output = pip.output().map_err(PipError::NoPython)?;
    if output.status.success() {
        return Ok(());
    }
    Err(PipError::Failed(last_lines(&String::from_utf8_lossy(&output.stderr), 5)))
}

/// Whether a requirements file names the hash of everything in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashes {
    /// It does, and pip shall insist.
    Required,
    /// The wheels differ by Python version, so that none is pinned.
    Unpinned,
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::known;

    #[test]
    fn versions_come_from_dist_info() {
        let packages = tempfile::tempdir().unwrap();
        let cpu = known("cpu").unwrap();
        assert_eq!(installed_version(packages.path(), cpu), None);
        std::fs::create_dir(packages.path().join("lammps_jax_pjrt_cpu-0.12.0.dist-info")).unwrap();
        assert_eq!(installed_version(packages.path(), cpu).as_deref(), Some("0.12.0"));
    }

    #[test]
    fn the_end_of_a_message_is_kept() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
