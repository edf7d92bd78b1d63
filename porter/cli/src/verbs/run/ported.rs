//! Generating with a port's own programs.

use std::time::Instant;

use porter_pipeline::{TextSide, artefact::Artefact};
use porter_runtime::States;

use super::generate::{Output, answer, encode, limit};
use crate::{
    args::{Global, RunArgs},
    console::Console,
    exit::{Exit, Failure},
    progress::Working,
};

pub(super) fn run(
    prompt: &str,
    artefact: &Artefact,
    args: &RunArgs,
    global: &Global,
    console: &Console,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let text = TextSide::open(&artefact.files, &*artefact.checkpoint)?;
    let ids = encode(&text, prompt, args)?;
    let ported = artefact.ported();
    let room = |pair: [usize; 2]| {
        let (phase, _) = ported.programs.get(pair[0])?;
        Some((phase.cache()? + 1).saturating_sub(phase.tokens()))
    };
    let smallest = ported.generator(ids.len(), args.max_tokens.unwrap_or(1))?;
    let limit = limit(args, room(smallest).unwrap_or(1));
    let pair = ported.generator(ids.len(), limit)?;
    let mut output = Output::new(&text, args, limit, console)?;
    let engine = ported.engine(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let resident = ported.bring_up(&engine, &Working::new(console))?;
    let missing = || Failure::new(Exit::Unsupported, "the port lacks one of its programs");
    let generator = ported.generate(pair, &resident.steps).ok_or_else(missing)?;
    let (_, decode) = ported.programs.get(pair[1]).ok_or_else(missing)?;
    let mut states = States::zeros(&engine.devices, &decode.entry)?;
    let prompts = vec![ids.clone(); generator.batch];
    let answer = answer(&generator, &prompts, &mut states, &mut output, started)?;
    output.present(&artefact.files.name, ported.dtype.name(), ids.len(), &answer)
}
