//! Two files of a given size, compared, against plain reading of the same files:
//! `cargo run --release -p porter-numerics --example compare_files -- FOLDER GIBIBYTES`.
//!
//! The files are written first if they are not there, and left there.

#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{BufWriter, Read, Write},
    path::Path,
    time::Instant,
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

/// A line of `/proc/self/status`.
fn status(key: &str) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/status")?;
    Ok(text.lines().find(|line| line.starts_with(key)).unwrap_or(key).to_owned())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().ok_or("expected a folder")?;
    let gibibytes: usize = arguments.next().ok_or("expected a size in GiB")?.parse()?;
    let (a, b) = (Path::new(&folder).join("a.safetensors"), Path::new(&folder).join("b.safetensors"));
    for (path, error) in [(&a, 1e-9), (&b, 0.0)] {
        if !path.exists() {
            write(path, gibibytes, error)?;
        }
    }
    let bytes = (fs::metadata(&a)?.len() + fs::metadata(&b)?.len()) as f64;
    let rate = |since: Instant| bytes / since.elapsed().as_secs_f64() / 1e9;
    let started = Instant::now();
    let mut buffer = vec![0; 1 << 22];
    read(&a, &mut buffer)?;
    read(&b, &mut buffer)?;
    println!("plain reading, one thread: {:.2} GB/s", rate(started));
    let started = Instant::now();
    let found = compare_files(&a, &b)?;
    println!(
        "compare_files: {:.2} GB/s, {} tensors, worst {:?}",
        rate(started),
        found.tensors.len(),
        found.worst().map(|c| c.max_abs)
    );
    println!("{}", status("RssAnon")?);
    println!("{}", status("VmHWM")?);
    Ok(())
}
