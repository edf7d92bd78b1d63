//! `add`: element-wise sum.

super::elementwise::binary_op! {
    /// `lhs + rhs`; logical OR for booleans
    /// (<https://openxla.org/stablehlo/spec#add>).
    Add, add = "stablehlo.add", Any
}
