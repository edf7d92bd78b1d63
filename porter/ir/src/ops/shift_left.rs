//! `shift_left`: bits shifted left.

super::elementwise::binary_op! {
    /// `lhs << rhs` of integers; zero where `rhs` is not below the bit width
    /// (<https://openxla.org/stablehlo/spec#shift_left>).
    ShiftLeft, shift_left = "stablehlo.shift_left", Integer, refuses Bool
}
