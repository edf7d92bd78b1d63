//! Arrays of NumPy: what it wrote has the values that it reads, and what is damaged is refused.

use std::{fs, path::Path};

use porter_ir::DType;
use porter_weights::{Encoding, ErrorKind, Format};

use crate::common::{fixture, open};

#[test]
fn every_array_has_the_bytes_that_numpy_reads() {
    let expected = open("npz/arrays.expected.safetensors");
    for name in ["npz/arrays.npz", "npz/arrays_compressed.npz"] {
        let file = open(name);
        assert_eq!(file.format(), Format::Npz);
        for (tensor, info) in expected.tensors() {
            let found = file.tensor(tensor).unwrap();
            let of =
                |info: &porter_weights::TensorInfo| (info.shape.clone(), info.encoding.clone(), info.bytes);
            assert_eq!(of(found.info), of(info), "{name}: {tensor}");
            assert_eq!(found.bytes, expected.tensor(tensor).unwrap().bytes, "{name}: {tensor}");
            let mut tail = vec![0; info.bytes.min(3)];
            file.read_at(tensor, (info.bytes - tail.len()) as u64, &mut tail).unwrap();
            assert!(found.bytes.ends_with(&tail), "{name}: {tensor}");
        }
    }
    let zeros = open("npz/arrays_compressed.npz");
    assert_eq!(*zeros.tensor("zeros").unwrap().bytes, vec![0; 100_000]);
}

#[test]
fn arrays_that_are_not_read_are_listed_and_say_why() {
    let file = open("npz/arrays.npz");
    for (name, encoding, why) in [
        ("object", "|O", "objects, which are pickles"),
        ("structured", "structured", "fields"),
        ("big", ">f4", "big endian"),
        ("complex", "<c8", "none of the numbers"),
        ("text", "<U2", "none of the numbers"),
    ] {
        assert_eq!(file.tensors()[name].encoding, Encoding::Other(encoding.to_owned()));
        let error = file.tensor(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(name) && error.to_string().contains(why), "{error}");
    }
}

/// Opens a copy of a fixture with changed bytes.
fn changed(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), porter_weights::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let mut bytes = fs::read(fixture(file)).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let file = porter_weights::open(&path)?;
    for name in file.tensors().keys() {
        let _ = file.tensor(name);
    }
    Ok(())
}

#[test]
fn what_is_damaged_is_refused_by_the_name_of_the_array() {
    let lying = changed("npz/arrays.npz", |bytes| {
        let at = bytes.windows(6).position(|window| window == b"(3, 5)").unwrap();
        bytes[at + 1] = b'4';
    });
    let lying = lying.unwrap_err();
    assert_eq!(lying.kind(), ErrorKind::Corrupt);
    let what = lying.to_string();
    assert!(what.contains("tensor \"layer.bool\": has 15 bytes of elements; bool[4, 5] has 20"), "{what}");
    for file in ["npz/arrays.npz", "npz/arrays_compressed.npz"] {
        assert!(changed(file, |bytes| bytes.truncate(bytes.len() / 2)).is_err());
        assert!(changed(file, |bytes| bytes[0] = 0).is_err());
        assert!(changed(file, Vec::clear).is_err());
    }
}

#[test]
fn no_damage_of_one_byte_panics() {
    for file in ["npz/arrays.npz", "npz/arrays_compressed.npz"] {
        let bytes = fs::read(fixture(file)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        for at in (0..bytes.len()).step_by(7) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            read_all(&path);
        }
    }
}

fn read_all(path: &Path) {
    let Ok(file) = porter_weights::open(path) else { return };
    for (name, info) in file.tensors() {
        if let Ok(view) = file.tensor(name) {
            assert_eq!(view.bytes.len(), info.bytes);
            let mut out = vec![0; info.shape.elements() * 4];
            let _ = view.read_into(DType::F32, &mut out);
        }
    }
}

#[test]
fn a_torch_script_file_may_be_called_jit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.jit");
    fs::copy(fixture("pt/torchscript.pt"), &path).unwrap();
    let (there, here) = (open("pt/torchscript.pt"), porter_weights::open(&path).unwrap());
    assert_eq!(there.tensors(), here.tensors());
    assert!(matches!(here.format(), Format::PyTorch(porter_weights::PyTorchKind::TorchScript)));
}
