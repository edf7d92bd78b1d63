//! `round_nearest_even`: element-wise rounding, ties to even.

super::elementwise::unary_op! {
    /// The nearest whole number of a float, ties to the even one
    /// (<https://openxla.org/stablehlo/spec#round_nearest_even>).
    RoundNearestEven, round_nearest_even = "stablehlo.round_nearest_even", Float, refuses I32
}
