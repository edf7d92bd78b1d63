//! `and`: logical or bitwise AND.

super::elementwise::binary_op! {
    /// `lhs & rhs`: logical for booleans, bitwise for integers
    /// (<https://openxla.org/stablehlo/spec#and>).
    And, and = "stablehlo.and", Logical, refuses F32
}
