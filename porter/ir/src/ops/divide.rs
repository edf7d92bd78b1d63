//! `divide`: element-wise quotient.

super::elementwise::binary_op! {
    /// `lhs / rhs` of integers, rounded towards zero, or floats
    /// (<https://openxla.org/stablehlo/spec#divide>).
    Divide, divide = "stablehlo.divide", Number, refuses Bool
}
