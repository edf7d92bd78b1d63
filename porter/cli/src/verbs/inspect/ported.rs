//! Inspecting a port.

use std::collections::BTreeMap;

use porter_ir::Mesh;
use porter_pipeline::artefact::{CheckRecord, Found, Manifest, OutputRecord, PhaseRecord, ProgramEntry};
use serde::Serialize;

use super::{Stored, encodings, map, stored};
use crate::{
    args::InspectArgs,
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    table,
};

/// What `porter inspect` says of a port.
#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    #[serde(flatten)]
    manifest: &'a Manifest,
    tensors: usize,
    bytes: usize,
    encodings: Vec<Stored>,
    /// How each tensor of the source is given back, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Vec<map::Row>>,
}

pub(super) fn run(artefact: &Found, args: &InspectArgs, console: &Console) -> Result<Exit, Failure> {
    let checkpoint = artefact.checkpoint();
    let encodings = stored(checkpoint);
    let document = Document {
        model: &artefact.files().name,
        manifest: artefact.manifest(),
        tensors: checkpoint.tensors().len(),
        bytes: encodings.iter().fold(0, |sum, e| sum.saturating_add(e.bytes)),
        encodings,
        map: args.map.then(|| map::back(&artefact.manifest().undo.tensors, checkpoint)),
    };
    console.result(&document, |document| render(document, console))?;
    Ok(Exit::Done)
}

fn render(d: &Document<'_>, console: &Console) -> String {
    let Manifest { source, target, mesh, dtype, quantize, rewrites, programs, undo, check, .. } = d.manifest;
    let over = |axes: &Vec<(String, usize)>| format!(" over {}", Mesh { axes: axes.clone() });
    let mesh = mesh.as_ref().map_or_else(String::new, over);
    let dtype = dtype.as_deref().unwrap_or("its own types");
    let narrow = quantize.as_ref().map_or_else(String::new, |form| format!(", {form} weights"));
    let mut lines = vec![
        console.paint(&printable(d.model), Tone::Strong),
        printable(&format!("{} of {} for {target}{mesh}, {dtype}{narrow}", source.architecture, source.name)),
        format!("{} tensors, {:.1} MB", d.tensors, d.bytes as f64 / 1e6),
        format!("\n{}\n", encodings(&d.encodings)),
        table::render(&["PROGRAM", "SIZES", "GFLOP"], programs.iter().map(row), &[2]),
        String::new(),
    ];
    if let Some(rows) = &d.map {
        lines.extend([map::render(rows), String::new()]);
    }
    let applied = rewrites.iter().map(|r| format!("{}: {} ({})", r.rewrite, r.reason, r.effect));
    lines.extend(applied.map(|line| console.paint(&printable(&line), Tone::Dim)));
    lines.push(check.as_ref().map_or_else(|| "not checked".to_owned(), |check| checked(check, console)));
    lines.extend(not_given_back(&undo.lost));
    if undo.lost.is_empty() {
        lines.push(console.paint("porter convert gives every tensor of the source back", Tone::Good));
    }
    lines.join("\n")
}

/// By reason, how many tensors there are, and one of them.
fn not_given_back(lost: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, why) in lost {
        by_reason.entry(why).or_default().push(name);
    }
    by_reason.into_iter().map(|(why, names)| {
        let first = names.first().copied().unwrap_or_default();
        printable(&format!("not given back: {} tensors of the source ({first}, ...): {why}", names.len()))
    })
}

fn row(program: &ProgramEntry) -> Vec<String> {
    let arguments = || {
        let spelled = program.inputs.iter().filter(|input| input.role == "argument");
        let spelled = spelled.map(|input| format!("{} {}{:?}", input.name, input.dtype, input.shape));
        printable(&spelled.collect::<Vec<_>>().join(", "))
    };
    let sizes = match program.phase {
        PhaseRecord::Graph => arguments(),
        PhaseRecord::Weights => "once, of the weights".to_owned(),
        PhaseRecord::Forward { batch, tokens } => format!("{batch} rows of {tokens} tokens"),
        PhaseRecord::Prefill { batch, tokens, cache } | PhaseRecord::Extend { batch, tokens, cache } => {
            format!("{batch} rows of {tokens} tokens, {cache} slots")
        }
        PhaseRecord::Decode { batch, cache } => format!("{batch} rows of a token, {cache} slots"),
    };
    vec![printable(&program.name), sizes, format!("{:.3}", program.flops / 1e9)]
}

fn checked(check: &CheckRecord, console: &Console) -> String {
    let (said, tone) = if check.pass { ("within", Tone::Good) } else { ("accepted over", Tone::Bad) };
    let share = |o: &OutputRecord| o.max_abs / o.budget;
    let worst = check.outputs.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
    let worst = worst.map_or_else(String::new, |o| {
        format!("; {} is off by {:.2e} of {:.2e}", o.name, o.max_abs, o.budget)
    });
    console.paint(&printable(&format!("{said} budget against {}{worst}", check.reference)), tone)
}
