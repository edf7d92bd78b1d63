//! `remainder`: the remainder of a division.

super::elementwise::binary_op! {
    /// The remainder of `lhs / rhs`, with the sign of `lhs`, of integers or floats
    /// (<https://openxla.org/stablehlo/spec#remainder>).
    Remainder, remainder = "stablehlo.remainder", Number, refuses Bool
}
