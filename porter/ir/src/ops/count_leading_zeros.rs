//! `count_leading_zeros`: the number of leading zero bits.

super::elementwise::unary_op! {
    /// The number of leading zero bits of integers
    /// (<https://openxla.org/stablehlo/spec#count_leading_zeros>).
    CountLeadingZeros, count_leading_zeros = "stablehlo.count_leading_zeros", Integer, refuses Bool
}
