//! `sine`: element-wise sine.

super::elementwise::unary_op! {
    /// `sin(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#sine>).
    Sine, sine = "stablehlo.sine", Float, refuses I32
}
