//! PyTorch files: every one of `ci/fixtures/pt` against what PyTorch itself reads from it.

use std::{collections::BTreeMap, fs, path::Path};

use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, Error, ErrorKind, Format, OpenOptions, PickleGlobals, PyTorchKind, SafetensorsFile,
};

use crate::common::{f32s, fixture, open};

fn whole() -> OpenOptions {
    OpenOptions { prefix: Some(String::new()), ..OpenOptions::default() }
}

fn lenient() -> OpenOptions {
    OpenOptions { pickle_globals: PickleGlobals::Lenient, ..OpenOptions::default() }
}

fn open_with(path: &str, options: &OpenOptions) -> Result<Box<dyn Checkpoint>, Error> {
    porter_weights::open_with(&fixture(path), options)
}

fn names(checkpoint: &dyn Checkpoint) -> Vec<&str> {
    checkpoint.tensors().keys().map(String::as_str).collect()
}

/// The fixtures' names, in the manifest's order.
fn manifest() -> Vec<String> {
    let manifest = fs::read(fixture("pt/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_object().unwrap();
    files.keys().filter(|name| !name.starts_with('_')).cloned().collect()
}

/// Tensors that are listed beside those of the expected file: a NumPy array, and two that PyTorch's
/// own writer of safetensors does not take.
const BESIDE: [(&str, &str); 3] = [("numpy_inside.pt", "n"), ("quantized.pt", "q"), ("sparse.pt", "coo")];

#[test]
fn every_fixture_equals_what_pytorch_reads() {
    let mut tried = 0;
    for file in manifest() {
        let expected = fixture(&format!("pt/{file}.expected.safetensors"));
        if !expected.exists() {
            continue;
        }
        let expected = SafetensorsFile::open(&expected).unwrap();
        let found = open_with(&format!("pt/{file}"), &whole()).unwrap();
        let mut listed: Vec<&String> = expected.tensors().keys().collect();
        let beside = BESIDE.iter().filter(|(of, _)| *of == file).map(|(_, name)| (*name).to_owned());
        let beside: Vec<String> = beside.collect();
        listed.extend(&beside);
        listed.sort();
        assert_eq!(found.tensors().keys().collect::<Vec<_>>(), listed, "{file}");
        for (name, info) in expected.tensors() {
            let (ours, theirs) = (found.tensor(name).unwrap(), expected.tensor(name).unwrap());
            assert_eq!(ours.bytes, theirs.bytes, "{file}: {name}");
            assert_eq!(ours.info.bytes, info.bytes, "{file}: {name}");
            if let Encoding::Other(complex) = &ours.info.encoding {
                // The expected file holds real and imaginary parts as one more dimension.
                assert!(complex.starts_with("complex"), "{file}: {name}: {complex}");
                assert_eq!(info.shape[..], [&ours.info.shape[..], &[2]].concat());
            } else {
                assert_eq!(ours.info, info, "{file}: {name}");
            }
        }
        tried += 1;
    }
    assert_eq!(tried, 22);
}

#[test]
fn a_model_saved_by_pytorch_is_that_of_safetensors() {
    let expected = open("tiny/llama");
    for form in ["zip/pytorch_model.bin", "legacy_sharded", "training/epoch-1.ckpt"] {
        let found = open(&format!("pytorch_model/{form}"));
        assert_eq!(found.tensors(), expected.tensors(), "{form}");
        for name in names(&*expected) {
            assert_eq!(
                found.tensor(name).unwrap().bytes,
                expected.tensor(name).unwrap().bytes,
                "{form}: {name}"
            );
        }
    }
}

#[test]
fn contiguous_stored_tensors_are_borrowed_and_others_copied() {
    let borrowed = |file: &str, name: &str| {
        let file = open_with(file, &whole()).unwrap();
        matches!(file.tensor(name).unwrap().bytes, std::borrow::Cow::Borrowed(_))
    };
    assert!(borrowed("pt/state_dict_zip.pt", "a.weight") && borrowed("pt/state_dict_legacy.pth", "a.weight"));
    assert!(borrowed("pt/views.pt", "row") && borrowed("pt/tied.bin", "lm_head.weight"));
    assert!(!borrowed("pt/views.pt", "t") && !borrowed("pt/rezipped_deflate.pt", "a.weight"));
}

#[test]
fn formats_are_told_apart() {
    let kind = |file: &str| open_with(file, &whole()).unwrap().format();
    assert_eq!(kind("pt/state_dict_zip.pt"), Format::PyTorch(PyTorchKind::Zip));
    assert_eq!(kind("pt/state_dict_legacy.pth"), Format::PyTorch(PyTorchKind::Legacy));
    assert_eq!(kind("pt/torchscript.pt"), Format::PyTorch(PyTorchKind::TorchScript));
}

#[test]
fn one_storage_under_two_names_is_a_tie_and_a_view_is_none() {
    let tied = open("pt/tied.bin");
    assert_eq!(tied.ties(), [["model.embed_tokens.weight", "lm_head.weight"]]);
    assert!(open("pt/views.pt").ties().is_empty());
    assert!(open("pt/state_dict_zip.pt").ties().is_empty());
}

#[test]
fn the_state_dict_of_a_training_checkpoint_is_found() {
    let model = ["a.bias", "a.weight", "b.weight", "n.bias", "n.num_batches_tracked", "n.running_mean"];
    let found = open("pt/train_ckpt.pt");
    assert_eq!(names(&*found)[..6], model);
    assert_eq!(found.tensors().len(), 8);
    assert!(found.notes()[0].contains("\"model\"; 18 tensors beside it"), "{:?}", found.notes());
    let all = open_with("pt/train_ckpt.pt", &whole()).unwrap();
    for name in names(&*found) {
        assert_eq!(found.tensor(name).unwrap().bytes, all.tensor(&format!("model.{name}")).unwrap().bytes);
    }
    let at = |prefix: &str| {
        let options = OpenOptions { prefix: Some(prefix.to_owned()), ..OpenOptions::default() };
        open_with("pt/train_ckpt.pt", &options)
    };
    assert_eq!(names(&*at("optimizer.state.0").unwrap()), ["exp_avg", "exp_avg_sq", "step"]);
    let error = at("mode").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("\"args\", \"model\", \"optimizer\", \"rng\""), "{error}");
}

#[test]
fn a_state_dict_is_chosen_in_single_pytorch_files_only() {
    let options = OpenOptions { prefix: Some("model".to_owned()), ..OpenOptions::default() };
    for path in ["tiny/llama/model.safetensors", "gguf/all_types.gguf", "pytorch_model/legacy_sharded"] {
        let error = open_with(path, &options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("\"model\" was asked for"), "{error}");
        assert!(open_with(path, &whole()).is_ok());
    }
}

#[test]
fn numbers_and_texts_beside_the_tensors_are_metadata() {
    let found = open("pt/train_ckpt.pt");
    assert!(found.metadata().unsigned("epoch").is_some(), "{:?}", found.metadata());
}

#[test]
fn what_cannot_be_read_is_listed_and_hides_nothing() {
    for (file, name, why) in [("pt/quantized.pt", "q", "is quantised"), ("pt/sparse.pt", "coo", "is sparse")]
    {
        let found = open(file);
        assert_eq!(f32s(&*found, "dense").len(), 2);
        assert!(found.tensors()[name].encoding.dtype().is_none());
        let error = found.tensor(name).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(why) && error.to_string().contains(name), "{error}");
    }
    let complex = open("pt/complex.pt");
    assert_eq!(complex.tensors()["c64"].encoding, Encoding::Other("complex64".to_owned()));
    let refused = complex.tensor("c64").unwrap().read_into(DType::F32, &mut [0; 48]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn an_array_of_numpy_is_a_tensor() {
    let found = open("pt/numpy_inside.pt");
    assert_eq!(found.tensors()["n"].encoding, Encoding::Plain(DType::I64));
    assert_eq!(f32s(&*found, "n"), [0.0, 1.0, 2.0]);
}

#[test]
fn a_whole_module_is_refused_by_its_class_and_read_leniently() {
    let error = open_with("pt/whole_module.pt", &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("global \"my_project.models.Net\""), "{error}");
    let found = open_with("pt/whole_module.pt", &lenient()).unwrap();
    assert_eq!(found.tensors().len(), 2, "{:?}", names(&*found));
    assert!(found.notes().iter().any(|note| note.contains("my_project.models.Net")));
}

#[test]
fn shards_of_pytorch_files_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let shard = |name: &str, from: &str| fs::copy(fixture(from), folder.path().join(name)).unwrap();
    shard("pytorch_model-00001-of-00002.bin", "pt/tied.bin");
    shard("pytorch_model-00002-of-00002.bin", "pt/state_dict_legacy.pth");
    let index = |map: &[(&str, &str)]| {
        let weight_map: BTreeMap<_, _> = map.iter().copied().collect();
        let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": weight_map });
        fs::write(folder.path().join("pytorch_model.bin.index.json"), index.to_string()).unwrap();
        porter_weights::open(folder.path())
    };
    let map = [
        ("lm_head.weight", "pytorch_model-00001-of-00002.bin"),
        ("model.embed_tokens.weight", "pytorch_model-00001-of-00002.bin"),
        ("a.weight", "pytorch_model-00002-of-00002.bin"),
    ];
    let found = index(&map).unwrap();
    assert_eq!(found.format(), Format::PyTorchShards { shards: 2 });
    assert_eq!(found.tensors().len(), 10);
    assert_eq!(found.ties().len(), 1);
    let single = open("pt/state_dict_legacy.pth");
    assert_eq!(found.tensor("a.weight").unwrap().bytes, single.tensor("a.weight").unwrap().bytes);
    let absent = index(&[("a.weight", "../x.bin"), ("c", "gone.bin")]).err().unwrap();
    assert_eq!(absent.kind(), ErrorKind::Corrupt);
    assert!(absent.to_string().contains("gone.bin") && absent.to_string().contains("../x.bin"), "{absent}");
}

/// A pickle that would write `target` if anything of it were run, by each way that a pickle has.
fn hostile(target: &Path) -> Vec<Vec<u8>> {
    let command = format!("touch {}", target.display());
    let mut text = vec![b'X'];
    text.extend((command.len() as u32).to_le_bytes());
    text.extend(command.as_bytes());
    let join = |parts: &[&[u8]]| parts.concat();
    vec![
        // REDUCE, and the same thrown away in front of an empty dict.
        join(&[b"\x80\x02cposix\nsystem\n", &text, b"\x85R."]),
        join(&[b"\x80\x02cposix\nsystem\n", &text, b"\x85R0}."]),
        // STACK_GLOBAL, NEWOBJ, NEWOBJ_EX, OBJ.
        join(&[b"\x80\x04\x8c\x02os\x8c\x06system\x93", &text, b"\x85R."]),
        join(&[b"\x80\x02cos\nsystem\n", &text, b"\x85\x81."]),
        join(&[b"\x80\x04cos\nsystem\n", &text, b"\x85}\x92."]),
        join(&[b"\x80\x02(cos\nsystem\n", &text, b"o."]),
        // A hook of a tensor's state, and a default factory.
        join(&[b"\x80\x02ccollections\nOrderedDict\n)Rcos\nsystem\n", &text, b"\x85Rb."]),
        join(&[b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R", &text, b"Ns."]),
    ]
}

#[test]
fn nothing_of_a_hostile_pickle_runs() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("PWNED");
    for (index, pickle) in hostile(&target).iter().enumerate() {
        let path = folder.path().join("evil.pt");
        let legacy = [&b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s."[..], pickle, b"\x80\x02]."].concat();
        for bytes in [pickle, &legacy] {
            fs::write(&path, bytes).unwrap();
            let error = porter_weights::open(&path).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{index}: {error}");
            assert!(error.to_string().contains("system"), "{index}: {error}");
            if let Ok(read) = porter_weights::open_with(&path, &lenient()) {
                assert!(read.tensors().is_empty() && !read.notes().is_empty());
            }
            assert!(!target.exists(), "{index}");
        }
        // The legacy form is whole, so that the refusal is not one of its frame.
        assert!(porter_weights::open_with(&path, &lenient()).is_ok(), "{index}");
    }
}

#[test]
fn small_pickles_of_very_many_paths_are_refused_at_once() {
    let legacy = |pickle: &[u8]| {
        let frame = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";
        [&frame[..], pickle, b"\x80\x02]."].concat()
    };
    // Lists of the list before, twice: 2^60 paths.
    let mut bomb = b"\x80\x02]q\0".to_vec();
    for level in 0..60_u8 {
        bomb.extend([b'h', level, b'h', level, 0x86, b'q', level + 1]);
    }
    bomb.push(b'.');
    // One long name, again and again.
    let mut names = b"\x80\x02}(X\x00\x80\x00\x00".to_vec();
    names.extend(vec![b'x'; 0x8000]);
    names.extend(b"q\x01}");
    for _ in 0..20_000 {
        names.extend(b"sh\x01}");
    }
    let inner = names.clone();
    names.extend(b"u.");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.pt");
    for pickle in [&bomb, &names, &inner] {
        fs::write(&path, legacy(pickle)).unwrap();
        let _ = porter_weights::open(&path);
    }
    fs::write(&path, legacy(&bomb)).unwrap();
    let error = porter_weights::open(&path).err().unwrap();
    assert!(error.to_string().contains("more paths"), "{error}");
}
