//! Conversions into a bucket.

use std::{io::Read, path::Path, sync::Arc};

use porter_remote::{Bucket, RemoteStore, RemoteUrl};
use porter_weights::{
    Checkpoint, Encoding, Expr, open,
    stream::{Conversion, LocalStore, Options, Store, verify, write},
    write::{
        Layout, OutputTensor,
        safetensors::{SafetensorsOptions, plan},
    },
};

use crate::common::{SIGNED, bucket, download, model, s3, through};

/// Every tensor renamed, in files of at most `shard` bytes.
pub(crate) fn layout(source: &dyn Checkpoint, shard: Option<u64>) -> Layout {
    let tensor = |(name, info): (&String, &porter_weights::TensorInfo)| OutputTensor {
        name: format!("model.{name}"),
        expr: Expr::source(name),
        shape: info.shape.clone(),
        encoding: Encoding::Plain(info.encoding.dtype().unwrap()),
    };
    let options = SafetensorsOptions { max_shard_bytes: shard, ..SafetensorsOptions::default() };
    plan(source.tensors().iter().map(tensor).collect(), &options).unwrap()
}

pub(crate) fn store(client: &Arc<Bucket>, url: &RemoteUrl, locks: &Path) -> RemoteStore {
    RemoteStore::new(client.clone(), url.clone(), locks.to_owned())
}

/// Converts to a folder and to a bucket, and compares every file.
pub(crate) fn assert_converts(
    client: &Arc<Bucket>,
    url: &RemoteUrl,
    source: &dyn Checkpoint,
    shard: Option<u64>,
) {
    let layout = layout(source, shard);
    let conversion = Conversion { what: "test", checkpoint: source, layout: &layout };
    let options = Options::within(64 << 20);
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStore::folder(&folder.path().join("out")).unwrap();
    let expected = write(&conversion, &local, &options, &()).unwrap();
    let remote = store(client, url, folder.path());
    let found = write(&conversion, &remote, &options, &()).unwrap();
    assert_eq!(found.files, expected.files);
    for path in expected.files.keys() {
        let bytes = download(&url.join(path).unwrap()).unwrap();
        assert!(bytes == local.get(path).unwrap().unwrap(), "{path}");
    }
    verify(&conversion, &remote, &options, &()).unwrap();
}

pub(crate) fn source(folder: &Path, tensors: usize, rows: usize) -> Box<dyn Checkpoint> {
    let path = folder.join("model.safetensors");
    std::fs::write(&path, model(tensors, rows)).unwrap();
    open(&path).unwrap()
}

/// Uploads of the bucket that were begun and not ended, as the server counts them.
fn unfinished(url: &RemoteUrl) -> usize {
    let listed =
        ureq::get(format!("{}/{}?uploads", s3(), url.bucket())).header(SIGNED.0, SIGNED.1).call().unwrap();
    listed.into_body().read_to_string().unwrap().matches("<UploadId>").count()
}

#[test]
fn a_conversion_gives_the_same_bytes_as_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = bucket("converts");
    let client = through(&s3(), &root);
    // 40 MiB in one file is three parts; in shards each is one request.
    let source = source(folder.path(), 10, 1024);
    assert_converts(&client, &root.join("one").unwrap(), &*source, None);
    assert_converts(&client, &root.join("shards").unwrap(), &*source, Some(9 << 20));
    assert_eq!(unfinished(&root), 0);
}

#[test]
fn a_finished_file_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = bucket("again");
    let client = through(&s3(), &root);
    let source = source(folder.path(), 4, 64);
    let layout = layout(&*source, Some(300_000));
    let conversion = Conversion { what: "test", checkpoint: &*source, layout: &layout };
    let options = Options::within(64 << 20);
    let url = root.join("out").unwrap();
    let store = store(&client, &url, folder.path());
    let first = write(&conversion, &store, &options, &()).unwrap();
    let second = write(&conversion, &store, &options, &()).unwrap();
    assert_eq!((second.written, &second.files), (0, &first.files));
    let strange = root.join("taken").unwrap();
    crate::common::upload(&strange.join("x").unwrap(), b"mine");
    let taken = crate::output::store(&client, &strange, folder.path());
    let error = write(&conversion, &taken, &options, &()).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(download(&strange.join("x").unwrap()).unwrap(), b"mine");
}

#[test]
fn an_unfinished_file_is_not_seen_and_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = bucket("unseen");
    let store = store(&through(&s3(), &root), &root, folder.path());
    let mut part = store.begin("a/model.safetensors", 0).unwrap();
    assert_eq!((part.kept(), part.durable().unwrap().is_none()), (0, true));
    part.write(&vec![1; 20 << 20]).unwrap();
    assert_eq!(unfinished(&root), 1);
    assert!(store.list().unwrap().is_empty());
    drop(part);
    assert_eq!(unfinished(&root), 0);
    assert!(download(&root.join("a/model.safetensors").unwrap()).is_none());
}

#[test]
fn the_laws_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let root = bucket("laws");
    let url = root.join("out").unwrap();
    let store = store(&through(&s3(), &root), &url, folder.path());
    crate::common::upload(&root.join("outside").unwrap(), b"not listed");
    assert_eq!(store.get("a.json").unwrap(), None);
    store.put("a.json", b"one").unwrap();
    store.put("a.json", b"two").unwrap();
    let mut part = store.begin("b/c.bin", 0).unwrap();
    part.write(b"three").unwrap();
    part.finish().unwrap();
    assert_eq!(store.list().unwrap(), ["a.json", "b/c.bin"]);
    assert_eq!(store.get("a.json").unwrap().unwrap(), b"two");
    let mut read = Vec::new();
    store.open("b/c.bin").unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"three");
    store.remove("a.json").unwrap();
    store.remove("a.json").unwrap();
    assert_eq!(store.get("a.json").unwrap(), None);
    assert!(store.put("../outside", b"x").is_err());
    assert!(store.open("none").is_err());

    let lock = store.lock("j.lock").unwrap();
    assert_eq!(store.lock("j.lock").err().unwrap().kind(), std::io::ErrorKind::WouldBlock);
    drop(lock);
    store.lock("j.lock").unwrap();
}
