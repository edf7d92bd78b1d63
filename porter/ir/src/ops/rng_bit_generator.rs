//! `rng_bit_generator`: random bits.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// The generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RngAlgorithm {
    /// What the compiler prefers.
    Default,
    /// Threefry, with a state of 2 u64.
    ThreeFry,
    /// Philox, with a state of 2 or 3 u64.
    Philox,
}

/// Uniform random bits and the next state (<https://openxla.org/stablehlo/spec#rng_bit_generator>).
/// Operand: the state. Results: the next state, and the bits as `ty`.
#[derive(Clone, Debug, PartialEq)]
pub struct RngBitGenerator {
    /// The generator.
    pub algorithm: RngAlgorithm,
    /// The type of the bits, integers or floats.
    pub ty: TensorType,
}

impl Operation for RngBitGenerator {
    fn name(&self) -> &'static str {
        "stablehlo.rng_bit_generator"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [state] = check::operands(operands)?;
        let sizes: &[usize] = match self.algorithm {
            RngAlgorithm::ThreeFry => &[2],
            RngAlgorithm::Default | RngAlgorithm::Philox => &[2, 3],
        };
        if !sizes.iter().any(|&size| *state == TensorType::new(DType::U64, [size])) {
            return Err(format!("the state is {state}, expected u64 of one of the sizes {sizes:?}"));
        }
        if self.ty.dtype == DType::Bool {
            return Err(format!("gives integers or floats, not {}", self.ty));
        }
        Ok(vec![state.clone(), self.ty.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let algorithm = match self.algorithm {
            RngAlgorithm::Default => "DEFAULT",
            RngAlgorithm::ThreeFry => "THREE_FRY",
            RngAlgorithm::Philox => "PHILOX",
        };
        vec![("rng_algorithm", format!("#stablehlo<rng_algorithm {algorithm}>"))]
    }
}

impl Builder {
    /// The next state after `state`, and random bits of type `ty`. See [`RngBitGenerator`].
    pub fn rng_bit_generator(
        &self,
        state: Value,
        algorithm: RngAlgorithm,
        ty: TensorType,
    ) -> Result<Vec<Value>> {
        self.push(RngBitGenerator { algorithm, ty }, &[state], &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_state_and_the_bits() {
        let b = Builder::new("main");
        let state = b.argument("state", TensorType::new(DType::U64, [3])).unwrap();
        let bits = TensorType::new(DType::U32, [4, 5]);
        let y = b.rng_bit_generator(state, RngAlgorithm::Philox, bits.clone()).unwrap();
        assert_eq!([b.ty(y[0]), b.ty(y[1])], [b.ty(state), bits.clone()]);
        let error = b.rng_bit_generator(state, RngAlgorithm::ThreeFry, bits).unwrap_err();
        assert_eq!(error.problem, "the state is u64[3], expected u64 of one of the sizes [2]");
    }
}
