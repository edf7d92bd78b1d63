//! Bytes as hexadecimal digits.

use std::fmt::Write as _;

/// Two lowercase digits a byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn leading_zeros_stay() {
        assert_eq!(super::encode(&[0, 0x0a, 0xff]), "000aff");
    }
}
