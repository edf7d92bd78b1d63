//! `batch_norm_inference`: batch normalisation with given statistics.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::Attribute,
    literal::float_mlir,
    op::{Operation, RegionType},
};

/// `(x - mean) / sqrt(variance + epsilon) * scale + offset` along one dimension
/// (<https://openxla.org/stablehlo/spec#batch_norm_inference>). Operands: x, scale, offset, mean,
/// variance, the last four of the feature dimension's size.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormInference {
    /// Added to the variance.
    pub epsilon: f32,
    /// The feature dimension.
    pub feature: usize,
}

impl Operation for BatchNormInference {
    fn name(&self) -> &'static str {
        "stablehlo.batch_norm_inference"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x, scale, offset, mean, variance] = check::operands(operands)?;
        let features = features(x, self.feature)?;
        check::is("scale", scale, &features)?;
        check::is("offset", offset, &features)?;
        check::is("mean", mean, &features)?;
        check::is("variance", variance, &features)?;
        Ok(vec![x.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        norm_attributes(self.epsilon, self.feature)
    }
}

/// One element a feature of a float tensor.
pub(super) fn features(x: &TensorType, feature: usize) -> Result<TensorType, String> {
    check::float("input", x)?;
    Ok(TensorType::new(x.dtype, [check::dim("feature", &x.shape, feature)?]))
}

pub(super) fn norm_attributes(epsilon: f32, feature: usize) -> Vec<Attribute> {
    let epsilon = float_mlir(DType::F32, epsilon.to_bits().into());
    vec![("epsilon", format!("{epsilon} : f32")), ("feature_index", format!("{feature} : i64"))]
}

impl Builder {
    /// Normalises x: operands are x, scale, offset, mean and variance. See [`BatchNormInference`].
    pub fn batch_norm_inference(&self, op: BatchNormInference, operands: [Value; 5]) -> Result<Value> {
        self.push_one(op, &operands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_have_one_element_a_feature() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3, 4])).unwrap();
        let s = b.argument("s", TensorType::new(DType::F32, [3])).unwrap();
        let op = BatchNormInference { epsilon: 1e-5, feature: 1 };
        let y = b.batch_norm_inference(op.clone(), [x, s, s, s, s]).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let op = BatchNormInference { feature: 2, ..op };
        let error = b.batch_norm_inference(op, [x, s, s, s, s]).unwrap_err();
        assert_eq!(error.problem, "the scale is f32[3], expected f32[4]");
    }
}
