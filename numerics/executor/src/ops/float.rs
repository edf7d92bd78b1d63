//! The functions of floats, in f64.

use std::cmp::Ordering;

use porter_ir::OpKind;

pub(super) fn unary(kind: OpKind) -> Option<fn(f64) -> f64> {
    use OpKind as K;
    Some(match kind {
        K::Abs => f64::abs,
        K::Cbrt => f64::cbrt,
        K::Ceil => f64::ceil,
        K::Cosine => f64::cos,
        K::Erf => libm::erf,
        K::ErfInv => erf_inv,
        K::Exponential => f64::exp,
        K::ExponentialMinusOne => f64::exp_m1,
        K::Floor => f64::floor,
        K::Log => f64::ln,
        K::LogPlusOne => f64::ln_1p,
        K::Logistic => logistic,
        K::Negate => |x| -x,
        K::RoundNearestAfz => f64::round,
        K::RoundNearestEven => f64::round_ties_even,
        K::Rsqrt => |x| 1.0 / x.sqrt(),
        K::Sign => sign,
        K::Sine => f64::sin,
        K::Sqrt => f64::sqrt,
        K::Tan => f64::tan,
        K::Tanh => f64::tanh,
        _ => return None,
    })
}

pub(super) fn binary(kind: OpKind) -> Option<fn(f64, f64) -> f64> {
    use OpKind as K;
    Some(match kind {
        K::Add => |x, y| x + y,
        K::Atan2 => f64::atan2,
        K::Divide => |x, y| x / y,
        K::Maximum => maximum,
        K::Minimum => minimum,
        K::Multiply => |x, y| x * y,
        K::Power => f64::powf,
        K::Remainder => |x, y| x % y,
        K::Subtract => |x, y| x - y,
        _ => return None,
    })
}

/// The larger one, NaN where one is NaN.
pub(super) fn maximum(x: f64, y: f64) -> f64 {
    if x > y || x.is_nan() { x } else { y }
}

/// The smaller one, NaN where one is NaN.
pub(super) fn minimum(x: f64, y: f64) -> f64 {
    if x < y || x.is_nan() { x } else { y }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Zeros and NaN are their own signs.
fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

/// The x whose `erf` is `y`: a first guess (Winitzki 2008), then Halley's steps to the last digits.
fn erf_inv(y: f64) -> f64 {
    const A: f64 = 0.147;
    let magnitude = y.abs();
    if magnitude == 0.0 {
        return y;
    }
    // Not below one: past it, at it, or NaN.
    if magnitude.partial_cmp(&1.0) != Some(Ordering::Less) {
        return if magnitude > 1.0 { f64::NAN } else { y * f64::INFINITY };
    }
    let log = (-magnitude * magnitude).ln_1p();
    let half = 2.0 / (std::f64::consts::PI * A) + log / 2.0;
    let mut x = ((half * half - log / A).sqrt() - half).max(0.0).sqrt();
    for _ in 0..4 {
        // Near one the difference is taken of what is left to one, where its digits are.
        let error =
            if magnitude < 0.5 { libm::erf(x) - magnitude } else { (1.0 - magnitude) - libm::erfc(x) };
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        let step = error / slope;
        x -= step / (1.0 + x * step);
    }
    x.copysign(y)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exactly these")]
mod tests {
    use super::*;

    #[test]
    fn erf_inv_undoes_erf() {
        for i in 1..60 {
            let x = f64::from(i) / 10.0;
            let y = libm::erf(x);
            let (again, slope) = (erf_inv(y), std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp());
            // Half a unit of y's last place moves x by so much.
            let tolerance = 2.0 * f64::EPSILON / slope + 4.0 * f64::EPSILON * x;
            assert!(y == 1.0 || (again - x).abs() <= tolerance, "erf_inv({y}) = {again}, expected {x}");
            assert_eq!(erf_inv(-y), -again);
        }
        assert_eq!(erf_inv(1.0), f64::INFINITY);
        assert!(erf_inv(1.5).is_nan());
        assert!((erf_inv(1e-300) / 1e-300 - 0.886_226_925_452_758).abs() < 1e-15);
    }

    #[test]
    fn nan_is_neither_the_larger_nor_left_out() {
        assert!(maximum(f64::NAN, 1.0).is_nan() && maximum(1.0, f64::NAN).is_nan());
        assert!(minimum(f64::NAN, 1.0).is_nan() && minimum(1.0, f64::NAN).is_nan());
    }
}
