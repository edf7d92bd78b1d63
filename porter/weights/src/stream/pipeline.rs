//! Tiles evaluated on all threads, and handed on in order.

use std::{
    collections::BTreeMap,
    iter::Enumerate,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
};

use super::{
    StreamError,
    tiles::{Slot, Stretch, Tile},
};
use crate::{
    Checkpoint, Expr,
    scratch::Scratch,
    write::{Layout, Output},
};

/// Memory that is not counted by tiles: headers, the plan, stacks.
const FIXED_BYTES: u64 = 24 << 20;
/// What a thread reads at a time, twice.
const THREAD_BYTES: u64 = 3 << 20;
/// Larger tiles bring nothing.
const MAX_TILE: u64 = 64 << 20;
/// Smaller ones are not worth a read.
const MIN_TILE: u64 = 64 << 10;

/// How much runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) threads: usize,
    pub(super) tile_bytes: usize,
}

impl Size {
    /// The largest tiles with which everything in flight fits into `memory` bytes.
    pub(super) fn within(memory: u64, threads: usize, layout: &Layout) -> Result<Self, StreamError> {
        let nested = layout.tensors.iter().map(|tensor| permutations(&tensor.expr)).max().unwrap_or(0);
        let in_flight = (buffers(threads) + threads * nested) as u64;
        let fixed = FIXED_BYTES + threads as u64 * THREAD_BYTES;
        let tile = memory.saturating_sub(fixed) / in_flight;
        if tile < MIN_TILE {
            return Err(StreamError::Memory { given: memory, needed: fixed + in_flight * MIN_TILE });
        }
        Ok(Self { threads, tile_bytes: tile.min(MAX_TILE) as usize })
    }
}

/// Tiles in flight: one on each thread, one that is written, one that waits.
fn buffers(threads: usize) -> usize {
    threads + 2
}

/// How many permutations lie within one another.
fn permutations(expr: &Expr) -> usize {
    let inner = expr.inputs().iter().map(permutations).max().unwrap_or(0);
    inner + usize::from(matches!(expr, Expr::Permute { .. }))
}

/// What all threads share.
struct Shared<'a, I> {
    layout: &'a Layout,
    checkpoint: &'a dyn Checkpoint,
    queue: Mutex<Queue<I>>,
    freed: Condvar,
    /// The tensor that was asked for last: its neighbours in the file are the same.
    last: Mutex<Option<(usize, Arc<Output<'a>>)>>,
}

struct Queue<I> {
    stretches: Enumerate<I>,
    free: Vec<Vec<u8>>,
    stopped: bool,
}

/// A stretch that was evaluated: the first `bytes` of `buffer` belong to the file `file`.
struct Evaluated {
    file: usize,
    bytes: usize,
    buffer: Vec<u8>,
}

/// Evaluates `stretches` and gives the file and the bytes of each, in order, to `take`. The first error
/// ends it.
pub(super) fn run<'a, I: Iterator<Item = Stretch<'a>> + Send>(
    layout: &'a Layout,
    checkpoint: &'a dyn Checkpoint,
    stretches: I,
    size: Size,
    mut take: impl FnMut(usize, &[u8]) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let shared = Shared {
        layout,
        checkpoint,
        queue: Mutex::new(Queue {
            stretches: stretches.enumerate(),
            free: vec![Vec::new(); buffers(size.threads)],
            stopped: false,
        }),
        freed: Condvar::new(),
        last: Mutex::new(None),
    };
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..size.threads {
            let (shared, send) = (&shared, send.clone());
            scope.spawn(move || shared.work(&send));
        }
        drop(send);
        let done = in_order(&receive, |Evaluated { file, bytes, buffer }| {
            take(file, &buffer[..bytes])?;
            shared.give_back(buffer);
            Ok(())
        });
        shared.stop();
        done
    })
}

fn in_order(
    receive: &mpsc::Receiver<(usize, Result<Evaluated, StreamError>)>,
    mut take: impl FnMut(Evaluated) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (index, evaluated) in receive {
        waiting.insert(index, evaluated?);
        while let Some(evaluated) = waiting.remove(&next) {
            take(evaluated)?;
            next += 1;
        }
    }
    Ok(())
}

impl<'a, I: Iterator<Item = Stretch<'a>>> Shared<'a, I> {
    fn work(&self, send: &mpsc::Sender<(usize, Result<Evaluated, StreamError>)>) {
        let mut scratch = Scratch::default();
        while let Some((index, Stretch { file, tile }, mut buffer)) = self.take() {
            let evaluated = self.evaluate(&tile, &mut buffer, &mut scratch);
            let failed = evaluated.is_err();
            let evaluated = evaluated.map(|()| Evaluated { file, bytes: tile.bytes, buffer });
            // The receiver goes only once it has stopped the queue.
            if send.send((index, evaluated)).is_err() || failed {
                return;
            }
        }
    }

    /// The next stretch and memory for it. Memory is given in the order of stretches, so the one that all
    /// wait for always has some.
    fn take(&self) -> Option<(usize, Stretch<'a>, Vec<u8>)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(buffer) = queue.free.pop() {
                if let Some((index, stretch)) = queue.stretches.next() {
                    return Some((index, stretch, buffer));
                }
                queue.stopped = true;
                self.freed.notify_all();
                return None;
            }
            queue = self.freed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).free.push(buffer);
        self.freed.notify_one();
    }

    fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.freed.notify_all();
    }

    fn evaluate(
        &self,
        tile: &Tile<'_>,
        buffer: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<(), StreamError> {
        if buffer.len() < tile.bytes {
            buffer.resize(tile.bytes, 0);
        }
        let mut rest = &mut buffer[..tile.bytes];
        for slot in &tile.slots {
            match slot {
                Slot::Bytes(bytes) => {
                    let (now, later) = rest.split_at_mut(bytes.len());
                    now.copy_from_slice(bytes);
                    rest = later;
                }
                Slot::Elements { tensor, range, bytes } => {
                    let (now, later) = rest.split_at_mut(*bytes);
                    self.output(*tensor).and_then(|output| output.read(range, now, scratch)).map_err(
                        |source| StreamError::Tensor {
                            tensor: self.layout.tensors[*tensor].name.clone(),
                            source,
                        },
                    )?;
                    rest = later;
                }
            }
        }
        Ok(())
    }

    fn output(&self, tensor: usize) -> Result<Arc<Output<'a>>, crate::ExprError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, output)) = &*last
            && *known == tensor
        {
            return Ok(Arc::clone(output));
        }
        let output = Arc::new(Output::new(&self.layout.tensors[tensor], self.checkpoint)?);
        *last = Some((tensor, Arc::clone(&output)));
        Ok(output)
    }
}
