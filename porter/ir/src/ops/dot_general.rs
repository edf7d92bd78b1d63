//! `dot_general`: matrix products with any batching and contracting dimensions.

use super::check;
use crate::{
    Builder, DType, Result, Shape, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Which dimensions of the operands are paired, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotDimensions {
    /// Batching dimensions of the left operand.
    pub lhs_batching: Vec<usize>,
    /// Batching dimensions of the right operand, pairwise.
    pub rhs_batching: Vec<usize>,
    /// Contracting dimensions of the left operand.
    pub lhs_contracting: Vec<usize>,
    /// Contracting dimensions of the right operand, pairwise.
    pub rhs_contracting: Vec<usize>,
}

/// Products summed over the contracting dimensions
/// (<https://openxla.org/stablehlo/spec#dot_general>). The result's dimensions are the batching
/// ones, the left operand's free ones, then the right operand's free ones.
#[derive(Clone, Debug, PartialEq)]
pub struct DotGeneral {
    /// The paired dimensions.
    pub dimensions: DotDimensions,
    /// Element type of the result, which is also the accumulator's at least: bf16 operands may
    /// give an f32 result, i8 operands an i32 one.
    pub output: DType,
}

impl Operation for DotGeneral {
    fn name(&self) -> &'static str {
        "stablehlo.dot_general"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [lhs, rhs] = check::operands(operands)?;
        self.dtypes_fit(lhs, rhs)?;
        let d = &self.dimensions;
        let lhs_free = free("left", &lhs.shape, &d.lhs_batching, &d.lhs_contracting)?;
        let rhs_free = free("right", &rhs.shape, &d.rhs_batching, &d.rhs_contracting)?;
        paired("batching", lhs, rhs, &d.lhs_batching, &d.rhs_batching)?;
        paired("contracting", lhs, rhs, &d.lhs_contracting, &d.rhs_contracting)?;
        let mut shape: Vec<usize> = d.lhs_batching.iter().map(|&i| lhs.shape[i]).collect();
        shape.extend(lhs_free);
        shape.extend(rhs_free);
        Ok(vec![TensorType::new(self.output, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let d = &self.dimensions;
        let numbers = format!(
            "#stablehlo.dot<lhs_batching_dimensions = {:?}, rhs_batching_dimensions = {:?}, \
             lhs_contracting_dimensions = {:?}, rhs_contracting_dimensions = {:?}>",
            d.lhs_batching, d.rhs_batching, d.lhs_contracting, d.rhs_contracting
        );
        vec![("dot_dimension_numbers", numbers)]
    }
}

impl DotGeneral {
    /// Booleans have no products, and a product of floats is no integer. Operands may differ: bf16
    /// activations with i8 weights.
    fn dtypes_fit(&self, lhs: &TensorType, rhs: &TensorType) -> Result<(), String> {
        if [lhs.dtype, rhs.dtype, self.output].contains(&DType::Bool) {
            return Err("multiplies and gives integers or floats, found bool".to_owned());
        }
        let float_operand = lhs.dtype.is_float() || rhs.dtype.is_float();
        if float_operand && !self.output.is_float() {
            return Err(format!("the result of floats is {}, expected a float type", self.output));
        }
        Ok(())
    }
}

/// The sizes of the dimensions that are neither batching nor contracting.
fn free(side: &str, shape: &Shape, batching: &[usize], contracting: &[usize]) -> Result<Vec<usize>, String> {
    let mut used = vec![false; shape.rank()];
    for &dim in batching.iter().chain(contracting) {
        match used.get_mut(dim) {
            None => return Err(format!("dimension {dim} is not in the {side} operand")),
            Some(true) => return Err(format!("dimension {dim} of the {side} operand is named twice")),
            Some(seen) => *seen = true,
        }
    }
    Ok(shape.iter().zip(used).filter(|(_, used)| !used).map(|(&size, _)| size).collect())
}

fn paired(what: &str, lhs: &TensorType, rhs: &TensorType, l: &[usize], r: &[usize]) -> Result<(), String> {
    if l.len() != r.len() {
        return Err(format!("{} {what} dimensions on the left, {} on the right", l.len(), r.len()));
    }
    for (&i, &j) in l.iter().zip(r) {
        if lhs.shape[i] != rhs.shape[j] {
            let (m, n) = (lhs.shape[i], rhs.shape[j]);
            return Err(format!("{what} dimension {i} of the left is {m}, its pair {j} of the right is {n}"));
        }
    }
    Ok(())
}

impl Builder {
    /// The product of `lhs` and `rhs` with element type `output`. See [`DotGeneral`].
    pub fn dot_general(&self, lhs: Value, rhs: Value, dimensions: DotDimensions, output: DType) -> Result<Value> {
        self.push_one(DotGeneral { dimensions, output }, &[lhs, rhs])
    }

    /// `x[..., in] · w[out, in]ᵀ`: a linear layer with its weight stored as PyTorch stores it. The
    /// result has element type `output`.
    pub fn linear(&self, x: Value, w: Value, output: DType) -> Result<Value> {
        if self.shape(w).rank() != 2 {
            return Err(self.error("stablehlo.dot_general", &[x, w], "the weight must have rank 2"));
        }
        let last = self.shape(x).rank().saturating_sub(1);
        let dimensions =
            DotDimensions { lhs_contracting: vec![last], rhs_contracting: vec![1], ..DotDimensions::default() };
        self.dot_general(x, w, dimensions, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32(shape: impl Into<Shape>) -> TensorType {
        TensorType::new(DType::F32, shape)
    }

    #[test]
    fn batched_product() {
        let b = Builder::new("main");
        let x = b.argument("x", f32([2, 5, 3])).unwrap();
        let y = b.argument("y", f32([2, 3, 7])).unwrap();
        let dimensions = DotDimensions {
            lhs_batching: vec![0],
            rhs_batching: vec![0],
            lhs_contracting: vec![2],
            rhs_contracting: vec![1],
        };
        let z = b.dot_general(x, y, dimensions, DType::F32).unwrap();
        assert_eq!(b.ty(z), f32([2, 5, 7]));
    }

    #[test]
    fn element_types_and_ranks() {
        let b = Builder::new("main");
        let x = b.argument("x", f32([1, 4])).unwrap();
        let w = b.argument("w", TensorType::new(DType::I8, [8, 4])).unwrap();
        let y = b.linear(x, w, DType::F32).unwrap();
        assert_eq!(b.ty(y), f32([1, 8]));
        let error = b.linear(x, w, DType::I32).unwrap_err();
        assert_eq!(error.problem, "the result of floats is i32, expected a float type");
        let error = b.linear(w, w, DType::Bool).unwrap_err();
        assert_eq!(error.problem, "multiplies and gives integers or floats, found bool");
        let stacked = b.argument("stacked", f32([2, 8, 4])).unwrap();
        assert_eq!(b.linear(x, stacked, DType::F32).unwrap_err().problem, "the weight must have rank 2");
    }

    #[test]
    fn a_mismatch_names_path_op_operands_and_dimensions() {
        let b = Builder::new("main");
        let x = b.argument("x", f32([1, 3])).unwrap();
        let w = b.scope("q_proj").weight("weight", f32([8, 4])).unwrap();
        let error = b.scope("q_proj").linear(x, w, DType::F32).unwrap_err();
        assert_eq!(
            error.to_string(),
            "q_proj: stablehlo.dot_general(f32[1, 3], f32[8, 4]): contracting dimension 1 of the left is 3, its pair 1 of the right is 4"
        );
    }
}
