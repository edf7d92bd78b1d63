//! Child processes, and outcomes against expectations.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

/// The groups of the suite that hold their data.
const GROUPS: [&str; 5] = ["node", "simple", "pytorch-converted", "pytorch-operator", "light"];
/// A child serves so many cases: compiled programs stay in its memory.
const CHILD: usize = 120;
const PATIENCE: Duration = Duration::from_mins(2);

/// What became of a case on one engine.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: String,
    pub(crate) note: String,
    pub(crate) millis: u64,
}

impl Outcome {
    pub(crate) fn new(kind: &str, note: &str) -> Self {
        let note = note.replace(['\n', '\t'], " ").chars().take(400).collect();
        Self { kind: kind.to_owned(), note, millis: 0 }
    }

    pub(crate) fn passed(&self) -> bool {
        self.kind == "pass"
    }
}

/// What became of a case.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub(crate) plugin: Outcome,
    pub(crate) executor: Outcome,
}

impl Results {
    /// What happened before an engine was reached.
    pub(crate) fn both(kind: &str, note: &str) -> Self {
        let outcome = Outcome::new(kind, note);
        Self { plugin: outcome.clone(), executor: outcome }
    }

    /// Each engine's outcome under its name.
    pub(crate) fn engines(&self) -> [(&'static str, &Outcome); 2] {
        [("plugin", &self.plugin), ("executor", &self.executor)]
    }

    /// One line, without its end.
    pub(crate) fn line(&self) -> String {
        let part = |o: &Outcome| format!("{}\t{}\t{}", o.kind, o.millis, o.note);
        format!("{}\t{}", part(&self.plugin), part(&self.executor))
    }

    /// What [`Results::line`] wrote.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let mut outcome = || {
            let (kind, millis, note) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Outcome { millis: millis.parse().ok()?, ..Outcome::new(kind, note) })
        };
        Some(Self { plugin: outcome()?, executor: outcome()? })
    }
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let flag = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let Some(data) = arguments.first().map(PathBuf::from) else { return ExitCode::from(2) };
    let mut folders = Vec::new();
    for group in GROUPS {
        let mut cases: Vec<PathBuf> = std::fs::read_dir(data.join(group))
            .expect("the suite's data")
            .map(|e| e.expect("an entry").path())
            .collect();
        cases.retain(|c| c.join("model.onnx").exists() || c.extension().is_some_and(|e| e == "onnx"));
        cases.sort();
        folders.extend(cases);
    }
    let name = |folder: &Path| folder.strip_prefix(&data).expect("below the data").display().to_string();
    if let Some(filter) = flag("--filter") {
        folders.retain(|f| filter.split(',').any(|part| name(f).contains(part)));
    }
    let results: BTreeMap<String, Results> =
        results(folders).into_iter().map(|(folder, results)| (name(&folder), results)).collect();
    print(&results);
    if let Some(page) = flag("--table") {
        crate::table::write(Path::new(page), &crate::table::page(&data, &results));
    }
    match flag("--expect") {
        Some(file) => {
            crate::expectations::judge(Path::new(file), &results, arguments.iter().any(|a| a == "--bless"))
        }
        None => ExitCode::SUCCESS,
    }
}

/// What did not pass, the passes by group, and what took long.
fn print(results: &BTreeMap<String, Results>) {
    for (case, results) in results {
        for (engine, outcome) in results.engines().into_iter().filter(|(_, o)| !o.passed()) {
            println!("{case}\t{engine}\t{}\t{}", outcome.kind, outcome.note);
        }
    }
    let all = || results.iter().flat_map(|(case, results)| results.engines().map(|(e, o)| (e, case, o)));
    for engine in ["plugin", "executor"] {
        for group in GROUPS {
            let of = || all().filter(|(e, case, _)| *e == engine && case.starts_with(&format!("{group}/")));
            let count = |kind: &str| of().filter(|(.., o)| o.kind == kind).count();
            let (total, passed, folded) = (of().count(), count("pass"), count("folded"));
            println!("{engine}: {group}: {passed} of {total}, {folded} more computed at import");
        }
        let mut slow: Vec<(u64, &String)> =
            all().filter(|(e, ..)| *e == engine).map(|(_, case, o)| (o.millis, case)).collect();
        slow.sort_unstable_by(|a, b| b.cmp(a));
        let sum: u64 = slow.iter().map(|(millis, _)| millis).sum();
        let longest: Vec<String> = slow.iter().take(5).map(|(ms, case)| format!("{case} {ms} ms")).collect();
        println!("{engine}: {:.1} s in all, longest: {}", sum as f64 / 1e3, longest.join(", "));
    }
}

fn results(folders: Vec<PathBuf>) -> Vec<(PathBuf, Results)> {
    let queue = Arc::new(Mutex::new(VecDeque::from(folders)));
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let workers: Vec<_> = (0..workers)
        .map(|_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || worker(&queue))
        })
        .collect();
    workers.into_iter().flat_map(|w| w.join().expect("a worker")).collect()
}

fn worker(queue: &Mutex<VecDeque<PathBuf>>) -> Vec<(PathBuf, Results)> {
    let mut done = Vec::new();
    while !queue.lock().expect("the queue").is_empty() {
        serve(queue, &mut done);
    }
    done
}

/// Serves cases with one child, until it dies or has served enough.
fn serve(queue: &Mutex<VecDeque<PathBuf>>, done: &mut Vec<(PathBuf, Results)>) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let mut stdin = child.stdin.take().expect("a pipe");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
    for _ in 0..CHILD {
        let Some(folder) = queue.lock().expect("the queue").pop_front() else { break };
        let asked = writeln!(stdin, "{}", folder.display()).and_then(|()| stdin.flush());
        let answer = asked.ok().and_then(|()| receive.recv_timeout(PATIENCE).ok());
        let results = answer.as_deref().map(|line| {
            let (_, results) = line.split_once('\t').expect("a folder, and results");
            Results::parse(results).expect("a line that a child wrote")
        });
        let died = results.is_none();
        let crash = || Results::both("crash", "the process ended or hung");
        done.push((folder, results.unwrap_or_else(crash)));
        if died {
            break;
        }
    }
    drop(stdin);
    // It has ended already, or hangs.
    let _ = child.kill();
    let _ = child.wait();
}
