//! `tanh`: element-wise hyperbolic tangent.

super::elementwise::unary_op! {
    /// `tanh(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#tanh>).
    Tanh, tanh = "stablehlo.tanh", Float, refuses I32
}
