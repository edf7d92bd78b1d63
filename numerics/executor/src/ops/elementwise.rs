//! Ops that work element by element, each as a function of one element.

use burn_backend::ops::FloatTensorOps;
use burn_flex::Flex;
use porter_ir::{DType, Direction, Op, OpKind, TensorType};
use rayon::prelude::*;

use super::{convert, float, integer, reduce_precision};
use crate::{
    Floats,
    array::{Array, CHUNK, allocate},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
};

/// Whether the op works element by element.
pub(crate) fn is(kind: OpKind) -> bool {
    use OpKind as K;
    float::unary(kind).is_some()
        || float::binary(kind).is_some()
        || integer::unary(kind).is_some()
        || integer::binary(kind).is_some()
        || matches!(
            kind,
            K::Clamp | K::Compare | K::Constant | K::Convert | K::IsFinite | K::ReducePrecision | K::Select
        )
}

/// The op of each of `n` elements, in `result`'s type.
pub(crate) fn evaluate(
    op: &Op,
    operands: &[&Lane],
    floats: Floats,
    result: DType,
    n: usize,
) -> Outcome<Lane> {
    let kind = op.kind();
    let lane = match (op, operands) {
        (Op::Constant(constant), []) => {
            let bytes = constant.value.bytes();
            Lane::decode(constant.value.ty().dtype, &bytes).repeated(0, n)
        }
        (Op::Convert(_), [x]) => convert::convert(x, result),
        (Op::Compare(compare), [lhs, rhs]) => compared(lhs, rhs, compare.direction)?,
        (Op::Select(_), [pred, on_true, on_false]) => selected(pred, on_true, on_false)?,
        (Op::Clamp(_), [min, x, max]) => clamped(min, x, max)?,
        (Op::IsFinite(_), [Lane::Floats(x)]) => {
            Lane::Integers(x.iter().map(|x| x.is_finite().into()).collect())
        }
        (Op::ReducePrecision(op), [Lane::Floats(x)]) => {
            let reduced =
                |&x: &f64| if floats == Floats::Double { x } else { reduce_precision::reduce(op, result, x) };
            Lane::Floats(x.iter().map(reduced).collect())
        }
        (_, [Lane::Floats(x)]) => {
            let function = float::unary(kind).ok_or("has no meaning for floats")?;
            Lane::Floats(x.iter().map(|&x| function(x)).collect())
        }
        (_, [Lane::Integers(x)]) => {
            let function = integer::unary(kind).ok_or("has no meaning for integers")?;
            Lane::Integers(x.iter().map(|&x| function(result, x)).collect())
        }
        (_, [Lane::Floats(lhs), Lane::Floats(rhs)]) => {
            let function = float::binary(kind).ok_or("has no meaning for floats")?;
            Lane::Floats(lhs.iter().zip(rhs).map(|(&l, &r)| function(l, r)).collect())
        }
        (_, [Lane::Integers(lhs), Lane::Integers(rhs)]) => {
            let function = integer::binary(kind).ok_or("has no meaning for integers")?;
            Lane::Integers(lhs.iter().zip(rhs).map(|(&l, &r)| function(result, l, r)).collect())
        }
        _ => return Err("is not an op on elements of these types".into()),
    };
    Ok(lane.rounded(result))
}

/// The op of whole tensors. A scalar operand stands for a tensor of it.
pub(super) fn execute(mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let op = &call.data.op;
    let result = call.result()?.clone();
    let mut operands = std::mem::take(&mut call.operands);
    if let (Some(burn), [lhs, rhs]) = (burn_function(op, result.dtype), &mut operands[..]) {
        let (lhs, rhs) = (lhs.clone().into_flex(), rhs.clone().into_flex());
        drop(operands);
        return Ok(vec![Array::from_flex(result, &burn(lhs, rhs))]);
    }
    if result.dtype == DType::F64
        && let (Op::Convert(_), [x]) = (op, &operands[..])
        && x.dtype() == DType::F64
    {
        return Ok(operands);
    }
    Ok(vec![by_chunks(op, &operands, call.interpreter.floats, &result)?])
}

type Binary = fn(burn_flex::FlexTensor, burn_flex::FlexTensor) -> burn_flex::FlexTensor;

/// Burn's own op, where it computes in f32 or f64 and rounds as the specification says.
fn burn_function(op: &Op, dtype: DType) -> Option<Binary> {
    if !matches!(dtype, DType::F32 | DType::F64) {
        return None;
    }
    match op {
        Op::Add(_) => Some(Flex::float_add),
        Op::Subtract(_) => Some(Flex::float_sub),
        Op::Multiply(_) => Some(Flex::float_mul),
        Op::Divide(_) => Some(Flex::float_div),
        _ => None,
    }
}

fn by_chunks(op: &Op, operands: &[Array], floats: Floats, result: &TensorType) -> Outcome<Array> {
    let whole: Vec<Array> =
        operands.iter().map(|x| if x.splat_bytes().is_some() { x.clone() } else { x.contiguous() }).collect();
    let mut bytes = allocate(result)?;
    let size = result.dtype.host_bytes();
    bytes.par_chunks_mut(CHUNK * size).enumerate().try_for_each(|(i, chunk)| {
        let n = chunk.len() / size;
        let lanes: Vec<Lane> = whole.iter().map(|x| part(x, i * CHUNK, n)).collect();
        let lanes: Vec<&Lane> = lanes.iter().collect();
        evaluate(op, &lanes, floats, result.dtype, n)?.encode(result.dtype, chunk);
        Ok::<(), crate::failure::Failure>(())
    })?;
    Ok(Array::new(result.clone(), bytes))
}

/// `n` elements from `start` on.
fn part(x: &Array, start: usize, n: usize) -> Lane {
    let size = x.dtype().host_bytes();
    if let Some(element) = x.splat_bytes() {
        return Lane::decode(x.dtype(), element).repeated(0, n);
    }
    Lane::decode(x.dtype(), x.as_bytes().get(start * size..(start + n) * size).unwrap_or_default())
}

fn compared(lhs: &Lane, rhs: &Lane, direction: Direction) -> Outcome<Lane> {
    let truths = match (lhs, rhs) {
        (Lane::Floats(lhs), Lane::Floats(rhs)) => holds(lhs, rhs, direction),
        (Lane::Integers(lhs), Lane::Integers(rhs)) => holds(lhs, rhs, direction),
        _ => return Err("compares floats with integers".into()),
    };
    Ok(Lane::Integers(truths))
}

fn holds<T: PartialOrd>(lhs: &[T], rhs: &[T], direction: Direction) -> Vec<i128> {
    let function: fn(&T, &T) -> bool = match direction {
        Direction::Eq => T::eq,
        Direction::Ne => T::ne,
        Direction::Lt => T::lt,
        Direction::Le => T::le,
        Direction::Gt => T::gt,
        Direction::Ge => T::ge,
    };
    lhs.iter().zip(rhs).map(|(l, r)| function(l, r).into()).collect()
}

fn selected(pred: &Lane, on_true: &Lane, on_false: &Lane) -> Outcome<Lane> {
    let Lane::Integers(pred) = pred else { return Err("the predicate is no boolean".into()) };
    Ok(match (on_true, on_false) {
        (Lane::Floats(x), Lane::Floats(y)) => Lane::Floats(choose(pred, x, y)),
        (Lane::Integers(x), Lane::Integers(y)) => Lane::Integers(choose(pred, x, y)),
        _ => return Err("chooses among floats and integers".into()),
    })
}

fn choose<T: Copy>(pred: &[i128], on_true: &[T], on_false: &[T]) -> Vec<T> {
    pred.iter().zip(on_true.iter().zip(on_false)).map(|(&p, (&x, &y))| if p == 0 { y } else { x }).collect()
}

fn clamped(min: &Lane, x: &Lane, max: &Lane) -> Outcome<Lane> {
    Ok(match (min, x, max) {
        (Lane::Floats(min), Lane::Floats(x), Lane::Floats(max)) => {
            let bounds = min.iter().zip(max);
            Lane::Floats(
                x.iter().zip(bounds).map(|(&x, (&l, &h))| float::minimum(float::maximum(x, l), h)).collect(),
            )
        }
        (Lane::Integers(min), Lane::Integers(x), Lane::Integers(max)) => {
            let bounds = min.iter().zip(max);
            Lane::Integers(x.iter().zip(bounds).map(|(&x, (&l, &h))| x.max(l).min(h)).collect())
        }
        _ => return Err("holds floats between integers".into()),
    })
}
