//! `porter man`.

use clap::CommandFactory as _;

use crate::{
    args::Cli,
    console::Console,
    exit::{Exit, Failure},
};

/// Writes the manual: the page of `porter`, and after it one of each verb.
pub(crate) fn run(console: &Console) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut roff = page(&command)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        roff += &page(verb)?;
    }
    console.stream(&roff)?;
    Ok(Exit::Done)
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut roff).map_err(|e| Failure::stream(&e))?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}
