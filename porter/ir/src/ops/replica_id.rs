//! `replica_id`: the number of the replica that runs the program.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// The number of this replica, a u32 scalar (<https://openxla.org/stablehlo/spec#replica_id>).
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaId;

impl Operation for ReplicaId {
    fn name(&self) -> &'static str {
        "stablehlo.replica_id"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [] = check::operands(operands)?;
        Ok(vec![TensorType::scalar(DType::U32)])
    }
}

impl Builder {
    /// The number of this replica. See [`ReplicaId`].
    pub fn replica_id(&self) -> Result<Value> {
        self.push_one(ReplicaId, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_scalar_of_nothing() {
        let b = Builder::new("main");
        let id = b.replica_id().unwrap();
        assert_eq!(b.ty(id), TensorType::scalar(DType::U32));
        let error = b.push(ReplicaId, &[id], &[]).unwrap_err();
        assert_eq!(error.problem, "takes 0 operands, found 1");
    }
}
