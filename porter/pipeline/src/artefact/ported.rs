//! A ported model at work.

use porter_import::ModelFiles;
use porter_ir::{DType, Mesh};
use porter_plan::Target;
use porter_runtime::{Generator, Step};
use porter_weights::{Checkpoint, Loaded, WeightMap};
use porter_zoo::{Model, Phase, Task};

use super::{
    manifest::Manifest,
    parts::{Parts, jobs, weights},
};
use crate::{Compilable, Engine, Observer, PipelineError, Quantize, Resident, ahead::Job};

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
    phases: Vec<Phase>,
    /// In the manifest's order, as the phases.
    programs: Vec<Compilable>,
    weights: WeightMap,
}

impl Artefact {
    pub(super) fn open(parts: Parts) -> Result<Self, PipelineError> {
        let Parts { path, files, manifest, checkpoint, target, mesh, programs } = parts;
        let refuse = |problem: String| PipelineError::Artefact { path: path.clone(), problem };
        let config =
            files.config.as_ref().ok_or_else(|| refuse("there is no config.json beside it".into()))?;
        let model = Model::from_hf(&config.value, &[])?;
        let dtype = manifest.dtype.as_deref().ok_or_else(|| refuse("it has no dtype".into()))?;
        let dtype = dtype.parse().map_err(|error| refuse(format!("dtype: {error}")))?;
        let quantize = manifest.quantize.as_deref().map(|name| {
            Quantize::named(name).ok_or_else(|| refuse(format!("quantize: {name:?} is no form of weights")))
        });
        let quantize = quantize.transpose()?;
        let mut problems = Vec::new();
        let mut phases = Vec::new();
        for program in &manifest.programs {
            match program.phase.of_sequences() {
                Some(phase) => phases.push(phase),
                None => problems.push(format!("{}: a model of sequences has no such phase", program.name)),
            }
        }
        let weights = weights(&programs, &*checkpoint, &[], &mut problems);
        if !problems.is_empty() {
            return Err(refuse(problems.join("\n")));
        }
        Ok(Self {
            files,
            manifest,
            model,
            checkpoint,
            target,
            dtype,
            quantize,
            mesh,
            phases,
            programs,
            weights,
        })
    }

    /// Its programs and weights.
    pub fn ported(&self) -> Ported<'_> {
        Ported {
            model: &self.model,
            dtype: self.dtype,
            quantize: self.quantize,
            mesh: self.mesh.as_ref(),
            programs: self.phases.iter().copied().zip(&self.programs).collect(),
            weights: &self.weights,
            checkpoint: &*self.checkpoint,
        }
    }

    /// Its programs, for the TPU compiler.
    pub fn jobs(self) -> Vec<Job> {
        jobs(&self.manifest, self.programs)
    }
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
