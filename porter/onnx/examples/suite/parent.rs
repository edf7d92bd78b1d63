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

/// What became of a case.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: String,
    pub(crate) note: String,
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
    let outcomes: BTreeMap<String, Outcome> =
        outcomes(folders).into_iter().map(|(folder, outcome)| (name(&folder), outcome)).collect();
    for (case, outcome) in outcomes.iter().filter(|(_, o)| o.kind != "pass") {
        println!("{case}\t{}\t{}", outcome.kind, outcome.note);
    }
    for group in GROUPS {
        let of = outcomes.iter().filter(|(case, _)| case.starts_with(&format!("{group}/")));
        let (total, passed) = (of.clone().count(), of.filter(|(_, o)| o.kind == "pass").count());
        let folded =
            outcomes.iter().filter(|(case, o)| case.starts_with(&format!("{group}/")) && o.kind == "folded");
        println!("{group}: {passed} of {total}, {} more computed at import", folded.count());
    }
    if let Some(page) = flag("--table") {
        crate::table::write(Path::new(page), &crate::table::page(&data, &outcomes));
    }
    match flag("--expect") {
        Some(file) => {
            crate::table::judge(Path::new(file), &outcomes, arguments.iter().any(|a| a == "--bless"))
        }
        None => ExitCode::SUCCESS,
    }
}

fn outcomes(folders: Vec<PathBuf>) -> Vec<(PathBuf, Outcome)> {
    let queue = Arc::new(Mutex::new(VecDeque::from(folders)));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || worker(&queue))
        })
        .collect();
    workers.into_iter().flat_map(|w| w.join().expect("a worker")).collect()
}

fn worker(queue: &Mutex<VecDeque<PathBuf>>) -> Vec<(PathBuf, Outcome)> {
    let mut done = Vec::new();
    while !queue.lock().expect("the queue").is_empty() {
        serve(queue, &mut done);
    }
    done
}

/// Serves cases with one child, until it dies or has served enough.
fn serve(queue: &Mutex<VecDeque<PathBuf>>, done: &mut Vec<(PathBuf, Outcome)>) {
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
        let outcome = answer.as_deref().map(|line| {
            let mut parts = line.splitn(3, '\t').skip(1).map(str::to_owned);
            Outcome { kind: parts.next().unwrap_or_default(), note: parts.next().unwrap_or_default() }
        });
        let died = outcome.is_none();
        let crash = || Outcome { kind: "crash".to_owned(), note: "the process ended or hung".to_owned() };
        done.push((folder, outcome.unwrap_or_else(crash)));
        if died {
            break;
        }
    }
    drop(stdin);
    // It has ended already, or hangs.
    let _ = child.kill();
    let _ = child.wait();
}
