//! # Products in bf16
//!
//! **What.** Operands of matrix products and convolutions in f32 are rounded to bf16; sums and results stay f32. A weight
//! that such products alone read is stored so.
//!
//! **Why on TPU.** Matrix units multiply bf16. A product of f32 as exact as its type is six products of parts of its
//! operands, and its weights are twice the bytes.
//!
//! **Before and after.** `dot(x, w)` becomes `dot(bf16(x), bf16(w))`, `f32` both times; products inside attention too.
//!
//! **Effect on the numbers.** Approximate: each operand is off by at most 2^-9 of itself, rounded once. What the products
//! are summed in stays f32.
//!
//! **Undo.** None for weights that are not bf16 numbers already: rounding loses them. The checkpoint has them.
//!
//! **Evidence.** docs/onnx.md, "Layout".

use std::collections::BTreeMap;

use porter_ir::{DType, Op, OpId, Program, TensorType, Value, program::OpData};

use crate::{Edit, Effect, Patch, Port, Rewrite, linear::read_only_as, new_weight::NewWeight};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Bf16Products;

impl Rewrite for Bf16Products {
    fn name(&self) -> &'static str {
        "bf16_products"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Approximate, port);
        let mut stored: BTreeMap<String, NewWeight> = BTreeMap::new();
        for (program, weight, _) in
            read_only_as(port, |program, op, _| is_wide(program, program.op(op)).then_some(()))
        {
            let Some((_, shape, expr)) = port.weights.resolve(&weight.name) else { continue };
            patch.weights.push((weight.name.clone(), shape.clone(), expr.clone().cast(DType::BF16)));
            let narrow = NewWeight {
                name: weight.name.clone(),
                ty: TensorType::new(DType::BF16, shape.clone()),
                axes: program.value(weight.value).axes.clone(),
                sharding: weight.sharding.clone(),
            };
            stored.insert(weight.name.clone(), narrow);
        }
        for (program, edits) in port.programs.iter().zip(&mut patch.edits) {
            let wide = program.ops().filter(|(_, data)| is_wide(program, data));
            edits.extend(wide.map(|(id, _)| edit(program, id, &stored)));
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason =
            format!("{count} products take operands in bf16, {} weights are stored so", stored.len());
        patch
    }
}

/// Whether `data` is a product of f32 operands.
fn is_wide(program: &Program, data: &OpData) -> bool {
    let product = matches!(data.op, Op::DotGeneral(_) | Op::Convolution(_));
    let mut types = data.operands.iter().chain(&data.results).map(|&value| program.ty(value).dtype);
    product && types.all(|dtype| dtype == DType::F32)
}

/// An operand of a product.
enum Operand {
    Wide(Value),
    Stored(NewWeight),
}

fn edit(program: &Program, op: OpId, stored: &BTreeMap<String, NewWeight>) -> Edit {
    let operand = |&value: &Value| {
        let input = program.inputs().iter().find(|input| input.value == value);
        let stored = input.and_then(|input| stored.get(&input.name));
        stored.map_or(Operand::Wide(value), |weight| Operand::Stored(weight.clone()))
    };
    let operands: Vec<Operand> = program.op(op).operands.iter().map(operand).collect();
    Edit::one(program, op, move |site| {
        let narrow = operands.iter().map(|operand| match operand {
            Operand::Wide(value) => site.b.convert(site.value(*value)?, DType::BF16),
            Operand::Stored(weight) => weight.read(site),
        });
        let narrow = narrow.collect::<porter_ir::Result<Vec<_>>>()?;
        site.repeat(&site.b, op, &narrow)
    })
}

#[cfg(test)]
mod tests {
    use porter_ir::{
        Builder,
        ops::{Convolution, DotDimensions},
    };
    use porter_weights::{Expr, WeightMap};

    use super::*;

    fn ty(dtype: DType, shape: &[usize]) -> TensorType {
        TensorType::new(dtype, shape)
    }

    #[test]
    fn products_read_bf16_and_give_f32_and_their_own_weights_are_stored_so() {
        let b = Builder::new("main");
        let (x, image) =
            (b.argument("x", ty(DType::F32, &[2, 8])), b.argument("image", ty(DType::F32, &[1, 3, 9, 9])));
        let (x, image) = (x.unwrap(), image.unwrap());
        let mut weights = WeightMap::new();
        let weight = |weights: &mut WeightMap, name: &str, shape: &[usize]| {
            weights.insert(name, shape, Expr::source(name));
            b.weight(name, ty(DType::F32, shape)).unwrap()
        };
        let kernel = weight(&mut weights, "kernel", &[4, 3, 3, 3]);
        let own = weight(&mut weights, "own", &[8, 6]);
        let shared = weight(&mut weights, "shared", &[6, 8]);
        let contracted =
            DotDimensions { lhs_contracting: vec![1], rhs_contracting: vec![0], ..DotDimensions::default() };
        let y = b.dot_general(x, own, contracted, DType::F32).unwrap();
        let z = b.linear(x, shared, DType::F32).unwrap();
        b.result("y", b.add(y, z).unwrap()).unwrap();
        b.result("doubled", b.add(shared, shared).unwrap()).unwrap();
        b.result("seen", b.convolution(Convolution::plain(2, DType::F32), image, kernel).unwrap()).unwrap();
        let port = Port::new(vec![b.finish()], weights);
        let narrow = Bf16Products.propose(&port).apply(&port).unwrap();
        let program = &narrow.programs[0];
        assert!(program.verify().is_empty(), "{:?}", program.verify());
        let dtype =
            |name: &str| program.ty(program.inputs().iter().find(|i| i.name == name).unwrap().value).dtype;
        let found = ["kernel", "own", "shared", "x"].map(dtype);
        assert_eq!(found, [DType::BF16, DType::BF16, DType::F32, DType::F32]);
        let (_, _, expr) = narrow.weights.resolve("kernel").unwrap();
        assert_eq!(*expr, Expr::source("kernel").cast(DType::BF16));
        assert!(program.outputs().iter().all(|output| program.ty(output.value).dtype == DType::F32));
        assert!(Bf16Products.propose(&narrow).is_empty());
    }
}
