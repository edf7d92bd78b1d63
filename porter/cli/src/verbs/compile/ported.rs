//! Compiling a port's own programs.

use std::{fs, path::Path};

use porter_ir::{DType, Mesh};
use porter_pipeline::{Ahead, Answer, Answers, Meshing, artefact::Found};
use porter_plan::Target;

use super::{Document, Sizes, compiler, document, present};
use crate::{
    args::{CompileArgs, Global},
    console::Console,
    exit::{Exit, Failure},
};

/// The folder of a port in which executables lie.
const EXECUTABLES: &str = "executables";

pub(super) fn run(
    artefact: Found,
    args: &CompileArgs,
    global: &Global,
    console: &Console,
) -> Result<Exit, Failure> {
    let compiling = Compiling {
        target: args.target.clone().unwrap_or_else(|| artefact.target().clone()),
        meshing: args.mesh.meshing()?,
        time_limit: args.time_limit,
        executables: args.executables,
    };
    present(&compile(artefact, compiling, global, console)?, args, console)
}

/// How a port is compiled.
pub(in super::super) struct Compiling {
    pub(in super::super) target: Target,
    pub(in super::super) meshing: Meshing,
    /// Seconds that a program may take.
    pub(in super::super) time_limit: usize,
    /// Whether executables are kept.
    pub(in super::super) executables: bool,
}

/// Compiles all programs of a port.
pub(in super::super) fn compile(
    artefact: Found,
    compiling: Compiling,
    global: &Global,
    console: &Console,
) -> Result<Document, Failure> {
    let Compiling { target, meshing, time_limit, executables } = compiling;
    let (mesh, architecture, dtype) = match &artefact {
        Found::Model(model) => {
            (model.ported().mesh.cloned(), model.model.class(), model.ported().dtype.name())
        }
        Found::Graph(graph) => (None, "ONNX", graph.ported().dtype.map_or("its own types", DType::name)),
    };
    let devices = mesh.as_ref().map_or(1, Mesh::devices);
    if devices != target.devices() {
        let message = format!(
            "{} is laid out over {devices} devices, {target} has {}: port the model for it",
            artefact.files().name,
            target.devices()
        );
        return Err(Failure::new(Exit::No, message));
    }
    let compiler = compiler(time_limit, global, console)?;
    let (name, root) = (artefact.files().name.clone(), artefact.files().root.clone());
    let subject = (name, architecture);
    let jobs = artefact.jobs();
    console.note(&format!("compiling {} programs of {} for {target}", jobs.len(), subject.0));
    let ahead = Ahead { compiler, target: target.clone(), meshing };
    let programs = ahead.answers(&jobs, executables)?;
    if executables {
        keep(&programs, &root.join(EXECUTABLES), &target, console)?;
    }
    let answers = Answers { mesh, applied: Vec::new(), programs };
    Ok(document(&target, Sizes::Ported { dtype }, subject, answers))
}

/// Writes the executables of programs into a folder.
fn keep(programs: &[Answer], folder: &Path, target: &Target, console: &Console) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|e| Failure::write(folder, &e))?;
    for (program, executable) in programs.iter().filter_map(serialized) {
        let path = folder.join(format!("{program}.{}.pjrt", target.to_string().replace(':', "-")));
        fs::write(&path, executable).map_err(|e| Failure::write(&path, &e))?;
        console.note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// A program's name and executable.
fn serialized(answer: &Answer) -> Option<(&str, &[u8])> {
    let fitting = answer.outcome.as_ref().ok()?;
    Some((&answer.program, fitting.compiled.serialized.as_deref()?))
}
