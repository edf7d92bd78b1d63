//! `porter run MODEL --prompt TEXT | --input FILE`.

mod forward;
mod generate;

pub(super) use forward::in_own_types;

use crate::{
    args::{Global, RunArgs},
    console::Console,
    exit::{Exit, Failure},
};

/// Generates from a prompt, or runs the forward program on recorded inputs.
pub(crate) fn run(args: &RunArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    match (&args.prompt, &args.input) {
        (Some(prompt), _) => generate::run(prompt, args, global, console),
        (None, Some(input)) => forward::run(input, args, global, console),
        (None, None) => Err(Failure::new(Exit::Usage, "give --prompt TEXT or --input FILE.safetensors")),
    }
}
