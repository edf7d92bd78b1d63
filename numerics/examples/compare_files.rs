//! Two files of a given size, compared, against plain reading of the same files:
//! `cargo run --release -p porter-numerics --example compare_files -- FOLDER GIBIBYTES [ROUNDS]`.
//!
//! The files are written first if they are not there, and left there. Each round reads and compares; none
//! (0) compares once without reading first, for files that are not in the page cache.

#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{BufWriter, Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use porter_numerics::compare_files;

/// Elements of one tensor: 256 MiB in f32.
const TENSOR: usize = 1 << 26;

/// Writes `gibibytes` of f32 tensors: numbers of mixed sign and size, and a small error on top.
fn write(path: &Path, gibibytes: usize, error: f32) -> Result<(), Box<dyn Error>> {
    let tensors = gibibytes * 4;
    let entry = |i: usize| {
        format!(
            "\"t{i:03}\":{{\"dtype\":\"F32\",\"shape\":[{TENSOR}],\"data_offsets\":[{},{}]}}",
            i * TENSOR * 4,
            (i + 1) * TENSOR * 4
        )
    };
    let mut header = format!("{{{}}}", (0..tensors).map(entry).collect::<Vec<_>>().join(","));
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1_u32;
    for _ in 0..tensors * TENSOR {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = (state >> 8) as f32 / 8_388_608.0 - 1.0;
        file.write_all(&(value + error * (state & 0xff) as f32).to_le_bytes())?;
    }
    Ok(file.flush()?)
}

fn read(path: &Path, buffer: &mut [u8]) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(path)?;
    while file.read(buffer)? > 0 {}
    Ok(())
}

/// The process's anonymous memory, in KiB.
fn anonymous() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The processor time that the process has had, in seconds: fields 14 and 15 of `/proc/self/stat`, in
/// hundredths.
fn processor() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let ticks: Vec<f64> = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Some(ticks.iter().sum::<f64>() / 100.0)
}

/// What `work` gives, and the most anonymous memory seen every 10 ms meanwhile, in KiB.
fn sampled<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous().unwrap_or(0));
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, sampler.join().unwrap_or(0))
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().ok_or("expected a folder")?;
    let gibibytes: usize = arguments.next().ok_or("expected a size in GiB")?.parse()?;
    let rounds: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let (a, b) = (Path::new(&folder).join("a.safetensors"), Path::new(&folder).join("b.safetensors"));
    for (path, error) in [(&a, 1e-9), (&b, 0.0)] {
        if !path.exists() {
            write(path, gibibytes, error)?;
        }
    }
    let bytes = (fs::metadata(&a)?.len() + fs::metadata(&b)?.len()) as f64;
    if rounds == 0 {
        return measure(&a, &b, bytes);
    }
    let mut buffer = vec![0; 1 << 22];
    for _ in 0..rounds {
        let started = Instant::now();
        read(&a, &mut buffer)?;
        read(&b, &mut buffer)?;
        println!("plain reading by one thread: {:.2} GB/s", bytes / started.elapsed().as_secs_f64() / 1e9);
        measure(&a, &b, bytes)?;
    }
    Ok(())
}

fn measure(a: &Path, b: &Path, bytes: f64) -> Result<(), Box<dyn Error>> {
    let before = anonymous().unwrap_or(0);
    let (started, had) = (Instant::now(), processor());
    let (found, most) = sampled(|| compare_files(a, b));
    let rate = bytes / started.elapsed().as_secs_f64() / 1e9;
    let core = processor().zip(had).map_or(f64::NAN, |(has, had)| bytes / (has - had) / 1e9);
    let found = found?;
    println!(
        "compare_files: {rate:.2} GB/s, {core:.2} GB a second of a core, {} tensors, worst {:?}, \
         RssAnon {before} KiB before, at most {most} KiB during",
        found.tensors.len(),
        found.worst().map(|c| c.max_abs)
    );
    Ok(())
}
