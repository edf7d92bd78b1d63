//! Damaged files: whatever is flipped, cut or spliced, opening and reading never panics, and what
//! opens stays within its file.

use std::{fs, path::Path};

use porter_ir::DType;
use proptest::prelude::*;

use crate::common::fixture;

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
        let view = checkpoint.tensor(name).unwrap();
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
