//! Compiling a port's own programs.

use std::fs;

use porter_ir::Mesh;
use porter_pipeline::{Ahead, Answer, Answers, artefact::Found};

use super::{Sizes, compiler, document, present};
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
    let target = args.target.clone().unwrap_or_else(|| artefact.target().clone());
    let (mesh, architecture, dtype) = match &artefact {
        Found::Model(model) => {
            (model.ported().mesh.cloned(), model.model.class(), model.ported().dtype.name())
        }
        Found::Graph(_) => (None, "ONNX", "its own types"),
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
    let compiler = compiler(args.time_limit, global, console)?;
    let (name, root) = (artefact.files().name.clone(), artefact.files().root.clone());
    let subject = (name, architecture);
    let sizes = Sizes::Ported { dtype };
    let jobs = artefact.jobs();
    console.note(&format!("compiling {} programs of {} for {target}", jobs.len(), subject.0));
    let ahead = Ahead { compiler, target: target.clone(), meshing: args.mesh.meshing()? };
    let programs = ahead.answers(&jobs, args.executables)?;
    if args.executables {
        let folder = root.join(EXECUTABLES);
        fs::create_dir_all(&folder).map_err(|e| Failure::write(&folder, &e))?;
        for (program, executable) in programs.iter().filter_map(serialized) {
            let path = folder.join(format!("{program}.{}.pjrt", target.to_string().replace(':', "-")));
            fs::write(&path, executable).map_err(|e| Failure::write(&path, &e))?;
            console.note(&format!("wrote {}", path.display()));
        }
    }
    let answers = Answers { mesh, applied: Vec::new(), programs };
    present(&document(&target, sizes, subject, answers), args, console)
}

/// A program's name and executable.
fn serialized(answer: &Answer) -> Option<(&str, &[u8])> {
    let fitting = answer.outcome.as_ref().ok()?;
    Some((&answer.program, fitting.compiled.serialized.as_deref()?))
}
