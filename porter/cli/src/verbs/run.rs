//! `porter run MODEL --prompt TEXT | --input FILE`.

mod forward;
mod generate;
mod ported;

use porter_pipeline::artefact::{Found, find};

pub(super) use forward::in_own_types;

use crate::{
    args::{Global, RunArgs},
    console::Console,
    exit::{Exit, Failure},
};

/// Generates from a prompt, or runs the forward program on recorded inputs.
pub(crate) fn run(args: &RunArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    match (find(&args.model.model)?, &args.prompt, &args.input) {
        (Some(Found::Model(artefact)), Some(prompt), _) => {
            ported::run(prompt, &artefact, args, global, console)
        }
        (Some(Found::Model(_)), None, Some(_)) => Err(Failure::new(
            Exit::Usage,
            "a port is run with --prompt; porter check compares it on recorded inputs",
        )),
        (Some(Found::Graph(artefact)), None, Some(input)) => {
            forward::ported(&artefact, input, args, global, console)
        }
        (Some(Found::Graph(_)), Some(_), _) => {
            Err(Failure::new(Exit::Usage, "a ported graph generates no text: give --input FILE.safetensors"))
        }
        (None, Some(prompt), _) => generate::run(prompt, args, global, console),
        (None, None, Some(input)) => forward::run(input, args, global, console),
        (_, None, None) => Err(Failure::new(Exit::Usage, "give --prompt TEXT or --input FILE.safetensors")),
    }
}
