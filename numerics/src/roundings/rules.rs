//! What each op does to the errors of its operands, and what it rounds itself.

use porter_ir::{DType, Op, OpKind, Program, program::OpData};

use super::Sum;

/// How the errors of the operands reach the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joins {
    /// All of them, each once.
    Product,
    /// Those of the operand that has most.
    Greatest,
    /// None: the result is a pattern of bits or drawn at random.
    Nothing,
}

pub(super) fn joins(op: &Op) -> Joins {
    match op.kind() {
        OpKind::Multiply
        | OpKind::Divide
        | OpKind::Power
        | OpKind::Atan2
        | OpKind::DotGeneral
        | OpKind::Convolution
        | OpKind::BatchNormInference
        | OpKind::BatchNormTraining
        | OpKind::TriangularSolve
        | OpKind::CustomCall => Joins::Product,
        OpKind::BitcastConvert
        | OpKind::RngBitGenerator
        | OpKind::Iota
        | OpKind::PartitionId
        | OpKind::ReplicaId => Joins::Nothing,
        _ => Joins::Greatest,
    }
}

/// What an op rounds: the type, and the sum that it ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rounds {
    pub(super) dtype: DType,
    pub(super) sum: Option<Sum>,
    pub(super) note: Option<String>,
}

/// The rounding of an op with a float result; `None` where it hands values on as they are.
pub(super) fn rounds(program: &Program, data: &OpData) -> Option<Rounds> {
    let dtype = data.results.iter().map(|&v| program.ty(v).dtype).find(|dtype| dtype.is_float())?;
    let plain = Rounds { dtype, sum: None, note: None };
    let with_sum = |terms: u64, accumulate: DType| {
        let (accumulate, note) = due(program, data, accumulate);
        Some(Rounds { sum: Some(Sum { terms, accumulate }), note, ..plain.clone() })
    };
    let elements = |operand: usize| data.operands.get(operand).map_or(1, |&v| program.ty(v).shape.elements());
    let result = data.results.first().map_or(1, |&v| program.ty(v).shape.elements()).max(1);
    match &data.op {
        Op::DotGeneral(dot) => {
            let lhs = data.operands.first().map(|&v| &program.ty(v).shape);
            let sizes = dot.dimensions.lhs_contracting.iter();
            let terms = sizes.map(|&d| lhs.and_then(|shape| shape.get(d)).copied().unwrap_or(1) as u64);
            with_sum(terms.product(), accumulator(dtype))
        }
        Op::Convolution(convolution) => {
            let output = data.results.first().map(|&v| &program.ty(v).shape);
            let features =
                output.and_then(|shape| shape.get(convolution.output.feature)).copied().unwrap_or(1);
            with_sum((elements(1) / features.max(1)) as u64, accumulator(dtype))
        }
        Op::Reduce(_) if folds(program, data) => with_sum((elements(0) / result) as u64, dtype),
        Op::ReduceWindow(op) if folds(program, data) => {
            with_sum(op.sizes.iter().map(|&n| n as u64).product(), dtype)
        }
        Op::AllReduce(op) if folds(program, data) => {
            let most = op.groups.groups.iter().map(Vec::len).max().unwrap_or(1);
            with_sum(most as u64, dtype)
        }
        Op::Reduce(_) | Op::ReduceWindow(_) | Op::AllReduce(_) => None,
        Op::Scatter(_) | Op::SelectAndScatter(_) | Op::ReduceScatter(_) => {
            folds(program, data).then_some(plain)
        }
        Op::Convert(_) => narrows(program, data, dtype).then_some(plain),
        Op::ReducePrecision(op) => {
            let to = with_mantissa(op.mantissa_bits);
            Some(Rounds { dtype: if to.bits() < dtype.bits() { to } else { dtype }, sum: None, note: None })
        }
        Op::CustomCall(call) => {
            let note = format!("{:?} is a custom call and counts as one rounding", call.target);
            Some(Rounds { note: Some(note), ..plain })
        }
        op => (!exact(op.kind())).then_some(plain),
    }
}

/// Ops that hand on values or pick among them.
fn exact(kind: OpKind) -> bool {
    use OpKind as K;
    matches!(
        kind,
        K::Abs
            | K::AllGather
            | K::AllToAll
            | K::BitcastConvert
            | K::BroadcastInDim
            | K::Case
            | K::Ceil
            | K::Clamp
            | K::CollectivePermute
            | K::Composite
            | K::Concatenate
            | K::Constant
            | K::DynamicSlice
            | K::DynamicUpdateSlice
            | K::Floor
            | K::Gather
            | K::If
            | K::Iota
            | K::Map
            | K::Maximum
            | K::Minimum
            | K::Negate
            | K::OptimizationBarrier
            | K::Pad
            | K::Reshape
            | K::Reverse
            | K::RngBitGenerator
            | K::RoundNearestAfz
            | K::RoundNearestEven
            | K::Select
            | K::ShardingConstraint
            | K::Sign
            | K::Slice
            | K::Sort
            | K::TopK
            | K::Transpose
            | K::While
    )
}

/// Dots and convolutions of narrow types keep their sums in f32, as XLA's do.
fn accumulator(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// The type in which a sum's error is allowed for: f32 at least. A sum kept in a narrower type is a
/// fault that a budget must not excuse.
fn due(program: &Program, data: &OpData, accumulate: DType) -> (DType, Option<String>) {
    if accumulate.bits() >= 32 {
        return (accumulate, None);
    }
    let path = program.path(data.path);
    let note = format!("{path} sums in {accumulate}, where f32 is due; the budget allows for f32");
    (DType::F32, Some(note))
}

/// True where the op's region does more than pick the greater or the less.
fn folds(program: &Program, data: &OpData) -> bool {
    let mut ops = data.regions.iter().flat_map(|&region| &program.region(region).ops);
    ops.any(|&op| {
        let kind = program.op(op).op.kind();
        matches!(kind, OpKind::Add | OpKind::Multiply | OpKind::Subtract | OpKind::Divide | OpKind::Composite)
    })
}

/// True where a conversion drops bits of a float.
fn narrows(program: &Program, data: &OpData, to: DType) -> bool {
    let from = data.operands.first().map_or(to, |&v| program.ty(v).dtype);
    from.is_float() && super::unit_roundoff(to) > super::unit_roundoff(from)
}

/// The widest type with no more than `bits` stored mantissa bits.
fn with_mantissa(bits: u32) -> DType {
    match bits {
        52.. => DType::F64,
        23..=51 => DType::F32,
        10..=22 => DType::F16,
        7..=9 => DType::BF16,
        3..=6 => DType::F8E4M3FN,
        2 => DType::F8E5M2,
        _ => DType::F4E2M1FN,
    }
}
