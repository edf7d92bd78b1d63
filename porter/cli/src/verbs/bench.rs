//! `porter bench MODEL`: how long a model takes, and how far that is from what memory allows.

mod machine;
mod start;

use std::time::Duration;

use porter_runtime::{Generator, Next, States, Times};
use porter_zoo::Task;
use serde::Serialize;

use crate::{
    args::{BenchArgs, Global},
    console::Console,
    exit::{Exit, Failure},
    progress::{Fetching, Working},
    table,
};
use porter_pipeline::{Engine, Resident, Running, Sizes, Variant, bring_up, open_with};

/// Prefills are repeated this often; the best is reported, the others say how noisy the machine is.
const REPEATS: usize = 3;

/// What `porter bench` says. Times in seconds, rates in tokens a second.
#[derive(Serialize)]
struct Document {
    model: String,
    dtype: String,
    plugin: String,
    weight_bytes: usize,
    load: f64,
    compile: f64,
    /// From the start of the process to its first token, with an empty compile cache.
    first_token_cold: f64,
    /// The same with the programs in the cache.
    first_token_warm: f64,
    prefill_tokens: usize,
    prefill: Vec<f64>,
    prefill_rate: f64,
    decode_tokens: usize,
    decode_rate: f64,
    /// The median step's rate: what a long generation tends to.
    decode_rate_median: f64,
    /// Bytes a second that this machine reads, measured in this run; none where another device has the weights.
    read_bandwidth: Option<f64>,
    /// Tokens a second if every step read the weights once at that bandwidth and did nothing else.
    decode_limit: Option<f64>,
    decode_share_of_limit: Option<f64>,
    /// The largest resident size of the process.
    peak_memory: Option<u64>,
}

pub(super) fn run(args: &BenchArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let model = &args.model;
    let opened = open_with(&model.model, &model.ignore_config, &model.options(), &Fetching::new(console))?;
    if opened.model.task() == Task::Encode {
        let message =
            format!("{} does not generate: bench measures prefill and decode", opened.model.class());
        return Err(Failure::new(Exit::Usage, message));
    }
    let starts = start::measure(&opened.files.weights, args, global, console)?;

    let dimensions = opened.model.dimensions();
    let sizes = Sizes::new(1, args.prompt_tokens, args.tokens, dimensions)?;
    let phases = [sizes.prefill(), sizes.decode()];
    let engine = Engine::start(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let variant = Variant::new(args.dtype.into());
    let Running { programs, resident } =
        bring_up(&engine, &opened, &phases, &variant, &Working::new(console))?;

    let prompt: Vec<u32> =
        (0..args.prompt_tokens).map(|i| (i * 7919 % dimensions.vocab_size) as u32).collect();
    let mut states = States::zeros(&engine.devices, &programs[1].entry())?;
    let mut generate = |tokens| times(&resident, sizes, &prompt, tokens, &mut states);
    let mut prefill = (0..REPEATS).map(|_| Ok(generate(1)?.prefill)).collect::<Result<Vec<_>, Failure>>()?;
    let decode = generate(args.tokens)?;
    prefill.push(decode.prefill);
    let peak_memory = machine::peak_memory();
    // Elsewhere the host's memory is not what holds the weights.
    let read_bandwidth = (engine.client.platform() == "cpu").then(machine::read_bandwidth);

    let weight_bytes = resident.weight_bytes;
    let decode_rate = decode.decode.len() as f64 / decode.decode.iter().sum::<Duration>().as_secs_f64();
    let decode_limit = read_bandwidth.map(|bandwidth| bandwidth / weight_bytes as f64);
    let document = Document {
        model: opened.files.name.clone(),
        dtype: args.dtype.name().to_owned(),
        plugin: engine.client.platform().to_owned(),
        weight_bytes,
        load: resident.load.as_secs_f64(),
        compile: resident.compile.as_secs_f64(),
        first_token_cold: starts.cold,
        first_token_warm: starts.warm,
        prefill_tokens: args.prompt_tokens,
        prefill_rate: args.prompt_tokens as f64 / seconds(&prefill).fold(f64::INFINITY, f64::min),
        prefill: seconds(&prefill).collect(),
        decode_tokens: decode.decode.len(),
        decode_rate,
        decode_rate_median: 1.0 / median(&decode.decode),
        read_bandwidth,
        decode_limit,
        decode_share_of_limit: decode_limit.map(|limit| decode_rate / limit),
        peak_memory,
    };
    console.result(&document, render)?;
    Ok(Exit::Done)
}

/// One generation of `tokens` tokens, always the likeliest.
fn times(
    resident: &Resident,
    sizes: Sizes,
    prompt: &[u32],
    tokens: usize,
    states: &mut States,
) -> Result<Times, Failure> {
    let Sizes { batch, bucket, cache } = sizes;
    let generator =
        Generator { prefill: &resident.steps[0], decode: &resident.steps[1], batch, bucket, cache };
    let mut left = tokens;
    generator.generate(&[prompt.to_vec()], states, |_, logits| {
        left -= 1;
        let best = (0_u32..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(id, _)| id);
        Ok(if left == 0 { Next::Stop } else { Next::Token(best) })
    })
}

fn seconds(durations: &[Duration]) -> impl Iterator<Item = f64> {
    durations.iter().map(Duration::as_secs_f64)
}

fn median(durations: &[Duration]) -> f64 {
    let mut sorted: Vec<f64> = seconds(durations).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn render(d: &Document) -> String {
    let row = |name: &str, value: String, note: String| vec![name.to_owned(), value, note];
    let rows = [
        row(
            "first token, cold",
            format!("{:.2} s", d.first_token_cold),
            "from process start, compiling".into(),
        ),
        row(
            "first token, warm",
            format!("{:.2} s", d.first_token_warm),
            "from process start, compile cache hit".into(),
        ),
        row(
            "load",
            format!("{:.2} s", d.load),
            format!("{:.1} MB of weights in {}", d.weight_bytes as f64 / 1e6, d.dtype),
        ),
        row("compile", format!("{:.2} s", d.compile), "or reading the compile cache".into()),
        row(
            "prefill",
            format!("{:.1} tok/s", d.prefill_rate),
            format!("{} tokens, best of {}", d.prefill_tokens, d.prefill.len()),
        ),
        row(
            "decode",
            format!("{:.1} tok/s", d.decode_rate),
            format!("{} tokens; median step {:.1} tok/s", d.decode_tokens, d.decode_rate_median),
        ),
        row(
            "decode limit",
            d.decode_limit.map_or_else(|| "unknown".to_owned(), |limit| format!("{limit:.1} tok/s")),
            d.read_bandwidth.zip(d.decode_share_of_limit).map_or_else(
                || {
                    let read = d.weight_bytes as f64 * d.decode_rate / 1e9;
                    format!("the device's bandwidth is not measured; decode reads {read:.0} GB/s of weights")
                },
                |(bandwidth, share)| {
                    let (bandwidth, share) = (bandwidth / 1e9, 100.0 * share);
                    format!("weights once a token at {bandwidth:.1} GB/s read here; decode is at {share:.0}%")
                },
            ),
        ),
        row(
            "peak memory",
            d.peak_memory.map_or_else(|| "unknown".to_owned(), |b| format!("{:.0} MB", b as f64 / 1e6)),
            d.peak_memory.map_or_else(String::new, |b| {
                format!("{:.2}x the weights", b as f64 / d.weight_bytes as f64)
            }),
        ),
    ];
    format!("{} in {} on {}\n\n{}", d.model, d.dtype, d.plugin, table::render(&["", "", ""], rows, &[1]))
}
