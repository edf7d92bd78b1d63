//! `sign`: the sign of an element.

super::elementwise::unary_op! {
    /// -1, 0 or 1 by the sign of a signed integer or a float, NaN for NaN
    /// (<https://openxla.org/stablehlo/spec#sign>).
    Sign, sign = "stablehlo.sign", Signed, refuses U8
}
