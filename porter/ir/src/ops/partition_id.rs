//! `partition_id`: the number of the partition that runs the program.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// The number of this partition, a u32 scalar (<https://openxla.org/stablehlo/spec#partition_id>).
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionId;

impl Operation for PartitionId {
    fn name(&self) -> &'static str {
        "stablehlo.partition_id"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [] = check::operands(operands)?;
        Ok(vec![TensorType::scalar(DType::U32)])
    }
}

impl Builder {
    /// The number of this partition. See [`PartitionId`].
    pub fn partition_id(&self) -> Result<Value> {
        self.push_one(PartitionId, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_scalar_of_nothing() {
        let b = Builder::new("main");
        let id = b.partition_id().unwrap();
        assert_eq!(b.ty(id), TensorType::scalar(DType::U32));
        let error = b.push(PartitionId, &[id], &[]).unwrap_err();
        assert_eq!(error.problem, "takes 0 operands, found 1");
    }
}
