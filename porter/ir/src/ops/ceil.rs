//! `ceil`: element-wise rounding up.

super::elementwise::unary_op! {
    /// The smallest whole number not below a float
    /// (<https://openxla.org/stablehlo/spec#ceil>).
    Ceil, ceil = "stablehlo.ceil", Float, refuses I32
}
