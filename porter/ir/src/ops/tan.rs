//! `tan`: element-wise tangent.

super::elementwise::unary_op! {
    /// `tan(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#tan>).
    Tan, tan = "stablehlo.tan", Float, refuses I32
}
