//! What the IQ types share: expanding their code books, and their packed signs.

/// The magnitudes of IQ2 rows.
pub(super) const IQ2_VALUES: [i8; 4] = [0x08, 0x19, 0x2b, 0];

/// Expands rows of 8 elements of 2 bits.
pub(super) const fn expand8<const ROWS: usize>(packed: &[u16; ROWS], values: [i8; 4]) -> [[i8; 8]; ROWS] {
    let mut rows = [[0; 8]; ROWS];
    let mut row = 0;
    while row < ROWS {
        let mut k = 0;
        while k < 8 {
            rows[row][k] = values[(packed[row] >> (2 * k) & 3) as usize];
            k += 1;
        }
        row += 1;
    }
    rows
}

/// Expands rows of 4 elements of 4 bits, of which 3 are used.
pub(super) const fn expand4<const ROWS: usize>(packed: &[u16; ROWS], values: [i8; 8]) -> [[i8; 4]; ROWS] {
    let mut rows = [[0; 4]; ROWS];
    let mut row = 0;
    while row < ROWS {
        let mut k = 0;
        while k < 4 {
            rows[row][k] = values[(packed[row] >> (4 * k) & 7) as usize];
            k += 1;
        }
        row += 1;
    }
    rows
}

/// The eight sign bits of a 7-bit index: the eighth makes their number even.
pub(super) fn even_signs(index: u32) -> u8 {
    let seven = (index & 0x7F) as u8;
    seven | ((seven.count_ones() as u8 & 1) << 7)
}

/// `scale * element`, negated where `signs` has the element's bit.
pub(super) fn signed<const N: usize>(scale: f32, row: &[i8; N], signs: u8, out: &mut [f32]) {
    for (k, (out, element)) in out.iter_mut().zip(row).enumerate() {
        let value = scale * f32::from(*element);
        *out = if signs >> k & 1 == 0 { value } else { -value };
    }
}
