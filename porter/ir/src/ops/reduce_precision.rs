//! `reduce_precision`: floats rounded to fewer exponent and mantissa bits.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Rounds floats as if held with these many bits, and keeps their type
/// (<https://openxla.org/stablehlo/spec#reduce_precision>).
#[derive(Clone, Debug, PartialEq)]
pub struct ReducePrecision {
    /// At least 1.
    pub exponent_bits: u32,
    /// Without the implicit leading one.
    pub mantissa_bits: u32,
}

impl Operation for ReducePrecision {
    fn name(&self) -> &'static str {
        "stablehlo.reduce_precision"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::float("elements", x)?;
        if self.exponent_bits == 0 {
            return Err("0 exponent bits, expected at least 1".to_owned());
        }
        Ok(vec![x.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            ("exponent_bits", format!("{} : i32", self.exponent_bits)),
            ("mantissa_bits", format!("{} : i32", self.mantissa_bits)),
        ]
    }
}

impl Builder {
    /// `x` rounded to these many bits. See [`ReducePrecision`].
    pub fn reduce_precision(&self, x: Value, exponent_bits: u32, mantissa_bits: u32) -> Result<Value> {
        self.push_one(ReducePrecision { exponent_bits, mantissa_bits }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn keeps_the_type() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let y = b.reduce_precision(x, 8, 7).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        assert_eq!(b.reduce_precision(x, 0, 7).unwrap_err().problem, "0 exponent bits, expected at least 1");
    }
}
