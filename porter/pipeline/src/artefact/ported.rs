//! A ported model at work.

use std::path::{Path, PathBuf};

use porter_import::{ModelFiles, Silent, Source};
use porter_ir::{DType, InputRole, Mesh};
use porter_plan::Target;
use porter_runtime::{Generator, Step};
use porter_weights::{Checkpoint, Expr, Loaded, WeightMap};
use porter_zoo::{Model, Phase, Task};
use sha2::{Digest, Sha256};

use super::{
    manifest::{MANIFEST, Manifest},
    port::program_path,
};
use crate::{Compilable, Engine, Observer, PipelineError, Quantize, Resident, ahead::Job};

/// The largest program that is read, in bytes: that of a model of a thousand layers has some tens of MB.
const MOST_TEXT: u64 = 1 << 30;

/// Programs over one set of weights.
pub struct Ported<'a> {
    /// The model that they are of.
    pub model: &'a Model,
    /// The type of weights, activations and cache.
    pub dtype: DType,
    /// The narrow form of the linear layers' weights.
    pub quantize: Option<Quantize>,
    /// The devices that they are laid out over.
    pub mesh: Option<&'a Mesh>,
    /// The programs, with what they are for.
    pub programs: Vec<(Phase, &'a Compilable)>,
    /// How their weights come from the checkpoint.
    pub weights: &'a WeightMap,
    /// The checkpoint.
    pub checkpoint: &'a dyn Checkpoint,
}

/// A ported model on this machine.
pub struct Artefact {
    /// Its files.
    pub files: ModelFiles,
    /// What it is.
    pub manifest: Manifest,
    /// The model that it was.
    pub model: Model,
    /// Its weights.
    pub checkpoint: Box<dyn Checkpoint>,
    /// The target that it is for.
    pub target: Target,
    dtype: DType,
    quantize: Option<Quantize>,
    mesh: Option<Mesh>,
    /// In the manifest's order.
    programs: Vec<Compilable>,
    weights: WeightMap,
}

impl Artefact {
    /// The artefact in the folder that a user names; none where it is no folder with a manifest.
    pub fn find(name: &str) -> Result<Option<Self>, PipelineError> {
        let Ok(Source::Path(folder)) = Source::parse(name) else { return Ok(None) };
        match Manifest::read(&folder)? {
            Some(manifest) => Self::open(&folder, manifest).map(Some),
            None => Ok(None),
        }
    }

    fn open(folder: &Path, manifest: Manifest) -> Result<Self, PipelineError> {
        let path = folder.join(MANIFEST);
        let refuse = |problem: String| PipelineError::Artefact { path: path.clone(), problem };
        let files = porter_import::resolve(&Source::Path(folder.to_owned()), &Silent)?;
        let checkpoint = porter_weights::open(&files.weights)?;
        let config =
            files.config.as_ref().ok_or_else(|| refuse("there is no config.json beside it".into()))?;
        let model = Model::from_hf(&config.value, &[])?;
        let target: Target = manifest.target.parse().map_err(|error| refuse(format!("{error}")))?;
        let dtype = manifest.dtype.parse().map_err(|error| refuse(format!("dtype: {error}")))?;
        let quantize = manifest.quantize.as_deref().map(|name| {
            Quantize::named(name).ok_or_else(|| refuse(format!("quantize: {name:?} is no form of weights")))
        });
        let quantize = quantize.transpose()?;
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
        let weights = weights(&programs, &*checkpoint, &mut problems);
        if programs.is_empty() && problems.is_empty() {
            problems.push("it has no programs".to_owned());
        }
        if !problems.is_empty() {
            return Err(refuse(problems.join("\n")));
        }
        Ok(Self { files, manifest, model, checkpoint, target, dtype, quantize, mesh, programs, weights })
    }

    /// Its programs and weights.
    pub fn ported(&self) -> Ported<'_> {
        let phases = self.manifest.programs.iter().map(|program| Phase::from(program.phase));
        Ported {
            model: &self.model,
            dtype: self.dtype,
            quantize: self.quantize,
            mesh: self.mesh.as_ref(),
            programs: phases.zip(&self.programs).collect(),
            weights: &self.weights,
            checkpoint: &*self.checkpoint,
        }
    }

    /// Its programs, for the TPU compiler.
    pub fn jobs(self) -> Vec<Job> {
        let flops = self.manifest.programs.iter().map(|program| program.flops);
        let programs = self.programs.into_iter().zip(flops);
        programs.map(|(program, flops)| Job { program, flops, predicted: Vec::new() }).collect()
    }
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

/// The weights that programs take, each the tensor of its name.
fn weights(programs: &[Compilable], checkpoint: &dyn Checkpoint, problems: &mut Vec<String>) -> WeightMap {
    let mut weights = WeightMap::new();
    for input in programs.iter().flat_map(|program| &program.entry.inputs) {
        if input.role == InputRole::Weight && weights.resolve(&input.name).is_none() {
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

impl Ported<'_> {
    /// A plugin with the devices that the programs lie over.
    pub fn engine(&self, wanted: Option<&str>, note: &mut dyn FnMut(&str)) -> Result<Engine, PipelineError> {
        Engine::start_on(wanted, self.mesh.map(Mesh::devices), note)
    }

    /// Compiles all programs and loads their weights.
    pub fn bring_up(&self, engine: &Engine, observer: &dyn Observer) -> Result<Resident, PipelineError> {
        let programs: Vec<Compilable> = self.programs.iter().map(|(_, program)| (*program).clone()).collect();
        let loaded = |loaded: Loaded<'_>| observer.loaded(loaded);
        let resident = engine.bring_up(&programs, self.weights, self.checkpoint, loaded)?;
        observer.detail(&resident.summary());
        Ok(resident)
    }

    /// Which programs continue prompts of `longest` tokens by `new` ones: the smallest prefill that they fit
    /// and its decode, by their places.
    pub fn generator(&self, longest: usize, new: usize) -> Result<[usize; 2], PipelineError> {
        if self.model.task() != Task::Generate {
            return Err(PipelineError::Usage(format!("{} does not generate", self.model.class())));
        }
        let place = |wanted: &dyn Fn(&Phase) -> bool| self.programs.iter().position(|(p, _)| wanted(p));
        let prefills = self.programs.iter().enumerate().filter_map(|(i, (phase, _))| match *phase {
            Phase::Prefill { batch, tokens, cache } if tokens >= longest && tokens + new <= cache + 1 => {
                Some((tokens, i, Phase::Decode { batch, cache }))
            }
            _ => None,
        });
        let best = prefills.min_by_key(|&(tokens, ..)| tokens);
        let pair = best.and_then(|(_, i, decode)| Some([i, place(&|phase| *phase == decode)?]));
        pair.ok_or_else(|| {
            let sizes = self.programs.iter().map(|(phase, _)| phase.name()).collect::<Vec<_>>();
            PipelineError::Usage(format!(
                "no program reads {longest} tokens and writes {new} more; the port has {}\nport the model with \
                 --prompt and --context to match, or ask for less",
                sizes.join(", ")
            ))
        })
    }

    /// The programs at `pair`, ready to generate.
    pub fn generate<'s>(&self, [prefill, decode]: [usize; 2], steps: &'s [Step]) -> Option<Generator<'s>> {
        let (phase, _) = self.programs.get(prefill)?;
        Some(Generator {
            prefill: steps.get(prefill)?,
            decode: steps.get(decode)?,
            batch: phase.batch(),
            bucket: phase.tokens(),
            cache: phase.cache()?,
        })
    }
}
