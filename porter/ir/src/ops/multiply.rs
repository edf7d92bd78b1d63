//! `multiply`: element-wise product.

super::elementwise::binary_op! {
    /// `lhs * rhs`; logical AND for booleans
    /// (<https://openxla.org/stablehlo/spec#multiply>).
    Multiply, multiply = "stablehlo.multiply", Any
}
