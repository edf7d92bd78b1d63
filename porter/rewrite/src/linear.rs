//! Recognising linear layers.

use porter_ir::{
    DType, Op, Program, TensorType, Value,
    ops::{DotDimensions, DotGeneral},
    program::OpData,
};

/// The parts of `x[..., in] · w[out, in]ᵀ`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// `x`.
    pub(crate) input: Value,
    /// `w`.
    pub(crate) weight: Value,
    /// The rows of `x`.
    pub(crate) input_rows: usize,
    /// `out`.
    pub(crate) rows: usize,
    /// `in`.
    pub(crate) columns: usize,
    /// The element type of `w`.
    pub(crate) dtype: DType,
    /// The type of the product.
    pub(crate) output: TensorType,
}

impl Linear {
    /// True if `x` is one row.
    pub(crate) fn is_one_row(&self) -> bool {
        self.input_rows == 1
    }
}

/// The parts of `data` if it is a linear layer.
pub(crate) fn linear(program: &Program, data: &OpData) -> Option<Linear> {
    let (Op::DotGeneral(DotGeneral { dimensions, .. }), &[input, weight], &[result]) =
        (&data.op, &data.operands[..], &data.results[..])
    else {
        return None;
    };
    let last = program.ty(input).shape.rank().checked_sub(1)?;
    let expected =
        DotDimensions { lhs_contracting: vec![last], rhs_contracting: vec![1], ..DotDimensions::default() };
    let ty = program.ty(weight);
    let &[rows, columns] = &ty.shape[..] else { return None };
    (*dimensions == expected).then(|| Linear {
        input,
        weight,
        input_rows: program.ty(input).shape.elements() / columns.max(1),
        rows,
        columns,
        dtype: ty.dtype,
        output: program.ty(result).clone(),
    })
}
