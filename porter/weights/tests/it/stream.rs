//! The streaming executor: what it writes, what a killed run leaves, and what it refuses.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, ErrorKind, Expr,
    stream::{
        self, Conversion, Durable, LocalStore, Lock, Options, Part, Share, Store, StreamError, Summary,
    },
    write::{Layout, OutputTensor, safetensors},
};

/// A source of several tensors in one file, larger than the smallest tiles.
fn source(folder: &Path, seed: u32) -> Box<dyn Checkpoint> {
    let path = folder.join("source.safetensors");
    let numbers = |count: usize, salt: u32| -> Vec<u8> {
        (0..count as u32)
            .flat_map(|i| (f32::from_bits((i ^ seed ^ salt).wrapping_mul(2_654_435_761) >> 2)).to_le_bytes())
            .collect()
    };
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = vec![
        ("a".into(), vec![300, 700], numbers(210_000, 1)),
        ("b".into(), vec![700, 300], numbers(210_000, 2)),
        ("c".into(), vec![64], numbers(64, 3)),
    ];
    let views = data.iter().map(|(name, shape, bytes)| {
        (
            name,
            ::safetensors::tensor::TensorView::new(::safetensors::Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    let bytes = ::safetensors::serialize(views, None).unwrap();
    fs::write(&path, bytes).unwrap();
    porter_weights::open(&path).unwrap()
}

/// Casts, transposes, stacks and copies.
fn layout(dtype: DType, max_shard_bytes: Option<u64>) -> Layout {
    let tensor = |name: &str, expr: Expr, shape: &[usize], dtype: DType| OutputTensor {
        name: name.into(),
        expr,
        shape: shape.into(),
        encoding: Encoding::Plain(dtype),
    };
    let stacked = Expr::stack([Expr::source("a").transpose(), Expr::source("b")]);
    let tensors = vec![
        tensor("copy", Expr::source("a"), &[300, 700], DType::F32),
        tensor("small", Expr::source("c"), &[64], dtype),
        tensor("stacked", stacked.clone().permute([1, 0, 2]), &[700, 2, 300], dtype),
        tensor("transposed", Expr::source("a").transpose(), &[700, 300], dtype),
    ];
    let options = safetensors::SafetensorsOptions { max_shard_bytes, ..Default::default() };
    safetensors::plan(tensors, &options).unwrap()
}

/// Enough for tiles of 64 KiB, and not for much more.
const LEAST: u64 = 31 << 20;

fn options() -> Options {
    Options { memory: LEAST, threads: 2, share: Share::default() }
}

fn convert(
    checkpoint: &dyn Checkpoint,
    layout: &Layout,
    store: &dyn Store,
    options: &Options,
) -> Result<Summary, StreamError> {
    stream::write(&Conversion { what: "a test", checkpoint, layout }, store, options, &())
}

/// Every file of a folder but the conversion's records.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    named.filter(|(name, _)| !name.starts_with("porter-convert")).collect()
}

fn local(folder: &Path) -> LocalStore {
    LocalStore::folder(folder).unwrap()
}

#[test]
fn every_tensor_is_what_its_expression_gives_whatever_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::BF16, Some(1 << 20));
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    let summary = convert(&*checkpoint, &layout, &local(&small), &options()).unwrap();
    convert(&*checkpoint, &layout, &local(&large), &Options { threads: 5, ..Options::within(1 << 30) })
        .unwrap();
    assert_eq!(files(&small), files(&large));
    assert_eq!(summary.files.len(), 3 + 1, "three shards and their index");
    let written = porter_weights::open(&small).unwrap();
    for tensor in &layout.tensors {
        let view = written.tensor(&tensor.name).unwrap();
        assert_eq!((&view.info.shape, &view.info.encoding), (&tensor.shape, &tensor.encoding));
        let Encoding::Plain(dtype) = tensor.encoding else { panic!() };
        let mut expected = vec![0; tensor.bytes().unwrap()];
        tensor.expr.evaluate(&*checkpoint, dtype, &mut expected).unwrap();
        assert!(view.bytes == expected, "{}", tensor.name);
    }
    for (path, file) in &summary.files {
        assert_eq!(file.sha256, sha256(&fs::read(small.join(path)).unwrap()), "{path}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A store whose writes fail once so many bytes were written, as a full disk or a killed process ends
/// them: every second tile is durable before.
struct Failing {
    inner: LocalStore,
    left: AtomicU64,
}

struct FailingPart<'a> {
    inner: Box<dyn Part>,
    left: &'a AtomicU64,
}

impl Store for Failing {
    fn name(&self) -> String {
        self.inner.name()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.inner.get(path)
    }
    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put(path, bytes)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path)
    }
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        self.inner.open(path)
    }
    fn begin(&self, path: &str, keep: u64) -> io::Result<Box<dyn Part>> {
        let inner = self.inner.begin(path, keep)?;
        // The part lives no longer than the store in these tests, and the counter is leaked with it.
        let left: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(self.left.load(Ordering::SeqCst))));
        Ok(Box::new(FailingPart { inner, left }))
    }
}

impl Part for FailingPart<'_> {
    fn kept(&self) -> u64 {
        self.inner.kept()
    }
    fn read_kept(&self) -> io::Result<Box<dyn Read + Send>> {
        self.inner.read_kept()
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.load(Ordering::SeqCst);
        if left < bytes.len() as u64 {
            self.inner.write(&bytes[..left as usize])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left.store(left - bytes.len() as u64, Ordering::SeqCst);
        self.inner.write(bytes)
    }
    fn durable(&self) -> io::Result<Option<Durable>> {
        self.inner.durable()
    }
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.inner.finish()
    }
}

#[test]
fn what_a_failed_run_finished_is_kept_and_nothing_looks_whole_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::F32, Some(1 << 20));
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    convert(&*checkpoint, &layout, &local(&whole), &options()).unwrap();
    let largest = layout.files.iter().map(|file| layout.file_bytes(file).unwrap()).max().unwrap();
    let failing = Failing { inner: local(&broken), left: AtomicU64::new(largest - 1000) };
    let error = convert(&*checkpoint, &layout, &failing, &options()).unwrap_err();
    assert!(error.to_string().contains("free some room"), "{error}");
    let finished = files(&broken);
    assert!(!finished.is_empty());
    for (name, bytes) in finished.iter().filter(|(name, _)| !name.ends_with(".porter-part")) {
        assert!(files(&whole)[name] == *bytes, "{name}");
    }
    let summary = convert(&*checkpoint, &layout, &local(&broken), &options()).unwrap();
    assert!(summary.kept > 0 && summary.written > 0);
    assert!(files(&broken) == files(&whole));
    let again = convert(&*checkpoint, &layout, &local(&broken), &options()).unwrap();
    assert_eq!(again.written, 0, "a finished conversion is not written again");
}

#[test]
fn a_part_goes_on_where_it_was_durable_and_not_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::F32, None);
    let (whole, resumed) = (folder.path().join("whole"), folder.path().join("resumed"));
    convert(&*checkpoint, &layout, &local(&whole), &options()).unwrap();
    let bytes = fs::read(whole.join("model.safetensors")).unwrap();
    // What a kill leaves: a journal that says how much is durable, and a part with rubbish after it.
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap());
    for (durable, expected) in [(header + 4 * 12_345, header + 4 * 12_345), (header + 3, 0), (5, 5)] {
        let _ = fs::remove_dir_all(&resumed);
        fs::create_dir(&resumed).unwrap();
        let journal = fs::read_to_string(whole.join("porter-convert.json")).unwrap();
        let mut journal: serde_json::Value = serde_json::from_str(&journal).unwrap();
        journal["complete"] = false.into();
        journal["files"] = serde_json::json!({});
        journal["begun"] = serde_json::json!({ "path": "model.safetensors", "bytes": durable });
        fs::write(resumed.join("porter-convert.json"), journal.to_string()).unwrap();
        let mut part = bytes[..durable as usize].to_vec();
        part.extend([0xEE; 5000]);
        fs::write(resumed.join("model.safetensors.porter-part"), part).unwrap();
        let summary = convert(&*checkpoint, &layout, &local(&resumed), &options()).unwrap();
        assert_eq!(summary.written, bytes.len() as u64 - expected);
        assert!(files(&resumed) == files(&whole), "{durable}");
    }
}

#[test]
fn another_plan_or_source_begins_again_unless_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let checkpoint = source(folder.path(), 0);
    let old = layout(DType::F32, Some(1 << 20));
    let failing = Failing { inner: local(&out), left: AtomicU64::new(900_000) };
    convert(&*checkpoint, &old, &failing, &options()).unwrap_err();
    let new = layout(DType::BF16, None);
    let summary = convert(&*checkpoint, &new, &local(&out), &options()).unwrap();
    assert_eq!(summary.kept, 0);
    assert_eq!(
        files(&out).into_keys().collect::<Vec<_>>(),
        ["model.safetensors"],
        "nothing of the old one is left"
    );
    let error = convert(&*checkpoint, &old, &local(&out), &options()).unwrap_err();
    assert!(matches!(error, StreamError::Finished { .. }), "{error}");
    let changed = source(folder.path(), 77);
    let error = convert(&*changed, &new, &local(&out), &options()).unwrap_err();
    assert!(matches!(error, StreamError::Finished { .. }), "{error}");
}

/// Writes another source over the first while it is read.
struct Touch<'a>(&'a Path);
impl stream::Observer for Touch<'_> {
    fn event(&self, event: stream::Event<'_>) {
        if let stream::Event::Advanced(_) = event {
            drop(source(self.0, 5));
        }
    }
}

#[test]
fn a_source_that_changes_underneath_leaves_nothing_that_looks_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::F32, None);
    let conversion = Conversion { what: "a test", checkpoint: &*checkpoint, layout: &layout };
    let error = stream::write(&conversion, &local(&out), &options(), &Touch(folder.path())).unwrap_err();
    assert!(matches!(error, StreamError::SourceChanged { .. }), "{error}");
    assert!(!out.join("model.safetensors").exists());
}

#[test]
fn a_place_that_holds_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::F32, None);
    let error = convert(&*checkpoint, &layout, &local(folder.path()), &options()).unwrap_err();
    assert!(
        matches!(&error, StreamError::NotEmpty { found, .. } if found == &["source.safetensors"]),
        "{error}"
    );
    let own = LocalStore::file(&folder.path().join("source.safetensors")).unwrap();
    let error = convert(&*checkpoint, &layout, &own, &options()).unwrap_err();
    assert!(matches!(error, StreamError::NotEmpty { .. }), "{error}");
    let store = local(&folder.path().join("locked"));
    let held = store.lock("porter-convert.json.lock").unwrap();
    let error = convert(&*checkpoint, &layout, &store, &options()).unwrap_err();
    assert!(matches!(error, StreamError::Busy { .. }) && error.kind() == ErrorKind::Unavailable, "{error}");
    drop(held);
    convert(&*checkpoint, &layout, &store, &options()).unwrap();
    let error =
        convert(&*checkpoint, &layout, &store, &Options { memory: 1 << 20, ..options() }).unwrap_err();
    assert!(matches!(error, StreamError::Memory { .. }), "{error}");
}

#[test]
fn shares_together_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::F32, Some(1 << 18));
    let (whole, shared) = (folder.path().join("whole"), folder.path().join("shared"));
    convert(&*checkpoint, &layout, &local(&whole), &options()).unwrap();
    let share = |part| Options { share: Share { part, of: 3 }, ..options() };
    for part in [3, 1] {
        convert(&*checkpoint, &layout, &local(&shared), &share(part)).unwrap();
    }
    let error = stream::merge_index(&local(&shared)).unwrap_err();
    assert!(
        error.to_string().contains("porter-convert-00002-of-00003.json: the share was not begun"),
        "{error}"
    );
    assert!(!shared.join("model.safetensors.index.json").exists());
    convert(&*checkpoint, &layout, &local(&shared), &share(2)).unwrap();
    stream::merge_index(&local(&shared)).unwrap();
    assert!(files(&shared) == files(&whole));
    let conversion = Conversion { what: "a test", checkpoint: &*checkpoint, layout: &layout };
    stream::verify(&conversion, &local(&shared), &options(), &()).unwrap();
    let error = convert(&*checkpoint, &layout, &local(&folder.path().join("x")), &share(4)).unwrap_err();
    assert!(matches!(error, StreamError::Share { .. }), "{error}");
}

#[test]
fn verifying_finds_one_changed_byte() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let checkpoint = source(folder.path(), 0);
    let layout = layout(DType::F32, None);
    convert(&*checkpoint, &layout, &local(&out), &options()).unwrap();
    let conversion = Conversion { what: "a test", checkpoint: &*checkpoint, layout: &layout };
    stream::verify(&conversion, &local(&out), &options(), &()).unwrap();
    let path = out.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = stream::verify(&conversion, &local(&out), &options(), &()).unwrap_err();
    assert!(error.to_string().contains(&format!("byte {middle} is")), "{error}");
    bytes[middle] ^= 1;
    bytes.push(0);
    fs::write(&path, &bytes).unwrap();
    stream::verify(&conversion, &local(&out), &options(), &()).unwrap_err();
}
