//! Shorthands over the ops, for what models do on every line.

use crate::{Builder, GatherDimensions, Literal, Result, Shape, TensorType, Value};

impl Builder {
    /// A tensor of `ty` filled with `value`, which integer types must hold exactly.
    pub fn full(&self, ty: TensorType, value: f64) -> Result<Value> {
        let literal = Literal::splat(ty, value);
        self.constant(literal.map_err(|e| self.error("stablehlo.constant", &[], e.to_string()))?)
    }

    /// A tensor of `x`'s type filled with `value`.
    pub fn full_like(&self, x: Value, value: f64) -> Result<Value> {
        self.full(self.ty(x), value)
    }

    /// As [`Builder::broadcast_in_dim`]: `x` itself where it has `shape` already and keeps the order
    /// of its dimensions.
    pub fn broadcast_to(&self, x: Value, shape: impl Into<Shape>, dimensions: &[usize]) -> Result<Value> {
        let shape = shape.into();
        if self.shape(x) == shape && dimensions.iter().copied().eq(0..shape.rank()) {
            return Ok(x);
        }
        self.broadcast_in_dim(x, shape, dimensions)
    }

    /// `x + value`.
    pub fn add_scalar(&self, x: Value, value: f64) -> Result<Value> {
        self.add(x, self.full_like(x, value)?)
    }

    /// `x * value`.
    pub fn multiply_scalar(&self, x: Value, value: f64) -> Result<Value> {
        self.multiply(x, self.full_like(x, value)?)
    }

    /// The sum over `dimensions`, accumulated in `x`'s element type.
    pub fn reduce_sum(&self, x: Value, dimensions: &[usize]) -> Result<Value> {
        let zero = self.full(TensorType::scalar(self.dtype(x)), 0.0)?;
        self.reduce_one(x, zero, dimensions, Builder::add)
    }

    /// The largest element over `dimensions`: minus infinity, or the least integer, where there is none.
    pub fn reduce_max(&self, x: Value, dimensions: &[usize]) -> Result<Value> {
        let least = Literal::least(self.dtype(x));
        let least =
            self.constant(least.map_err(|e| self.error("stablehlo.constant", &[], e.to_string()))?)?;
        self.reduce_one(x, least, dimensions, Builder::maximum)
    }

    /// As [`Builder::reduce_sum`], with `dimensions` kept at size 1.
    pub fn reduce_sum_keep(&self, x: Value, dimensions: &[usize]) -> Result<Value> {
        let sum = self.reduce_sum(x, dimensions)?;
        self.reshape(sum, self.ones_at(x, dimensions))
    }

    /// As [`Builder::reduce_max`], with `dimensions` kept at size 1.
    pub fn reduce_max_keep(&self, x: Value, dimensions: &[usize]) -> Result<Value> {
        let max = self.reduce_max(x, dimensions)?;
        self.reshape(max, self.ones_at(x, dimensions))
    }

    /// The rows of `table[v, h]` at `ids[..]`: `[.., h]`. An id outside of `0..v` is clamped into it, as
    /// in every gather.
    pub fn embedding(&self, table: Value, ids: Value) -> Result<Value> {
        let (table_shape, rank) = (self.shape(table), self.shape(ids).rank());
        let &[_, width] = &*table_shape else {
            return Err(self.error("stablehlo.gather", &[table, ids], "the table must have rank 2"));
        };
        let dimensions = GatherDimensions {
            offset_dims: vec![rank],
            collapsed_slice_dims: vec![0],
            start_index_map: vec![0],
            index_vector_dim: rank,
            ..GatherDimensions::default()
        };
        self.gather(table, ids, dimensions, &[1, width])
    }

    /// The elements `start..limit` of one dimension.
    pub fn slice_dim(&self, x: Value, dimension: usize, start: usize, limit: usize) -> Result<Value> {
        let shape = self.shape(x);
        if dimension >= shape.rank() {
            let problem = format!("dimension {dimension} is not in {shape}");
            return Err(self.error("stablehlo.slice", &[x], problem));
        }
        let (mut starts, mut limits) = (vec![0; shape.rank()], shape.to_vec());
        starts[dimension] = start;
        limits[dimension] = limit;
        self.slice(x, &starts, &limits, &vec![1; shape.rank()])
    }

    fn reduce_one(
        &self,
        x: Value,
        init: Value,
        dimensions: &[usize],
        fold: fn(&Builder, Value, Value) -> Result<Value>,
    ) -> Result<Value> {
        let folded = self.reduce(&[x], &[init], dimensions, |b, args| match *args {
            [so_far, element] => Ok(vec![fold(b, so_far, element)?]),
            _ => Err(b.error("stablehlo.reduce", args, "the body takes 2 arguments")),
        })?;
        folded.first().copied().ok_or_else(|| self.error("stablehlo.reduce", &[x], "has no result"))
    }

    fn ones_at(&self, x: Value, dimensions: &[usize]) -> Shape {
        let shape = self.shape(x);
        let sizes = shape.iter().enumerate().map(|(i, &size)| if dimensions.contains(&i) { 1 } else { size });
        Shape::new(sizes.collect::<Vec<_>>())
    }
}
