//! A recorded reference: what a model was given and what it returned.

mod case;
mod layout;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use porter_ir::DType;
use porter_weights::{Checkpoint, Metadata, SafetensorsFile};

use crate::{BundleError, BundleProblem, Comparison, Positions, View, compare};
pub use case::{Case, Generated, MeasureError};
pub use layout::Output;
use layout::{Continuation, Layout};

/// The file with a model's arguments.
const INPUTS: &str = "inputs.safetensors";
/// The file with its outputs.
pub(crate) const REFERENCE: &str = "reference.safetensors";
/// Notes of a recorder: either name.
const NOTES: [&str; 2] = ["bundle.json", "reference.json"];
/// The most that rounding to f32 carries, in units of the tensor's scale: some thirty times the worst
/// of 142 small transformers models (`qwen3_5`, 2.7e-4). Above it one of the two tensors is damaged,
/// and a budget made from them would let anything pass.
const MOST_NOISE: f64 = 1e-2;
/// The most bytes of notes that are read.
const NOTES_LIMIT: u64 = 16 << 20;

/// A folder with `inputs.safetensors`, named by the model's arguments, and `reference.safetensors`,
/// named by its outputs; and, where a recorder left them, notes in `bundle.json` or
/// `reference.json`.
///
/// A bundle has one [`Case`], or several: with an input `padded.input_ids`, all of `padded.NAME` belongs
/// to the case `padded`, and so for any other name; where inputs are numbered (`input_ids.0`, `input_ids.1`, ...), each number is a case, and what has no number
/// belongs to the first. `hidden_states.N` and module paths keep their numbers.
pub struct Bundle {
    dir: PathBuf,
    inputs: SafetensorsFile,
    reference: SafetensorsFile,
    cases: Vec<Layout>,
    noise: Option<f64>,
    notes: Option<serde_json::Value>,
}

impl Bundle {
    /// Opens a bundle and checks that what it says fits together, of both files at once. Tensor data stays
    /// on disk, but that of twins, which are compared.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let mut problems = Vec::new();
        let notes = read_notes(dir, &mut problems);
        let file = |name| SafetensorsFile::open(&dir.join(name));
        let (inputs, reference) = match (file(INPUTS), file(REFERENCE)) {
            (Ok(inputs), Ok(reference)) => (inputs, reference),
            (inputs, reference) => return Err(unreadable(dir, inputs, reference, problems)),
        };
        let cases = layout::cases(inputs.tensors(), reference.tensors(), &mut problems);
        let mut bundle = Self { dir: dir.to_owned(), inputs, reference, cases, noise: None, notes };
        bundle.noise = bundle.measure_noise(&mut problems);
        if problems.is_empty() {
            Ok(bundle)
        } else {
            Err(BundleError::Problems { dir: dir.to_owned(), problems })
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its cases, the plain one first.
    pub fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.cases.iter().map(|layout| Case::new(self, layout))
    }

    /// The greatest |f32 - f64|, absolute, over the model's results that were also recorded in f64
    /// (`NAME_f64`): how far the reference's own rounding carries. `None` where no such twin was
    /// recorded. Layers' states and modules' outputs are left out: they may be thousands of times
    /// greater than a result, and so is their error.
    pub fn noise(&self) -> Option<f64> {
        self.noise
    }

    /// What the recorder wrote into `reference.safetensors`: dtype, versions, seed, ...
    pub fn metadata(&self) -> &Metadata {
        self.reference.metadata()
    }

    /// The recorder's notes, as they are.
    pub fn notes(&self) -> Option<&serde_json::Value> {
        self.notes.as_ref()
    }

    fn input_view(&self, tensor: &str) -> Result<View<'_>, BundleError> {
        self.view(&self.inputs, INPUTS, tensor)
    }

    fn reference_view(&self, tensor: &str) -> Result<View<'_>, BundleError> {
        self.view(&self.reference, REFERENCE, tensor)
    }

    fn view<'a>(
        &self,
        file: &'a SafetensorsFile,
        name: &'static str,
        tensor: &str,
    ) -> Result<View<'a>, BundleError> {
        let stored = file.tensor(tensor).map_err(|e| BundleError::file(&self.dir, e))?;
        let dtype = stored.info.encoding.dtype().unwrap_or(DType::I4);
        View::new(dtype, stored.info.shape.clone(), stored.bytes).map_err(|error| {
            let problem = BundleProblem::Tensor {
                file: name,
                tensor: tensor.to_owned(),
                found: stored.info.encoding.to_string(),
                expected: error.to_string(),
            };
            BundleError::Problems { dir: self.dir.clone(), problems: vec![problem] }
        })
    }

    /// Compares every twin of which nothing is known to be wrong.
    fn measure_noise(&self, problems: &mut Vec<BundleProblem>) -> Option<f64> {
        let mut noise = None;
        for output in self.cases.iter().flat_map(|case| &case.outputs) {
            let Some(twin) = &output.twin else { continue };
            if problems.iter().any(|problem| problem.is_about(twin) || problem.is_about(&output.tensor)) {
                continue;
            }
            let views =
                self.reference_view(&output.tensor).and_then(|one| Ok((one, self.reference_view(twin)?)));
            let error = views
                .map_err(|error| error.to_string())
                .and_then(|(one, two)| compare(twin, &one, &two, &Positions::All).map_err(|e| e.to_string()));
            match error {
                Ok(error) if error.comparable() && error.max_abs <= MOST_NOISE * error.scale => {
                    if !output.inner() {
                        noise = Some(error.max_abs.max(noise.unwrap_or(0.0)));
                    }
                }
                Ok(error) => problems.push(not_a_twin(output, twin, &away(&error))),
                Err(found) => problems.push(not_a_twin(output, twin, &found)),
            }
        }
        noise
    }
}

/// What is wrong with a bundle of which a file cannot be read.
fn unreadable(
    dir: &Path,
    inputs: Result<SafetensorsFile, porter_weights::Error>,
    reference: Result<SafetensorsFile, porter_weights::Error>,
    mut problems: Vec<BundleProblem>,
) -> BundleError {
    let mut others = Vec::new();
    for (name, file) in [(INPUTS, inputs), (REFERENCE, reference)] {
        match file {
            Ok(file) => layout::check_tensors(name, file.tensors(), &mut problems),
            Err(error) => others.push(error),
        }
    }
    if others.is_empty() {
        return BundleError::Problems { dir: dir.to_owned(), problems };
    }
    let source = Box::new(others.remove(0));
    BundleError::File { dir: dir.to_owned(), source, others, problems }
}

/// How a would-be twin is not one.
fn away(error: &Comparison) -> String {
    if error.comparable() {
        format!("{:.3e} away", error.max_abs)
    } else if error.nan.agree() && error.inf.agree() {
        "no finite number".to_owned()
    } else {
        "NaN or infinity where the other has none".to_owned()
    }
}

fn not_a_twin(output: &Output, twin: &str, found: &str) -> BundleProblem {
    BundleProblem::Tensor {
        file: REFERENCE,
        tensor: twin.to_owned(),
        found: found.to_owned(),
        expected: format!("{:?} in double precision, within {MOST_NOISE} of its std", output.tensor),
    }
}

fn read_notes(dir: &Path, problems: &mut Vec<BundleProblem>) -> Option<serde_json::Value> {
    let (name, file) =
        NOTES.into_iter().find_map(|name| Some((name, fs::File::open(dir.join(name)).ok()?)))?;
    let mut text = Vec::new();
    let parsed = file
        .take(NOTES_LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(|e| e.to_string())
        .and_then(|_| serde_json::from_slice(&text).map_err(|e| e.to_string()));
    match parsed {
        Ok(notes) => Some(notes),
        Err(what) => {
            problems.push(BundleProblem::Notes { file: name, what });
            None
        }
    }
}

#[cfg(test)]
mod tests;
