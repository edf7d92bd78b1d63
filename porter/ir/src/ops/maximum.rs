//! `maximum`: the larger of two elements.

super::elementwise::binary_op! {
    /// `max(lhs, rhs)`, NaN where either is; logical OR for booleans
    /// (<https://openxla.org/stablehlo/spec#maximum>).
    Maximum, maximum = "stablehlo.maximum", Any
}
