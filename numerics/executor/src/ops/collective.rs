//! Ops about several devices, on one: it is number 0 and alone.

use porter_ir::ops::{CollectivePermute, Groups};

use crate::{array::Array, failure::Outcome, interpreter::Call};

/// A collective in groups of one gives back what it gets.
pub(super) fn in_groups(groups: &Groups, call: Call<'_>) -> Outcome<Vec<Array>> {
    if groups.groups.iter().all(|group| group.len() == 1) {
        return Ok(call.operands);
    }
    Err(format!("the groups are {:?}: the executor runs one device, alone in its group", groups.groups)
        .into())
}

/// The device sends to itself, or gets zeros.
pub(super) fn permute(op: &CollectivePermute, call: Call<'_>) -> Outcome<Vec<Array>> {
    match &op.pairs[..] {
        [[0, 0]] => Ok(call.operands),
        pairs => Err(format!("the pairs are {pairs:?}: the executor runs one device, number 0").into()),
    }
}

/// `partition_id` and `replica_id`.
pub(super) fn id(call: &Call<'_>) -> Outcome<Vec<Array>> {
    let ty = call.result()?;
    Ok(vec![Array::new(ty.clone(), vec![0; ty.host_bytes()])])
}
