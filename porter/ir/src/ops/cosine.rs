//! `cosine`: element-wise cosine.

super::elementwise::unary_op! {
    /// `cos(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#cosine>).
    Cosine, cosine = "stablehlo.cosine", Float, refuses I32
}
