//! The eight 6-bit scales and minima of `Q4_K` and `Q5_K`, in 12 bytes.

/// Scale and minimum of group `group` of 8.
pub(super) fn scale_and_minimum(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (packed[group] & 0x3F, packed[group + 4] & 0x3F);
    }
    let low = packed[group + 4];
    let scale = (low & 0x0F) | (packed[group - 4] >> 2 & 0x30);
    let minimum = (low >> 4) | (packed[group] >> 2 & 0x30);
    (scale, minimum)
}
