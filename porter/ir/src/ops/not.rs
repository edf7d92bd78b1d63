//! `not`: logical or bitwise negation.

super::elementwise::unary_op! {
    /// `!x`: logical for booleans, bitwise for integers
    /// (<https://openxla.org/stablehlo/spec#not>).
    Not, not = "stablehlo.not", Logical, refuses F32
}
