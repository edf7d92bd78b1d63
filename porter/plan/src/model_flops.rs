//! What a model asks for, before a compiler sees it.

use porter_ir::{Op, Program};

/// The operations of a program's matrix products, a multiplication and its addition as two. Ops inside a
/// loop count once.
///
/// This is the numerator of MFU: what the model needs, not what a compiler makes of it.
pub fn model_flops(program: &Program) -> f64 {
    let dot = |data: &porter_ir::program::OpData| {
        let Op::DotGeneral(dot) = &data.op else { return 0.0 };
        let elements = |value: &porter_ir::Value| program.ty(*value).shape.elements() as f64;
        let contracted = data.operands.first().map_or(1.0, |&lhs| {
            let dims = &program.ty(lhs).shape;
            let of = |&dim: &usize| dims.get(dim).copied().unwrap_or(1) as f64;
            dot.dimensions.lhs_contracting.iter().map(of).product()
        });
        2.0 * contracted * data.results.iter().map(elements).sum::<f64>()
    };
    program.ops().map(|(_, data)| dot(data)).sum()
}
