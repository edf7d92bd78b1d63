//! The process that compiles.

use std::{
    io::{self, Read, Write},
    path::Path,
    process, thread,
    time::Instant,
};

use super::{
    Topology, TopologyRequest,
    message::{CompiledMessage, Failed, Named, Outcome, Reply, Request, read_request, write_reply},
};
use crate::{Plugin, Result};

/// Answers one request of a [`Compiler`](super::Compiler): the whole work of its worker process.
///
/// The request comes from standard input, the reply goes to standard output. What fails while compiling
/// is told in the reply; an error here means that there was nobody to talk to. A worker whose standard
/// input ends before it is done aborts, because its caller is gone.
pub fn serve() -> io::Result<()> {
    let request = read_request(&mut io::stdin().lock())?;
    thread::spawn(abort_when_left_alone);
    let outcome = match compile(&request) {
        Ok(compiled) => Outcome::Compiled(Box::new(compiled)),
        Err(error) => Outcome::Failed(Failed::from(error)),
    };
    let mut stdout = io::stdout().lock();
    write_reply(&mut stdout, &Reply { outcome: Some(outcome) })?;
    stdout.flush()
}

/// Nobody waits for the compiler's destructors: they may hang as well as it.
fn abort_when_left_alone() {
    let mut byte = [0];
    // Whatever else is read, a caller wrote it.
    while io::stdin().lock().read(&mut byte).is_ok_and(|read| read > 0) {}
    process::abort();
}

fn compile(request: &Request) -> Result<CompiledMessage> {
    let plugin = Plugin::load(Path::new(&request.plugin))?;
    let options = request.topology_options.iter().cloned().filter_map(Named::into_value);
    let topology = Topology::create(
        &plugin,
        &TopologyRequest {
            name: request.topology.clone(),
            options: options.collect(),
            devices: usize::try_from(request.topology_devices).unwrap_or(usize::MAX),
            kind: request.device_kind.clone(),
        },
    )?;
    let started = Instant::now();
    let executable = topology.compile_with(&request.program, &request.compile_options)?;
    let seconds = started.elapsed().as_secs_f64();
    let device = topology.devices()?.into_iter().next();
    let mut compiled = CompiledMessage {
        seconds,
        fingerprint: executable.fingerprint()?,
        cost: executable.cost()?.iter().map(Named::from).collect(),
        serialized: request.serialize.then(|| executable.serialize()).transpose()?,
        device_kind: device.as_ref().map(|device| device.kind.clone()).unwrap_or_default(),
        device: device.iter().flat_map(|device| &device.attributes).map(Named::from).collect(),
        ..CompiledMessage::default()
    };
    compiled.set_memory(executable.memory()?);
    compiled.set_optimized(executable.optimized()?);
    Ok(compiled)
}
