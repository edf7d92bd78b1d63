//! `subtract`: element-wise difference.

super::elementwise::binary_op! {
    /// `lhs - rhs` of integers or floats
    /// (<https://openxla.org/stablehlo/spec#subtract>).
    Subtract, subtract = "stablehlo.subtract", Number, refuses Bool
}
