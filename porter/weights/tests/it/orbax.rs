//! Orbax checkpoints: what is planned, and what is refused. That orbax-checkpoint restores them is tested
//! with `MaxText`'s models, in porter-zoo.

use std::{
    fs,
    path::{Path, PathBuf},
};

use porter_ir::DType;
use porter_weights::{
    ErrorKind, Expr, OrbaxCheckpoint,
    stream::{self, Conversion, LocalStore, Options},
    write::{
        Piece,
        orbax::{Content, OrbaxOptions, TreeArray, plan},
    },
};
use serde_json::{Value, json};

use crate::common::open;

fn array(keys: &[&str], shape: &[usize], content: Content) -> TreeArray {
    let keys = keys.iter().map(|&key| key.to_owned()).collect();
    TreeArray { keys, shape: shape.into(), dtype: DType::F32, content }
}

fn whole(name: &str) -> Content {
    Content::Whole(Expr::source(name))
}

fn options(max_chunk_bytes: usize) -> OrbaxOptions {
    OrbaxOptions { max_chunk_bytes, ..OrbaxOptions::default() }
}

/// `model.norm.weight` and, in chunks of 40 of its 96 columns' rows, `lm_head.weight` of the tiny llama.
fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let llama = open("tiny/llama");
    let arrays = vec![
        array(&["params", "norm"], &[96], whole("model.norm.weight")),
        array(&["params", "head"], &[997, 96], whole("lm_head.weight")),
    ];
    let layout = plan(arrays, &*llama, &options(40 * 96 * 4)).unwrap();
    let conversion = Conversion { what: "a test", checkpoint: llama.as_ref(), layout: &layout };
    let store = LocalStore::folder(folder.path()).unwrap();
    stream::write(&conversion, &store, &Options::within(64 << 20), &()).unwrap();
    folder
}

fn change(path: &Path, key: &str, value: Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    json[key] = value;
    fs::write(path, json.to_string()).unwrap();
}

fn refused(folder: &Path) -> (ErrorKind, String) {
    let error = OrbaxCheckpoint::open(folder).err().expect("it was opened");
    (error.kind(), error.to_string())
}

#[test]
fn what_is_written_is_read() {
    let (folder, llama) = (written(), open("tiny/llama"));
    for path in ["", "0", "0/items"] {
        let found = porter_weights::open(&folder.path().join(path)).unwrap();
        assert_eq!(found.tensors().keys().collect::<Vec<_>>(), ["params.head", "params.norm"]);
        let expected = llama.tensor("lm_head.weight").unwrap();
        assert!(found.tensor("params.head").unwrap().bytes == expected.bytes, "{path}");
        assert_eq!(found.tensors()["params.head"], *expected.info);
    }
}

#[test]
fn chunks_are_runs_and_the_last_is_filled_up() {
    let arrays = vec![array(&["a"], &[7, 3], whole("x"))];
    let layout = plan(arrays, &*open("tiny/llama"), &options(4 * 3 * 4)).unwrap();
    let chunk = |path: &str| {
        let file = layout.files.iter().find(|file| file.path == path);
        file.unwrap_or_else(|| panic!("no {path}")).pieces.clone()
    };
    assert_eq!(chunk("0/items/a/c/0/0"), [Piece::Elements { tensor: 0, range: 0..12 }]);
    let last = [Piece::Elements { tensor: 0, range: 12..21 }, Piece::Bytes(vec![0; 12])];
    assert_eq!(chunk("0/items/a/c/1/0"), last);
}

#[test]
fn a_transposed_array_is_cut_along_the_rows_of_its_source() {
    let (folder, llama) = (tempfile::tempdir().unwrap(), open("tiny/llama"));
    let name = "model.layers.0.mlp.down_proj.weight";
    let shape = llama.tensors()[name].shape.clone();
    let kernel = array(&["k"], &[shape[1], shape[0]], Content::Whole(Expr::source(name).transpose()));
    // A third of the source's rows does, so a third or, if they do not divide, less is taken.
    let layout = plan(vec![kernel], &*llama, &options(shape.elements() / 3 * 4)).unwrap();
    let chunks = layout.files.iter().filter(|file| file.path.contains("/c/0/")).count();
    assert!(chunks >= 3 && shape[0].is_multiple_of(chunks), "{chunks}");
    for tensor in &layout.tensors {
        let Expr::Permute { input, .. } = &tensor.expr else { panic!("{:?}", tensor.expr) };
        assert!(matches!(&**input, Expr::Slice { ranges, .. } if ranges[1] == (0..shape[1])), "{input:?}");
    }
    let conversion = Conversion { what: "a test", checkpoint: llama.as_ref(), layout: &layout };
    let store = LocalStore::folder(folder.path()).unwrap();
    stream::write(&conversion, &store, &Options::within(64 << 20), &()).unwrap();
    let read = porter_weights::open(folder.path()).unwrap();
    assert!(read.tensors().contains_key("k"), "{:?}", read.tensors().keys());
    let mut found = vec![0; llama.tensor(name).unwrap().bytes.len()];
    Expr::source("k").transpose().evaluate(&*read, DType::F32, &mut found).unwrap();
    assert!(llama.tensor(name).unwrap().bytes == found);
}

#[test]
fn slices_are_chunks_of_their_own() {
    let slices: Vec<Expr> = ["x", "y", "z"].map(Expr::source).into();
    let arrays = vec![array(&["a"], &[4, 3, 5], Content::Stacked { dim: 1, slices })];
    let layout = plan(arrays, &*open("tiny/llama"), &options(2 * 5 * 4)).unwrap();
    assert_eq!(layout.tensors.len(), 3);
    let file = layout.files.iter().find(|file| file.path == "0/items/a/c/1/2/0").unwrap();
    assert_eq!(file.pieces, [Piece::Elements { tensor: 2, range: 10..20 }]);
}

#[test]
fn what_is_no_tree_is_refused_at_once() {
    let arrays = vec![
        array(&["a", "b"], &[4], whole("x")),
        array(&["a"], &[4], whole("x")),
        array(&["c"], &[4], whole("x")),
        array(&["c"], &[4], whole("x")),
        array(&["..", "d"], &[4], whole("x")),
        array(&["e/f"], &[4], whole("x")),
        array(&["g"], &[4, 2], Content::Stacked { dim: 1, slices: vec![Expr::source("x")] }),
        TreeArray { dtype: DType::U4, ..array(&["h"], &[4], whole("x")) },
    ];
    let error = plan(arrays, &*open("tiny/llama"), &OrbaxOptions::default()).unwrap_err();
    for name in ["\"a\"", "\"c\"", "...d", "e/f", "\"g\"", "\"h\""] {
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn slices_are_read_as_one_array() {
    let (folder, llama) = (tempfile::tempdir().unwrap(), open("tiny/llama"));
    let layers = [0, 1, 2].map(|i| Expr::source(format!("model.layers.{i}.mlp.up_proj.weight")));
    let shape = &llama.tensors()["model.layers.0.mlp.up_proj.weight"].shape;
    let stacked =
        array(&["up"], &[shape[0], 3, shape[1]], Content::Stacked { dim: 1, slices: layers.to_vec() });
    let layout = plan(vec![stacked], &*llama, &options(7 * shape[1] * 4)).unwrap();
    let conversion = Conversion { what: "a test", checkpoint: llama.as_ref(), layout: &layout };
    let store = LocalStore::folder(folder.path()).unwrap();
    stream::write(&conversion, &store, &Options::within(64 << 20), &()).unwrap();
    let found = porter_weights::open(folder.path()).unwrap();
    let mut expected = vec![0; found.tensors()["up"].bytes];
    let whole = Expr::stack(layers).permute([1, 0, 2]);
    whole.evaluate(llama.as_ref(), DType::F32, &mut expected).unwrap();
    assert!(found.tensor("up").unwrap().bytes == expected);
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let folder = written();
    let item = folder.path().join("0/items");
    let head = item.join("params.head/zarr.json");
    let sound = fs::read(&head).unwrap();
    let zstd = json!([{ "name": "bytes" }, { "name": "zstd", "configuration": { "level": 3 } }]);
    let big = json!([{ "name": "bytes", "configuration": { "endian": "big" } }]);
    for (key, value, named) in [
        ("codecs", zstd, "zstd"),
        ("codecs", big, "little-endian"),
        ("data_type", json!("complex64"), "complex64"),
        ("chunk_key_encoding", json!({ "name": "v2" }), "chunk_key_encoding"),
        ("chunk_grid", json!({ "name": "rectilinear" }), "regular"),
        ("zarr_format", json!(2), "version 3"),
    ] {
        change(&head, key, value);
        let (kind, text) = refused(folder.path());
        // A grid without sizes is corrupt too.
        assert!(kind == ErrorKind::Unsupported || key == "chunk_grid", "{text}");
        assert!(text.contains(named) && text.contains("params.head"), "{text}");
        fs::write(&head, &sound).unwrap();
    }
    change(&item.join("_METADATA"), "use_ocdbt", json!(true));
    let (kind, text) = refused(folder.path());
    assert!(kind == ErrorKind::Unsupported && text.contains("use_ocdbt=False"), "{text}");
}

#[test]
fn what_is_damaged_or_made_to_harm_is_corrupt() {
    let folder = written();
    let item = folder.path().join("0/items");
    let head = item.join("params.head");
    let corrupt = |what: &str, path: PathBuf, bytes: Option<&[u8]>| {
        let sound = fs::read(&path).unwrap();
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let (kind, text) = refused(folder.path());
        assert_eq!(kind, ErrorKind::Corrupt, "{what}: {text}");
        fs::write(&path, sound).unwrap();
    };
    corrupt("a chunk is missing", head.join("c/3/0"), None);
    corrupt("a chunk is short", head.join("c/3/0"), Some(&[0; 7]));
    let json: Value = serde_json::from_slice(&fs::read(head.join("zarr.json")).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut json = json.clone();
        json[key] = value;
        json.to_string().into_bytes()
    };
    let grid = |chunk: Value| {
        with("chunk_grid", json!({ "name": "regular", "configuration": { "chunk_shape": chunk } }))
    };
    for (what, bytes) in [
        ("a shape that overflows", with("shape", json!([u64::MAX, u64::MAX]))),
        ("more elements than chunks hold", with("shape", json!([1_u64 << 50, 96]))),
        ("another rank", with("shape", json!([997]))),
        ("chunks of nothing", grid(json!([0, 96]))),
        ("chunks that overflow", grid(json!([u64::MAX, u64::MAX]))),
        ("no JSON", b"{".to_vec()),
    ] {
        corrupt(what, head.join("zarr.json"), Some(&bytes));
    }
    let metadata = item.join("_METADATA");
    let tree = |keys: Value| {
        json!({ "use_zarr3": true, "tree_metadata": { "x": {
            "key_metadata": keys, "value_metadata": { "value_type": "jax.Array" },
        } } })
        .to_string()
        .into_bytes()
    };
    for keys in [json!([]), json!([{ "key": ".." }]), json!([{ "key": "a/../../b" }]), json!([{ "key": "" }])]
    {
        corrupt("a name that leaves the folder", metadata.clone(), Some(&tree(keys)));
    }
    corrupt("an array without a folder", metadata.clone(), Some(&tree(json!([{ "key": "absent" }]))));
}

#[test]
fn several_steps_are_asked_about() {
    let folder = written();
    fs::create_dir_all(folder.path().join("7/items")).unwrap();
    fs::copy(folder.path().join("0/items/_METADATA"), folder.path().join("7/items/_METADATA")).unwrap();
    let (kind, text) = refused(folder.path());
    assert!(kind == ErrorKind::Unsupported && text.contains("2 steps"), "{text}");
    assert!(OrbaxCheckpoint::open(&folder.path().join("0")).is_ok());
}
