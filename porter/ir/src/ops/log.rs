//! `log`: element-wise natural logarithm.

super::elementwise::unary_op! {
    /// `ln(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#log>).
    Log, log = "stablehlo.log", Float, refuses I32
}
