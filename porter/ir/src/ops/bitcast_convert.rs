//! `bitcast_convert`: the same bits read as another element type.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// Reads the bits of `x` as `dtype` (<https://openxla.org/stablehlo/spec#bitcast_convert>). A narrower
/// type adds a last dimension of their ratio, a wider one takes it away.
#[derive(Clone, Debug, PartialEq)]
pub struct BitcastConvert {
    /// The element type of the result.
    pub dtype: DType,
}

impl Operation for BitcastConvert {
    fn name(&self) -> &'static str {
        "stablehlo.bitcast_convert"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        if [x.dtype, self.dtype].contains(&DType::Bool) {
            return Err("reads the bits of integers and floats, found bool".to_owned());
        }
        let (from, to) = (x.dtype.bits(), self.dtype.bits());
        let mut shape = x.shape.to_vec();
        if to < from {
            shape.push(from / to);
        } else if to > from {
            let last = shape.pop();
            if last != Some(to / from) {
                return Err(format!("the last dimension must be {} to become {}", to / from, self.dtype));
            }
        }
        Ok(vec![TensorType::new(self.dtype, shape)])
    }
}

impl Builder {
    /// The bits of `x` as `dtype`. See [`BitcastConvert`].
    pub fn bitcast_convert(&self, x: Value, dtype: DType) -> Result<Value> {
        self.push_one(BitcastConvert { dtype }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_move_into_and_out_of_the_last_dimension() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::U32, [3])).unwrap();
        let bytes = b.bitcast_convert(x, DType::U8).unwrap();
        assert_eq!(b.ty(bytes), TensorType::new(DType::U8, [3, 4]));
        let floats = b.bitcast_convert(bytes, DType::F32).unwrap();
        assert_eq!(b.ty(floats), TensorType::new(DType::F32, [3]));
        let error = b.bitcast_convert(x, DType::Bool).unwrap_err();
        assert_eq!(error.problem, "reads the bits of integers and floats, found bool");
        let error = b.bitcast_convert(x, DType::F64).unwrap_err();
        assert_eq!(error.problem, "the last dimension must be 2 to become f64");
    }
}
