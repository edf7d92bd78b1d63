//! Ops that work element by element.

use std::f32::consts::{E, FRAC_PI_2, FRAC_PI_4, LN_2, PI, SQRT_2};

use porter_ir::{Builder, DType, Direction, Literal, OpKind, Result, TensorType, Value};

use super::{Example, one, row, tensor};

type Unary = fn(&Builder, Value) -> Result<Value>;
type Binary = fn(&Builder, Value, Value) -> Result<Value>;

fn unary(op: Unary, x: Literal, y: Literal) -> Vec<Example> {
    vec![one([x], [y], |b, [x]| Ok(vec![op(b, x)?]))]
}

fn floats(op: Unary, x: &[f32], y: &[f32]) -> Vec<Example> {
    unary(op, row(x), row(y))
}

fn binary(op: Binary, lhs: Literal, rhs: Literal, y: Literal) -> Example {
    one([lhs, rhs], [y], |b, [lhs, rhs]| Ok(vec![op(b, lhs, rhs)?]))
}

fn float_pairs(op: Binary, lhs: &[f32], rhs: &[f32], y: &[f32]) -> Vec<Example> {
    vec![binary(op, row(lhs), row(rhs), row(y))]
}

fn logical(op: Binary, bools: [bool; 4], bits: u8) -> Vec<Example> {
    let (lhs, rhs) = (row(&[false, false, true, true]), row(&[false, true, false, true]));
    vec![binary(op, lhs, rhs, row(&bools)), binary(op, row(&[0b1100_u8]), row(&[0b1010_u8]), row(&[bits]))]
}

pub(super) fn examples(kind: OpKind) -> Vec<Example> {
    use OpKind as K;
    match kind {
        K::Abs => floats(Builder::abs, &[-1.5, 2.0], &[1.5, 2.0]),
        K::Add => sums(),
        K::And => logical(Builder::and, [false, false, false, true], 0b1000),
        K::Atan2 => float_pairs(Builder::atan2, &[1.0, 1.0], &[1.0, 0.0], &[FRAC_PI_4, FRAC_PI_2]),
        K::BitcastConvert => bitcasts(),
        K::Cbrt => floats(Builder::cbrt, &[8.0, -27.0], &[2.0, -3.0]),
        K::Ceil => floats(Builder::ceil, &[1.2, -1.2], &[2.0, -1.0]),
        K::Clamp => {
            vec![one([row(&[-5_i32, 3, 9]), row(&[0_i32, 0, 7])], [row(&[0_i32, 3, 8])], |b, [x, low]| {
                Ok(vec![b.clamp(low, x, b.full(TensorType::scalar(DType::I32), 8.0)?)?])
            })]
        }
        K::Compare => comparisons(),
        K::Convert => conversions(),
        K::Cosine => floats(Builder::cosine, &[0.0, PI], &[1.0, -1.0]),
        K::CountLeadingZeros => unary(Builder::count_leading_zeros, row(&[1_u8, 0, 255]), row(&[7_u8, 8, 0])),
        K::Divide => {
            let integers = binary(Builder::divide, row(&[7_i32, -7]), row(&[2_i32, 2]), row(&[3_i32, -3]));
            vec![integers, binary(Builder::divide, row(&[1.0_f32]), row(&[4.0_f32]), row(&[0.25_f32]))]
        }
        // Abramowitz and Stegun, table 7.1.
        K::Erf => floats(Builder::erf, &[0.0, 0.5, 1.0], &[0.0, 0.520_499_9, 0.842_700_8]),
        K::ErfInv => floats(Builder::erf_inv, &[0.0, 0.520_499_9], &[0.0, 0.5]),
        K::Exponential => floats(Builder::exponential, &[0.0, 1.0], &[1.0, E]),
        K::ExponentialMinusOne => {
            floats(Builder::exponential_minus_one, &[1e-4, 1.0], &[1.000_05e-4, E - 1.0])
        }
        K::Floor => floats(Builder::floor, &[1.2, -1.2], &[1.0, -2.0]),
        K::IsFinite => {
            unary(Builder::is_finite, row(&[1.0, f32::INFINITY, f32::NAN]), row(&[true, false, false]))
        }
        K::Log => floats(Builder::log, &[1.0, 2.0], &[0.0, LN_2]),
        K::LogPlusOne => floats(Builder::log_plus_one, &[0.0, 1.0], &[0.0, LN_2]),
        K::Logistic => floats(Builder::logistic, &[0.0, 1.0], &[0.5, 0.731_058_6]),
        K::Maximum => float_pairs(Builder::maximum, &[1.0, 4.0], &[2.0, 3.0], &[2.0, 4.0]),
        K::Minimum => float_pairs(Builder::minimum, &[1.0, 4.0], &[2.0, 3.0], &[1.0, 3.0]),
        K::Multiply => float_pairs(Builder::multiply, &[2.0, 3.0], &[4.0, 0.5], &[8.0, 1.5]),
        K::Negate => unary(Builder::negate, row(&[1_i64, -2]), row(&[-1_i64, 2])),
        K::Not => {
            let bits = unary(Builder::not, row(&[0b1100_u8]), row(&[0b1111_0011_u8]));
            unary(Builder::not, row(&[true, false]), row(&[false, true])).into_iter().chain(bits).collect()
        }
        K::Or => logical(Builder::or, [false, true, true, true], 0b1110),
        K::Popcnt => unary(Builder::popcnt, row(&[0_u16, 0b1011]), row(&[0_u16, 3])),
        K::Power => float_pairs(Builder::power, &[2.0, 9.0], &[3.0, 0.5], &[8.0, 3.0]),
        // bf16 has 8 exponent and 7 mantissa bits: 1 + 2^-8 is halfway and goes to the even 1.
        K::ReducePrecision => {
            vec![one(
                [row(&[1.0 + 1.0 / 256.0_f32, 1.007_812_5])],
                [row(&[1.0_f32, 1.007_812_5])],
                |b, [x]| Ok(vec![b.reduce_precision(x, 8, 7)?]),
            )]
        }
        K::Remainder => {
            vec![binary(Builder::remainder, row(&[7_i32, -7]), row(&[3_i32, 3]), row(&[1_i32, -1]))]
        }
        K::RoundNearestAfz => floats(Builder::round_nearest_afz, &[0.5, -1.5, 2.4], &[1.0, -2.0, 2.0]),
        K::RoundNearestEven => floats(Builder::round_nearest_even, &[0.5, 1.5, 2.4], &[0.0, 2.0, 2.0]),
        K::Rsqrt => floats(Builder::rsqrt, &[4.0, 0.25], &[0.5, 2.0]),
        K::Select => vec![one(
            [row(&[true, false]), row(&[1.0_f32, 2.0]), row(&[3.0_f32, 4.0])],
            [row(&[1.0_f32, 4.0])],
            |b, [pred, x, y]| Ok(vec![b.select(pred, x, y)?]),
        )],
        K::ShiftLeft => shift(Builder::shift_left, &[1, -1], &[3, 4], &[8, -16]),
        K::ShiftRightArithmetic => shift(Builder::shift_right_arithmetic, &[8, -8], &[2, 2], &[2, -2]),
        K::ShiftRightLogical => shift(Builder::shift_right_logical, &[8, -8], &[2, 28], &[2, 15]),
        K::Sign => floats(Builder::sign, &[-3.0, 0.0, 2.0], &[-1.0, 0.0, 1.0]),
        K::Sine => floats(Builder::sine, &[0.0, FRAC_PI_2], &[0.0, 1.0]),
        K::Sqrt => floats(Builder::sqrt, &[4.0, 2.0], &[2.0, SQRT_2]),
        K::Subtract => float_pairs(Builder::subtract, &[2.0, 3.0], &[4.0, 0.5], &[-2.0, 2.5]),
        K::Tan => floats(Builder::tan, &[0.0, FRAC_PI_4], &[0.0, 1.0]),
        K::Tanh => floats(Builder::tanh, &[0.0, 1.0], &[0.0, 0.761_594_2]),
        K::Xor => logical(Builder::xor, [false, true, true, false], 0b0110),
        _ => Vec::new(),
    }
}

fn shift(op: Binary, lhs: &[i32], rhs: &[i32], y: &[i32]) -> Vec<Example> {
    vec![binary(op, row(lhs), row(rhs), row(y))]
}

/// Integers wrap around, booleans are OR, and every type that a plugin adds is accepted.
fn sums() -> Vec<Example> {
    let wide = one([], [row(&[3.5_f32])], |b, []| {
        let mut last = None;
        for dtype in DType::ALL.into_iter().filter(|dtype| dtype.bits() >= 8) {
            let x = b
                .full(TensorType::new(dtype, [1]), 1.75)
                .or_else(|_| b.full(TensorType::new(dtype, [1]), 1.0))?;
            last = Some(b.add(x, x)?);
        }
        Ok(vec![b.convert(last.unwrap(), DType::F32)?])
    });
    vec![
        binary(Builder::add, row(&[250_u8]), row(&[10_u8]), row(&[4_u8])),
        binary(Builder::add, row(&[false, true]), row(&[false, true]), row(&[false, true])),
        wide,
    ]
}

fn bitcasts() -> Vec<Example> {
    let cast = |x: Literal, y: Literal| {
        let dtype = y.ty().dtype;
        one([x], [y], move |b, [x]| Ok(vec![b.bitcast_convert(x, dtype)?]))
    };
    vec![
        cast(row(&[1.0_f32]), row(&[0x3F80_0000_u32])),
        cast(row(&[0x0403_0201_u32]), tensor([1, 4], &[1_u8, 2, 3, 4])),
        cast(tensor([1, 4], &[1_u8, 2, 3, 4]), row(&[0x0403_0201_u32])),
    ]
}

fn comparisons() -> Vec<Example> {
    use Direction::{Eq, Ge, Gt, Le, Lt, Ne};
    let expected = [
        (Eq, [false, true, false, false]),
        (Ne, [true, false, true, true]),
        (Lt, [true, false, false, false]),
        (Le, [true, true, false, false]),
        (Gt, [false, false, true, false]),
        (Ge, [false, true, true, false]),
    ];
    let (lhs, rhs) = (row(&[1.0, 2.0, 3.0, f32::NAN]), row(&[2.0_f32, 2.0, 2.0, 2.0]));
    let floats = one([lhs, rhs], expected.map(|(_, y)| row(&y)), |b, [lhs, rhs]| {
        expected.iter().map(|&(direction, _)| b.compare(lhs, rhs, direction)).collect()
    });
    // 255 is above 1 unsigned and below it signed.
    let unsigned = one([row(&[255_u8]), row(&[1_u8])], [row(&[false])], |b, [lhs, rhs]| {
        Ok(vec![b.compare(lhs, rhs, Lt)?])
    });
    let signed = one([row(&[-1_i8]), row(&[1_i8])], [row(&[true])], |b, [lhs, rhs]| {
        Ok(vec![b.compare(lhs, rhs, Lt)?])
    });
    vec![floats, unsigned, signed]
}

/// To every type and back.
fn conversions() -> Vec<Example> {
    let x = row(&[0.0_f32, 1.0]);
    let there_and_back = one([x.clone()], vec![x; DType::ALL.len()], |b, [x]| {
        DType::ALL.iter().map(|&dtype| b.convert(b.convert(x, dtype)?, DType::F32)).collect()
    });
    let truncated =
        one([row(&[1.9_f32, -1.9])], [row(&[1_i32, -1])], |b, [x]| Ok(vec![b.convert(x, DType::I32)?]));
    vec![there_and_back, truncated]
}
