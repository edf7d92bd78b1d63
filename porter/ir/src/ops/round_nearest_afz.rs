//! `round_nearest_afz`: element-wise rounding, ties away from zero.

super::elementwise::unary_op! {
    /// The nearest whole number of a float, ties away from zero
    /// (<https://openxla.org/stablehlo/spec#round_nearest_afz>).
    RoundNearestAfz, round_nearest_afz = "stablehlo.round_nearest_afz", Float, refuses I32
}
