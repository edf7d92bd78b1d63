//! `log_plus_one`: the natural logarithm of x plus one.

super::elementwise::unary_op! {
    /// `ln(1 + x)` of floats, exact near zero
    /// (<https://openxla.org/stablehlo/spec#log_plus_one>).
    LogPlusOne, log_plus_one = "stablehlo.log_plus_one", Float, refuses I32
}
