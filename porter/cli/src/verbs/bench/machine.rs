//! What the machine can do, measured.

use std::{fs, hint::black_box, thread, time::Instant};

/// Bytes read by one measurement: far more than any cache.
const BYTES: usize = 512 << 20;
const REPEATS: usize = 5;

/// Bytes a second that all cores together read from memory: the best of a few passes over a large
/// array.
pub(super) fn read_bandwidth() -> f64 {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let data = vec![1_u64; BYTES / 8];
    let part = data.len().div_ceil(threads);
    let pass = || {
        let started = Instant::now();
        thread::scope(|scope| {
            for chunk in data.chunks(part) {
                scope.spawn(move || black_box(sum(chunk)));
            }
        });
        BYTES as f64 / started.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(|_| pass()).fold(0.0, f64::max)
}

/// Eight independent sums, so that additions do not wait for each other.
fn sum(data: &[u64]) -> u64 {
    let mut sums = [0_u64; 8];
    for eight in data.chunks_exact(8) {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*value);
        }
    }
    sums.iter().fold(0, |a, &b| a.wrapping_add(b))
}

/// The largest resident size of this process so far, in bytes, where Linux tells it.
pub(super) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
