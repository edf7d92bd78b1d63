//! Generating text.

use std::time::{Duration, Instant};

use porter_runtime::{Generator, Next, States, Times};
use porter_text::{Message, Sampler, SamplerOptions, StopStrings, TextStream, stop::Scan};
use porter_zoo::Task;
use serde::Serialize;

use crate::{
    args::{Global, RunArgs},
    console::Console,
    exit::{Exit, Failure},
    progress::{Fetching, Working},
};
use porter_pipeline::{Engine, PipelineError, Running, Sizes, TextSide, Variant, bring_up, open_with};

/// How many tokens are generated where nothing is said, if the model's positions allow it.
const DEFAULT_MAX_TOKENS: usize = 128;

/// What `porter run --prompt` says with `--json`.
#[derive(Serialize)]
struct Document {
    model: String,
    dtype: String,
    prompt_tokens: usize,
    tokens: Vec<u32>,
    text: String,
    /// `stop`: a stop token or string came; `length`: `--max-tokens` was reached.
    finish: &'static str,
    seconds: Seconds,
}

#[derive(Serialize)]
struct Seconds {
    to_first_token: f64,
    prefill: f64,
    decode: f64,
}

pub(super) fn run(prompt: &str, args: &RunArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    let model = &args.model;
    let opened = open_with(&model.model, &model.ignore_config, &model.options(), &Fetching::new(console))?;
    if opened.model.task() == Task::Encode {
        let message = format!(
            "{} does not generate; give its inputs with --input FILE.safetensors",
            opened.model.class()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let text = TextSide::open(&opened.files, &*opened.checkpoint)?;
    let ids = encode(&text, prompt, args)?;
    let dimensions = opened.model.dimensions();
    let limit = limit(args, dimensions.max_positions.saturating_sub(ids.len()));
    let sizes = Sizes::new(1, ids.len(), limit, dimensions)?;
    let mut output = Output::new(&text, args, limit, console)?;

    let phases = [sizes.prefill(), sizes.decode()];
    let engine =
        Engine::start_over(global.plugin.as_deref(), args.mesh.shard()?, &mut |note| console.note(note))?;
    let variant = Variant::new(args.dtype.into());
    let Running { programs, resident } =
        bring_up(&engine, &opened, &phases, &variant, &Working::new(console))?;
    // The vocabulary and the merges of a GGUF file alone are some ten megabytes.
    let name = opened.files.name.clone();
    drop(opened);
    let mut states = States::zeros(&engine.devices, &programs[1].entry())?;
    let Sizes { batch, bucket, cache } = sizes;
    let (prefill, decode) = (&resident.steps[0], &resident.steps[1]);
    let generator = Generator { prefill, decode, batch, bucket, cache };

    let prompts = std::slice::from_ref(&ids);
    let answer = answer(&generator, prompts, &mut states, &mut output, started)?;
    output.present(&name, args.dtype.name(), ids.len(), &answer)
}

/// The ids of a prompt, through the chat template where that is asked for.
pub(super) fn encode(text: &TextSide, prompt: &str, args: &RunArgs) -> Result<Vec<u32>, PipelineError> {
    if !args.chat {
        return text.encode(prompt);
    }
    let system = args.system.iter().map(|s| Message::new("system", s));
    let messages: Vec<Message> = system.chain([Message::new("user", prompt)]).collect();
    text.encode_chat(&messages)
}

/// How many tokens to generate where there is room for so many.
pub(super) fn limit(args: &RunArgs, room: usize) -> usize {
    args.max_tokens.unwrap_or_else(|| room.clamp(1, DEFAULT_MAX_TOKENS))
}

/// How long a generation took.
pub(super) struct Answer {
    times: Times,
    first: Duration,
}

/// Generates after the first of `prompts`; the others only fill the rows of the programs.
pub(super) fn answer(
    generator: &Generator<'_>,
    prompts: &[Vec<u32>],
    states: &mut States,
    output: &mut Output<'_>,
    started: Instant,
) -> Result<Answer, Failure> {
    let mut first = None;
    let times = generator.generate::<Failure>(prompts, states, |row, logits| {
        if row > 0 {
            return Ok(Next::Stop);
        }
        first.get_or_insert_with(|| started.elapsed());
        output.next(logits)
    })?;
    output.finish()?;
    Ok(Answer { times, first: first.unwrap_or_default() })
}

fn report(times: &Times, prompt: usize, first: Duration, console: &Console) {
    let decode: Duration = times.decode.iter().sum();
    let rate = times.decode.len() as f64 / decode.as_secs_f64().max(f64::MIN_POSITIVE);
    console.detail(&format!(
        "first token after {:.2} s; prefill of {prompt} tokens {:.0} ms; decode {rate:.1} tokens/s",
        first.as_secs_f64(),
        times.prefill.as_secs_f64() * 1e3
    ));
}

/// Tokens becoming text.
pub(super) struct Output<'a> {
    text: &'a TextSide,
    console: &'a Console,
    sampler: Sampler,
    stream: Option<TextStream<'a>>,
    stops: StopStrings,
    limit: usize,
    ignore_eos: bool,
    streams: bool,
    ids: Vec<u32>,
    shown: String,
    finish: &'static str,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        text: &'a TextSide,
        args: &RunArgs,
        limit: usize,
        console: &'a Console,
    ) -> Result<Self, PipelineError> {
        let s = &args.sampling;
        let options =
            SamplerOptions { temperature: s.temperature, top_k: s.top_k, top_p: s.top_p, seed: s.seed };
        Ok(Self {
            text,
            console,
            sampler: Sampler::new(options)?,
            stream: Some(TextStream::new(&text.tokenizer)),
            stops: StopStrings::new(args.stop.clone())?,
            limit,
            ignore_eos: args.ignore_eos,
            streams: (args.stream || console.is_watched()) && !args.no_stream,
            ids: Vec::new(),
            shown: String::new(),
            finish: "length",
        })
    }

    fn next(&mut self, logits: &[f32]) -> Result<Next, Failure> {
        let id = self.sampler.sample(logits).map_err(PipelineError::from)?;
        if !self.ignore_eos && self.text.stop.contains(id) {
            self.finish = "stop";
            return Ok(Next::Stop);
        }
        self.ids.push(id);
        let piece = match &mut self.stream {
            Some(stream) => stream.push(id).map_err(PipelineError::from)?,
            None => String::new(),
        };
        match self.stops.push(&piece) {
            Scan::Text(text) => self.show(&text)?,
            Scan::Stopped { text, .. } => {
                self.finish = "stop";
                self.show(&text)?;
                self.stream = None;
                return Ok(Next::Stop);
            }
        }
        Ok(if self.ids.len() < self.limit { Next::Token(id) } else { Next::Stop })
    }

    /// Shows what was held back, once no more tokens come.
    fn finish(&mut self) -> Result<(), Failure> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let rest = stream.finish().map_err(PipelineError::from)?;
        let (Scan::Text(text) | Scan::Stopped { text, .. }) = self.stops.push(&rest);
        let held = self.stops.finish();
        self.show(&(text + &held))
    }

    fn show(&mut self, text: &str) -> Result<(), Failure> {
        self.shown += text;
        if self.streams {
            self.console.stream(text)?;
        }
        Ok(())
    }

    /// Prints what was generated.
    pub(super) fn present(
        &self,
        model: &str,
        dtype: &str,
        prompt: usize,
        answer: &Answer,
    ) -> Result<Exit, Failure> {
        report(&answer.times, prompt, answer.first, self.console);
        let text = |document: &Document| if self.streams { String::new() } else { document.text.clone() };
        self.console.result(&self.document(model, dtype, prompt, answer), text)?;
        Ok(Exit::Done)
    }

    fn document(&self, model: &str, dtype: &str, prompt: usize, answer: &Answer) -> Document {
        let Answer { times, first } = answer;
        Document {
            model: model.to_owned(),
            dtype: dtype.to_owned(),
            prompt_tokens: prompt,
            tokens: self.ids.clone(),
            text: self.shown.clone(),
            finish: self.finish,
            seconds: Seconds {
                to_first_token: first.as_secs_f64(),
                prefill: times.prefill.as_secs_f64(),
                decode: times.decode.iter().sum::<Duration>().as_secs_f64(),
            },
        }
    }
}
