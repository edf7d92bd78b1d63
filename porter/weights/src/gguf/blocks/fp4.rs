//! The values of a 4-bit float (E2M1), doubled so that they are whole.

/// By code; the sign is the top bit.
pub(super) const DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
