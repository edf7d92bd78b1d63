//! The `porter` command.

mod args;
mod console;
mod exit;
mod fact;
mod progress;
mod table;
mod verbs;

use std::{panic, process::ExitCode};

use clap::Parser as _;

use crate::{args::Cli, console::Console};

fn main() -> ExitCode {
    report_panics_as_bugs();
    let cli = Cli::parse();
    let console = Console::new(&cli.global);
    match verbs::run(&cli, &console) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            console.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Adds to Rust's own message what the user can do about it.
fn report_panics_as_bugs() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        console::bug();
    }));
}
