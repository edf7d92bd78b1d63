//! `convert`: another element type.

use porter_ir::{DType, Kind};

use crate::lane::{Lane, limits};

/// The elements before they are rounded to `dtype`. Floats truncate to integers and stop at the limits,
/// NaN is zero; anything but zero is true.
pub(super) fn convert(x: &Lane, dtype: DType) -> Lane {
    match (x, dtype.kind()) {
        (Lane::Floats(_), Kind::Float) => x.clone(),
        (Lane::Integers(values), Kind::Float) => {
            Lane::Floats(values.iter().map(|&x| to_float(dtype, x)).collect())
        }
        (Lane::Floats(values), Kind::Bool) => {
            Lane::Integers(values.iter().map(|&x| (x != 0.0).into()).collect())
        }
        (Lane::Floats(values), _) => {
            let (least, most) = limits(dtype);
            Lane::Integers(values.iter().map(|&x| (x as i128).clamp(least, most)).collect())
        }
        (Lane::Integers(_), _) => x.clone(),
    }
}

/// To f32 in one rounding; what is narrower comes from f32, as XLA has it.
fn to_float(dtype: DType, x: i128) -> f64 {
    if dtype == DType::F64 { x as f64 } else { f64::from(x as f32) }
}
