//! Random programs of ops that work element by element.

use porter_ir::{Builder, DType, Direction, OpKind, Result, TensorType, Value};

use super::{
    differences,
    draw::{Case, Elements, Tolerance},
};

type Unary = fn(&Builder, Value) -> Result<Value>;
type Binary = fn(&Builder, Value, Value) -> Result<Value>;

fn unary(kind: OpKind) -> Option<Unary> {
    use OpKind as K;
    Some(match kind {
        K::Abs => Builder::abs,
        K::Cbrt => Builder::cbrt,
        K::Ceil => Builder::ceil,
        K::Cosine => Builder::cosine,
        K::CountLeadingZeros => Builder::count_leading_zeros,
        K::Erf => Builder::erf,
        K::ErfInv => Builder::erf_inv,
        K::Exponential => Builder::exponential,
        K::ExponentialMinusOne => Builder::exponential_minus_one,
        K::Floor => Builder::floor,
        K::IsFinite => Builder::is_finite,
        K::Log => Builder::log,
        K::LogPlusOne => Builder::log_plus_one,
        K::Logistic => Builder::logistic,
        K::Negate => Builder::negate,
        K::Not => Builder::not,
        K::Popcnt => Builder::popcnt,
        K::RoundNearestAfz => Builder::round_nearest_afz,
        K::RoundNearestEven => Builder::round_nearest_even,
        K::Rsqrt => Builder::rsqrt,
        K::Sign => Builder::sign,
        K::Sine => Builder::sine,
        K::Sqrt => Builder::sqrt,
        K::Tan => Builder::tan,
        K::Tanh => Builder::tanh,
        _ => return None,
    })
}

fn binary(kind: OpKind) -> Option<Binary> {
    use OpKind as K;
    Some(match kind {
        K::Add => Builder::add,
        K::And => Builder::and,
        K::Atan2 => Builder::atan2,
        K::Divide => Builder::divide,
        K::Maximum => Builder::maximum,
        K::Minimum => Builder::minimum,
        K::Multiply => Builder::multiply,
        K::Or => Builder::or,
        K::Power => Builder::power,
        K::Remainder => Builder::remainder,
        K::ShiftLeft => Builder::shift_left,
        K::ShiftRightArithmetic => Builder::shift_right_arithmetic,
        K::ShiftRightLogical => Builder::shift_right_logical,
        K::Subtract => Builder::subtract,
        K::Xor => Builder::xor,
        _ => return None,
    })
}

/// In units of the last place. What IEEE 754 defines to the last digit is exact; XLA evaluates the others
/// by polynomials and through one another (`tan` is sine by cosine, `logistic` an exponential in a quotient).
pub(super) fn tolerance(kind: OpKind, dtype: DType) -> Tolerance {
    use OpKind as K;
    if !dtype.is_float() {
        return Tolerance::EXACT;
    }
    let ulps = match kind {
        K::Sine | K::Cosine | K::Exponential | K::Log => 4.0,
        K::Atan2
        | K::Cbrt
        | K::Erf
        | K::ErfInv
        | K::ExponentialMinusOne
        | K::LogPlusOne
        | K::Logistic
        | K::Power
        | K::Rsqrt
        | K::Tan
        | K::Tanh => 8.0,
        K::Sqrt => 1.0,
        // A narrow float is computed in f32 there and in f64 here, and rounded once.
        _ => 0.0,
    };
    Tolerance::ulps(ulps)
}

/// The element types that the op takes.
pub(super) fn dtypes(kind: OpKind) -> Vec<DType> {
    let accepted = |dtype: &DType| {
        let b = Builder::new("probe");
        let x = b.argument("x", porter_ir::TensorType::scalar(*dtype)).unwrap();
        unary(kind).is_none_or(|op| op(&b, x).is_ok()) && binary(kind).is_none_or(|op| op(&b, x, x).is_ok())
    };
    DType::ALL.into_iter().filter(accepted).collect()
}

pub(super) fn instance(kind: OpKind, dtype: DType, case: &mut Case<'_>) -> bool {
    use OpKind as K;
    let shape = case.draw.shape(0, 3);
    let mut elements = case.draw.pick(&[Elements::Any, Elements::Any, Elements::Moderate]);
    if matches!(kind, K::Maximum | K::Minimum | K::Clamp) && dtype.is_float() {
        // NaN is a difference.
        elements = Elements::Moderate;
    }
    let tolerance = tolerance(kind, dtype);
    if let Some(op) = unary(kind) {
        let x = if kind == K::Popcnt && dtype == DType::I4 {
            // The sign is a difference.
            case.indices(dtype, &shape, 0, 7)
        } else {
            case.input(dtype, &shape, elements)
        };
        let y = op(case.b, x).unwrap();
        case.gives(y, tolerance);
        return true;
    }
    if let Some(op) = binary(kind) {
        let x = case.input(dtype, &shape, elements);
        let y = if kind == K::Power && dtype.is_integer() {
            // Larger exponents are a difference.
            case.indices(dtype, &shape, -5, if dtype.bits() == 4 { 7 } else { 63 })
        } else {
            case.input(dtype, &shape, elements)
        };
        let z = op(case.b, x, y).unwrap();
        case.gives(z, tolerance);
        return true;
    }
    match kind {
        K::Clamp => {
            let full = case.draw.chance(2);
            let bound: &[usize] = if full { &shape } else { &[] };
            let low = case.input(dtype, bound, Elements::Moderate);
            let (x, high) =
                (case.input(dtype, &shape, elements), case.input(dtype, bound, Elements::Positive));
            let y = case.b.clamp(low, x, high).unwrap();
            case.exactly(y);
        }
        K::Compare => {
            use Direction::{Eq, Ge, Gt, Le, Lt, Ne};
            let (x, y) = (case.input(dtype, &shape, Elements::Any), case.input(dtype, &shape, Elements::Any));
            for direction in [Eq, Ne, Lt, Le, Gt, Ge] {
                let truth = case.b.compare(x, y, direction).unwrap();
                case.exactly(truth);
            }
        }
        K::Convert => {
            let x = case.input(dtype, &shape, Elements::Any);
            for to in DType::ALL {
                if to != dtype {
                    // Six and its negative in f4E2M1FN are a difference.
                    let differs = differences::find(kind, dtype).is_some() && to.is_integer();
                    let x = if differs { within(case.b, x, 4.0) } else { x };
                    let y = case.b.convert(x, to).unwrap();
                    case.exactly(y);
                }
            }
        }
        K::ReducePrecision => {
            let x = case.input(dtype, &shape, Elements::Any);
            let (e, m) = (case.draw.size(1, 11) as u32, case.draw.size(0, 30) as u32);
            let y = case.b.reduce_precision(x, e, m).unwrap();
            case.exactly(y);
        }
        K::Select => {
            let pred: &[usize] = if case.draw.chance(2) { &shape } else { &[] };
            let pred = case.input(DType::Bool, pred, Elements::Any);
            let (x, y) = (case.input(dtype, &shape, Elements::Any), case.input(dtype, &shape, Elements::Any));
            let z = case.b.select(pred, x, y).unwrap();
            case.exactly(z);
        }
        _ => return false,
    }
    true
}

/// `x` held between `-bound` and `bound`.
fn within(b: &Builder, x: Value, bound: f64) -> Value {
    let scalar = |value| b.full(TensorType::scalar(b.dtype(x)), value).unwrap();
    b.clamp(scalar(-bound), x, scalar(bound)).unwrap()
}
