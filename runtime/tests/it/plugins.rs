//! Finding and loading plugins, and refusing what is none.

use std::{fs, path::Path};

use porter_runtime::{
    ClientOptions, Error, Plugin,
    plugins::{self, PluginInfo, State},
};

use crate::common::plugin;

fn load_error(path: &Path) -> Error {
    Plugin::load(path).unwrap_err()
}

#[test]
fn what_is_no_plugin_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let missing = load_error(&folder.path().join("missing.so"));
    assert!(matches!(&missing, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
    assert!(missing.to_string().contains("missing.so"));
    assert!(load_error(&file("empty.so", b"")).to_string().ends_with("the file is empty"));
    assert!(load_error(&file("text.so", b"hello")).to_string().contains("no ELF header"));
    assert!(
        load_error(&file("cut.so", b"\x7fELF\x02\x01\x01")).to_string().contains("the system cannot load it")
    );
    assert!(load_error(folder.path()).to_string().contains("it is not a file"));
    for error in [missing, load_error(folder.path())] {
        assert!(error.is_environment());
    }
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc =
        maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("libc.so"));
    let error = load_error(Path::new(libc.unwrap())).to_string();
    assert!(error.contains("no function GetPjrtApi") && error.contains("not a PJRT plugin"), "{error}");
}

#[test]
fn a_plugin_is_loaded_once() {
    let (first, second) = (plugin(), plugin());
    assert_eq!(first.path(), second.path());
    assert!(std::ptr::eq(first.attributes(), second.attributes()));
}

#[test]
fn a_plugin_tells_what_it_is() {
    let info =
        PluginInfo::read(&plugin(), &ClientOptions { cpu_device_count: Some(3), ..ClientOptions::default() });
    assert!(info.api_version >= (0, 81), "{:?}", info.api_version);
    assert_eq!(info.stablehlo_minimum.as_deref(), Some("0.9.0"));
    assert!(info.stablehlo_current.unwrap().starts_with("1."));
    assert!(info.extensions.iter().any(|e| e.name() == Some("FFI")));
    let client = info.client.unwrap();
    assert_eq!(client.platform, "cpu");
    assert_eq!(client.devices.iter().map(|d| d.id).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(client.devices[0].kind, "cpu");
}

#[test]
fn names_are_found_and_listed() {
    let loaded = plugin();
    let found = plugins::list().unwrap().into_iter().flat_map(|listing| listing.found);
    let (located, state) =
        found.into_iter().find(|(l, _)| l.path.canonicalize().unwrap() == loaded.path()).unwrap();
    assert_eq!(state, State::Ready);
    assert_eq!(plugins::locate(Some(located.known.unwrap().name)).unwrap(), located);
    let by_path = plugins::locate(located.path.to_str()).unwrap();
    assert_eq!((by_path.path, by_path.source), (located.path, plugins::Source::Path));
}
