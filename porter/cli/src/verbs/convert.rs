//! `porter convert MODEL -o OUT`: a checkpoint in another format or type.

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use porter_pipeline::convert::{Format, Planned, Request, Unconverted, place, plan};
use porter_weights::stream::{self, Conversion, Options, Share, Summary, Written};
use serde::Serialize;

use crate::{
    args::{ConvertArgs, ToFormat, WriteArgs},
    console::{Console, printable},
    exit::{Exit, Failure},
    fact::Fact,
    progress::{Converting, Fetching},
    table,
};

/// What `porter convert` and `porter merge-index` say.
#[derive(Serialize)]
pub(super) struct Document {
    output: String,
    /// Every file, with its size and SHA-256.
    files: BTreeMap<String, Written>,
    /// Bytes of all files.
    bytes: u64,
    /// Bytes that this run wrote.
    written: u64,
    /// Bytes that were there from an earlier run.
    kept: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<bool>,
    notes: Vec<String>,
}

impl Document {
    pub(super) fn new(output: &Path, summary: Summary, started: Instant) -> Self {
        let Summary { files, written, kept } = summary;
        Self {
            output: output.display().to_string(),
            bytes: files.values().map(|file| file.bytes).sum(),
            files,
            written,
            kept,
            seconds: started.elapsed().as_secs_f64(),
            verified: None,
            notes: Vec::new(),
        }
    }

    /// What was written in a few lines, each with its name.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let files = format!(
            "{} files, {:.1} MB, in {:.1} s",
            self.files.len(),
            self.bytes as f64 / 1e6,
            self.seconds
        );
        vec![Fact::new("folder", &self.output), Fact::new("files", files)]
    }
}

/// A file where the name says so, and a folder otherwise.
const FILES: [&str; 2] = ["safetensors", "gguf"];
/// What is taken of a machine that does not tell its memory.
const UNKNOWN_MEMORY: u64 = 2 << 30;

pub(super) fn run(args: &ConvertArgs, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    let extension = args.output.extension().and_then(|extension| extension.to_str());
    let single = extension.is_some_and(|extension| FILES.contains(&extension));
    let source = Unconverted::open(
        &args.model.model,
        &args.model.ignore_config,
        &args.model.options(),
        &Fetching::new(console),
    )?;
    let request = request(args, single)?;
    let Planned { layout, notes } = plan(&source, &request)?;
    for note in &notes {
        console.note(note);
    }
    let store = place(&args.output, single)?;
    let what = format!(
        "{} to {:?}, dtype {:?}, {:?}{}",
        source.files.name,
        request.to,
        request.dtype,
        request.quantise,
        request.rename.iter().fold(String::new(), |rules, rule| format!("{rules}, {rule}"))
    );
    let conversion = Conversion { what: &what, checkpoint: &*source.checkpoint, layout: &layout };
    let options = options(&args.writing, args.shard_of);
    let observer = Converting::new(console);
    let summary = stream::write(&conversion, &*store, &options, &observer)?;
    let mut document = Document { notes, ..Document::new(&args.output, summary, started) };
    if args.writing.verify {
        stream::verify(&conversion, &*store, &options, &observer)?;
        document.verified = Some(true);
    }
    console.result(&document, render)?;
    Ok(Exit::Done)
}

fn request(args: &ConvertArgs, single: bool) -> Result<Request, Failure> {
    let format = match args.to {
        Some(ToFormat::Gguf) => Format::Gguf,
        Some(ToFormat::Maxtext) => Format::MaxText { scan_layers: args.scan_layers },
        None if args.output.extension().is_some_and(|extension| extension == "gguf") => Format::Gguf,
        Some(ToFormat::Safetensors) | None => Format::Safetensors,
    };
    let stem = args.output.file_stem().and_then(|stem| stem.to_str());
    if single && args.shard_of.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is one file, which is not written in shares; give a folder", args.output.display()),
        ));
    }
    Ok(Request {
        to: format,
        dtype: args.dtype.map(Into::into),
        quantise: args.quantize.map(Into::into),
        rename: args.rename.clone(),
        max_shard_bytes: if single { None } else { args.writing.max_shard_size.0 },
        stem: stem.filter(|_| single).unwrap_or("model").to_owned(),
        beside: !single,
        accept: args.accept,
    })
}

/// How to write as the user says.
pub(super) fn options(args: &WriteArgs, share: Option<Share>) -> Options {
    let memory = args.memory.or_else(|| machine_memory().map(|all| all / 4)).unwrap_or(UNKNOWN_MEMORY);
    let options = Options::within(memory);
    Options { threads: args.threads.unwrap_or(options.threads), share: share.unwrap_or_default(), ..options }
}

/// The memory of this machine or of the container that this runs in, where Linux tells it.
fn machine_memory() -> Option<u64> {
    let all = fs::read_to_string("/proc/meminfo").ok()?;
    let line = all.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    Some(group.map_or(machine, |group| group.min(machine)))
}

pub(super) fn render(d: &Document) -> String {
    let rows = d.files.iter().map(|(path, file)| {
        vec![printable(path), format!("{:.1}", file.bytes as f64 / 1e6), file.sha256.clone()]
    });
    let mut lines = vec![table::render(&["FILE", "MB", "SHA-256"], rows, &[1])];
    let rate = d.written as f64 / 1e9 / d.seconds;
    let kept = match d.kept {
        0 => String::new(),
        kept => format!("; {:.1} MB were there from an earlier run", kept as f64 / 1e6),
    };
    let verified = match d.verified {
        Some(_) => "; read once more, every byte is what the source gives",
        None => "",
    };
    lines.push(format!(
        "{}: {:.1} MB in {:.1} s, {rate:.2} GB/s{kept}{verified}",
        printable(&d.output),
        d.bytes as f64 / 1e6,
        d.seconds
    ));
    lines.join("\n")
}
