//! The functions of integers and booleans, exact; the caller wraps their result around in its type.

use porter_ir::{DType, OpKind};

use crate::lane::wrap;

pub(super) fn unary(kind: OpKind) -> Option<fn(DType, i128) -> i128> {
    use OpKind as K;
    Some(match kind {
        K::Abs => |_, x| x.abs(),
        K::CountLeadingZeros => |dtype, x| i128::from(pattern(dtype, x).leading_zeros()) - 128 + bits(dtype),
        K::Negate => |_, x| -x,
        K::Not => |dtype, x| if dtype == DType::Bool { 1 - x } else { !x },
        K::Popcnt => |dtype, x| pattern(dtype, x).count_ones().into(),
        K::Sign => |_, x| x.signum(),
        _ => return None,
    })
}

pub(super) fn binary(kind: OpKind) -> Option<fn(DType, i128, i128) -> i128> {
    use OpKind as K;
    Some(match kind {
        K::Add => |_, x, y| x + y,
        K::And => |_, x, y| x & y,
        K::Divide => |_, x, y| if y == 0 { -1 } else { x / y },
        K::Maximum => |_, x, y| x.max(y),
        K::Minimum => |_, x, y| x.min(y),
        K::Multiply => |_, x, y| x.wrapping_mul(y),
        K::Or => |_, x, y| x | y,
        K::Power => power,
        K::Remainder => |_, x, y| if y == 0 { x } else { x % y },
        K::ShiftLeft => |dtype, x, y| shift(dtype, y).map_or(0, |by| x << by),
        K::ShiftRightArithmetic => shift_right_arithmetic,
        K::ShiftRightLogical => {
            |dtype, x, y| shift(dtype, y).map_or(0, |by| (pattern(dtype, x) >> by) as i128)
        }
        K::Subtract => |_, x, y| x - y,
        K::Xor => |_, x, y| x ^ y,
        _ => return None,
    })
}

fn bits(dtype: DType) -> i128 {
    dtype.bits() as i128
}

/// The bits of a value, without its sign's beyond its width.
fn pattern(dtype: DType, x: i128) -> u128 {
    x as u128 & ((1 << dtype.bits()) - 1)
}

/// By how much a shift moves, its bits read as unsigned; none where it is the width or more.
fn shift(dtype: DType, y: i128) -> Option<u32> {
    let by = pattern(dtype, y);
    if by < dtype.bits() as u128 { u32::try_from(by).ok() } else { None }
}

/// Fills with the highest bit, in unsigned types too.
fn shift_right_arithmetic(dtype: DType, x: i128, y: i128) -> i128 {
    let unused = 128 - dtype.bits();
    let signed = x << unused >> unused;
    signed >> shift(dtype, y).unwrap_or(127)
}

/// A negative power is one over it, truncated.
fn power(dtype: DType, base: i128, exponent: i128) -> i128 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 => {
                if exponent % 2 == 0 {
                    1
                } else {
                    -1
                }
            }
            _ => 0,
        };
    }
    let (mut result, mut square, mut left) = (1, base, exponent);
    while left > 0 {
        if left % 2 == 1 {
            result = wrap(dtype, i128::wrapping_mul(result, square));
        }
        square = wrap(dtype, square.wrapping_mul(square));
        left /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: OpKind, dtype: DType, x: i128, y: i128) -> i128 {
        wrap(dtype, binary(kind).unwrap()(dtype, x, y))
    }

    #[test]
    fn the_corners_are_xlas() {
        assert_eq!(of(OpKind::Divide, DType::I32, 7, 0), -1);
        assert_eq!(of(OpKind::Divide, DType::U8, 7, 0), 255);
        assert_eq!(of(OpKind::Divide, DType::I8, -128, -1), -128);
        assert_eq!(of(OpKind::Remainder, DType::I8, -7, 0), -7);
        assert_eq!(of(OpKind::ShiftLeft, DType::I8, 1, 8), 0);
        assert_eq!(of(OpKind::ShiftRightArithmetic, DType::I8, -3, -1), -1);
        assert_eq!(of(OpKind::ShiftRightLogical, DType::I8, -1, 4), 15);
        assert_eq!(of(OpKind::Multiply, DType::U64, i128::from(u64::MAX), i128::from(u64::MAX)), 1);
        assert_eq!(of(OpKind::Power, DType::I8, 3, 5), -13);
        assert_eq!(of(OpKind::Power, DType::I8, -1, -3), -1);
        assert_eq!(unary(OpKind::CountLeadingZeros).unwrap()(DType::I4, 1), 3);
        assert_eq!(unary(OpKind::Popcnt).unwrap()(DType::I4, -1), 4);
    }
}
