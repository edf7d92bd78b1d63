//! One file a verb.

mod bench;
mod check;
mod compare;
mod compile;
mod completions;
mod convert;
mod inspect;
mod man;
mod merge_index;
mod onboard;
mod plan;
mod plugin;
mod port;
mod run;

use crate::{
    args::{Cli, Verb},
    console::Console,
    exit::{Exit, Failure},
};

/// Does what the command line says.
pub(crate) fn run(cli: &Cli, console: &Console) -> Result<Exit, Failure> {
    match &cli.verb {
        Verb::Plugin(verb) => plugin::run(verb, cli.global.plugin.as_deref(), console),
        Verb::Compile(args) => compile::run(args, &cli.global, console),
        Verb::Port(args) => port::run(args, &cli.global, console),
        Verb::Plan(args) => plan::run(args, &cli.global, console),
        Verb::Onboard(args) => onboard::run(args, &cli.global, console),
        Verb::AotWorker => compile::work(),
        Verb::Completions { shell } => completions::run(*shell, console),
        Verb::Man => man::run(console),
        Verb::Inspect(args) => inspect::run(args, console),
        Verb::Run(args) => run::run(args, &cli.global, console),
        Verb::Check(args) => check::run(args, &cli.global, console),
        Verb::Compare(args) => compare::run(args, console),
        Verb::Convert(args) => convert::run(args, console),
        Verb::MergeIndex { output } => merge_index::run(output, console),
        Verb::Bench(args) => bench::run(args, &cli.global, console),
    }
}
