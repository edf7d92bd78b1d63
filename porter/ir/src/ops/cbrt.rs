//! `cbrt`: element-wise cube root.

super::elementwise::unary_op! {
    /// The cube root of floats
    /// (<https://openxla.org/stablehlo/spec#cbrt>).
    Cbrt, cbrt = "stablehlo.cbrt", Float, refuses I32
}
