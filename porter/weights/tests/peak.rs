//! Memory that hostile PyTorch files make the reader take, as a multiple of the file. A test binary of
//! its own, because it counts every allocation of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path, time::Instant};

use peak_alloc::PeakAlloc;
use porter_weights::{OpenOptions, PickleGlobals};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What every opening may take, however small the file.
const FREE: usize = 1 << 20;
/// A pickle that makes a value a byte takes this many bytes for one.
const WORST: usize = 64;
/// A compressed pickle becomes at most this many times larger.
const INFLATED: usize = 64;

/// Opens the file strictly and leniently, and gives each tensor once; the most bytes taken.
fn peak(path: &Path) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    for pickle_globals in [PickleGlobals::Refuse, PickleGlobals::Lenient] {
        let options = OpenOptions { pickle_globals, prefix: Some(String::new()) };
        let Ok(checkpoint) = porter_weights::open_with(path, &options) else { continue };
        for name in checkpoint.tensors().keys() {
            let _ = checkpoint.tensor(name);
        }
    }
    MEMORY.peak_usage().saturating_sub(before)
}

/// A legacy file around a pickle.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let frame =
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    [&frame[..], pickle, b".\x80\x02]."].concat()
}

/// A zip archive of one deflated entry.
fn deflated(name: &str, content: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(content.len());
    let mut encoder = flate2::Compress::new(flate2::Compression::default(), false);
    encoder.compress_vec(content, &mut stream, flate2::FlushCompress::Finish).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let word = |n: usize| (n as u32).to_le_bytes();
    let fields = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &crc.sum().to_le_bytes(),
        &word(stream.len()),
        &word(content.len()),
        &word(name.len()),
    ]
    .concat();
    let mut file = [b"PK\x03\x04", &fields[..], name.as_bytes(), &stream].concat();
    let start = file.len();
    file.extend([b"PK\x01\x02\x14\0", &fields[..], &[0; 14], name.as_bytes()].concat());
    let size = file.len() - start;
    file.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &word(size)[..], &word(start), b"\0\0"].concat());
    file
}

/// `part` over and over, until `bytes` are full.
fn repeated(part: &[u8], bytes: usize) -> Vec<u8> {
    part.iter().copied().cycle().take(bytes / part.len() * part.len()).collect()
}

/// Pickles of one million bytes that make as many values, names and tensors as they can.
fn pickles() -> Vec<(&'static str, Vec<u8>)> {
    let million = |start: &[u8], part: &[u8], end: &[u8]| [start, &repeated(part, 1 << 20), end].concat();
    let call = b"\x80\x02cos\nsystem\nq\x00";
    let size: &[u8] = b"K\x01\x85q\x01";
    let tensor = [
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0",
        &b"0X\x03\0\0\0cpuK\x01tQK\x00h\x01h\x01\x89NtRq\x02"[..],
    ]
    .concat();
    let wide = [b"\x80\x02(", &repeated(b"K\x01", 128)[..], b"tq\x01"].concat();
    let start = [b"\x80\x02", size, &tensor, b"}("].concat();
    let wide_start = [&wide, &tensor[..], b"}("].concat();
    let mut long = b"\x80\x02X\x00\x40\0\0".to_vec();
    long.extend([b'k'; 0x4000]);
    long.extend([b"q\x03", size, &tensor, b"]("].concat());
    let mut deep = long.clone();
    deep.extend(repeated(b"}(h\x03", 400));
    vec![
        ("lists", million(b"\x80\x02", b"]", b"")),
        ("dicts", million(b"\x80\x02", b"}", b"")),
        ("marks", million(b"\x80\x02", b"(", b"")),
        ("the same again", million(b"\x80\x02]", b"2", b"")),
        ("memo", million(b"\x80\x04]", b"\x94", b"")),
        ("tuples", million(b"\x80\x02N", b"\x85", b"")),
        ("calls", million(call, b"h\x00)R", b"")),
        ("calls in a list", million(&[call, &b"]("[..]].concat(), b"h\x00)R", b"e")),
        ("one tensor", million(&start, b"K\x05h\x02", b"u")),
        ("one tensor of 64 dimensions", million(&wide_start, b"K\x05h\x02", b"u")),
        ("one tensor under a long name", million(&long, b"}h\x03h\x02s", b"e")),
        ("one tensor under deep long names", million(&deep, b"h\x03h\x02", b"u")),
        ("one list of numbers again and again", {
            let start = [b"\x80\x02](", &repeated(b"K\x01", 1 << 19)[..], b"eq\x01]("].concat();
            million(&start, b"h\x01", b"e")
        }),
        ("one tensor of much metadata", {
            let metadata = [b"}(", &repeated(b"NN", 1 << 19)[..], b"u"].concat();
            let head = tensor.strip_suffix(b"tRq\x02").unwrap();
            let start = [b"\x80\x02", size, head, b"N", &metadata, b"tRq\x02}("].concat();
            million(&start, b"K\x05h\x02", b"u")
        }),
        ("objects under deep long names", {
            let start = [call, &deep[2..]].concat();
            million(&start, b"h\x03h\x00)R", b"u")
        }),
    ]
}

#[test]
fn memory_is_bounded_by_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (what, pickle) in pickles() {
        let path = folder.path().join("a.pt");
        let bytes = legacy(&pickle);
        fs::write(&path, &bytes).unwrap();
        let start = Instant::now();
        let peak = peak(&path);
        let seconds = start.elapsed().as_secs_f64();
        println!("{what}: {:.1} times the file, {seconds:.2} s", peak as f64 / bytes.len() as f64);
        assert!(seconds < 30.0, "{what}: {seconds} s");
        assert!(peak < bytes.len() * WORST + FREE, "{what}: {peak} for {} bytes", bytes.len());
    }
    // A compressed pickle may be larger than its file, and still makes no more values.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    let noise: Vec<u8> = (0..100_000).map(|_| next()).collect();
    let pickle = [b"\x80\x02B\xa0\x86\x01\0", &noise[..], &vec![b']'; 5_000_000]].concat();
    let path = folder.path().join("deflated.pt");
    let bytes = deflated("a/data.pkl", &pickle);
    fs::write(&path, &bytes).unwrap();
    let error = porter_weights::open(&path).err().unwrap().to_string();
    assert!(error.contains("values") && bytes.len() < 150_000, "{error}");
    let taken = peak(&path);
    assert!(taken < bytes.len() * (WORST + INFLATED) + FREE, "deflated: {taken} for {} bytes", bytes.len());

    // Files that PyTorch wrote, and others of the manifests, take little.
    for list in ["pt", "bad"] {
        let entries =
            fs::read_dir([env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/", list].concat()).unwrap();
        for path in entries.map(|entry| entry.unwrap().path()) {
            let bytes = fs::metadata(&path).unwrap().len() as usize;
            let peak = peak(&path);
            assert!(peak < bytes * 40 + FREE, "{}: {peak} for {bytes} bytes", path.display());
        }
    }
    // Every value of every byte of a small file's pickle, and every size that it could be.
    let good = fs::read([env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/bad/tensor_ok_control.pt"].concat())
        .unwrap();
    let path = folder.path().join("damaged.pt");
    for at in 0..good.len() {
        for byte in [0, 1, 0x7f, 0xff, good[at] ^ 1, good[at] ^ 0x80] {
            let mut damaged = good.clone();
            damaged[at] = byte;
            fs::write(&path, &damaged).unwrap();
            let peak = peak(&path);
            assert!(peak < FREE + (1 << 20), "byte {at} as {byte}: {peak} bytes");
        }
    }
}
