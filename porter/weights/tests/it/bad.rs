//! Every hostile or corrupt file of `ci/fixtures/bad` of the formats read here.

use std::collections::BTreeMap;

use crate::common::fixture;
use porter_ir::DType;
use porter_weights::ErrorKind::{self, Corrupt, Unsupported};

/// File, what its error means, and what the message must name besides the file.
const REFUSED: &[(&str, ErrorKind, &str)] = &[
    ("st_gap.safetensors", Corrupt, "tensor \"b\""),
    ("st_trailing.safetensors", Corrupt, "header: incomplete metadata, file not fully covered"),
    ("st_past_end.safetensors", Corrupt, "file has 93 bytes"),
    ("st_reversed.safetensors", Corrupt, "tensor \"a\""),
    ("st_size_mismatch.safetensors", Corrupt, "tensor \"a\""),
    ("st_header_100mb.safetensors", Corrupt, "header: header too large"),
    ("st_header_neg.safetensors", Corrupt, "header: header too large"),
    ("st_bad_json.safetensors", Corrupt, "header: invalid JSON"),
    ("st_not_utf8.safetensors", Corrupt, "header: invalid UTF-8"),
    ("st_unknown_dtype.safetensors", Unsupported, "tensor \"a\": dtype \"F33\""),
    ("st_not_object.safetensors", Corrupt, "header: begins with"),
    ("st_no_brace.safetensors", Corrupt, "header: begins with"),
    ("st_negative_offset.safetensors", Corrupt, "tensor \"a\": data_offsets"),
    ("st_float_shape.safetensors", Corrupt, "tensor \"a\": shape"),
    ("st_meta_not_string.safetensors", Corrupt, "field \"__metadata__"),
    ("st_empty_file.safetensors", Corrupt, "the file has 0 bytes"),
    ("st_7_bytes.safetensors", Corrupt, "the file has 7 bytes"),
    ("st_deep_json.safetensors", Corrupt, "header: "),
    ("index_missing_shard/", Corrupt, "shard \"model-00002-of-00002.safetensors\""),
    ("index_wrong_tensor/", Corrupt, "tensor \"c\""),
    ("evil_os_system.pt", Unsupported, "global \"posix.system\""),
    ("evil_eval.pt", Unsupported, "global \"__builtin__.eval\""),
    ("evil_subprocess.pt", Unsupported, "global \"commands.Popen\""),
    ("evil_legacy.pth", Unsupported, "it names \"posix.system\""),
    ("evil_stack_global.pt", Unsupported, "global \"posix.system\""),
    ("pickle_deep.pt", Corrupt, "more than 100 deep"),
    ("pickle_binunicode_len.pt", Corrupt, "bytes at offset"),
    ("pickle_truncated.pt", Corrupt, "data.pkl"),
    ("zip_truncated.pt", Corrupt, "truncated"),
    ("zip_no_eocd.pt", Corrupt, "its end record is missing"),
    ("storage_missing.pt", Corrupt, "tensor \"a.weight\": its storage \"0\" is not in the file"),
    ("zip_path_traversal.pt", Corrupt, "\"../../../escaped\" leads out"),
    ("byteorder_big.pt", Unsupported, "field \"byteorder\": is \"big\""),
    ("tensor_stride_past_end.pt", Corrupt, "tensor \"w\": reaches past its storage"),
    ("tensor_negative_stride.pt", Corrupt, "tensor \"w\": has sizes"),
    ("tensor_negative_size.pt", Corrupt, "tensor \"w\": has sizes"),
    ("tensor_overflow.pt", Corrupt, "which overflow"),
    ("gguf_bad_magic.gguf", Corrupt, "header: begins with"),
    ("gguf_v99.gguf", Unsupported, "field \"version\": is 99"),
    ("gguf_truncated.gguf", Corrupt, "field \"general.architecture\""),
    ("gguf_huge_counts.gguf", Corrupt, "field \"tensor_count\": says 1152921504606846976"),
    ("gguf_str_len.gguf", Corrupt, "field \"metadata_kv_count\""),
    ("gguf_nested_array.gguf", Corrupt, "nests arrays"),
    ("gguf_block_misfit.gguf", Corrupt, "rows of 33 elements"),
    ("gguf_unknown_type.gguf", Unsupported, "GGML tensor type"),
];

/// The files that must load.
const CONTROLS: &[&str] = &[
    "st_ok_control.safetensors",
    "st_zero_dim_ok.safetensors",
    "gguf_ok_control.gguf",
    "tensor_ok_control.pt",
];

#[test]
fn every_bad_file_is_refused_by_name_tensor_or_field() {
    for (file, kind, named) in REFUSED {
        let Err(error) = porter_weights::open(&fixture(&format!("bad/{file}"))) else {
            panic!("{file} loads")
        };
        let message = error.to_string();
        assert_eq!(error.kind(), *kind, "{file}: {message}");
        assert!(message.contains(file.trim_end_matches('/')), "{message} does not name {file}");
        assert!(message.contains(named), "{message}\n does not say {named}");
    }
}

#[test]
fn control_files_load_and_read() {
    for file in CONTROLS {
        let checkpoint = porter_weights::open(&fixture(&format!("bad/{file}"))).unwrap();
        assert!(!checkpoint.tensors().is_empty());
        for name in checkpoint.tensors().keys() {
            let view = checkpoint.tensor(name).unwrap();
            assert_eq!(view.bytes.len(), view.info.bytes);
            view.read_into(DType::F32, &mut vec![0; view.info.shape.elements() * 4]).unwrap();
        }
    }
}

#[test]
fn no_file_of_the_manifest_is_left_out() {
    let manifest = std::fs::read(fixture("bad/manifest.json")).unwrap();
    let manifest: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&manifest).unwrap();
    let tried: Vec<&str> = REFUSED.iter().map(|(file, ..)| *file).chain(CONTROLS.iter().copied()).collect();
    // Graphs are no checkpoints.
    for file in manifest.keys().filter(|file| !file.starts_with("onnx_")) {
        assert!(tried.contains(&file.as_str()), "{file} is not tried");
    }
}

#[test]
fn what_cannot_be_opened_is_not_called_corrupt() {
    for path in ["bad/no_such_file.safetensors", "tiny"] {
        let error = porter_weights::open(&fixture(path)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let error = porter_weights::open(&fixture("bad/manifest.json")).err().unwrap();
    assert_eq!(error.kind(), Unsupported, "{error}");
}
