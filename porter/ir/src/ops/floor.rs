//! `floor`: element-wise rounding down.

super::elementwise::unary_op! {
    /// The largest whole number not above a float
    /// (<https://openxla.org/stablehlo/spec#floor>).
    Floor, floor = "stablehlo.floor", Float, refuses I32
}
