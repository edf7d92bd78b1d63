//! What each op does, one file a family.

mod batch_norm;
mod bitcast_convert;
mod broadcast_in_dim;
mod cholesky;
mod collective;
mod concatenate;
mod constant;
mod control_flow;
mod convert;
mod convolution;
mod dot_general;
mod dynamic_slice;
mod dynamic_update_slice;
pub(crate) mod elementwise;
mod float;
mod gather;
mod integer;
mod iota;
mod map;
mod pad;
mod reduce;
mod reduce_precision;
mod reduce_window;
mod reshape;
mod reverse;
mod rng_bit_generator;
mod scatter;
mod select_and_scatter;
mod slice;
mod sort;
mod top_k;
mod transpose;
mod triangular_solve;
mod windows;

use porter_ir::Op;

use crate::{array::Array, failure::Outcome, interpreter::Call};

/// The op's results.
pub(crate) fn execute(call: Call<'_>) -> Outcome<Vec<Array>> {
    match &call.data.op {
        Op::Case(_) => return control_flow::case(call),
        Op::Composite(_) => return control_flow::composite(call),
        Op::If(_) => return control_flow::if_(call),
        Op::While(_) => return control_flow::while_(call),
        Op::OptimizationBarrier(_) | Op::ShardingConstraint(_) => return Ok(call.operands),
        Op::CustomCall(op) => {
            return Err(format!("knows no custom call, found one of {:?}", op.target).into());
        }
        Op::RngBitGenerator(op) => return rng_bit_generator::execute(op, &call),
        Op::AllGather(op) => return collective::in_groups(&op.groups, call),
        Op::AllReduce(op) => return collective::in_groups(&op.groups, call),
        Op::AllToAll(op) => return collective::in_groups(&op.groups, call),
        Op::ReduceScatter(op) => return collective::in_groups(&op.groups, call),
        _ => {}
    }
    // What is empty is all there, and no op below has to think of it.
    if call.results.iter().all(|ty| ty.shape.elements() == 0) {
        return Ok(call.results.iter().map(|ty| Array::new(ty.clone(), Vec::new())).collect());
    }
    match &call.data.op {
        Op::BatchNormInference(op) => batch_norm::inference(op, call),
        Op::BatchNormTraining(op) => batch_norm::training(op, call),
        Op::BitcastConvert(op) => bitcast_convert::execute(op, call),
        Op::BroadcastInDim(op) => broadcast_in_dim::execute(op, call),
        Op::Cholesky(op) => cholesky::execute(op, call),
        Op::CollectivePermute(op) => collective::permute(op, call),
        Op::Concatenate(op) => concatenate::execute(op, &call),
        Op::Constant(op) => constant::execute(op, &call),
        Op::Convolution(op) => convolution::execute(op, call),
        Op::DotGeneral(op) => dot_general::execute(op, call),
        Op::DynamicSlice(op) => dynamic_slice::execute(op, &call),
        Op::DynamicUpdateSlice(_) => dynamic_update_slice::execute(call),
        Op::Gather(op) => gather::execute(op, call),
        Op::Iota(op) => iota::execute(op, &call),
        Op::Map(_) => map::execute(&call),
        Op::Pad(op) => pad::execute(op, call),
        Op::PartitionId(_) | Op::ReplicaId(_) => collective::id(&call),
        Op::Reduce(op) => reduce::execute(op, &call),
        Op::ReduceWindow(op) => reduce_window::execute(op, &call),
        Op::Reshape(op) => reshape::execute(op, call),
        Op::Reverse(op) => reverse::execute(op, call),
        Op::Scatter(op) => scatter::execute(op, &call),
        Op::SelectAndScatter(op) => select_and_scatter::execute(op, call),
        Op::Slice(op) => slice::execute(op, call),
        Op::Sort(op) => sort::execute(op, &call),
        Op::TopK(op) => top_k::execute(op, call),
        Op::Transpose(op) => transpose::execute(op, call),
        Op::TriangularSolve(op) => triangular_solve::execute(op, call),
        _ => elementwise::execute(call),
    }
}
