//! `optimization_barrier`: values that the compiler must not move work across.

use crate::{
    Builder, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// Its operands, all computed before what reads any of its results
/// (<https://openxla.org/stablehlo/spec#optimization_barrier>).
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizationBarrier;

impl Operation for OptimizationBarrier {
    fn name(&self) -> &'static str {
        "stablehlo.optimization_barrier"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        if operands.is_empty() {
            return Err("takes at least 1 operand, found 0".to_owned());
        }
        Ok(operands.iter().map(|&ty| ty.clone()).collect())
    }
}

impl Builder {
    /// `values`, with a barrier in between. See [`OptimizationBarrier`].
    pub fn optimization_barrier(&self, values: &[Value]) -> Result<Vec<Value>> {
        self.push(OptimizationBarrier, values, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn keeps_all_types() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let n = b.argument("n", TensorType::scalar(DType::I32)).unwrap();
        let y = b.optimization_barrier(&[x, n]).unwrap();
        assert_eq!([b.ty(y[0]), b.ty(y[1])], [b.ty(x), b.ty(n)]);
        let error = b.optimization_barrier(&[]).unwrap_err();
        assert_eq!(error.problem, "takes at least 1 operand, found 0");
    }
}
