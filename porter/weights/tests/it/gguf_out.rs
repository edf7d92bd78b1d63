//! GGUF written: what is read back is what was written, whole and in parts.

use std::{fs, path::Path};

use crate::common::open;
use porter_ir::DType;
use porter_weights::{
    Array, Checkpoint, Encoding, ErrorKind, Expr, Format, GgmlType, Value,
    stream::{self, Conversion, LocalStore, Options},
    write::{
        OutputTensor, WriteError,
        gguf::{Contents, GgufOptions, plan},
    },
};

/// Every tensor and key of `checkpoint`, as it is.
fn contents(checkpoint: &dyn Checkpoint) -> Contents {
    let tensors = checkpoint.tensors().iter().map(|(name, info)| OutputTensor {
        name: name.clone(),
        expr: Expr::source(name),
        shape: info.shape.clone(),
        encoding: info.encoding.clone(),
    });
    let metadata = checkpoint.metadata().clone();
    Contents { metadata, constants: Vec::new(), tensors: tensors.collect() }
}

/// Writes `contents` of `checkpoint` into `folder`.
fn write(
    checkpoint: &dyn Checkpoint,
    contents: Contents,
    folder: &Path,
    max_shard_bytes: Option<u64>,
) -> Vec<String> {
    let layout = plan(contents, &GgufOptions { stem: "model".to_owned(), max_shard_bytes }).unwrap();
    let store = LocalStore::folder(folder).unwrap();
    let conversion = Conversion { what: "a test", checkpoint, layout: &layout };
    stream::write(&conversion, &store, &Options::within(1 << 30), &()).unwrap();
    layout.files.into_iter().map(|file| file.path).collect()
}

fn assert_same_tensors(found: &dyn Checkpoint, expected: &dyn Checkpoint) {
    assert_eq!(found.tensors(), expected.tensors());
    for name in expected.tensors().keys() {
        assert!(found.tensor(name).unwrap().bytes == expected.tensor(name).unwrap().bytes, "{name}");
        let bytes = expected.tensor(name).unwrap().bytes;
        let mut read = vec![0; bytes.len() - 1];
        found.read_at(name, 1, &mut read).unwrap();
        assert!(read == bytes[1..], "{name}");
    }
}

#[test]
fn every_type_and_value_of_gguf_py_is_written_as_it_was_read() {
    let source = open("gguf/all_types.gguf");
    let mut contents = contents(&*source);
    // What the file of gguf-py lacks.
    let nested = Array::Array(vec![Array::U8(vec![1, 2]), Array::Bool(vec![true]), Array::F64(vec![0.5])]);
    let more = [
        ("x.nested", Value::Array(nested)),
        ("x.i64", Value::Array(Array::I64(vec![i64::MIN]))),
        ("x.u64", Value::Array(Array::U64(vec![u64::MAX]))),
        ("x.i16", Value::Array(Array::I16(vec![-1]))),
        ("x.i8", Value::Array(Array::I8(vec![-1]))),
        ("x.u16", Value::Array(Array::U16(vec![1]))),
        ("x.u32", Value::Array(Array::U32(vec![1]))),
        ("x.f32", Value::Array(Array::F32(vec![1.5]))),
        ("general.alignment", Value::U32(128)),
    ];
    for (key, value) in more {
        contents.metadata.insert(key, value);
    }
    let metadata = contents.metadata.clone();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(write(&*source, contents, folder.path(), None), ["model.gguf"]);
    let written = porter_weights::open(&folder.path().join("model.gguf")).unwrap();
    assert_eq!(written.format(), Format::Gguf { version: 3, parts: 1 });
    assert_eq!(*written.metadata(), metadata);
    assert_same_tensors(&*written, &*source);
}

#[test]
fn parts_are_opened_by_any_of_them() {
    let source = open("gguf/llama_open_F16.gguf");
    let folder = tempfile::tempdir().unwrap();
    let files = write(&*source, contents(&*source), folder.path(), Some(100_000));
    assert!(files.len() > 2);
    assert_eq!(files[1], format!("model-00002-of-{:05}.gguf", files.len()));
    for file in &files {
        let written = porter_weights::open(&folder.path().join(file)).unwrap();
        assert_eq!(written.format(), Format::Gguf { version: 3, parts: files.len() });
        assert_eq!(written.metadata().unsigned("llama.block_count"), Some(3));
        assert_same_tensors(&*written, &*source);
    }
    // Writing them again as one file forgets that they were parts.
    let parts = porter_weights::open(&folder.path().join(&files[2])).unwrap();
    let whole = folder.path().join("whole");
    write(&*parts, contents(&*parts), &whole, None);
    let whole = porter_weights::open(&whole.join("model.gguf")).unwrap();
    assert_eq!(whole.metadata(), source.metadata());
    assert_same_tensors(&*whole, &*source);
}

/// Three parts or more, with what `change` does to the second file or the first, opened by the first.
fn damaged(change: impl Fn(&Path, &Path)) -> (ErrorKind, String) {
    let source = open("gguf/llama_open_F16.gguf");
    let folder = tempfile::tempdir().unwrap();
    let files = write(&*source, contents(&*source), folder.path(), Some(170_000));
    let path = |no: usize| folder.path().join(&files[no]);
    change(&path(0), &path(1));
    let error = porter_weights::open(&path(0)).err().unwrap();
    (error.kind(), error.to_string())
}

/// Writes `new` over the bytes that begin `skip` after the first `old`.
fn overwrite(path: &Path, old: &str, skip: usize, new: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(old.len()).position(|window| window == old.as_bytes()).unwrap() + skip;
    bytes[at..at + new.len()].copy_from_slice(new);
    fs::write(path, bytes).unwrap();
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let refused = |change: &dyn Fn(&Path, &Path), expected: &str| {
        let (kind, message) = damaged(change);
        assert_eq!(kind, ErrorKind::Corrupt);
        assert!(message.contains(expected), "{message}\n does not say {expected}");
    };
    refused(
        &|_, second| fs::remove_file(second).unwrap(),
        "shard \"model-00002-of-00007.gguf\": cannot open",
    );
    refused(
        &|first, second| assert!(fs::copy(second, first).unwrap() > 0),
        "field \"split.no\": says part 2 of 7, and the name is",
    );
    // Keys are followed by a type of four bytes.
    let value = |key: &str| key.len() + 4;
    refused(
        &|_, second| overwrite(second, "split.no", value("split.no"), &[5]),
        "shard \"model-00002-of-00007.gguf\": split.no is 5; expected 1",
    );
    refused(
        &|_, second| overwrite(second, "split.count", value("split.count"), &[8]),
        "split.count is 8; expected 7",
    );
    refused(
        &|_, second| overwrite(second, "split.tensors.count", value("split.tensors.count"), &[9]),
        "split.tensors.count is 9; expected 31",
    );
    refused(
        &|first, _| overwrite(first, "split.no", value("split.no"), &[7]),
        "field \"split.no\": is 7, of 7 parts",
    );
    let recounted = |first: &Path, _: &Path| {
        for file in fs::read_dir(first.parent().unwrap()).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "gguf") {
                overwrite(&file, "split.tensors.count", value("split.tensors.count"), &[32]);
            }
        }
    };
    refused(&recounted, "field \"split.tensors.count\": says 32; the 7 parts hold 31");
    let renamed = |_: &Path, second: &Path| {
        let parts = porter_weights::GgufFile::open(second).unwrap();
        let name = parts.tensors().keys().find(|name| name.starts_with("blk.1.")).unwrap().clone();
        overwrite(second, &name, 4, b"0");
    };
    refused(&renamed, "stands twice, in \"model-00001-of-00007.gguf\" and \"model-00002-of-00007.gguf\"");
}

#[test]
fn what_gguf_does_not_have_is_refused_at_once() {
    let tensor = |name: &str, shape: &[usize], encoding| OutputTensor {
        name: name.to_owned(),
        expr: Expr::source("x"),
        shape: shape.into(),
        encoding,
    };
    let plain = Encoding::Plain;
    let tensors = vec![
        tensor(&"n".repeat(64), &[1], plain(DType::F32)),
        tensor("deep", &[1, 1, 1, 1, 1], plain(DType::F32)),
        tensor("flag", &[1], plain(DType::Bool)),
        tensor("odd", &[2, 33], Encoding::Block(GgmlType::Q8_0)),
        tensor("twice", &[1], plain(DType::F32)),
        tensor("twice", &[1], plain(DType::F32)),
    ];
    let contents = Contents { tensors, ..Contents::default() };
    let options = GgufOptions { stem: "x".to_owned(), max_shard_bytes: None };
    let WriteError { problems, .. } = plan(contents, &options).unwrap_err();
    let found: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(
        found,
        [
            "the name has 64 bytes; GGML reads fewer than 64",
            "has 5 dimensions; GGUF has at most 4",
            "GGUF has no bool",
            "rows of 33 elements are not a multiple of Q8_0's block of 32",
            "is the name of two tensors",
        ]
    );
}
