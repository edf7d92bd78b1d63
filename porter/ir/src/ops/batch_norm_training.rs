//! `batch_norm_training`: batch normalisation with the batch's own statistics.

use super::{
    batch_norm_inference::{features, norm_attributes},
    check,
};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Normalises along one dimension by the mean and variance over all others
/// (<https://openxla.org/stablehlo/spec#batch_norm_training>). Operands: x, scale, offset. Results: the
/// normalised x, the mean, the variance.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormTraining {
    /// Added to the variance.
    pub epsilon: f32,
    /// The feature dimension.
    pub feature: usize,
}

impl Operation for BatchNormTraining {
    fn name(&self) -> &'static str {
        "stablehlo.batch_norm_training"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x, scale, offset] = check::operands(operands)?;
        let features = features(x, self.feature)?;
        check::is("scale", scale, &features)?;
        check::is("offset", offset, &features)?;
        Ok(vec![x.clone(), features.clone(), features])
    }

    fn attributes(&self) -> Vec<Attribute> {
        norm_attributes(self.epsilon, self.feature)
    }
}

impl Builder {
    /// Normalises x: operands are x, scale and offset; results are the normalised x, its mean and its
    /// variance. See [`BatchNormTraining`].
    pub fn batch_norm_training(&self, op: BatchNormTraining, operands: [Value; 3]) -> Result<Vec<Value>> {
        self.push(op, &operands, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn gives_the_statistics_too() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3, 4])).unwrap();
        let s = b.argument("s", TensorType::new(DType::F32, [3])).unwrap();
        let op = BatchNormTraining { epsilon: 1e-5, feature: 1 };
        let y = b.batch_norm_training(op, [x, s, s]).unwrap();
        assert_eq!([b.ty(y[0]), b.ty(y[1]), b.ty(y[2])], [b.ty(x), b.ty(s), b.ty(s)]);
        let op = BatchNormTraining { epsilon: 1e-5, feature: 3 };
        let error = b.batch_norm_training(op, [x, s, s]).unwrap_err();
        assert_eq!(error.problem, "feature dimension 3 is not in [2, 3, 4]");
    }
}
