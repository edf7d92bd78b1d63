//! `porter merge-index OUT`: closes what several jobs wrote.

use std::{path::Path, time::Instant};

use porter_weights::stream::{self, LocalStore};

use super::convert::{Document, render};
use crate::{
    console::Console,
    exit::{Exit, Failure},
};

pub(super) fn run(output: &Path, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    if !output.is_dir() {
        return Err(Failure::new(Exit::Environment, format!("{} is not a folder", output.display())));
    }
    let store = LocalStore::folder(output).map_err(|error| Failure::write(output, &error))?;
    let summary = stream::merge_index(&store)?;
    console.result(&Document::new(output, summary, started), render)?;
    Ok(Exit::Done)
}
