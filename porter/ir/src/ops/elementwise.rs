//! What element-wise ops share.

use crate::{DType, TensorType};

/// One operand of an accepted element type; the result has its type.
pub(super) fn unary(
    operands: &[&TensorType],
    accepts: fn(DType) -> bool,
    expected: &str,
) -> Result<Vec<TensorType>, String> {
    let [x] = operands else {
        return Err(format!("takes 1 operand, found {}", operands.len()));
    };
    check_dtype(x, accepts, expected)?;
    Ok(vec![(*x).clone()])
}

/// Two operands of one type; the result has it too.
pub(super) fn binary(
    operands: &[&TensorType],
    accepts: fn(DType) -> bool,
    expected: &str,
) -> Result<Vec<TensorType>, String> {
    let [lhs, rhs] = operands else {
        return Err(format!("takes 2 operands, found {}", operands.len()));
    };
    if lhs != rhs {
        return Err("both operands must have the same type".to_owned());
    }
    check_dtype(lhs, accepts, expected)?;
    Ok(vec![(*lhs).clone()])
}

fn check_dtype(x: &TensorType, accepts: fn(DType) -> bool, expected: &str) -> Result<(), String> {
    if accepts(x.dtype) { Ok(()) } else { Err(format!("element type {} is not {expected}", x.dtype)) }
}
