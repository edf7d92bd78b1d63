//! Whether ops are the same but for what they read.

use std::collections::HashMap;

use porter_ir::{Program, RegionId, TensorType, Value, program::OpData};

/// True if two ops are the same but for what they read.
pub(super) fn is_same(program: &Program, a: &OpData, b: &OpData) -> bool {
    let types = |op: &OpData| -> Vec<TensorType> {
        op.operands.iter().chain(&op.results).map(|&v| program.ty(v).clone()).collect()
    };
    a.op == b.op
        && types(a) == types(b)
        && a.regions.len() == b.regions.len()
        && a.regions.iter().zip(&b.regions).all(|(&a, &b)| is_same_region(program, a, b))
}

/// True if two regions are the same and read nothing from outside.
fn is_same_region(program: &Program, a: RegionId, b: RegionId) -> bool {
    let mut numbers = HashMap::new();
    let (x, y) = (program.region(a), program.region(b));
    let mut bind = |x: &[Value], y: &[Value]| numbers.extend(x.iter().copied().zip(y.iter().copied()));
    bind(&x.arguments, &y.arguments);
    for (&p, &q) in x.ops.iter().zip(&y.ops) {
        bind(&program.op(p).results, &program.op(q).results);
    }
    let agree = |x: &[Value], y: &[Value]| {
        x.len() == y.len() && x.iter().zip(y).all(|(x, y)| numbers.get(x) == Some(y))
    };
    x.ops.len() == y.ops.len()
        && agree(&x.arguments, &y.arguments)
        && agree(&x.results, &y.results)
        && x.ops.iter().zip(&y.ops).all(|(&p, &q)| {
            let (p, q) = (program.op(p), program.op(q));
            is_same(program, p, q) && agree(&p.operands, &q.operands)
        })
}
