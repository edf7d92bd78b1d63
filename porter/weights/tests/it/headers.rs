//! Headers from a file's first bytes: what mapping the whole file gives, or an error of the same kind.

use std::{collections::BTreeMap, fs, path::Path};

use porter_weights::{Checkpoint, Error, GgufFile, Header, HeaderRead, SafetensorsFile};

use crate::common::fixture;

/// Reads as a ranged reader does, and says how many bytes it took.
fn read(path: &Path, bytes: &[u8], start: usize) -> Result<(Header, usize), Error> {
    let read = if path.extension().unwrap() == "gguf" { Header::gguf } else { Header::safetensors };
    let mut taken = start.min(bytes.len());
    loop {
        match read(path, &bytes[..taken], bytes.len() as u64)? {
            HeaderRead::Whole(header) => return Ok((*header, taken)),
            HeaderRead::Needs(needs) => {
                let needs = usize::try_from(needs).unwrap();
                assert!(needs > taken && needs <= bytes.len(), "{}: {needs} after {taken}", path.display());
                taken = needs;
            }
        }
    }
}

/// The one file, mapped.
fn open(path: &Path) -> Result<Box<dyn Checkpoint>, Error> {
    if path.extension().unwrap() == "gguf" {
        Ok(Box::new(GgufFile::open(path)?))
    } else {
        Ok(Box::new(SafetensorsFile::open(path)?))
    }
}

fn files(folder: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![fixture(folder)];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let read = path.extension().is_some_and(|kind| kind == "gguf" || kind == "safetensors");
            if path.is_dir() {
                waiting.push(path);
            } else if read {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn headers_are_those_of_the_mapped_file() {
    let (mut whole, mut refused) = (0, 0);
    for path in ["tiny", "gguf", "bad"].into_iter().flat_map(files) {
        let bytes = fs::read(&path).unwrap();
        for start in [0, 9, 1000, 1 << 30] {
            match (open(&path), read(&path, &bytes, start)) {
                (Ok(mapped), Ok((header, _))) => {
                    whole += 1;
                    assert_eq!(header.format, mapped.format());
                    assert_eq!(&header.metadata, mapped.metadata());
                    let infos: BTreeMap<_, _> = header
                        .tensors
                        .iter()
                        .map(|(name, stored)| (name.clone(), stored.info.clone()))
                        .collect();
                    assert_eq!(&infos, mapped.tensors());
                    for (name, stored) in &header.tensors {
                        let range = stored.range.start as usize..stored.range.end as usize;
                        assert_eq!(bytes[range], *mapped.tensor(name).unwrap().bytes, "{name}");
                    }
                }
                (Err(mapped), Err(header)) => {
                    refused += 1;
                    assert_eq!(header.kind(), mapped.kind(), "{header} / {mapped}");
                }
                (mapped, header) => {
                    panic!("{}: {:?} / {:?}", path.display(), mapped.map(|_| ()), header.map(|_| ()))
                }
            }
        }
    }
    assert!(whole > 50 && refused > 50, "{whole} {refused}");
}

#[test]
fn only_the_header_is_asked_for() {
    let path = fixture("tiny/llama/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let header_end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let (_, taken) = read(&path, &bytes, 0).unwrap();
    assert_eq!(taken as u64, header_end);
}
