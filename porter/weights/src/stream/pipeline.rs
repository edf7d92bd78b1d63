//! Tiles evaluated on all threads, and handed on in order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
};

use super::{
    StreamError,
    tiles::{Slot, Tile},
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
struct Shared<'a> {
    layout: &'a Layout,
    checkpoint: &'a dyn Checkpoint,
    tiles: &'a [Tile<'a>],
    queue: Mutex<Queue>,
    freed: Condvar,
    /// The tensor that was asked for last: its neighbours in the file are the same.
    last: Mutex<Option<(usize, Arc<Output<'a>>)>>,
}

#[derive(Default)]
struct Queue {
    next: usize,
    free: Vec<Vec<u8>>,
    stopped: bool,
}

type Evaluated = (usize, Result<Vec<u8>, StreamError>);

/// Evaluates `tiles` and gives the bytes of each, in order, to `take`. The first error ends it.
pub(super) fn run(
    layout: &Layout,
    checkpoint: &dyn Checkpoint,
    tiles: &[Tile<'_>],
    size: Size,
    mut take: impl FnMut(&[u8]) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let shared = Shared {
        layout,
        checkpoint,
        tiles,
        queue: Mutex::new(Queue { free: vec![Vec::new(); buffers(size.threads)], ..Queue::default() }),
        freed: Condvar::new(),
        last: Mutex::new(None),
    };
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel::<Evaluated>();
        for _ in 0..size.threads.min(tiles.len()) {
            let (shared, send) = (&shared, send.clone());
            scope.spawn(move || shared.work(&send));
        }
        drop(send);
        let done = in_order(&receive, tiles, |buffer, bytes| {
            take(&buffer[..bytes])?;
            shared.give_back(buffer);
            Ok(())
        });
        shared.stop();
        done
    })
}

fn in_order(
    receive: &mpsc::Receiver<Evaluated>,
    tiles: &[Tile<'_>],
    mut take: impl FnMut(Vec<u8>, usize) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (index, buffer) in receive {
        waiting.insert(index, buffer?);
        while let Some(buffer) = waiting.remove(&next) {
            take(buffer, tiles[next].bytes)?;
            next += 1;
        }
    }
    Ok(())
}

impl<'a> Shared<'a> {
    fn work(&self, send: &mpsc::Sender<Evaluated>) {
        let mut scratch = Scratch::default();
        while let Some((index, mut buffer)) = self.take() {
            let evaluated = self.evaluate(&self.tiles[index], &mut buffer, &mut scratch);
            let failed = evaluated.is_err();
            // The receiver goes only once it has stopped the queue.
            if send.send((index, evaluated.map(|()| buffer))).is_err() || failed {
                return;
            }
        }
    }

    /// The next tile and memory for it. Memory is given in the order of tiles, so the one that all
    /// wait for always has some.
    fn take(&self) -> Option<(usize, Vec<u8>)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.stopped || queue.next == self.tiles.len() {
                return None;
            }
            if let Some(buffer) = queue.free.pop() {
                queue.next += 1;
                return Some((queue.next - 1, buffer));
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
