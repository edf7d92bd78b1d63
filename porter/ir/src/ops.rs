//! The ops, one a file, named as in StableHLO.

mod check;
mod collective;
mod elementwise;
mod window;

pub use collective::{Among, Groups};
pub use window::Window;

/// Declares the op modules and the [`Op`] enum over them: an op is one file and one line here, with the
/// types of its attributes after a `+`.
macro_rules! operations {
    ($($module:ident: $name:ident $(+ $($extra:ident)+)?,)*) => {
        $(mod $module; pub use $module::{$name, $($($extra,)+)?};)*

        /// An op with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Op {
            $($name($name),)*
        }

        /// Which op, without its attributes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum OpKind {
            $($name,)*
        }

        impl OpKind {
            /// Every op.
            pub const ALL: &[OpKind] = &[$(OpKind::$name,)*];
        }

        impl Op {
            /// The op's specification.
            pub fn as_operation(&self) -> &dyn crate::op::Operation {
                match self {
                    $(Op::$name(op) => op,)*
                }
            }

            /// Which op it is.
            pub fn kind(&self) -> OpKind {
                match self {
                    $(Op::$name(_) => OpKind::$name,)*
                }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}

operations! {
    abs: Abs,
    add: Add,
    all_gather: AllGather,
    all_reduce: AllReduce,
    all_to_all: AllToAll,
    and: And,
    atan2: Atan2,
    batch_norm_inference: BatchNormInference,
    batch_norm_training: BatchNormTraining,
    bitcast_convert: BitcastConvert,
    broadcast_in_dim: BroadcastInDim,
    case: Case + Branch,
    cbrt: Cbrt,
    ceil: Ceil,
    cholesky: Cholesky,
    clamp: Clamp,
    collective_permute: CollectivePermute,
    compare: Compare + Direction,
    composite: Composite,
    concatenate: Concatenate,
    constant: Constant,
    convert: Convert,
    convolution: Convolution + ConvolutionLayout,
    cosine: Cosine,
    count_leading_zeros: CountLeadingZeros,
    custom_call: CustomCall + CustomCallApi,
    divide: Divide,
    dot_general: DotGeneral + DotDimensions,
    dynamic_slice: DynamicSlice,
    dynamic_update_slice: DynamicUpdateSlice,
    erf: Erf,
    erf_inv: ErfInv,
    exponential: Exponential,
    exponential_minus_one: ExponentialMinusOne,
    floor: Floor,
    gather: Gather + GatherDimensions,
    r#if: If,
    iota: Iota,
    is_finite: IsFinite,
    log: Log,
    log_plus_one: LogPlusOne,
    logistic: Logistic,
    map: Map,
    maximum: Maximum,
    minimum: Minimum,
    multiply: Multiply,
    negate: Negate,
    not: Not,
    optimization_barrier: OptimizationBarrier,
    or: Or,
    pad: Pad,
    partition_id: PartitionId,
    popcnt: Popcnt,
    power: Power,
    reduce: Reduce,
    reduce_precision: ReducePrecision,
    reduce_scatter: ReduceScatter,
    reduce_window: ReduceWindow,
    remainder: Remainder,
    replica_id: ReplicaId,
    reshape: Reshape,
    reverse: Reverse,
    rng_bit_generator: RngBitGenerator + RngAlgorithm,
    round_nearest_afz: RoundNearestAfz,
    round_nearest_even: RoundNearestEven,
    rsqrt: Rsqrt,
    scatter: Scatter + ScatterDimensions,
    select: Select,
    select_and_scatter: SelectAndScatter,
    sharding_constraint: ShardingConstraint,
    shift_left: ShiftLeft,
    shift_right_arithmetic: ShiftRightArithmetic,
    shift_right_logical: ShiftRightLogical,
    sign: Sign,
    sine: Sine,
    slice: Slice,
    sort: Sort,
    sqrt: Sqrt,
    subtract: Subtract,
    tan: Tan,
    tanh: Tanh,
    top_k: TopK,
    transpose: Transpose,
    triangular_solve: TriangularSolve,
    r#while: While,
    xor: Xor,
}
