//! `exponential_minus_one`: e to the power of x, minus one.

super::elementwise::unary_op! {
    /// `exp(x) - 1` of floats, exact near zero
    /// (<https://openxla.org/stablehlo/spec#exponential_minus_one>).
    ExponentialMinusOne, exponential_minus_one = "stablehlo.exponential_minus_one", Float, refuses I32
}
