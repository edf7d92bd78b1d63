//! `erf_inv`: the inverse of the error function.

super::elementwise::unary_op! {
    /// The inverse of the error function, of floats
    /// (<https://openxla.org/stablehlo/generated/chlo#chloerf_inv_chloerfinvop>).
    ErfInv, erf_inv = "chlo.erf_inv", Float, refuses I32
}
