//! `porter completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    args::Cli,
    console::Console,
    exit::{Exit, Failure},
};

/// Writes a completion script that matches this binary.
pub(crate) fn run(shell: Shell, console: &Console) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "porter", &mut script);
    console.stream(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
