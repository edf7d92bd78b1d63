//! `porter merge-index OUT`: closes what several jobs wrote.

use std::{path::Path, time::Instant};

use porter_pipeline::convert::place;
use porter_weights::stream;

use super::convert::{Document, render};
use crate::{
    console::Console,
    exit::{Exit, Failure},
};

pub(super) fn run(output: &Path, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    let here = !output.to_string_lossy().contains("://");
    if here && !output.is_dir() {
        return Err(Failure::new(Exit::Environment, format!("{} is not a folder", output.display())));
    }
    let store = place(output, false)?;
    let summary = stream::merge_index(&*store)?;
    console.result(&Document::new(output, summary, started), render)?;
    Ok(Exit::Done)
}
