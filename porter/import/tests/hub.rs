//! The hub's client against a hub on 127.0.0.1 that fails in every way we know of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(feature = "hub")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use porter_import::hub::{HubSettings, resolve};
use porter_import::{ErrorKind, Event, ImportError, ModelFiles, Progress, Silent};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// What the hub does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every request is answered with this status and a web page.
    Status(u16),
    /// The listing is a web page with status 200.
    ListingIsPage,
    /// Files are answered with this status.
    FileStatus(u16),
    /// Files are a web page with status 200.
    FileIsPage,
    /// The right length, the wrong bytes.
    Corrupt,
    /// Half of the bytes, honestly declared.
    Short,
    /// The connection breaks half way.
    Broken,
    /// More bytes than promised.
    Long,
    /// The listing holds another file by this name.
    Name(&'static str),
    /// The listing's commit is a path.
    CommitIsPath,
    /// A file's hash is a path.
    HashIsPath,
}

struct FakeHub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeHub {
    fn new(files: &[(&str, Vec<u8>)], fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (requests.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                let (url, token) = request(&stream);
                seen.lock().unwrap().push(format!("{url}{}", if token { " +token" } else { "" }));
                let (status, length, body) = answer(&url, &files, fault);
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                // A client that has seen enough may hang up.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { endpoint, requests, stop, thread: Some(thread) }
    }

    fn settings(&self, cache: &Path) -> HubSettings {
        HubSettings { endpoint: self.endpoint.clone(), cache: cache.to_owned(), token: None, offline: false }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.endpoint.trim_start_matches("http://")).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The URL of a request, and whether it names who asks.
fn request(stream: &TcpStream) -> (String, bool) {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let url = head[0].split(' ').nth(1).unwrap().to_owned();
    (url, head.iter().any(|line| line.to_lowercase().starts_with("authorization: bearer")))
}

/// The status, the length declared, and the body.
fn answer(url: &str, files: &BTreeMap<String, Vec<u8>>, fault: Fault) -> (u16, usize, Vec<u8>) {
    let whole = |status, body: Vec<u8>| (status, body.len(), body);
    let page = |status| whole(status, b"<html>denied</html>".to_vec());
    let path = url.split('?').next().unwrap().replace("%20", " ");
    let file = path.strip_prefix(&format!("/org/m/resolve/{COMMIT}/")).map(|name| files[name].clone());
    match (fault, file) {
        (Fault::Status(status), _) | (Fault::FileStatus(status), Some(_)) => page(status),
        (Fault::ListingIsPage, None) | (Fault::FileIsPage, Some(_)) => page(200),
        (_, None) => whole(200, listing(files, fault).to_string().into_bytes()),
        (Fault::Corrupt, Some(bytes)) => whole(200, vec![0; bytes.len()]),
        (Fault::Short, Some(bytes)) => whole(200, bytes[..bytes.len() / 2].to_vec()),
        (Fault::Long, Some(bytes)) => whole(200, [bytes.as_slice(), b"more"].concat()),
        (Fault::Broken, Some(bytes)) => (200, bytes.len(), bytes[..bytes.len() / 2].to_vec()),
        (_, Some(bytes)) => whole(200, bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn listing(files: &BTreeMap<String, Vec<u8>>, fault: Fault) -> Value {
    let git = |bytes: &[u8]| {
        let hash = Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes);
        hex(&hash.finalize())
    };
    let mut siblings: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| {
            let mut file = json!({"rfilename": name, "size": bytes.len(), "blobId": git(bytes)});
            if [".safetensors", ".gguf"].iter().any(|ending| name.ends_with(ending)) {
                file["lfs"] =
                    json!({"sha256": hex(&Sha256::digest(bytes)), "size": bytes.len(), "pointerSize": 134});
            }
            file
        })
        .collect();
    match fault {
        Fault::Name(name) => siblings.push(json!({"rfilename": name, "size": 1, "blobId": git(b"x")})),
        Fault::HashIsPath => siblings[0]["blobId"] = json!("../../../../evil"),
        _ => {}
    }
    let commit = if fault == Fault::CommitIsPath { "../../../evil" } else { COMMIT };
    json!({"id": "org/m", "sha": commit, "siblings": siblings})
}

fn model() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", br#"{"model_type": "llama"}"#.to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors", (0..300_000_u32).flat_map(u32::to_le_bytes).collect()),
        ("README.md", b"not needed".to_vec()),
        ("onnx/model.onnx", b"not needed".to_vec()),
    ]
}

fn fetch(hub: &FakeHub, cache: &Path) -> Result<ModelFiles, ImportError> {
    resolve("org/m", "main", &hub.settings(cache), &Silent)
}

/// Every regular file below a folder, relative to it.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else if !path.is_symlink() {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_model_is_fetched_once_into_pythons_layout() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::None);
    let files = fetch(&hub, cache.path()).unwrap();
    assert_eq!(files.name, "org/m");
    assert_eq!(files.config.unwrap().value["model_type"], "llama");
    let snapshot = cache.path().join("models--org--m/snapshots").join(COMMIT);
    assert_eq!(files.weights, snapshot.join("model.safetensors"));
    assert_eq!(fs::read(&files.weights).unwrap(), model()[2].1);
    assert!(!snapshot.join("README.md").exists());
    assert_eq!(fs::read_to_string(cache.path().join("models--org--m/refs/main")).unwrap(), COMMIT);
    let link = fs::read_link(&files.weights).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(hex(&Sha256::digest(&model()[2].1))));

    let before = hub.requests().len();
    fetch(&hub, cache.path()).unwrap();
    assert_eq!(hub.requests().len(), before + 1, "only the listing is asked for again");
    assert!(hub.requests()[0].starts_with("/api/models/org/m/revision/main?blobs=true"));
    assert!(hub.requests().iter().all(|request| !request.ends_with("+token")));
}

#[test]
fn the_shards_of_an_index_are_fetched() {
    let index = json!({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}});
    let files = [
        ("model.safetensors.index.json", index.to_string().into_bytes()),
        ("model-1.safetensors", b"one".to_vec()),
        ("model-2.safetensors", b"two".to_vec()),
        ("other.safetensors", b"no".to_vec()),
    ];
    let cache = tempfile::tempdir().unwrap();
    let found = fetch(&FakeHub::new(&files, Fault::None), cache.path()).unwrap();
    assert!(found.weights.ends_with("model.safetensors.index.json"));
    assert_eq!(fs::read(found.root.join("model-2.safetensors")).unwrap(), b"two");
    assert!(!found.root.join("other.safetensors").exists());

    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&FakeHub::new(&files[..2], Fault::None), cache.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("model-2.safetensors"), "{error}");
}

#[test]
fn a_repository_of_one_gguf_file() {
    let cache = tempfile::tempdir().unwrap();
    let one = [("a b.gguf", b"GGUF".to_vec())];
    let weights = fetch(&FakeHub::new(&one, Fault::None), cache.path()).unwrap().weights;
    assert_eq!(fs::read(&weights).unwrap(), b"GGUF");
    assert!(weights.ends_with("a b.gguf"));
    let two = [("a.gguf", b"1".to_vec()), ("b.gguf", b"2".to_vec())];
    let error = fetch(&FakeHub::new(&two, Fault::None), cache.path()).unwrap_err();
    assert_eq!(error.to_string(), "hf:org/m holds several models; name one of them: a.gguf, b.gguf");
}

#[test]
fn every_fault_is_an_error_of_its_kind_and_leaves_nothing() {
    let cases = [
        (Fault::Status(401), ErrorKind::Environment, "HF_TOKEN"),
        (Fault::Status(403), ErrorKind::Environment, "HF_TOKEN"),
        (Fault::Status(404), ErrorKind::Usage, "has no org/m@main"),
        (Fault::Status(500), ErrorKind::Environment, "500"),
        (Fault::ListingIsPage, ErrorKind::Corrupt, "<html>denied</html>"),
        (Fault::FileStatus(403), ErrorKind::Environment, "HF_TOKEN"),
        (Fault::FileStatus(404), ErrorKind::Usage, "config.json"),
        (Fault::FileIsPage, ErrorKind::Corrupt, "web page"),
        (Fault::Corrupt, ErrorKind::Corrupt, "hash to"),
        (Fault::Short, ErrorKind::Corrupt, "bytes arrived"),
        (Fault::Broken, ErrorKind::Environment, "cannot receive config.json"),
        (Fault::Long, ErrorKind::Corrupt, "more bytes arrived"),
        (Fault::Name("../../../../evil.txt"), ErrorKind::Corrupt, "evil.txt"),
        (Fault::Name("/tmp/evil.txt"), ErrorKind::Corrupt, "evil.txt"),
        (Fault::Name("a/../../evil.txt"), ErrorKind::Corrupt, "evil.txt"),
        (Fault::Name("..\\evil.txt"), ErrorKind::Corrupt, "evil.txt"),
        (Fault::Name(""), ErrorKind::Corrupt, "leads out"),
        (Fault::CommitIsPath, ErrorKind::Corrupt, "no commit"),
        (Fault::HashIsPath, ErrorKind::Corrupt, "README.md"),
    ];
    for (fault, kind, part) in cases {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path().join("a/b/c/cache");
        let error = fetch(&FakeHub::new(&model(), fault), &cache).unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.to_string().contains(part), "{fault:?}: {error}");
        let left = files_below(place.path());
        assert!(left.is_empty(), "{fault:?}: {left:?}");
    }
}

#[test]
fn the_token_goes_to_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::None);
    let settings = HubSettings { token: Some("secret".to_owned()), ..hub.settings(cache.path()) };
    resolve("org/m", "main", &settings, &Silent).unwrap();
    assert!(hub.requests().iter().all(|request| request.ends_with("+token")));
}

struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn event(&self, event: Event<'_>) {
        if let Event::Note(note) = event {
            self.0.lock().unwrap().push(note.to_owned());
        }
    }
}

#[test]
fn without_the_hub_the_cache_is_read() {
    let cache = tempfile::tempdir().unwrap();
    let gone = {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", unused.local_addr().unwrap())
    };
    let hub = FakeHub::new(&model(), Fault::None);
    let unreachable = HubSettings { endpoint: gone, ..hub.settings(cache.path()) };
    let offline = HubSettings { offline: true, ..unreachable.clone() };
    for settings in [&unreachable, &offline] {
        let error = resolve("org/m", "main", settings, &Silent).unwrap_err();
        assert!(matches!(error, ImportError::Offline { .. }), "{error}");
    }
    fetch(&hub, cache.path()).unwrap();
    let notes = Notes(Mutex::new(Vec::new()));
    for (settings, revision) in [(&unreachable, "main"), (&offline, "main"), (&offline, COMMIT)] {
        let files = resolve("org/m", revision, settings, &notes).unwrap();
        assert!(files.weights.is_file());
    }
    let notes = notes.0.into_inner().unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("using the copy in the cache"), "{notes:?}");
    assert!(resolve("org/m", "v2", &offline, &Silent).is_err());
    fs::write(cache.path().join("models--org--m/refs/main"), "../../../etc").unwrap();
    assert_eq!(resolve("org/m", "main", &offline, &Silent).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_truncated_blob_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::None);
    let weights = fetch(&hub, cache.path()).unwrap().weights;
    fs::write(weights.canonicalize().unwrap(), "half").unwrap();
    assert_eq!(fs::read(fetch(&hub, cache.path()).unwrap().weights).unwrap(), model()[2].1);
}
