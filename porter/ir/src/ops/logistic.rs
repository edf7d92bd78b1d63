//! `logistic`: the logistic function.

super::elementwise::unary_op! {
    /// `1 / (1 + exp(-x))` of floats
    /// (<https://openxla.org/stablehlo/spec#logistic>).
    Logistic, logistic = "stablehlo.logistic", Float, refuses I32
}
