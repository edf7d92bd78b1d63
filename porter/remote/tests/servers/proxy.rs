//! A proxy on 127.0.0.1 that spoils some of the answers that it passes on.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It is passed on, and its answer back.
    None,
    /// The connection is closed without an answer.
    Dropped,
    /// The connection is closed half way through the answer.
    Cut,
    /// Half of the body, honestly declared.
    Short,
    /// 500, and it is not passed on.
    Failed,
    /// It is refused with this S3 code and status.
    Refused(u16, &'static str),
}

/// A request that came by.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Bytes of the answer's body.
    pub(crate) answered: usize,
}

type Rule = Box<dyn Fn(usize, &str) -> Fault + Send + Sync>;

pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    upstream: String,
    rule: Rule,
    seen: Mutex<Vec<Seen>>,
    count: Mutex<usize>,
    stop: AtomicBool,
}

impl Proxy {
    /// Passes on to `upstream`; `rule` gives the fault of the n-th request, by its method.
    pub(crate) fn new(upstream: &str, rule: impl Fn(usize, &str) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            rule: Box::new(rule),
            seen: Mutex::default(),
            count: Mutex::new(0),
            stop: AtomicBool::new(false),
        });
        let serving = shared.clone();
        let thread = thread::spawn(move || {
            thread::scope(|scope| {
                for stream in listener.incoming() {
                    if serving.stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let serving = &serving;
                    scope.spawn(move || serving.serve(stream.unwrap()));
                }
            });
        });
        Self { endpoint, shared, thread: Some(thread) }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.endpoint.trim_start_matches("http://")).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let Some((head, body)) = message(&stream) else { return };
        let mut words = head[0].split(' ');
        let method = words.next().unwrap().to_owned();
        let turn = {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            *count - 1
        };
        let fault = (self.rule)(turn, &method);
        let answer = match fault {
            Fault::Dropped => return,
            Fault::Failed => plain(500, "InternalError"),
            Fault::Refused(status, code) => plain(status, code),
            Fault::None | Fault::Cut | Fault::Short => self.pass_on(&head, &body),
        };
        let split = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let (answer_head, answer_body) = answer.split_at(split);
        self.seen.lock().unwrap().push(Seen { method, answered: answer_body.len() });
        // The client may have gone.
        let _ = match fault {
            Fault::Cut => stream.write_all(&answer[..split + answer_body.len() / 2]),
            Fault::Short => {
                let head = String::from_utf8_lossy(answer_head).into_owned();
                let lines: Vec<&str> =
                    head.trim_end().lines().filter(|line| !is_header(line, "content-length")).collect();
                let half = &answer_body[..answer_body.len() / 2];
                let head = format!("{}\r\nContent-Length: {}\r\n\r\n", lines.join("\r\n"), half.len());
                stream.write_all(&[head.as_bytes(), half].concat())
            }
            _ => stream.write_all(&answer),
        };
    }

    fn pass_on(&self, head: &[String], body: &[u8]) -> Vec<u8> {
        let mut upstream = TcpStream::connect(&self.upstream).unwrap();
        let lines: Vec<&str> =
            head.iter().map(String::as_str).filter(|line| !is_header(line, "connection")).collect();
        let head = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
        upstream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).unwrap();
        answer
    }
}

fn plain(status: u16, code: &str) -> Vec<u8> {
    let body =
        format!("<Error><Code>{code}</Code><Message>The provided token or request failed.</Message></Error>");
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head, body].concat().into_bytes()
}

fn is_header(line: &str, name: &str) -> bool {
    line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name))
}

/// A request's head, and its body by `Content-Length`.
fn message(stream: &TcpStream) -> Option<(Vec<String>, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find(|line| is_header(line, "content-length"));
    let length = length.map_or(0, |line| line.split(':').nth(1).unwrap().trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
