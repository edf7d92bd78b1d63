//! One checkpoint against another, tensor by tensor.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use porter_weights::{Checkpoint, Encoding};
use serde::Serialize;

use crate::{CompareError, Comparison, Positions, View, compare};

/// How far one file or folder of tensors is from another.
#[derive(Clone, Debug, Serialize)]
pub struct FilesComparison {
    /// Every tensor that both hold in one shape, in name order.
    pub tensors: Vec<Comparison>,
    /// Every tensor that could not be compared, in name order.
    pub mismatches: Vec<Mismatch>,
}

/// A tensor that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Its name.
    pub name: String,
    /// Why.
    #[serde(flatten)]
    pub kind: MismatchKind,
}

/// Why a tensor could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "what")]
pub enum MismatchKind {
    /// Only the reference holds it.
    Missing,
    /// Only the side under test holds it.
    Extra,
    /// Both hold it, in other shapes or in types that are not compared.
    Differs(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MismatchKind::Missing => write!(f, "{}: only the reference holds it", self.name),
            MismatchKind::Extra => write!(f, "{}: the reference does not hold it", self.name),
            MismatchKind::Differs(what) => write!(f, "{}: {what}", self.name),
        }
    }
}

/// Why two files cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One of them cannot be read.
    #[error("comparing {} with {}: {source}", ours.display(), reference.display())]
    Read {
        /// The side under test.
        ours: PathBuf,
        /// The reference.
        reference: PathBuf,
        /// Which, and why.
        source: Box<porter_weights::Error>,
    },
    /// They have no element in common, which is never a pass.
    #[error(
        "{} and {} have no tensor in common, so there is nothing to compare: {} missing, extra or of another form",
        ours.display(), reference.display(), mismatches.len()
    )]
    Empty {
        /// The side under test.
        ours: PathBuf,
        /// The reference.
        reference: PathBuf,
        /// What they hold instead.
        mismatches: Vec<Mismatch>,
    },
}

impl FilesComparison {
    /// True if both hold the same names in the same shapes, and NaNs and infinities in the same places.
    pub fn comparable(&self) -> bool {
        self.mismatches.is_empty() && self.tensors.iter().all(Comparison::comparable)
    }

    /// The tensor that is furthest off, in standard deviations of its reference.
    pub fn worst(&self) -> Option<&Comparison> {
        let off = |c: &Comparison| if c.max_abs == 0.0 { 0.0 } else { c.max_abs / c.scale };
        self.tensors.iter().max_by(|a, b| off(a).total_cmp(&off(b)))
    }
}

/// Compares every tensor of two checkpoints: safetensors files, or folders of them. Names are matched;
/// everything that does not match is listed. Tensors are read through maps of the files, one at a time,
/// so that memory does not grow with their size.
pub fn compare_files(ours: &Path, reference: &Path) -> Result<FilesComparison, FilesError> {
    let read = |source: porter_weights::Error| FilesError::Read {
        ours: ours.to_owned(),
        reference: reference.to_owned(),
        source: Box::new(source),
    };
    let (a, b) = (porter_weights::open(ours).map_err(read)?, porter_weights::open(reference).map_err(read)?);
    let mut found = FilesComparison { tensors: Vec::new(), mismatches: Vec::new() };
    let mut mismatch = |name: &str, kind| found.mismatches.push(Mismatch { name: name.to_owned(), kind });
    for name in b.tensors().keys() {
        if !a.tensors().contains_key(name) {
            mismatch(name, MismatchKind::Missing);
            continue;
        }
        match of_tensor(a.as_ref(), b.as_ref(), name).map_err(read)? {
            Ok(comparison) => found.tensors.push(comparison),
            Err(what) => mismatch(name, MismatchKind::Differs(what)),
        }
    }
    for name in a.tensors().keys().filter(|name| !b.tensors().contains_key(*name)) {
        mismatch(name, MismatchKind::Extra);
    }
    found.mismatches.sort_by(|a, b| a.name.cmp(&b.name));
    if found.tensors.is_empty() {
        let (ours, reference) = (ours.to_owned(), reference.to_owned());
        return Err(FilesError::Empty { ours, reference, mismatches: found.mismatches });
    }
    Ok(found)
}

fn of_tensor(
    ours: &dyn Checkpoint,
    reference: &dyn Checkpoint,
    name: &str,
) -> Result<Result<Comparison, String>, porter_weights::Error> {
    let (a, b) = (ours.tensor(name)?, reference.tensor(name)?);
    let view = |encoding: &Encoding, shape: &porter_ir::Shape, bytes| match encoding {
        Encoding::Plain(dtype) => {
            View::new(*dtype, shape.clone(), bytes).map_err(|error: CompareError| error.to_string())
        }
        other => Err(format!("found elements of {other}, expected plain numbers")),
    };
    let views = view(&a.info.encoding, &a.info.shape, a.bytes)
        .and_then(|ours| Ok((ours, view(&b.info.encoding, &b.info.shape, b.bytes)?)));
    Ok(views.and_then(|(a, b)| compare(name, &a, &b, &Positions::All).map_err(|error| error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    fn save(path: &Path, tensors: &[(&str, Dtype, &[usize], &[f32])]) {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(.., values)| values.iter().flat_map(|x| x.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, dtype, shape, _), bytes)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
        });
        fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    #[test]
    fn what_does_not_match_is_listed_beside_what_does() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
        let values = [1.0, 2.0, 3.0, 4.0];
        let f32 = Dtype::F32;
        save(
            &a,
            &[
                ("both", f32, &[4], &[1.0, 2.0, 3.5, 4.0]),
                ("new", f32, &[4], &values),
                ("wide", f32, &[2, 2], &values),
                ("none", f32, &[0], &[]),
            ],
        );
        save(
            &b,
            &[
                ("both", f32, &[4], &values),
                ("old", f32, &[4], &values),
                ("wide", f32, &[4], &values),
                ("none", f32, &[0], &[]),
            ],
        );
        let found = compare_files(&a, &b).unwrap();
        approx::assert_relative_eq!(found.worst().unwrap().max_abs, 0.5);
        assert!(!found.comparable());
        let names: Vec<&str> = found.mismatches.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["new", "none", "old", "wide"]);
        assert_eq!(found.mismatches[0].kind, MismatchKind::Extra);
        assert_eq!(found.mismatches[2].kind, MismatchKind::Missing);
        let json = serde_json::to_value(&found.mismatches).unwrap();
        assert_eq!(
            (&json[3]["kind"], json[3]["what"].as_str().unwrap().contains("[2, 2]")),
            (&"differs".into(), true)
        );
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.contains("relative_percentiles"), "{json}");

        let other = dir.path().join("c.safetensors");
        save(&other, &[("elsewhere", f32, &[4], &values)]);
        assert!(
            matches!(compare_files(&other, &b), Err(FilesError::Empty { mismatches, .. }) if mismatches.len() == 5)
        );
        fs::write(&other, [0xff; 20]).unwrap();
        assert!(compare_files(&other, &b).unwrap_err().to_string().contains("c.safetensors"));
    }
}
