//! Conversion speed. Divan counts the bytes read and written together.
//!
//! Run: `cargo bench -p porter-weights --bench dequant`. For a whole model:
//! `PORTER_BENCH_GGUF=model.gguf cargo bench -p porter-weights --bench dequant whole_file`.

use divan::{Bencher, counter::BytesCount};
use host_memory::AlignedBytes;
use porter_ir::DType;
use porter_weights::{Encoding, GgmlType, TensorInfo, TensorView};

fn main() {
    divan::main();
}

/// A tensor as large as an embedding table of a small model: 32M elements.
const SHAPE: [usize; 2] = [32768, 1024];
const ELEMENTS: usize = SHAPE[0] * SHAPE[1];

/// Converts `ELEMENTS` elements, stored in `stored_bytes`, to `dtype`.
fn convert(bencher: Bencher<'_, '_>, encoding: Encoding, stored_bytes: usize, dtype: DType) {
    // Any bytes do, but not zeros: pages never written would all be one page.
    let stored: Vec<u8> = (0..stored_bytes).map(|i| (i % 113) as u8).collect();
    let info = TensorInfo { shape: SHAPE.to_vec().into(), encoding, bytes: stored_bytes };
    let view = TensorView { info: &info, bytes: (&*stored).into() };
    let mut out = AlignedBytes::zeroed(ELEMENTS * dtype.host_bytes());
    bencher
        .counter(BytesCount::new(stored_bytes + out.len()))
        .bench_local(|| view.read_into(dtype, &mut out));
}

#[divan::bench(sample_count = 10, args = [DType::F32, DType::BF16, DType::F16])]
fn q4_1(bencher: Bencher<'_, '_>, dtype: DType) {
    convert(bencher, Encoding::Block(GgmlType::Q4_1), ELEMENTS / 32 * 20, dtype);
}

#[divan::bench(sample_count = 10, args = [DType::F32, DType::BF16, DType::F16])]
fn q8_0(bencher: Bencher<'_, '_>, dtype: DType) {
    convert(bencher, Encoding::Block(GgmlType::Q8_0), ELEMENTS / 32 * 34, dtype);
}

#[divan::bench(sample_count = 10, args = [DType::F32, DType::F16])]
fn bf16(bencher: Bencher<'_, '_>, dtype: DType) {
    convert(bencher, Encoding::Plain(DType::BF16), ELEMENTS * 2, dtype);
}

#[divan::bench(sample_count = 10, args = [DType::F32, DType::BF16, DType::F16])]
fn f32(bencher: Bencher<'_, '_>, dtype: DType) {
    convert(bencher, Encoding::Plain(DType::F32), ELEMENTS * 4, dtype);
}

/// Every tensor of a file into fresh memory.
#[divan::bench(sample_count = 5, args = [DType::F32, DType::BF16])]
fn whole_file(bencher: Bencher<'_, '_>, dtype: DType) {
    let Ok(path) = std::env::var("PORTER_BENCH_GGUF") else { return };
    let Ok(file) = porter_weights::open(path.as_ref()) else { return };
    let read: usize = file.tensors().values().map(|info| info.bytes).sum();
    let written: usize = file.tensors().values().map(|info| info.shape.elements() * dtype.host_bytes()).sum();
    bencher.counter(BytesCount::new(read + written)).bench_local(|| {
        file.tensors()
            .iter()
            .map(|(name, info)| {
                let mut out = AlignedBytes::zeroed(info.shape.elements() * dtype.host_bytes());
                file.tensor(name).map(|view| view.read_into(dtype, &mut out)).is_ok().then_some(out)
            })
            .collect::<Vec<_>>()
    });
}
