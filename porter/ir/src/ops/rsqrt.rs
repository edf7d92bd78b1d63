//! `rsqrt`: element-wise reciprocal square root.

super::elementwise::unary_op! {
    /// `1 / sqrt(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#rsqrt>).
    Rsqrt, rsqrt = "stablehlo.rsqrt", Float, refuses I32
}
