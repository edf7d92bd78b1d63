//! `negate`: element-wise negation.

super::elementwise::unary_op! {
    /// `-x` of integers or floats
    /// (<https://openxla.org/stablehlo/spec#negate>).
    Negate, negate = "stablehlo.negate", Number, refuses Bool
}
