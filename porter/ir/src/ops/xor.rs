//! `xor`: logical or bitwise XOR.

super::elementwise::binary_op! {
    /// `lhs ^ rhs`: logical for booleans, bitwise for integers
    /// (<https://openxla.org/stablehlo/spec#xor>).
    Xor, xor = "stablehlo.xor", Logical, refuses F32
}
