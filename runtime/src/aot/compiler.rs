//! Compiling in a process of its own.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use super::{
    OutOfMemory, TopologyRequest,
    message::{CompiledMessage, Named, Outcome, Request, find_reply, is_complete, write_request},
};
use crate::{Code, CompileOptions, Error, NamedValue, OptimizedProgram, ProgramMemory, Result, Value};

/// A compiler that runs in a process of its own, one for each program.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program that calls [`serve`](super::serve), and its arguments.
    pub worker: (PathBuf, Vec<OsString>),
    /// The plugin's library.
    pub plugin: PathBuf,
    /// How long one program may take before the compiler is taken to hang.
    pub time_limit: Duration,
}

/// What to compile, for what.
#[derive(Clone, Debug)]
pub struct Job {
    /// The devices.
    pub topology: TopologyRequest,
    /// MLIR text: StableHLO, chlo, sdy.
    pub program: String,
    /// How.
    pub options: CompileOptions,
    /// Whether the serialized executable is wanted; it is some MB.
    pub serialize: bool,
}

/// A program that was compiled for devices elsewhere.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What it needs on each device.
    pub memory: ProgramMemory,
    /// The program after the plugin's optimisations.
    pub optimized: OptimizedProgram,
    /// What a client of the same plugin loads on such devices, where it was asked for.
    pub serialized: Option<Vec<u8>>,
    /// What the plugin says of the cost: `flops`, `bytes accessed`. Loops count once in it, and libtpu's
    /// `optimal_seconds` may be negative (`facts/aot.md` part 2).
    pub cost: Vec<NamedValue>,
    /// What distinguishes the program from others.
    pub fingerprint: Vec<u8>,
    /// What the plugin calls a device: `TPU v6 lite`.
    pub device_kind: String,
    /// What the plugin says of the first device.
    pub device: Vec<NamedValue>,
    /// What compiling alone took, without starting the process and the plugin.
    pub time: Duration,
}

impl Compiled {
    /// The memory of a device in bytes, where the plugin says it.
    pub fn device_memory(&self) -> Option<u64> {
        let limit = self.device.iter().find(|named| named.name == "device_memory_bytes_limit")?;
        match limit.value {
            Value::Int(bytes) => u64::try_from(bytes).ok(),
            _ => None,
        }
    }
}

/// How often a worker is asked whether it has ended.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long the last words of a worker that was killed are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// As much of a worker's error output is kept.
const KEPT_LINES: usize = 20;
/// What libtpu writes where there is no TPU, and what its crash handler writes about itself.
const NOISE: [&str; 6] = [
    "Logging before InitGoogle",
    "TPU_WORKER_HOSTNAMES",
    "Source Location Trace",
    "libtpu_init_utils.cc",
    "symbolize.stripped_domain",
    "] RAW: ",
];

impl Compiler {
    /// Compiles one program. A compiler that aborts, hangs or runs out of memory gives an error that says
    /// so, with the end of what it wrote; it never takes this process with it.
    pub fn compile(&self, job: &Job) -> Result<Compiled> {
        let options = job.options.to_bytes()?;
        if job.options.devices() > job.topology.devices {
            let (needs, has) = (job.options.devices(), job.topology.devices);
            return Err(Error::Options(format!("the program needs {needs} devices, the topology has {has}")));
        }
        let request = Request {
            plugin: self.plugin.to_str().ok_or_else(|| self.unreadable())?.to_owned(),
            topology: job.topology.name.clone(),
            topology_options: job.topology.options.iter().map(Named::from).collect(),
            topology_devices: job.topology.devices as u64,
            device_kind: job.topology.kind.clone(),
            program: job.program.clone(),
            compile_options: options,
            serialize: job.serialize,
        };
        let conversation = self.converse(request)?;
        match find_reply(&conversation.written).map(|reply| reply.outcome) {
            Ok(Some(Outcome::Compiled(message))) => compiled(*message),
            Ok(Some(Outcome::Failed(failed))) => Err(clearer(failed.into())),
            Ok(None) => Err(conversation.died("it gave an empty reply")),
            Err(why) => Err(conversation.died(&why)),
        }
    }

    fn unreadable(&self) -> Error {
        let why = "its path is not UTF-8, which the compiler's process cannot be told".to_owned();
        Error::Load { path: self.plugin.clone(), why }
    }

    fn start(&self) -> Result<Child> {
        let (program, args) = &self.worker;
        Command::new(program)
            .args(args)
            // What `plugins::prepare_libtpu` would set in this process.
            .envs(crate::plugins::LIBTPU_SETTINGS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io("start the compiler's process", program))
    }

    fn converse(&self, request: Request) -> Result<Conversation> {
        let mut child = self.start()?;
        let deadline = Instant::now() + self.time_limit;
        let streams = Streams::of(&mut child, request);
        let mut written = None;
        let status = loop {
            written = written.or_else(|| streams.written.try_recv().ok());
            // Whoever has replied may hang in its own destructors.
            let replied = written.as_ref().is_some_and(|written| is_complete(written));
            match child.try_wait() {
                Ok(None) if !replied && Instant::now() < deadline => thread::sleep(PATIENCE),
                Ok(Some(status)) => break Some(status),
                _ => break None,
            }
        };
        if status.is_none() {
            // Both fail only where the process has just ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        let written = written.unwrap_or_else(|| streams.written.recv_timeout(LAST_WORDS).unwrap_or_default());
        let said = streams.said.recv_timeout(LAST_WORDS).unwrap_or_default();
        if status.is_none() && !is_complete(&written) {
            return Err(Error::CompilerTimedOut { limit: self.time_limit, said });
        }
        Ok(Conversation { status, written, said })
    }
}

/// All that a worker said, and how it ended.
struct Conversation {
    /// None where it was stopped after it had replied.
    status: Option<ExitStatus>,
    written: Vec<u8>,
    said: String,
}

impl Conversation {
    fn died(&self, why: &str) -> Error {
        let status = self.status.map_or_else(|| "stopped".to_owned(), |status| status.to_string());
        Error::CompilerDied { how: format!("{why}; {status}"), said: self.said.clone() }
    }
}

/// The ends of a worker's streams, each in a thread of its own, so that none blocks another. They are
/// not waited for longer than [`LAST_WORDS`]: a process that the worker started may hold them open.
struct Streams {
    written: Receiver<Vec<u8>>,
    said: Receiver<String>,
    /// Closes the worker's standard input when it goes.
    _input: mpsc::Sender<()>,
}

impl Streams {
    fn of(child: &mut Child, request: Request) -> Self {
        let (input, done) = mpsc::channel();
        if let Some(stdin) = child.stdin.take() {
            thread::spawn(move || tell(stdin, &request, &done));
        }
        let (send_written, written) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || send_written.send(read_reply(stdout)));
        }
        let (send_said, said) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || send_said.send(last_lines(BufReader::new(stderr))));
        }
        Self { written, said, _input: input }
    }
}

/// All that a worker writes until its reply is complete, or until the stream ends.
fn read_reply(mut stdout: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    while !is_complete(&bytes) {
        match stdout.read(&mut chunk) {
            Ok(read) if read > 0 => bytes.extend(chunk.iter().take(read)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // What was read until an error is what there is.
            _ => break,
        }
    }
    bytes
}

/// Writes the request and keeps the stream open until `done` is dropped. A worker that ends before it
/// has read everything is found out by how it ends.
fn tell(mut stdin: ChildStdin, request: &Request, done: &Receiver<()>) {
    if write_request(&mut stdin, request).is_ok() {
        let _ = done.recv();
    }
}

fn last_lines(mut from: impl BufRead) -> String {
    let mut kept = VecDeque::new();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !text.is_empty() && !NOISE.iter().any(|noise| text.contains(noise)) {
            kept.push_back(text);
        }
        if kept.len() > KEPT_LINES {
            kept.pop_front();
        }
        line.clear();
    }
    Vec::from(kept).join("\n")
}

fn compiled(message: CompiledMessage) -> Result<Compiled> {
    let misbehaved =
        |found: &str| Error::Misbehaved { doing: "compile the program".into(), found: found.into() };
    let memory = message.memory().ok_or_else(|| misbehaved("gave no memory statistics"))?;
    Ok(Compiled {
        memory,
        optimized: OptimizedProgram { format: message.format, code: message.optimized },
        serialized: message.serialized,
        cost: message.cost.into_iter().filter_map(Named::into_value).collect(),
        fingerprint: message.fingerprint,
        device_kind: message.device_kind,
        device: message.device.into_iter().filter_map(Named::into_value).collect(),
        time: Duration::try_from_secs_f64(message.seconds).unwrap_or_default(),
    })
}

/// An error of the compiler with what it means.
fn clearer(error: Error) -> Error {
    match error {
        Error::Pjrt { code: Code::ResourceExhausted, ref message, .. } => {
            OutOfMemory::read(message).map_or(error, Error::OutOfMemory)
        }
        other => other,
    }
}
