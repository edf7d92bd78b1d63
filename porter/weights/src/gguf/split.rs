//! One GGUF in several files, as llama.cpp's `gguf-split` cuts them: `NAME-00001-of-00003.gguf`. The first
//! file holds the metadata; `split.no`, `split.count` and `split.tensors.count` in each say what
//! belongs together.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::GgufFile;
use crate::{
    Checkpoint, Error, ErrorKind, Format, Metadata, TensorInfo, TensorView,
    error::{Problem, Problems},
};

/// Which part a file is, from 0 on.
pub(crate) const NO: &str = "split.no";
/// How many parts there are.
pub(crate) const COUNT: &str = "split.count";
/// How many tensors all parts have together.
pub(crate) const TENSORS: &str = "split.tensors.count";

/// The file name of part `no`, from 0 on.
pub(crate) fn part_name(stem: &str, no: usize, count: usize) -> String {
    format!("{stem}-{:05}-of-{count:05}.gguf", no + 1)
}

/// All parts of a split GGUF. Every part is mapped, none is read.
#[derive(Debug)]
pub struct GgufShards {
    path: PathBuf,
    parts: Vec<GgufFile>,
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
    part_of: BTreeMap<String, usize>,
}

/// Opens a GGUF, with all its parts if it is one of several.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Checkpoint>, Error> {
    let file = GgufFile::open(path)?;
    match file.metadata().get(COUNT) {
        None => Ok(Box::new(file)),
        Some(count) if count.as_u64() == Some(1) => Ok(Box::new(file)),
        Some(_) => Ok(Box::new(GgufShards::open(path)?)),
    }
}

impl GgufShards {
    /// Maps all parts of which `path` is one; they lie beside each other. All parts that are missing,
    /// damaged or not of this GGUF are reported at once.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let family = Family::of(&GgufFile::open(path)?).map_err(|problem| Error::corrupt(path, problem))?;
        let mut problems = Problems::default();
        let parts = family.open(path, &mut problems);
        let (tensors, part_of) = join(&family, &parts, &mut problems);
        problems.finish(path)?;
        let parts: Vec<GgufFile> = parts.into_iter().flatten().collect();
        let metadata = parts.first().map(|first| first.metadata().clone()).unwrap_or_default();
        Ok(Self { path: path.to_owned(), parts, metadata, tensors, part_of })
    }

    fn part(&self, tensor: &str) -> Option<&GgufFile> {
        self.parts.get(*self.part_of.get(tensor)?)
    }

    fn holder(&self, tensor: &str) -> Result<&GgufFile, Error> {
        self.part(tensor).ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: tensor.to_owned() })
    }
}

impl Checkpoint for GgufShards {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        let version = self.parts.first().map_or(0, GgufFile::version);
        Format::Gguf { version, parts: self.parts.len() }
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// That of the first part.
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        self.holder(name)?.tensor(name)
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.holder(name)?.read_at(name, offset, out)
    }

    fn reads_in_place(&self, _name: &str) -> bool {
        true
    }

    fn release(&self, name: &str) {
        if let Some(part) = self.part(name) {
            part.release(name);
        }
    }
}

/// What the parts of one GGUF have in common.
struct Family {
    stem: String,
    count: usize,
    /// As the part that was opened says.
    tensors: Option<u64>,
}

impl Family {
    /// What `member` says of itself, if its name agrees.
    fn of(member: &GgufFile) -> Result<Self, Problem> {
        let count = number(member, COUNT)?;
        let no = number(member, NO)?;
        if no >= count {
            return Err(Problem::field(NO, format!("is {no}, of {count} parts")));
        }
        let name = member.path().file_name().unwrap_or_default().to_string_lossy();
        let ending = part_name("", no, count);
        let stem = name.strip_suffix(&ending).ok_or_else(|| {
            let what = format!(
                "says part {} of {count}, and the name is {name:?}; parts are found by names that end in \
                 {ending:?}: rename the files back",
                no + 1
            );
            Problem::field(NO, what)
        })?;
        let tensors = member.metadata().unsigned(TENSORS);
        Ok(Self { stem: stem.to_owned(), count, tensors })
    }

    fn name(&self, no: usize) -> String {
        part_name(&self.stem, no, self.count)
    }

    /// Every part, `None` where it cannot be opened.
    fn open(&self, path: &Path, problems: &mut Problems) -> Vec<Option<GgufFile>> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut parts = Vec::new();
        for no in 0..self.count {
            if problems.are_enough() {
                break;
            }
            let name = self.name(no);
            let part = match GgufFile::open(&folder.join(&name)) {
                Ok(part) => self.check(no, &part, problems).then_some(part),
                Err(error) => {
                    let unsupported = error.kind() == ErrorKind::Unsupported;
                    let list = if unsupported { &mut problems.unsupported } else { &mut problems.corrupt };
                    list.push(Problem::shard(name, error.to_string()));
                    None
                }
            };
            parts.push(part);
        }
        parts
    }

    /// Whether `part` is part `no` of this.
    fn check(&self, no: usize, part: &GgufFile, problems: &mut Problems) -> bool {
        let expected = [(NO, Some(no as u64)), (COUNT, Some(self.count as u64)), (TENSORS, self.tensors)];
        let before = problems.corrupt.len();
        for (key, expected) in expected {
            let found = part.metadata().get(key);
            if found.and_then(crate::Value::as_u64) != expected {
                let found = found.map_or_else(|| "absent".to_owned(), ToString::to_string);
                let expected = expected.map_or_else(|| "none".to_owned(), |n| n.to_string());
                let what = format!("{key} is {found}; expected {expected}");
                problems.corrupt.push(Problem::shard(self.name(no), what));
            }
        }
        problems.corrupt.len() == before
    }
}

/// A field that every part has.
fn number(member: &GgufFile, key: &'static str) -> Result<usize, Problem> {
    let found = member.metadata().get(key);
    let number = found.and_then(crate::Value::as_u64).and_then(|n| usize::try_from(n).ok());
    number.filter(|&n| u16::try_from(n).is_ok()).ok_or_else(|| {
        let found = found.map_or_else(|| "absent".to_owned(), ToString::to_string);
        Problem::field(key, format!("is {found}; a part of a split GGUF has a u16"))
    })
}

type Joined = (BTreeMap<String, TensorInfo>, BTreeMap<String, usize>);

/// Every tensor, and the part that holds it.
fn join(family: &Family, parts: &[Option<GgufFile>], problems: &mut Problems) -> Joined {
    let (mut tensors, mut part_of) = Joined::default();
    for (no, part) in parts.iter().enumerate() {
        for (name, info) in part.iter().flat_map(Checkpoint::tensors) {
            if let Some(first) = part_of.insert(name.clone(), no) {
                let what = format!("stands twice, in {:?} and {:?}", family.name(first), family.name(no));
                problems.corrupt.push(Problem::tensor(name, what));
            }
            tensors.insert(name.clone(), info.clone());
        }
    }
    if let Some(expected) = family.tensors
        && problems.corrupt.is_empty()
        && problems.unsupported.is_empty()
        && expected != tensors.len() as u64
    {
        let what = format!("says {expected}; the {} parts hold {}", family.count, tensors.len());
        problems.corrupt.push(Problem::field(TENSORS, what));
    }
    (tensors, part_of)
}
