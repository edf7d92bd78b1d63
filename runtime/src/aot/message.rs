//! What a [`Compiler`](super::Compiler) and its worker say to each other.
//!
//! One message each way. The request comes on the worker's standard input: its length as eight bytes,
//! little-endian, then a protobuf message. The reply comes on its standard output in the same form after
//! [`MARK`]; what libraries print before or after it is passed over. Standard input stays open until the
//! reply is read, so that a worker whose caller is gone knows.

use std::io::{self, Read, Write};

use prost::Message;

use crate::{Code, Error, NamedValue, OptimizedProgram, ProgramMemory, Value};

/// What a reply begins with.
const MARK: &[u8] = b"\0porter-aot-reply-1\0";

/// The longest message that is read. The compiled program of a 405B model is some ten MB.
const LONGEST: u64 = 4 << 30;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    /// The plugin's library.
    #[prost(string, tag = "1")]
    pub(super) plugin: String,
    #[prost(string, tag = "2")]
    pub(super) topology: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) topology_options: Vec<Named>,
    #[prost(uint64, tag = "4")]
    pub(super) topology_devices: u64,
    #[prost(string, tag = "5")]
    pub(super) device_kind: String,
    /// MLIR text.
    #[prost(string, tag = "6")]
    pub(super) program: String,
    /// A serialized `CompileOptionsProto`.
    #[prost(bytes = "vec", tag = "7")]
    pub(super) compile_options: Vec<u8>,
    /// Whether the reply shall hold the serialized executable.
    #[prost(bool, tag = "8")]
    pub(super) serialize: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Reply {
    #[prost(oneof = "Outcome", tags = "1, 2")]
    pub(super) outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Outcome {
    #[prost(message, tag = "1")]
    Compiled(Box<CompiledMessage>),
    #[prost(message, tag = "2")]
    Failed(Failed),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CompiledMessage {
    /// Code, arguments, outputs, aliased, temporaries, peak: bytes.
    #[prost(int64, repeated, tag = "1")]
    pub(super) memory: Vec<i64>,
    #[prost(string, tag = "2")]
    pub(super) format: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) optimized: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) serialized: Option<Vec<u8>>,
    #[prost(string, tag = "5")]
    pub(super) device_kind: String,
    #[prost(message, repeated, tag = "6")]
    pub(super) device: Vec<Named>,
    /// What compiling alone took.
    #[prost(double, tag = "7")]
    pub(super) seconds: f64,
    #[prost(bytes = "vec", tag = "8")]
    pub(super) fingerprint: Vec<u8>,
    #[prost(message, repeated, tag = "9")]
    pub(super) cost: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Failed {
    /// What was attempted; only for errors of the plugin.
    #[prost(string, tag = "1")]
    pub(super) doing: String,
    /// The C API's number; none where the plugin is not the one that failed.
    #[prost(uint32, optional, tag = "2")]
    pub(super) code: Option<u32>,
    #[prost(string, tag = "3")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(oneof = "NamedKind", tags = "2, 3, 4, 5, 6")]
    pub(super) value: Option<NamedKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum NamedKind {
    #[prost(string, tag = "2")]
    String(String),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(message, tag = "4")]
    IntList(IntList),
    #[prost(float, tag = "5")]
    Float(f32),
    #[prost(bool, tag = "6")]
    Bool(bool),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IntList {
    #[prost(int64, repeated, tag = "1")]
    values: Vec<i64>,
}

impl From<&NamedValue> for Named {
    fn from(named: &NamedValue) -> Self {
        let value = match named.value.clone() {
            Value::String(text) => NamedKind::String(text),
            Value::Int(n) => NamedKind::Int(n),
            Value::IntList(values) => NamedKind::IntList(IntList { values }),
            Value::Float(x) => NamedKind::Float(x),
            Value::Bool(b) => NamedKind::Bool(b),
        };
        Self { name: named.name.clone(), value: Some(value) }
    }
}

impl Named {
    /// The value; none where a message names no value.
    pub(super) fn into_value(self) -> Option<NamedValue> {
        let value = match self.value? {
            NamedKind::String(text) => Value::String(text),
            NamedKind::Int(n) => Value::Int(n),
            NamedKind::IntList(list) => Value::IntList(list.values),
            NamedKind::Float(x) => Value::Float(x),
            NamedKind::Bool(b) => Value::Bool(b),
        };
        Some(NamedValue { name: self.name, value })
    }
}

impl CompiledMessage {
    pub(super) fn set_memory(&mut self, memory: ProgramMemory) {
        let ProgramMemory { code, arguments, outputs, aliased, temporaries, peak } = memory;
        self.memory = vec![code, arguments, outputs, aliased, temporaries, peak];
    }

    pub(super) fn memory(&self) -> Option<ProgramMemory> {
        let [code, arguments, outputs, aliased, temporaries, peak] = *self.memory.as_slice() else {
            return None;
        };
        Some(ProgramMemory { code, arguments, outputs, aliased, temporaries, peak })
    }

    pub(super) fn set_optimized(&mut self, program: OptimizedProgram) {
        (self.format, self.optimized) = (program.format, program.code);
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Pjrt { doing, code, message } => Self { doing, code: Some(code as u32), message },
            other => Self { doing: String::new(), code: None, message: other.to_string() },
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        let Failed { doing, code, message } = failed;
        match code {
            Some(code) => Self::Pjrt { doing, code: Code::from_raw(code), message },
            None => Self::Environment(message),
        }
    }
}

/// Writes a request.
pub(super) fn write_request(to: &mut impl Write, request: &Request) -> io::Result<()> {
    write(to, &request.encode_to_vec())
}

/// Reads a request, which the stream need not end after.
pub(super) fn read_request(from: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(invalid(format!("a request of {length} bytes; at most {LONGEST} are read")));
    }
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(invalid(format!("a request that ends after {} of {length} bytes", bytes.len())));
    }
    Request::decode(bytes.as_slice()).map_err(|e| invalid(format!("no request: {e}")))
}

/// Writes a reply.
pub(super) fn write_reply(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    to.write_all(MARK)?;
    write(to, &reply.encode_to_vec())
}

/// Finds the reply in everything that a worker wrote.
pub(super) fn find_reply(written: &[u8]) -> Result<Reply, String> {
    let (length, rest) = framed(written).ok_or("it wrote no reply")?;
    let message = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let message =
        message.ok_or_else(|| format!("its reply is cut off after {} of {length} bytes", rest.len()))?;
    Reply::decode(message).map_err(|e| format!("its reply is no reply: {e}"))
}

/// Whether there is nothing more to read of a reply: it is there to its end.
pub(super) fn is_complete(written: &[u8]) -> bool {
    framed(written).is_some_and(|(length, rest)| rest.len() as u64 >= length)
}

/// The length of a reply's message, and what follows.
fn framed(written: &[u8]) -> Option<(u64, &[u8])> {
    let start = written.windows(MARK.len()).position(|bytes| bytes == MARK)?;
    let (length, rest) = written.get(start + MARK.len()..)?.split_first_chunk()?;
    Some((u64::from_le_bytes(*length), rest))
}

fn write(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    to.write_all(&(message.len() as u64).to_le_bytes())?;
    to.write_all(message)?;
    to.flush()
}

fn invalid(found: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let named = NamedValue::new("wrap", Value::IntList(vec![1, 1, 0]));
        Request { program: "module {}".into(), topology_options: vec![(&named).into()], ..Request::default() }
    }

    #[test]
    fn a_request_survives_and_the_stream_may_go_on() {
        let mut bytes = Vec::new();
        write_request(&mut bytes, &request()).unwrap();
        let whole = bytes.len();
        bytes.extend(b"more");
        let read = read_request(&mut bytes.as_slice()).unwrap();
        assert_eq!(read, request());
        assert_eq!(
            read.topology_options[0].clone().into_value().unwrap().value,
            Value::IntList(vec![1, 1, 0])
        );
        assert!(read_request(&mut &bytes[..whole - 1]).is_err());
        assert!(read_request(&mut [0xff; 8].as_slice()).is_err());
    }

    #[test]
    fn a_reply_is_found_between_what_others_print() {
        let failed = Failed { doing: "compile".into(), code: Some(8), message: "too much".into() };
        let reply = Reply { outcome: Some(Outcome::Failed(failed)) };
        let mut bytes = b"running 1 test\n".to_vec();
        write_reply(&mut bytes, &reply).unwrap();
        let whole = bytes.len();
        bytes.extend(b"test result: ok");
        assert_eq!(find_reply(&bytes).unwrap(), reply);
        assert!(find_reply(&bytes[..whole - 1]).unwrap_err().contains("cut off"));
        assert_eq!(find_reply(b"hello").unwrap_err(), "it wrote no reply");
    }
}
