//! The hub's client against a hub on 127.0.0.1 that fails in every way we know of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(feature = "hub")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use porter_import::hub::{HubSettings, Retry, resolve};
use porter_import::{ErrorKind, Event, ImportError, ModelFiles, Progress, Silent};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

const QUICK: Retry =
    Retry { attempts: 3, first_wait: Duration::from_millis(1), longest_wait: Duration::from_secs(2) };

/// What the hub does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every request is answered with this status and a web page.
    Status(u16),
    /// Every request is answered with 403 and the hub's code for gated models.
    Gated,
    /// The first requests are answered with 503, to be sent again at once.
    Busy(usize),
    /// Every request is answered with 429, to be sent again in an hour.
    Limited,
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
    /// The connection breaks half way, and what is left is never sent.
    Broken,
    /// The connection breaks after this many bytes of what was asked for.
    BreaksAfter(usize),
    /// The same, by a hub that sends no ranges.
    BreaksOnceWithoutRanges,
    /// Another range than was asked for.
    WrongRange,
    /// More bytes than promised.
    Long,
    /// The listing holds another file by this name.
    Name(&'static str),
    /// The listing's commit is a path.
    CommitIsPath,
    /// A file's hash is a path.
    HashIsPath,
    /// Files are sent once this many are asked for at the same time.
    Together(usize),
}

/// A request, as the hub sees it.
#[derive(Debug, Clone)]
struct Seen {
    url: String,
    token: bool,
    /// The first byte asked for.
    from: Option<usize>,
}

struct Answer {
    status: u16,
    headers: String,
    /// The length declared.
    length: usize,
    body: Vec<u8>,
}

struct Served {
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    /// Files are sent from here, if anywhere else.
    elsewhere: Option<String>,
    seen: Mutex<Vec<Seen>>,
    count: AtomicUsize,
    waiting: Mutex<usize>,
    arrived: Condvar,
    /// A request waited for others in vain.
    alone: AtomicBool,
}

struct FakeHub {
    endpoint: String,
    served: Arc<Served>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeHub {
    fn new(files: &[(&str, Vec<u8>)], fault: Fault) -> Self {
        Self::at("127.0.0.1:0", files, fault, None)
    }

    fn at(address: &str, files: &[(&str, Vec<u8>)], fault: Fault, elsewhere: Option<String>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let served = Arc::new(Served {
            files,
            fault,
            elsewhere,
            seen: Mutex::default(),
            count: AtomicUsize::new(0),
            waiting: Mutex::new(0),
            arrived: Condvar::new(),
            alone: AtomicBool::new(false),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (served.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let (served, mut stream) = (&shared, stream.unwrap());
                    scope.spawn(move || {
                        let Some(seen) = request(&stream) else { return };
                        served.seen.lock().unwrap().push(seen.clone());
                        let Answer { status, headers, length, body } = served.answer(&seen);
                        let head = format!(
                            "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
                        );
                        // A client that has seen enough may hang up.
                        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
                    });
                }
            });
        });
        Self { endpoint, served, stop, thread: Some(thread) }
    }

    fn settings(&self, cache: &Path) -> HubSettings {
        HubSettings {
            endpoint: self.endpoint.clone(),
            cache: cache.to_owned(),
            token: None,
            offline: false,
            retry: QUICK,
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.served.seen.lock().unwrap().clone()
    }

    fn requests(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.url).collect()
    }

    /// From where each request for a file asked for it.
    fn ranges(&self, file: &str) -> Vec<usize> {
        let of_file = self.seen().into_iter().filter(|seen| seen.url.ends_with(file));
        of_file.map(|seen| seen.from.unwrap_or(0)).collect()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.endpoint.trim_start_matches("http://")).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn request(stream: &TcpStream) -> Option<Seen> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let url = head.first()?.split(' ').nth(1)?.to_owned();
    let head: Vec<String> = head.iter().map(|line| line.to_lowercase()).collect();
    let range = head.iter().find_map(|line| line.strip_prefix("range: bytes="));
    Some(Seen {
        url,
        token: head.iter().any(|line| line.starts_with("authorization: bearer")),
        from: range.map(|range| range.trim_end_matches('-').parse().unwrap()),
    })
}

impl Served {
    fn answer(&self, seen: &Seen) -> Answer {
        let with = |status, headers: &str, body: Vec<u8>| Answer {
            status,
            headers: headers.to_owned(),
            length: body.len(),
            body,
        };
        let page = |status| with(status, "Content-Type: text/html\r\n", b"<html>denied</html>".to_vec());
        let path = seen.url.split('?').next().unwrap().replace("%20", " ");
        let file = path.strip_prefix(&format!("/org/m/resolve/{COMMIT}/"));
        let turn = self.count.fetch_add(1, Ordering::SeqCst);
        match (self.fault, file) {
            (Fault::Busy(count), _) if turn < count => with(503, "Retry-After: 0\r\n", Vec::new()),
            (Fault::Limited, _) => with(429, "Retry-After: 3600\r\n", Vec::new()),
            (Fault::Gated, _) => {
                let headers =
                    "X-Error-Code: GatedRepo\r\nX-Error-Message: Access to model org/m is restricted.\r\n";
                with(403, headers, Vec::new())
            }
            (Fault::Status(status), _) | (Fault::FileStatus(status), Some(_)) => page(status),
            (Fault::ListingIsPage, None) | (Fault::FileIsPage, Some(_)) => page(200),
            (_, None) => with(200, "", listing(&self.files, self.fault).to_string().into_bytes()),
            (_, Some(file)) if let Some(elsewhere) = &self.elsewhere => {
                with(302, &format!("Location: {elsewhere}/org/m/resolve/{COMMIT}/{file}\r\n"), Vec::new())
            }
            (_, Some(file)) => self.file(&self.files[file], seen.from, turn),
        }
    }

    fn file(&self, bytes: &[u8], from: Option<usize>, turn: usize) -> Answer {
        let whole = |body: Vec<u8>| Answer { status: 200, headers: String::new(), length: body.len(), body };
        let cut = |answer: Answer, bytes: usize| Answer { body: answer.body[..bytes].to_vec(), ..answer };
        let range = |begin: usize| match from {
            None => whole(bytes.to_vec()),
            Some(from) if from >= bytes.len() => Answer { status: 416, ..whole(Vec::new()) },
            Some(from) => {
                let range = format!("Content-Range: bytes {begin}-{}/{}\r\n", bytes.len() - 1, bytes.len());
                Answer { status: 206, headers: range, ..whole(bytes[from..].to_vec()) }
            }
        };
        let asked = || range(from.unwrap_or(0));
        match self.fault {
            Fault::Corrupt => whole(vec![0; bytes.len()]),
            Fault::Short => whole(bytes[..bytes.len() / 2].to_vec()),
            Fault::Long => whole([bytes, b"more"].concat()),
            Fault::Broken if from.is_some() => cut(asked(), 0),
            Fault::Broken => cut(asked(), bytes.len() / 2),
            Fault::BreaksAfter(count) => {
                let answer = asked();
                let count = count.min(answer.length);
                cut(answer, count)
            }
            Fault::BreaksOnceWithoutRanges if turn == 1 => cut(whole(bytes.to_vec()), bytes.len() / 2),
            Fault::BreaksOnceWithoutRanges => whole(bytes.to_vec()),
            Fault::WrongRange => match from {
                None => cut(whole(bytes.to_vec()), bytes.len() / 2),
                Some(_) => range(0),
            },
            Fault::Together(count) => {
                let mut waiting = self.waiting.lock().unwrap();
                *waiting += 1;
                self.arrived.notify_all();
                let limit = Duration::from_secs(10);
                let (_waiting, waited) =
                    self.arrived.wait_timeout_while(waiting, limit, |waiting| *waiting < count).unwrap();
                self.alone.fetch_or(waited.timed_out(), Ordering::SeqCst);
                asked()
            }
            _ => asked(),
        }
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
    resolve("org/m", "main", None, &hub.settings(cache), &Silent)
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
    assert!(hub.seen().iter().all(|seen| !seen.token));
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
    assert_eq!(
        error.to_string(),
        "hf:org/m holds several models; name one of them: hf:org/m//a.gguf, hf:org/m//b.gguf"
    );
}

#[test]
fn every_fault_is_an_error_of_its_kind_and_leaves_nothing_that_looks_whole() {
    let cases = [
        (Fault::Status(401), ErrorKind::Environment, "HF_TOKEN"),
        (Fault::Status(403), ErrorKind::Environment, "HF_TOKEN"),
        (Fault::Status(404), ErrorKind::Usage, "has no org/m@main"),
        (Fault::Status(500), ErrorKind::Environment, "500"),
        (Fault::ListingIsPage, ErrorKind::Corrupt, "<html>denied</html>"),
        (Fault::FileStatus(403), ErrorKind::Environment, "HF_TOKEN"),
        (Fault::FileStatus(404), ErrorKind::Usage, ": http status: 404"),
        (Fault::FileIsPage, ErrorKind::Corrupt, "web page"),
        (Fault::Corrupt, ErrorKind::Corrupt, "hash to"),
        (Fault::Short, ErrorKind::Corrupt, "bytes arrived"),
        (Fault::Broken, ErrorKind::Environment, "cannot receive "),
        (Fault::WrongRange, ErrorKind::Corrupt, "another range"),
        (Fault::Gated, ErrorKind::Environment, "accept its terms at http://127.0.0.1"),
        (Fault::Gated, ErrorKind::Environment, "Access to model org/m is restricted"),
        (Fault::Limited, ErrorKind::Environment, "again after 3600 s"),
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
        let harmless = |path: &PathBuf| {
            let path = path.to_str().unwrap();
            path.starts_with("a/b/c/cache/.locks/models--org--m/") || path.ends_with(".incomplete")
        };
        assert!(left.iter().all(harmless), "{fault:?}: {left:?}");
    }
}

#[test]
fn the_token_goes_to_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::None);
    let settings = HubSettings { token: Some("secret".to_owned()), ..hub.settings(cache.path()) };
    resolve("org/m", "main", None, &settings, &Silent).unwrap();
    assert!(hub.seen().iter().all(|seen| seen.token));
}

#[test]
fn the_token_does_not_follow_a_redirect_to_another_host() {
    let cache = tempfile::tempdir().unwrap();
    let store = FakeHub::at("127.0.0.2:0", &model(), Fault::None, None);
    let hub = FakeHub::at("127.0.0.1:0", &model(), Fault::None, Some(store.endpoint.clone()));
    let settings = HubSettings { token: Some("secret".to_owned()), ..hub.settings(cache.path()) };
    let files = resolve("org/m", "main", None, &settings, &Silent).unwrap();
    assert_eq!(fs::read(files.weights).unwrap(), model()[2].1);
    assert!(hub.seen().iter().all(|seen| seen.token));
    assert_eq!(store.seen().len(), 3);
    assert!(store.seen().iter().all(|seen| !seen.token));
}

#[test]
fn a_refusal_says_what_to_do_with_and_without_a_token() {
    let cache = tempfile::tempdir().unwrap();
    for (token, advice) in [(None, "set HF_TOKEN to it"), (Some("t"), "with the account that HF_TOKEN is of")]
    {
        let hub = FakeHub::new(&model(), Fault::Gated);
        let settings = HubSettings { token: token.map(str::to_owned), ..hub.settings(cache.path()) };
        let error = resolve("org/m", "main", None, &settings, &Silent).unwrap_err();
        assert!(error.to_string().contains(advice), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn a_broken_download_goes_on_from_where_it_was() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::BreaksAfter(500_000));
    let weights = fetch(&hub, cache.path()).unwrap().weights;
    assert_eq!(fs::read(weights).unwrap(), model()[2].1);
    let ranges = hub.ranges("model.safetensors");
    assert_eq!(ranges, [0, 500_000, 1_000_000], "every byte travelled once");
}

#[test]
fn the_next_run_goes_on_with_what_the_last_one_left() {
    let cache = tempfile::tempdir().unwrap();
    fetch(&FakeHub::new(&model()[2..3], Fault::Broken), cache.path()).unwrap_err();
    let hub = FakeHub::new(&model(), Fault::None);
    let bytes = Bytes::default();
    let files = resolve("org/m", "main", None, &hub.settings(cache.path()), &bytes).unwrap();
    assert_eq!(fs::read(files.weights).unwrap(), model()[2].1);
    assert_eq!(hub.ranges("model.safetensors"), [600_000]);
    let needed: usize = model()[..3].iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(bytes.0.lock().unwrap().clone(), (needed as u64, needed as u64));
}

#[test]
fn a_part_of_other_bytes_starts_over() {
    for size in [100, 600_000, 1_200_000, 2_000_000] {
        let cache = tempfile::tempdir().unwrap();
        let blobs = cache.path().join("models--org--m/blobs");
        fs::create_dir_all(&blobs).unwrap();
        let part = blobs.join(hex(&Sha256::digest(&model()[2].1)) + ".incomplete");
        fs::write(&part, vec![7; size]).unwrap();
        let weights = fetch(&FakeHub::new(&model(), Fault::None), cache.path()).unwrap().weights;
        assert_eq!(fs::read(weights).unwrap(), model()[2].1, "{size}");
        assert!(!part.exists());
    }
}

#[test]
fn a_hub_without_ranges_sends_everything_again() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model()[2..3], Fault::BreaksOnceWithoutRanges);
    let weights = fetch(&hub, cache.path()).unwrap().weights;
    assert_eq!(fs::read(weights).unwrap(), model()[2].1);
    assert_eq!(hub.ranges("model.safetensors"), [0, 600_000]);
}

#[test]
fn a_busy_hub_is_asked_again_when_it_says() {
    let cache = tempfile::tempdir().unwrap();
    let slow = Retry { first_wait: Duration::from_hours(1), ..QUICK };
    let hub = FakeHub::new(&model(), Fault::Busy(2));
    let settings = HubSettings { retry: slow, ..hub.settings(cache.path()) };
    resolve("org/m", "main", None, &settings, &Silent).unwrap();
    assert_eq!(hub.requests().len(), 6);
    let hub = FakeHub::new(&model(), Fault::Busy(3));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(fetch(&hub, empty.path()), Err(ImportError::Offline { .. })));
}

#[test]
fn files_travel_at_the_same_time() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::Together(3));
    fetch(&hub, cache.path()).unwrap();
    assert_eq!(*hub.served.waiting.lock().unwrap(), 3);
    assert!(!hub.served.alone.load(Ordering::SeqCst), "one waited for the other");
}

/// The bytes announced, and those that came.
#[derive(Default)]
struct Bytes(Mutex<(u64, u64)>);

impl Progress for Bytes {
    fn event(&self, event: Event<'_>) {
        let mut seen = self.0.lock().unwrap();
        match event {
            Event::Started { bytes, .. } => seen.0 += bytes,
            Event::Advanced { bytes } => seen.1 += bytes,
            Event::Note(_) | Event::Finished => {}
        }
    }
}

#[test]
fn two_at_once_fetch_every_file_once() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::None);
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| fetch(&hub, cache.path()).unwrap().weights)).collect();
        for run in runs {
            assert_eq!(fs::read(run.join().unwrap()).unwrap(), model()[2].1);
        }
    });
    assert_eq!(hub.ranges("model.safetensors"), [0]);
}

#[test]
fn who_holds_the_lock_is_waited_for() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model()[2..3], Fault::None);
    let hash = hex(&Sha256::digest(&model()[2].1));
    let locks = cache.path().join(".locks/models--org--m");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("{hash}.lock"))).unwrap();
    lock.lock().unwrap();
    let notes = Notes(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let (settings, notes) = (hub.settings(cache.path()), &notes);
        let run = scope.spawn(move || resolve("org/m", "main", None, &settings, notes).unwrap());
        while notes.0.lock().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(hub.ranges("model.safetensors").is_empty(), "nothing is asked for without the lock");
        let blobs = cache.path().join("models--org--m/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(hash), &model()[2].1).unwrap();
        lock.unlock().unwrap();
        run.join().unwrap();
    });
    assert!(hub.ranges("model.safetensors").is_empty(), "the other one's blob is used");
    assert!(notes.0.lock().unwrap()[0].contains("another process"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said() {
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--org--m/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let part = blobs.join(hex(&Sha256::digest(&model()[2].1)) + ".incomplete");
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    let error = fetch(&FakeHub::new(&model()[2..3], Fault::None), cache.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Environment);
    let said = error.to_string();
    assert!(said.contains("the disk is full") && said.contains("needs 1200000 more bytes"), "{said}");
    assert!(said.contains("HF_HUB_CACHE"), "{said}");
}

#[test]
fn one_of_several_models_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let files = [
        ("a.gguf", b"one".to_vec()),
        ("q/b.gguf", b"two".to_vec()),
        ("c-00001-of-00002.gguf", b"three".to_vec()),
        ("c-00002-of-00002.gguf", b"four".to_vec()),
        ("model.safetensors", b"five".to_vec()),
        ("config.json", b"{}".to_vec()),
    ];
    let hub = FakeHub::new(&files, Fault::None);
    let resolve = |path: &str, offline| {
        let settings = HubSettings { offline, ..hub.settings(cache.path()) };
        resolve("org/m", "main", Some(Path::new(path)), &settings, &Silent)
    };
    let b = resolve("q/b.gguf", false).unwrap();
    assert_eq!((fs::read(&b.weights).unwrap(), b.name.as_str()), (b"two".to_vec(), "org/m//q/b.gguf"));
    assert_eq!(resolve("q/b.gguf", true).unwrap().weights, b.weights);
    let c = resolve("c-00001-of-00002.gguf", false).unwrap();
    assert_eq!(fs::read(c.root.join("c-00002-of-00002.gguf")).unwrap(), b"four");
    // What else the cache holds by now changes nothing.
    let found = fetch(&hub, cache.path()).unwrap();
    assert!(found.weights.ends_with("model.safetensors") && found.config.is_some());
    assert!(resolve("d.gguf", false).unwrap_err().to_string().contains("has no d.gguf"));
    assert_eq!(hub.ranges("a.gguf"), [] as [usize; 0]);
}

#[test]
fn pytorch_shards_are_fetched_where_there_is_no_safetensors() {
    let cache = tempfile::tempdir().unwrap();
    let index = json!({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}});
    let files = [
        ("pytorch_model.bin.index.json", index.to_string().into_bytes()),
        ("pytorch_model-1.bin", b"one".to_vec()),
        ("pytorch_model-2.bin", b"two".to_vec()),
        ("training_args.bin", b"no".to_vec()),
    ];
    let found = fetch(&FakeHub::new(&files, Fault::None), cache.path()).unwrap();
    assert!(found.weights.ends_with("pytorch_model.bin.index.json"));
    assert_eq!(fs::read(found.root.join("pytorch_model-2.bin")).unwrap(), b"two");
    assert!(!found.root.join("training_args.bin").exists());
}

#[test]
fn a_copy_that_lacks_shards_is_not_taken_for_the_model() {
    let cache = tempfile::tempdir().unwrap();
    let index = json!({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}});
    let files = [
        ("model.safetensors.index.json", index.to_string().into_bytes()),
        ("model-1.safetensors", b"one".to_vec()),
        ("model-2.safetensors", b"two".to_vec()),
    ];
    let hub = FakeHub::new(&files, Fault::None);
    let found = fetch(&hub, cache.path()).unwrap();
    fs::remove_file(found.root.join("model-2.safetensors")).unwrap();
    let offline = HubSettings { offline: true, ..hub.settings(cache.path()) };
    let error = resolve("org/m", "main", None, &offline, &Silent).unwrap_err();
    assert!(error.to_string().contains("model-2.safetensors: it was fetched in part"), "{error}");
    let busy = FakeHub::new(&files, Fault::Status(500));
    let error = fetch(&busy, cache.path()).unwrap_err();
    assert!(matches!(error, ImportError::Offline { .. }), "{error}");
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
        let error = resolve("org/m", "main", None, settings, &Silent).unwrap_err();
        assert!(matches!(error, ImportError::Offline { .. }), "{error}");
    }
    fetch(&hub, cache.path()).unwrap();
    let notes = Notes(Mutex::new(Vec::new()));
    for (settings, revision) in [(&unreachable, "main"), (&offline, "main"), (&offline, COMMIT)] {
        let files = resolve("org/m", revision, None, settings, &notes).unwrap();
        assert!(files.weights.is_file());
    }
    let notes = notes.0.into_inner().unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("using the copy in the cache"), "{notes:?}");
    assert!(resolve("org/m", "v2", None, &offline, &Silent).is_err());
    fs::write(cache.path().join("models--org--m/refs/main"), "../../../etc").unwrap();
    assert_eq!(resolve("org/m", "main", None, &offline, &Silent).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_truncated_blob_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let hub = FakeHub::new(&model(), Fault::None);
    let weights = fetch(&hub, cache.path()).unwrap().weights;
    fs::write(weights.canonicalize().unwrap(), "half").unwrap();
    assert_eq!(fs::read(fetch(&hub, cache.path()).unwrap().weights).unwrap(), model()[2].1);
}
