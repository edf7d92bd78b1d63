//! Damaged files: whatever is flipped, cut or spliced, opening and reading never panics, and what
//! opens stays within its file.

use std::{fs, path::Path};

use porter_ir::DType;
use proptest::prelude::*;

use crate::common::fixture;
use porter_weights::Format;

/// One damage to a file.
#[derive(Clone, Debug)]
enum Damage {
    Set { at: usize, byte: u8 },
    Cut { at: usize },
    Drop { at: usize, len: usize },
    Repeat { at: usize, len: usize },
    Word { at: usize, word: u64 },
}

impl Damage {
    /// Damages the first `header` bytes, where every field of the format lies.
    fn apply(&self, bytes: &mut Vec<u8>, header: usize) {
        let place = |at: &usize| at % header.min(bytes.len()).max(1);
        match self {
            _ if bytes.is_empty() => {}
            Damage::Set { at, byte } => {
                let at = place(at);
                bytes[at] = *byte;
            }
            Damage::Cut { at } => bytes.truncate(at % bytes.len()),
            Damage::Drop { at, len } => {
                let at = place(at);
                let end = (at + len).min(bytes.len());
                bytes.drain(at..end);
            }
            Damage::Repeat { at, len } => {
                let at = place(at);
                let again = bytes[at..(at + len).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Damage::Word { at, word } => {
                let at = place(at);
                let end = (at + 8).min(bytes.len());
                bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let word = prop_oneof![Just(0), Just(u64::MAX), Just(1 << 62), Just(1 << 32), any::<u64>()];
    let damage = prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set { at, byte }),
        any::<usize>().prop_map(|at| Damage::Cut { at }),
        (any::<usize>(), 1_usize..32).prop_map(|(at, len)| Damage::Drop { at, len }),
        (any::<usize>(), 1_usize..32).prop_map(|(at, len)| Damage::Repeat { at, len }),
        (any::<usize>(), word).prop_map(|(at, word)| Damage::Word { at, word }),
    ];
    prop::collection::vec(damage, 1..4)
}

/// Opens the file, and reads every tensor of it that is a number.
fn read_all(path: &Path) {
    let Ok(checkpoint) = porter_weights::open(path) else { return };
    for (name, info) in checkpoint.tensors() {
        let view = match checkpoint.tensor(name) {
            Ok(view) => view,
            // Compressed storages are looked at here first, and some tensors are listed only.
            Err(_) if matches!(checkpoint.format(), Format::PyTorch(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(view.bytes.len(), info.bytes);
        if info.encoding.dtype().is_some() {
            view.read_into(DType::F32, &mut vec![0; info.shape.elements() * 4]).unwrap();
        }
    }
}

/// Damages a good file, then reads what is left of it.
fn read_damaged(good: &str, header: usize, damages: &[Damage]) {
    let mut bytes = fs::read(fixture(good)).unwrap();
    for damage in damages {
        damage.apply(&mut bytes, header);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Path::new(good).file_name().unwrap());
    fs::write(&path, bytes).unwrap();
    read_all(&path);
}

/// Files of every form that PyTorch writes.
const PYTORCH: &[&str] = &[
    "pt/views.pt",
    "pt/views_legacy.pt",
    "pt/rezipped_deflate.pt",
    "pt/torchscript.pt",
    "pt/dtypes_unsigned.bin",
    "pt/numpy_inside.pt",
    "pt/quantized.pt",
    "pt/sparse.pt",
    "pt/complex.pt",
    "pt/protocol5.pt",
    "bad/tensor_ok_control.pt",
];
/// Where the object lies in `pt/views_legacy.pt`.
const OBJECT: std::ops::Range<usize> = 137..689;

/// Pickles of right opcodes with small arguments, in any order.
fn opcodes() -> impl Strategy<Value = Vec<u8>> {
    let plain = b".N\x88\x89(012)\x85\x86\x87t]laed}su\x8f\x90\x91\x94\x93QR\x81\x92ob".to_vec();
    let op = prop_oneof![
        prop::sample::select(plain).prop_map(|op| vec![op]),
        (prop::sample::select(b"qhKC".to_vec()), 0_u8..4).prop_map(|(op, n)| {
            let mut bytes = vec![op, n];
            bytes.resize(2 + if op == b'C' { usize::from(n) } else { 0 }, 7);
            bytes
        }),
        prop::sample::select(
            &[
                "ctorch\nSize\n",
                "ctorch._utils\n_rebuild_tensor_v2\n",
                "ctorch\nFloatStorage\n",
                "ccollections\nOrderedDict\n",
                "ctorch._utils\n_rebuild_parameter\n",
                "cnumpy\ndtype\n",
                "cnumpy.core.multiarray\n_reconstruct\n",
                "cos\nsystem\n",
                "X\x07\0\0\0storage"
            ][..]
        )
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(op, 0..64).prop_map(|ops| ops.concat())
}

proptest! {
    #[test]
    fn damaged_safetensors(damages in damages()) {
        read_damaged("bad/st_ok_control.safetensors", 128, &damages);
    }

    #[test]
    fn damaged_gguf(damages in damages()) {
        read_damaged("bad/gguf_ok_control.gguf", 112, &damages);
    }

    #[test]
    fn damaged_gguf_of_every_type(damages in damages()) {
        read_damaged("gguf/all_types.gguf", 2048, &damages);
    }

    #[test]
    fn damaged_pytorch(file in prop::sample::select(PYTORCH), damages in damages()) {
        read_damaged(file, usize::MAX, &damages);
    }

    #[test]
    fn arbitrary_pickles(pickle in opcodes()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pt");
        let mut bytes = fs::read(fixture("pt/views_legacy.pt")).unwrap();
        // The fourth pickle of a legacy file is the object.
        bytes.splice(OBJECT, pickle);
        fs::write(&path, bytes).unwrap();
        read_all(&path);
    }

    #[test]
    fn arbitrary_bytes(start in prop::sample::select(vec!["", "\u{80}\u{2}", "PK\u{3}\u{4}"]), bytes: Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pt");
        fs::write(&path, [start.chars().map(|c| c as u8).collect(), bytes].concat()).unwrap();
        read_all(&path);
    }

    #[test]
    fn damaged_index(damages in damages()) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = fs::read(fixture("bad/index_wrong_tensor/model.safetensors.index.json")).unwrap();
        for damage in &damages {
            damage.apply(&mut index, 1024);
        }
        fs::copy(fixture("bad/index_wrong_tensor/s.safetensors"), folder.path().join("s.safetensors")).unwrap();
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        read_all(folder.path());
    }
}
