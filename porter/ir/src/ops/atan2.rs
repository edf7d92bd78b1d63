//! `atan2`: the angle of a point.

super::elementwise::binary_op! {
    /// The angle of the point (`rhs`, `lhs`) from the positive x axis, of floats
    /// (<https://openxla.org/stablehlo/spec#atan2>).
    Atan2, atan2 = "stablehlo.atan2", Float, refuses I32
}
