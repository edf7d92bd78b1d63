//! `sqrt`: element-wise square root.

super::elementwise::unary_op! {
    /// The square root of floats
    /// (<https://openxla.org/stablehlo/spec#sqrt>).
    Sqrt, sqrt = "stablehlo.sqrt", Float, refuses I32
}
