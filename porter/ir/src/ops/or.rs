//! `or`: logical or bitwise OR.

super::elementwise::binary_op! {
    /// `lhs | rhs`: logical for booleans, bitwise for integers
    /// (<https://openxla.org/stablehlo/spec#or>).
    Or, or = "stablehlo.or", Logical, refuses F32
}
