//! GGML's block types: each holds some elements in some bytes.
//!
//! Formulas, and their order of operations, are those of gguf-py 0.19.0's `quants.py` (MIT), whose
//! values the tests compare bit for bit. Layouts: `ggml-common.h` in <https://github.com/ggml-org/ggml>.

mod codebook;
mod five_bits;
mod fp4;
mod grids;
mod iq1_m;
mod iq1_s;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod k_scales;
mod mxfp4;
mod nvfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod quantise;
mod tq1_0;
mod tq2_0;

use self::quantise::Quantise;
use super::GgmlType;
use crate::{
    convert::{Decode, Encode, f16_to_f32, f32_to_f16},
    stored::Unit,
};

/// A block of `ELEMENTS` numbers in `BYTES` bytes.
pub(crate) trait Block<const BYTES: usize, const ELEMENTS: usize> {
    /// The numbers of one block.
    fn dequantise(block: &[u8; BYTES], out: &mut [f32; ELEMENTS]);
}

/// The elements and bytes of one block.
pub(crate) fn unit(block: GgmlType) -> Unit {
    codec(block).0
}

/// The decoder of a block type.
pub(crate) fn decoder(block: GgmlType) -> Decode<f32> {
    codec(block).1
}

fn codec(block: GgmlType) -> (Unit, Decode<f32>) {
    match block {
        GgmlType::Q4_0 => of::<q4_0::Q4_0, _, _>(),
        GgmlType::Q4_1 => of::<q4_1::Q4_1, _, _>(),
        GgmlType::Q5_0 => of::<q5_0::Q5_0, _, _>(),
        GgmlType::Q5_1 => of::<q5_1::Q5_1, _, _>(),
        GgmlType::Q8_0 => of::<q8_0::Q8_0, _, _>(),
        GgmlType::Q2_K => of::<q2_k::Q2K, _, _>(),
        GgmlType::Q3_K => of::<q3_k::Q3K, _, _>(),
        GgmlType::Q4_K => of::<q4_k::Q4K, _, _>(),
        GgmlType::Q5_K => of::<q5_k::Q5K, _, _>(),
        GgmlType::Q6_K => of::<q6_k::Q6K, _, _>(),
        GgmlType::IQ1_S => of::<iq1_s::Iq1S, _, _>(),
        GgmlType::IQ1_M => of::<iq1_m::Iq1M, _, _>(),
        GgmlType::IQ2_XXS => of::<iq2_xxs::Iq2Xxs, _, _>(),
        GgmlType::IQ2_XS => of::<iq2_xs::Iq2Xs, _, _>(),
        GgmlType::IQ2_S => of::<iq2_s::Iq2S, _, _>(),
        GgmlType::IQ3_XXS => of::<iq3_xxs::Iq3Xxs, _, _>(),
        GgmlType::IQ3_S => of::<iq3_s::Iq3S, _, _>(),
        GgmlType::IQ4_NL => of::<iq4_nl::Iq4Nl, _, _>(),
        GgmlType::IQ4_XS => of::<iq4_xs::Iq4Xs, _, _>(),
        GgmlType::TQ1_0 => of::<tq1_0::Tq1_0, _, _>(),
        GgmlType::TQ2_0 => of::<tq2_0::Tq2_0, _, _>(),
        GgmlType::MXFP4 => of::<mxfp4::Mxfp4, _, _>(),
        GgmlType::NVFP4 => of::<nvfp4::Nvfp4, _, _>(),
    }
}

/// The encoder of a block type, if numbers are written as it. It takes whole blocks.
pub(crate) fn encoder(block: GgmlType) -> Option<Encode<f32>> {
    Some(match block {
        GgmlType::Q4_0 => encode::<q4_0::Q4_0, _, _>,
        GgmlType::Q4_1 => encode::<q4_1::Q4_1, _, _>,
        GgmlType::Q5_0 => encode::<q5_0::Q5_0, _, _>,
        GgmlType::Q5_1 => encode::<q5_1::Q5_1, _, _>,
        GgmlType::Q8_0 => encode::<q8_0::Q8_0, _, _>,
        _ => return None,
    })
}

fn of<B: Block<BYTES, ELEMENTS>, const BYTES: usize, const ELEMENTS: usize>() -> (Unit, Decode<f32>) {
    (Unit { elements: ELEMENTS, bytes: BYTES }, decode::<B, BYTES, ELEMENTS>)
}

fn decode<B: Block<BYTES, ELEMENTS>, const BYTES: usize, const ELEMENTS: usize>(
    blocks: &[u8],
    out: &mut [f32],
) {
    let blocks = blocks.as_chunks::<BYTES>().0;
    let out = out.as_chunks_mut::<ELEMENTS>().0;
    for (block, numbers) in blocks.iter().zip(out) {
        B::dequantise(block, numbers);
    }
}

fn encode<B: Quantise<BYTES, ELEMENTS>, const BYTES: usize, const ELEMENTS: usize>(
    numbers: &[f32],
    blocks: &mut [u8],
) {
    let numbers = numbers.as_chunks::<ELEMENTS>().0;
    let blocks = blocks.as_chunks_mut::<BYTES>().0;
    for (numbers, block) in numbers.iter().zip(blocks) {
        B::quantise(numbers, block);
    }
}

/// The f16 at byte `at` of a block.
fn half<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> f32 {
    f16_to_f32(u16_at(block, at))
}

/// Rounds `x` to the f16 at byte `at` of a block.
fn put_half<const BYTES: usize>(block: &mut [u8; BYTES], at: usize, x: f32) {
    block[at..at + 2].copy_from_slice(&f32_to_f16(x).to_le_bytes());
}

fn u16_at<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

fn u32_at<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Checkpoint;

    #[test]
    fn quantised_bytes_are_those_of_gguf_py() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/gguf/quantize.expected.safetensors");
        let file = crate::SafetensorsFile::open(path.as_ref()).unwrap();
        let stored = file.tensor("x").unwrap().bytes;
        let numbers: Vec<f32> = stored.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        for block in [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q5_1, GgmlType::Q8_0] {
            let expected = file.tensor(&format!("q.{block}")).unwrap().bytes;
            let mut found = vec![0; expected.len()];
            encoder(block).unwrap()(&numbers, &mut found);
            assert_eq!(found, *expected, "{block}");
        }
    }
}
