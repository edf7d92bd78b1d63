//! `exponential`: element-wise e to the power of x.

super::elementwise::unary_op! {
    /// `exp(x)` of floats
    /// (<https://openxla.org/stablehlo/spec#exponential>).
    Exponential, exponential = "stablehlo.exponential", Float, refuses I32
}
