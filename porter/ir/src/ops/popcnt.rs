//! `popcnt`: the number of set bits.

super::elementwise::unary_op! {
    /// The number of set bits of integers
    /// (<https://openxla.org/stablehlo/spec#popcnt>).
    Popcnt, popcnt = "stablehlo.popcnt", Integer, refuses Bool
}
