//! `porter run MODEL --prompt TEXT | --input FILE`.

mod forward;
mod generate;
mod ported;

use porter_pipeline::artefact::Artefact;

pub(super) use forward::in_own_types;

use crate::{
    args::{Global, RunArgs},
    console::Console,
    exit::{Exit, Failure},
};

/// Generates from a prompt, or runs the forward program on recorded inputs.
pub(crate) fn run(args: &RunArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let artefact = Artefact::find(&args.model.model)?;
    match (&args.prompt, &args.input) {
        (Some(prompt), _) if let Some(artefact) = &artefact => {
            ported::run(prompt, artefact, args, global, console)
        }
        (None, Some(_)) if artefact.is_some() => Err(Failure::new(
            Exit::Usage,
            "a port is run with --prompt; porter check compares it on recorded inputs",
        )),
        (Some(prompt), _) => generate::run(prompt, args, global, console),
        (None, Some(input)) => forward::run(input, args, global, console),
        (None, None) => Err(Failure::new(Exit::Usage, "give --prompt TEXT or --input FILE.safetensors")),
    }
}
