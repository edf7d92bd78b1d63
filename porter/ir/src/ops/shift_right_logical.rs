//! `shift_right_logical`: bits shifted right, zeros moved in.

super::elementwise::binary_op! {
    /// `lhs >> rhs` of integers, zeros moved in
    /// (<https://openxla.org/stablehlo/spec#shift_right_logical>).
    ShiftRightLogical, shift_right_logical = "stablehlo.shift_right_logical", Integer, refuses F32
}
