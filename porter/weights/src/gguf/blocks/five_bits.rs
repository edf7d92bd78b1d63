//! The 5-bit numbers of `Q5_0` and `Q5_1`: four bits in halves of bytes, the fifth bits together.

/// Numbers `j` and `j + 16` of 32.
pub(super) fn pair(low_bits: &[u8], fifth_bits: u32, j: usize) -> (u8, u8) {
    let fifth = |at: usize| ((fifth_bits >> at) as u8 & 1) << 4;
    let byte = low_bits[j];
    ((byte & 0x0F) | fifth(j), (byte >> 4) | fifth(j + 16))
}

/// Writes the low four bits of 32 numbers; the fifth bits are the result.
pub(super) fn put(low_bits: &mut [u8], codes: &[u8; 32]) -> u32 {
    let (low, high) = codes.split_at(16);
    for ((byte, low), high) in low_bits.iter_mut().zip(low).zip(high) {
        *byte = low & 0x0F | high << 4;
    }
    codes.iter().enumerate().fold(0, |fifth, (at, code)| fifth | u32::from(code >> 4) << at)
}
