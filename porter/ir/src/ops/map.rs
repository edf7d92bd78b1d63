//! `map`: a function applied to each element.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// Applies a region over scalars to the elements of tensors of one shape
/// (<https://openxla.org/stablehlo/spec#map>). The region takes one element of each and returns one
/// scalar; it reads nothing from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The rank of the operands: `map` names all their dimensions.
    pub rank: usize,
}

impl Operation for Map {
    fn name(&self) -> &'static str {
        "stablehlo.map"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let shape = check::one_shape(operands)?;
        if shape.rank() != self.rank {
            return Err(format!("the operands have rank {}, expected {}", shape.rank(), self.rank));
        }
        let [body] = check::regions(regions)?;
        let [result] = &body.results[..] else {
            return Err(format!("the body returns {}, expected one scalar", check::types(&body.results)));
        };
        let expected = TensorType::scalar(result.dtype);
        check::region("body", body, &check::scalars(operands), &[expected])?;
        Ok(vec![TensorType::new(result.dtype, shape.clone())])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("dimensions", i64_array(&(0..self.rank).collect::<Vec<_>>()))]
    }
}

impl Builder {
    /// `body` of each element of `inputs`. See [`Map`].
    pub fn map(
        &self,
        inputs: &[Value],
        body: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
    ) -> Result<Value> {
        let scalars: Vec<TensorType> = inputs.iter().map(|&v| TensorType::scalar(self.dtype(v))).collect();
        let region = self.region(&scalars, |b, args| Ok(vec![body(b, args)?]))?;
        let rank = inputs.first().map_or(0, |&v| self.shape(v).rank());
        self.push_single(Map { rank }, inputs, &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn has_the_operands_shape_and_the_bodys_type() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3])).unwrap();
        let y = b.map(&[x, x], |b, a| b.convert(b.add(a[0], a[1])?, DType::F64)).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F64, [2, 3]));
        let wide = b.argument("wide", TensorType::new(DType::F32, [2])).unwrap();
        let error = b.map(&[x, wide], |_, a| Ok(a[0])).unwrap_err();
        assert_eq!(error.problem, "operands must have one shape, found [2, 3] and [2]");
    }
}
