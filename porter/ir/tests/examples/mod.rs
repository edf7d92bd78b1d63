//! Small programs around every op, with the values that they must give.

mod elementwise;
mod many_devices;
mod regions;
mod tensors;

use porter_ir::{Builder, DType, Element, Literal, OpKind, Program, Result, TensorType, Value};

/// A program with its arguments and what it must give, `[device][tensor]`.
pub(crate) struct Example {
    pub(crate) program: Program,
    pub(crate) devices: Devices,
    pub(crate) inputs: Vec<Vec<Literal>>,
    pub(crate) expected: Expected,
}

/// How many devices run the program, and as what.
#[derive(Clone, Copy)]
pub(crate) enum Devices {
    One,
    /// Two replicas, which know each other by replica id.
    Replicas,
    /// Two partitions, each running the program as it is.
    Partitions,
}

pub(crate) enum Expected {
    /// These tensors; floats within 1e-5 of the value, or of one if that is larger.
    Values(Vec<Vec<Literal>>),
    /// The plugin reads the program and then refuses it with these words.
    Refused(&'static str),
}

/// At least one example of an op.
pub(crate) fn examples(kind: OpKind) -> Vec<Example> {
    use OpKind as K;
    match kind {
        K::Abs
        | K::Add
        | K::And
        | K::Atan2
        | K::BitcastConvert
        | K::Cbrt
        | K::Ceil
        | K::Clamp
        | K::Compare
        | K::Convert
        | K::Cosine
        | K::CountLeadingZeros
        | K::Divide
        | K::Erf
        | K::ErfInv
        | K::Exponential
        | K::ExponentialMinusOne
        | K::Floor
        | K::IsFinite
        | K::Log
        | K::LogPlusOne
        | K::Logistic
        | K::Maximum
        | K::Minimum
        | K::Multiply
        | K::Negate
        | K::Not
        | K::Or
        | K::Popcnt
        | K::Power
        | K::ReducePrecision
        | K::Remainder
        | K::RoundNearestAfz
        | K::RoundNearestEven
        | K::Rsqrt
        | K::Select
        | K::ShiftLeft
        | K::ShiftRightArithmetic
        | K::ShiftRightLogical
        | K::Sign
        | K::Sine
        | K::Sqrt
        | K::Subtract
        | K::Tan
        | K::Tanh
        | K::Xor => elementwise::examples(kind),
        K::BatchNormInference
        | K::BatchNormTraining
        | K::BroadcastInDim
        | K::Cholesky
        | K::Concatenate
        | K::Constant
        | K::Convolution
        | K::CustomCall
        | K::DotGeneral
        | K::DynamicSlice
        | K::DynamicUpdateSlice
        | K::Gather
        | K::Iota
        | K::OptimizationBarrier
        | K::Pad
        | K::Reshape
        | K::Reverse
        | K::RngBitGenerator
        | K::Slice
        | K::TopK
        | K::Transpose
        | K::TriangularSolve => tensors::examples(kind),
        K::Case
        | K::Composite
        | K::If
        | K::Map
        | K::Reduce
        | K::ReduceWindow
        | K::Scatter
        | K::SelectAndScatter
        | K::Sort
        | K::While => regions::examples(kind),
        K::AllGather
        | K::AllReduce
        | K::AllToAll
        | K::CollectivePermute
        | K::PartitionId
        | K::ReduceScatter
        | K::ReplicaId
        | K::ShardingConstraint => many_devices::examples(kind),
    }
}

/// A program over `inputs` on one device.
pub(crate) fn one<const N: usize>(
    inputs: [Literal; N],
    outputs: impl Into<Vec<Literal>>,
    build: impl FnOnce(&Builder, [Value; N]) -> Result<Vec<Value>>,
) -> Example {
    let program = program(&inputs.each_ref().map(Literal::ty), |b, args| build(b, args.try_into().unwrap()));
    Example {
        program,
        devices: Devices::One,
        inputs: vec![inputs.into()],
        expected: Expected::Values(vec![outputs.into()]),
    }
}

/// A program that names its arguments and results by number.
pub(crate) fn program(
    inputs: &[&TensorType],
    build: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
) -> Program {
    let b = Builder::new("example");
    let arguments: Vec<Value> =
        inputs.iter().enumerate().map(|(i, &ty)| b.argument(&format!("x{i}"), ty.clone()).unwrap()).collect();
    for (i, value) in build(&b, &arguments).unwrap().into_iter().enumerate() {
        b.result(&format!("y{i}"), value).unwrap();
    }
    b.finish()
}

/// A literal of any shape.
pub(crate) fn tensor<T: Element>(shape: impl Into<porter_ir::Shape>, values: &[T]) -> Literal {
    Literal::from_slice(shape, values).unwrap()
}

/// A literal of one dimension.
pub(crate) fn row<T: Element>(values: &[T]) -> Literal {
    tensor([values.len()], values)
}

/// The scalar zero.
pub(crate) fn zero(b: &Builder) -> Result<Value> {
    b.full(TensorType::scalar(DType::F32), 0.0)
}
