//! The ops, one a file, named as in StableHLO.

mod check;
mod elementwise;

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
    and: And,
    atan2: Atan2,
    bitcast_convert: BitcastConvert,
    broadcast_in_dim: BroadcastInDim,
    cbrt: Cbrt,
    ceil: Ceil,
    clamp: Clamp,
    composite: Composite,
    compare: Compare + Direction,
    concatenate: Concatenate,
    constant: Constant,
    convert: Convert,
    cosine: Cosine,
    count_leading_zeros: CountLeadingZeros,
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
    iota: Iota,
    is_finite: IsFinite,
    log: Log,
    log_plus_one: LogPlusOne,
    logistic: Logistic,
    maximum: Maximum,
    minimum: Minimum,
    multiply: Multiply,
    negate: Negate,
    not: Not,
    or: Or,
    pad: Pad,
    popcnt: Popcnt,
    power: Power,
    reduce: Reduce,
    reduce_precision: ReducePrecision,
    remainder: Remainder,
    reshape: Reshape,
    reverse: Reverse,
    round_nearest_afz: RoundNearestAfz,
    round_nearest_even: RoundNearestEven,
    rsqrt: Rsqrt,
    select: Select,
    shift_left: ShiftLeft,
    shift_right_arithmetic: ShiftRightArithmetic,
    shift_right_logical: ShiftRightLogical,
    sign: Sign,
    sine: Sine,
    slice: Slice,
    sqrt: Sqrt,
    subtract: Subtract,
    tan: Tan,
    tanh: Tanh,
    transpose: Transpose,
    xor: Xor,
}
