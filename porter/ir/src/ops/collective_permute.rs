//! `collective_permute`: tensors sent from device to device.

use super::{Among, check};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_matrix},
    op::{Operation, RegionType},
};

/// Sends each source's tensor to its target; a device that is no target gets zeros
/// (<https://openxla.org/stablehlo/spec#collective_permute>).
#[derive(Clone, Debug, PartialEq)]
pub struct CollectivePermute {
    /// Source and target; each at most once a source and at most once a target.
    pub pairs: Vec<[usize; 2]>,
    /// What the numbers are.
    pub among: Among,
}

impl Operation for CollectivePermute {
    fn name(&self) -> &'static str {
        "stablehlo.collective_permute"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        self.among.check()?;
        if self.pairs.is_empty() {
            return Err("no pairs, expected at least one".to_owned());
        }
        for (what, end) in [("source", 0), ("target", 1)] {
            let mut ends: Vec<usize> = self.pairs.iter().map(|pair| pair[end]).collect();
            ends.sort_unstable();
            if let Some([twice, ..]) = ends.windows(2).find(|two| two[0] == two[1]) {
                return Err(format!("{twice} is a {what} twice"));
            }
        }
        Ok(vec![x.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![("source_target_pairs", i64_matrix(&self.pairs))];
        attributes.extend(self.among.attribute());
        attributes
    }
}

impl Builder {
    /// The `x` of the device that sends to this one. See [`CollectivePermute`].
    pub fn collective_permute(&self, x: Value, pairs: &[[usize; 2]], among: Among) -> Result<Value> {
        self.push_one(CollectivePermute { pairs: pairs.to_vec(), among }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn a_target_gets_one_tensor() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4])).unwrap();
        let y = b.collective_permute(x, &[[0, 1], [1, 0]], Among::Replicas).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let error = b.collective_permute(x, &[[0, 1], [1, 1]], Among::Replicas).unwrap_err();
        assert_eq!(error.problem, "1 is a target twice");
    }
}
