//! `power`: element-wise power.

super::elementwise::binary_op! {
    /// `lhs` to the power of `rhs`, integers or floats
    /// (<https://openxla.org/stablehlo/spec#power>).
    Power, power = "stablehlo.power", Number, refuses Bool
}
