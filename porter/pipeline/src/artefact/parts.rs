//! What every artefact is read from.

use std::path::{Path, PathBuf};

use porter_import::{ModelFiles, Silent, Source};
use porter_ir::{InputRole, Mesh};
use porter_plan::Target;
use porter_weights::{Checkpoint, Expr, WeightMap};
use sha2::{Digest, Sha256};

use super::{
    Artefact, Found, GraphArtefact,
    manifest::{MANIFEST, Manifest},
    port::program_path,
};
use crate::{Compilable, PipelineError, ahead::Job};

/// The largest program that is read, in bytes: that of a model of a thousand layers has some tens of MB.
const MOST_TEXT: u64 = 1 << 30;

/// An artefact's files, read.
pub(super) struct Parts {
    /// Where the manifest lies.
    pub(super) path: PathBuf,
    pub(super) files: ModelFiles,
    pub(super) manifest: Manifest,
    pub(super) checkpoint: Box<dyn Checkpoint>,
    pub(super) target: Target,
    pub(super) mesh: Option<Mesh>,
    /// In the manifest's order; one at least.
    pub(super) programs: Vec<Compilable>,
}

/// The artefact in the folder that a user names; none where it is no folder with a manifest.
pub fn find(name: &str) -> Result<Option<Found>, PipelineError> {
    let Ok(Source::Path(folder)) = Source::parse(name) else { return Ok(None) };
    let Some(manifest) = Manifest::read(&folder)? else { return Ok(None) };
    let parts = Parts::read(&folder, manifest)?;
    Ok(Some(match parts.manifest.graph.clone() {
        Some(graph) => Found::Graph(Box::new(GraphArtefact::open(parts, graph)?)),
        None => Found::Model(Box::new(Artefact::open(parts)?)),
    }))
}

impl Parts {
    fn read(folder: &Path, manifest: Manifest) -> Result<Self, PipelineError> {
        let path = folder.join(MANIFEST);
        let refuse = |problem: String| PipelineError::Artefact { path: path.clone(), problem };
        let files = porter_import::resolve(&Source::Path(folder.to_owned()), &Silent)?;
        let checkpoint = porter_weights::open(&files.weights)?;
        let target: Target = manifest.target.parse().map_err(|error| refuse(format!("{error}")))?;
        let mesh = manifest.mesh.as_deref().map(|axes| mesh(axes, &target)).transpose().map_err(refuse)?;
        let (mut programs, mut problems) = (Vec::new(), Vec::new());
        for program in &manifest.programs {
            match program.entry(mesh.as_ref()) {
                Err(problem) => problems.push(format!("{}: {problem}", program.name)),
                Ok(entry) => {
                    let text = text(&folder.join(program_path(&entry.name)), &program.sha256)?;
                    programs.push(Compilable { entry, text, flags: Vec::new() });
                }
            }
        }
        if programs.is_empty() && problems.is_empty() {
            problems.push("it has no programs".to_owned());
        }
        if !problems.is_empty() {
            return Err(refuse(problems.join("\n")));
        }
        Ok(Self { path, files, manifest, checkpoint, target, mesh, programs })
    }
}

/// A manifest's programs, for the TPU compiler.
pub(super) fn jobs(manifest: &Manifest, programs: Vec<Compilable>) -> Vec<Job> {
    let flops = manifest.programs.iter().map(|program| program.flops);
    let programs = programs.into_iter().zip(flops);
    programs.map(|(program, flops)| Job { program, flops, predicted: Vec::new() }).collect()
}

/// The mesh of the axes, if it is one of the target's devices.
fn mesh(axes: &[(String, usize)], target: &Target) -> Result<Mesh, String> {
    let (axes, devices) = (axes.to_vec(), target.devices());
    let said = Mesh { axes: axes.clone() };
    let refuse = || format!("the mesh {said} is none of the {devices} devices of {target}");
    Mesh::new(axes).ok().filter(|mesh| mesh.devices() == devices).ok_or_else(refuse)
}

/// A program's file, if it is the one that the manifest means.
fn text(path: &Path, sha256: &str) -> Result<String, PipelineError> {
    let refuse = |problem: String| PipelineError::Artefact { path: path.to_owned(), problem };
    let failed = |source| PipelineError::File { doing: "read", path: PathBuf::from(path), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MOST_TEXT {
        return Err(refuse(format!("a program has {bytes} bytes, at most {MOST_TEXT} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let found = hex::encode(Sha256::digest(&text));
    if found != sha256 {
        return Err(refuse(format!(
            "the SHA-256 is {found}, the manifest says {sha256}; port the model again"
        )));
    }
    Ok(text)
}

/// The weights that programs take but for those in `made`, each the tensor of its name.
pub(super) fn weights(
    programs: &[Compilable],
    checkpoint: &dyn Checkpoint,
    made: &[&str],
    problems: &mut Vec<String>,
) -> WeightMap {
    let mut weights = WeightMap::new();
    for input in programs.iter().flat_map(|program| &program.entry.inputs) {
        let stored = input.role == InputRole::Weight && !made.contains(&input.name.as_str());
        if stored && weights.resolve(&input.name).is_none() {
            match checkpoint.tensors().get(&input.name) {
                None => problems.push(format!("the weight {:?} is missing", input.name)),
                Some(found) if found.shape != input.ty.shape => problems.push(format!(
                    "the weight {:?} is {}, programs take {}",
                    input.name, found.shape, input.ty
                )),
                Some(_) => weights.insert(&input.name, input.ty.shape.clone(), Expr::source(&input.name)),
            }
        }
    }
    weights
}
