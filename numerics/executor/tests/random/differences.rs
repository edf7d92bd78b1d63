//! What the plugin does otherwise than the specification, or refuses. Every row is tried again.

use porter_ir::{DType, Literal, OpKind, TensorType, Value};

use super::draw::{Case, Tolerance};

/// A row: the op, the element types, and why.
pub(super) struct Difference {
    pub(super) kind: OpKind,
    pub(super) dtypes: &'static [DType],
    pub(super) reason: &'static str,
    pub(super) shows: Shows,
}

/// How a difference shows.
pub(super) enum Shows {
    /// The plugin refuses the op on these types with these words.
    Refused(&'static str),
    /// In the results of this program.
    Otherwise(fn(&mut Case<'_>, DType)),
}

impl Difference {
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.shows, Shows::Refused(_))
    }
}

use DType::{BF16, F4E2M1FN, F8E4M3FN, F8E5M2, F16, F32, F64, I4, I8, I16, I32, I64, U4, U8, U16, U32, U64};

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        kind: OpKind::CustomCall,
        dtypes: &DType::ALL,
        reason: "neither side knows the target",
        shows: Shows::Refused("nowhere_registered"),
    },
    Difference {
        kind: OpKind::Convert,
        dtypes: &[F4E2M1FN],
        reason: "6, the largest value, becomes the largest integer: the limit rounded to f4E2M1FN is 6, and what reaches it is given the limit",
        shows: Shows::Otherwise(|case, dtype| {
            let x = case.literal(Literal::splat(TensorType::new(dtype, [1]), 6.0).unwrap());
            let y = case.b.convert(x, I4).unwrap();
            case.gives(y, Tolerance::EXACT);
        }),
    },
    Difference {
        kind: OpKind::Maximum,
        dtypes: &[F8E4M3FN, F8E5M2, BF16, F16, F32, F64],
        reason: "NaN on the right is left out",
        shows: Shows::Otherwise(|case, dtype| {
            let (x, y) = nan_and_one(case, dtype);
            let z = case.b.maximum(y, x).unwrap();
            case.gives(z, Tolerance::EXACT);
        }),
    },
    Difference {
        kind: OpKind::Minimum,
        dtypes: &[F8E4M3FN, F8E5M2, BF16, F16, F32, F64],
        reason: "NaN on the right is left out",
        shows: Shows::Otherwise(|case, dtype| {
            let (x, y) = nan_and_one(case, dtype);
            let z = case.b.minimum(y, x).unwrap();
            case.gives(z, Tolerance::EXACT);
        }),
    },
    Difference {
        kind: OpKind::Clamp,
        dtypes: &[F8E4M3FN, F8E5M2, BF16, F16, F32, F64],
        reason: "NaN is left out",
        shows: Shows::Otherwise(|case, dtype| {
            let (x, y) = nan_and_one(case, dtype);
            let z = case.b.clamp(y, x, y).unwrap();
            case.gives(z, Tolerance::EXACT);
        }),
    },
    Difference {
        kind: OpKind::Popcnt,
        dtypes: &[I4],
        reason: "the bits of a byte are counted, into which the sign is extended",
        shows: Shows::Otherwise(|case, dtype| {
            let x = case.literal(Literal::splat(TensorType::new(dtype, [1]), -1.0).unwrap());
            let y = case.b.popcnt(x).unwrap();
            case.gives(y, Tolerance::EXACT);
        }),
    },
    Difference {
        kind: OpKind::Power,
        dtypes: &[I8, I16, I32, I64, U8, U16, U32, U64],
        reason: "of an integer exponent only the lower 6 bits count",
        shows: Shows::Otherwise(|case, dtype| {
            let full = |value| Literal::splat(TensorType::new(dtype, [1]), value).unwrap();
            let (x, y) = (case.literal(full(2.0)), case.literal(full(65.0)));
            let z = case.b.power(x, y).unwrap();
            case.gives(z, Tolerance::EXACT);
        }),
    },
    Difference {
        kind: OpKind::RngBitGenerator,
        dtypes: &[I4, I8, I16, I32, I64, F4E2M1FN, F8E4M3FN, F8E5M2, BF16, F16, F32, F64],
        reason: "the bits come as unsigned integers of the width, whatever the program says",
        shows: Shows::Refused("the signature says"),
    },
    Difference {
        kind: OpKind::TopK,
        dtypes: &[I4, U4, F4E2M1FN],
        reason: "the positions are laid out in half bytes like the elements",
        shows: Shows::Refused("does not support custom element sizes"),
    },
];

fn nan_and_one(case: &mut Case<'_>, dtype: DType) -> (Value, Value) {
    let full = |value| Literal::splat(TensorType::new(dtype, [1]), value).unwrap();
    (case.literal(full(f64::NAN)), case.literal(full(1.0)))
}

pub(super) fn find(kind: OpKind, dtype: DType) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|row| row.kind == kind && row.dtypes.contains(&dtype))
}
