//! `erf`: the error function.

super::elementwise::unary_op! {
    /// The error function of floats
    /// (<https://openxla.org/stablehlo/generated/chlo#chloerf_chloerfop>).
    Erf, erf = "chlo.erf", Float, refuses I32
}
