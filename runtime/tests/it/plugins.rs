//! Finding and loading plugins, and refusing what is none.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use porter_runtime::{
    Client, ClientOptions, Code, Error, NamedValue, Plugin, Value,
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
fn a_client_that_does_not_start_is_the_machines_fault() {
    let nope = NamedValue::new("porter_nope", Value::Int(1));
    match Client::create(&plugin(), &ClientOptions { other: vec![nope], ..ClientOptions::default() }) {
        Err(error) => {
            assert!(error.is_environment() && error.code() == Some(Code::InvalidArgument), "{error:?}");
            assert!(error.to_string().contains("porter_nope"), "{error}");
        }
        // Some plugins ignore what they do not know.
        Ok(client) => assert_ne!(client.plugin().attributes(), []),
    }
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

const CHILD: &str = "PORTER_TEST_ENSURE";

/// Not a test by itself: the process that `ensure_in` starts.
#[test]
fn ensure_cpu() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let listed = plugins::list().unwrap();
    let damaged = listed[0].found.iter().any(|(_, state)| matches!(state, State::Damaged(_)));
    let error = plugins::ensure(Some("cpu"), &mut |_| {}).unwrap_err();
    panic!("damaged: {damaged}, environment: {}, error: {error}", error.is_environment());
}

/// Asks for the default plugin in a process that has `folder` for plugins and cannot install any.
fn ensure_in(folder: &Path, variables: &[(&str, &str)]) -> String {
    let Output { status, stderr, stdout } = Command::new(env::current_exe().unwrap())
        .args(["--exact", "plugins::ensure_cpu", "--nocapture"])
        .env(CHILD, "1")
        .env("PORTER_PLUGIN_DIR", folder)
        .env_remove("PJRT_PLUGIN_LIBRARY_PATH")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(!status.success());
    String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap()
}

const OFFLINE: &[(&str, &str)] = &[("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", "/nonexistent")];

#[test]
fn without_python_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let said = ensure_in(folder.path(), &[("PATH", "/nonexistent")]);
    assert!(
        said.contains("environment: true, error: install the cpu plugin: python3 cannot be started"),
        "{said}"
    );
    assert!(said.contains("run `porter plugin install cpu`"), "{said}");
}

#[test]
fn without_a_network_the_error_has_pips_words_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let said = ensure_in(folder.path(), OFFLINE);
    assert!(said.contains("pip failed:") && said.contains("lammps-jax-pjrt-cpu==0.11.2"), "{said}");
    assert!(said.contains("run `porter plugin install cpu`"), "{said}");
    let left = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), [".cpu.lock"]);
}

#[test]
fn a_damaged_plugin_is_listed_as_such_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("cpu-0.11.2");
    fs::create_dir_all(plugin.join("lammps_jax_pjrt_cpu")).unwrap();
    fs::write(plugin.join("lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so"), b"\x7fELF").unwrap();
    fs::write(
        plugin.join("porter-plugin.json"),
        r#"{ "version": "0.11.2", "library_sha256": "", "library_bytes": 201600336 }"#,
    )
    .unwrap();
    let said = ensure_in(folder.path(), OFFLINE);
    assert!(said.contains("damaged: true") && said.contains("pip failed:"), "{said}");
}
