//! How often a loop runs, where constants tell.

use porter_ir::{
    DType, Direction, Op, Program, Value,
    program::{Definition, OpData},
};

/// The trips of a loop that counts an integer from a constant, by a constant, while it is below a
/// constant (or not above it). `None` for every other loop.
pub(super) fn trips(program: &Program, data: &OpData) -> Option<u64> {
    let (&[condition, body], true) = (&data.regions[..], matches!(data.op, Op::While(_))) else {
        return None;
    };
    let [test] = program.region(condition).results[..] else { return None };
    let (compare, operands) = made_by(program, test)?;
    let (Op::Compare(compare), &[left, right]) = (compare, operands) else { return None };
    let Definition::Argument { region, index } = program.value(left).definition else { return None };
    if region != condition {
        return None;
    }
    let (start, end) = (integer(program, *data.operands.get(index)?)?, integer(program, right)?);
    let next = *program.region(body).results.get(index)?;
    let counter = *program.region(body).arguments.get(index)?;
    let (Op::Add(_), &[a, b]) = made_by(program, next)? else { return None };
    let step = match (a == counter, b == counter) {
        (true, false) => integer(program, b)?,
        (false, true) => integer(program, a)?,
        _ => return None,
    };
    let span = match compare.direction {
        Direction::Lt => end.checked_sub(start)?,
        Direction::Le => end.checked_sub(start)?.checked_add(1)?,
        _ => return None,
    };
    (step > 0).then(|| u64::try_from(span.max(0)).ok().map(|span| span.div_ceil(step.unsigned_abs())))?
}

fn made_by(program: &Program, value: Value) -> Option<(&Op, &[Value])> {
    let Definition::Result { op, .. } = program.value(value).definition else { return None };
    let data = program.op(op);
    Some((&data.op, &data.operands))
}

/// The integer that a value holds everywhere, through what only moves or widens it.
fn integer(program: &Program, value: Value) -> Option<i64> {
    let mut value = value;
    loop {
        match made_by(program, value)? {
            (Op::Constant(constant), _) => {
                let bytes = match constant.value.splat_bytes() {
                    Some(bytes) => bytes.to_vec(),
                    None if constant.value.ty().shape.elements() == 1 => constant.value.bytes().to_vec(),
                    None => return None,
                };
                return decode(constant.value.ty().dtype, &bytes);
            }
            (Op::BroadcastInDim(_) | Op::Reshape(_) | Op::Convert(_), &[from]) => value = from,
            _ => return None,
        }
    }
}

fn decode(dtype: DType, bytes: &[u8]) -> Option<i64> {
    match dtype {
        DType::I64 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
        DType::I32 => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::U32 => Some(u32::from_le_bytes(bytes.try_into().ok()?).into()),
        _ => None,
    }
}
