//! `shift_right_arithmetic`: bits shifted right, the sign moved in.

super::elementwise::binary_op! {
    /// `lhs >> rhs` of integers, copies of the sign bit moved in
    /// (<https://openxla.org/stablehlo/spec#shift_right_arithmetic>).
    ShiftRightArithmetic, shift_right_arithmetic = "stablehlo.shift_right_arithmetic", Integer, refuses F32
}
