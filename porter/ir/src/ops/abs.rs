//! `abs`: element-wise absolute value.

super::elementwise::unary_op! {
    /// `|x|` of signed integers or floats
    /// (<https://openxla.org/stablehlo/spec#abs>).
    Abs, abs = "stablehlo.abs", Signed, refuses U8
}
