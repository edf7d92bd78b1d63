//! Sharded checkpoints: the same tensors as the single file, and indexes that lie.

use std::{fs, path::Path};

use crate::common::{fixture, open};
use porter_weights::{ErrorKind, Format};

#[test]
fn shards_hold_what_the_index_lists() {
    let sharded = open("tiny/llama_sharded");
    assert_eq!(sharded.format(), Format::SafetensorsShards { shards: 2 });
    let index = fs::read(fixture("tiny/llama_sharded/model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let listed: Vec<&String> = index["weight_map"].as_object().unwrap().keys().collect();
    assert_eq!(sharded.tensors().keys().collect::<Vec<_>>(), listed);
    let total: usize = sharded.tensors().values().map(|info| info.bytes).sum();
    assert_eq!(total as u64, index["metadata"]["total_size"].as_u64().unwrap());
}

#[test]
fn shard_bytes_are_those_of_the_shard_file() {
    let sharded = open("tiny/llama_sharded");
    for file in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
        let shard = open(&format!("tiny/llama_sharded/{file}"));
        for name in shard.tensors().keys() {
            assert_eq!(sharded.tensor(name).unwrap().bytes, shard.tensor(name).unwrap().bytes, "{name}");
        }
    }
}

/// The error of an index with this content, beside a good shard `s.safetensors`.
fn index_error(folder: &Path, index: &str) -> porter_weights::Error {
    fs::copy(fixture("bad/st_ok_control.safetensors"), folder.join("s.safetensors")).unwrap();
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    porter_weights::open(folder).err().unwrap()
}

#[test]
fn shards_outside_the_folder_are_refused_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let index = r#"{"weight_map": {"a": "../s.safetensors", "b": "/etc/passwd", "c": "x/../../s.safetensors",
        "d": "..", "e": "", "f": "C:s.safetensors", "g": "gone.safetensors", "h": "s.safetensors"}}"#;
    let error = index_error(folder.path(), index);
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let message = error.to_string();
    for shard in ["../s.safetensors", "/etc/passwd", "x/../../s.safetensors", "\"..\"", "\"\"", "C:s", "gone"]
    {
        assert!(message.contains(shard), "{message}\n does not name {shard}");
    }
}

#[test]
fn an_index_that_is_no_index_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    for index in ["", "[]", "{}", r#"{"weight_map": 3}"#, r#"{"weight_map": {"a": 3}}"#, &"[".repeat(100_000)]
    {
        let error = index_error(folder.path(), index);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn a_shard_of_an_unknown_dtype_is_unsupported_not_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("bad/st_unknown_dtype.safetensors"), folder.path().join("u.safetensors")).unwrap();
    let error = index_error(folder.path(), r#"{"weight_map": {"a": "u.safetensors"}}"#);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
