//! Tiles evaluated on all threads, and handed on in order.

use std::{
    collections::BTreeMap,
    iter::Enumerate,
    ops::Deref,
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
/// Larger tiles of permuted tensors bring nothing.
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

/// Tiles in flight: one on each thread, one that is written, one that is hashed, two that wait.
fn buffers(threads: usize) -> usize {
    threads + 4
}

/// How many permutations lie within one another.
pub(super) fn permutations(expr: &Expr) -> usize {
    let inner = expr.inputs().iter().map(permutations).max().unwrap_or(0);
    inner + usize::from(matches!(expr, Expr::Permute { .. }))
}

/// What all threads share.
struct Shared<'a, I> {
    layout: &'a Layout,
    checkpoint: &'a dyn Checkpoint,
    stretches: Mutex<Enumerate<I>>,
    pool: Arc<Pool>,
    /// The tensor that was asked for last: its neighbours in the file are the same.
    last: Mutex<Option<(usize, Arc<Output<'a>>)>>,
}

/// Memory for tiles.
struct Pool {
    free: Mutex<Option<Vec<Vec<u8>>>>,
    freed: Condvar,
}

impl Pool {
    /// Memory that nobody has; nothing once the pool is closed.
    fn take(&self) -> Option<Vec<u8>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(buffer) = free.as_mut()?.pop() {
                return Some(buffer);
            }
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.freed.notify_all();
    }
}

/// The bytes of a tile. Its memory is used again once this is dropped.
pub(super) struct Lent {
    buffer: Vec<u8>,
    bytes: usize,
    pool: Arc<Pool>,
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.bytes).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(free) = &mut *self.pool.free.lock().unwrap_or_else(PoisonError::into_inner) {
            free.push(std::mem::take(&mut self.buffer));
        }
        self.pool.freed.notify_one();
    }
}

/// The place of a stretch, and the file that it is of with its bytes.
type Evaluated = (usize, Result<(usize, Lent), StreamError>);

/// Evaluates `stretches` and gives the file and the bytes of each, in order, to `take`. The first error
/// ends it.
pub(super) fn run<'a, I: Iterator<Item = Stretch<'a>> + Send>(
    layout: &'a Layout,
    checkpoint: &'a dyn Checkpoint,
    stretches: I,
    size: Size,
    take: impl FnMut(usize, Lent) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let free = Mutex::new(Some(vec![Vec::new(); buffers(size.threads)]));
    let shared = Shared {
        layout,
        checkpoint,
        stretches: Mutex::new(stretches.enumerate()),
        pool: Arc::new(Pool { free, freed: Condvar::new() }),
        last: Mutex::new(None),
    };
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..size.threads {
            let (shared, send) = (&shared, send.clone());
            scope.spawn(move || shared.work(&send));
        }
        drop(send);
        let done = in_order(&receive, take);
        shared.pool.close();
        done
    })
}

fn in_order(
    receive: &mpsc::Receiver<Evaluated>,
    mut take: impl FnMut(usize, Lent) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (index, evaluated) in receive {
        waiting.insert(index, evaluated?);
        while let Some((file, bytes)) = waiting.remove(&next) {
            take(file, bytes)?;
            next += 1;
        }
    }
    Ok(())
}

impl<'a, I: Iterator<Item = Stretch<'a>>> Shared<'a, I> {
    fn work(&self, send: &mpsc::Sender<Evaluated>) {
        let mut scratch = Scratch::default();
        while let Some((index, Stretch { file, tile }, buffer)) = self.take() {
            let mut lent = Lent { buffer, bytes: tile.bytes, pool: Arc::clone(&self.pool) };
            let evaluated = self.evaluate(&tile, &mut lent.buffer, &mut scratch);
            let failed = evaluated.is_err();
            // The receiver goes only once it has closed the pool.
            if send.send((index, evaluated.map(|()| (file, lent)))).is_err() || failed {
                return;
            }
        }
    }

    /// The next stretch and memory for it. Memory is given in the order of stretches, so the one that all
    /// wait for always has some.
    fn take(&self) -> Option<(usize, Stretch<'a>, Vec<u8>)> {
        let mut stretches = self.stretches.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = self.pool.take()?;
        let (index, stretch) = stretches.next()?;
        Some((index, stretch, buffer))
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
