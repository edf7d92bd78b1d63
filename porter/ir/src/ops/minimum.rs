//! `minimum`: the smaller of two elements.

super::elementwise::binary_op! {
    /// `min(lhs, rhs)`, NaN where either is; logical AND for booleans
    /// (<https://openxla.org/stablehlo/spec#minimum>).
    Minimum, minimum = "stablehlo.minimum", Any
}
