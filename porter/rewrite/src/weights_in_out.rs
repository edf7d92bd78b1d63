//! # Weights as `[in, out]`
//!
//! **What.** Weights of linear layers, which checkpoints hold as `[out, in]`, lie as `[in, out]`.
//!
//! **Why on TPU.** Matrix units take the right operand with the contracted dimension first. From `[out, in]` the
//! compiler transposes tile by tile on the way: 4 % of a product of many rows, 2 to 4 % of one of few.
//!
//! **Before and after.** `dot_general(x, W[out, in])` over `W`'s second dimension becomes `dot_general(x, K[in, out])`
//! over the first of `K`, the name that Flax gives such a weight. Split along `in` and gathered before it is used
//! (`fsdp`), the parts of `K` are joined as they lie.
//!
//! **Effect on the numbers.** Neutral: the same sums of the same products.
//!
//! **Undo.** A kernel is a `Permute` of the weight, which is its own inverse.
//!
//! **Evidence.** docs/rewrites.md, "Llama-3.1-8B against plain JAX".

use porter_ir::{DotDimensions, Op, OpId, Program, Sharding, TensorType};

use crate::{
    Edit, Effect, Patch, Port, Rewrite,
    kernel_name::kernel_name,
    linear::{Linear, LinearWeight},
    new_weight::NewWeight,
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct WeightsInOut;

impl Rewrite for WeightsInOut {
    fn name(&self) -> &'static str {
        "weights_in_out"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for weight in LinearWeight::all_and_gathered(port) {
            let Some((_, _, expr)) = port.weights.resolve(&weight.name) else { continue };
            let kernel = reversed(&weight, kernel_name(&weight.name, port, &patch));
            patch.weights.push((kernel.name.clone(), kernel.ty.shape.clone(), expr.clone().transpose()));
            for (at, op, layer) in &weight.layers {
                patch.edits[*at].push(edit(&port.programs[*at], *op, kernel.clone(), layer));
            }
        }
        patch.reason =
            format!("{} weights are read with the contracted dimension first", patch.weights.len());
        patch
    }

    fn left_alone(&self) -> Option<String> {
        Some("no weight that linear layers alone read".to_owned())
    }
}

/// A weight the other way round.
fn reversed(weight: &LinearWeight, name: String) -> NewWeight {
    NewWeight {
        name,
        ty: TensorType::new(weight.dtype, [weight.columns, weight.rows]),
        axes: None,
        sharding: weight.sharding.as_ref().map(turned),
    }
}

fn turned(sharding: &Sharding) -> Sharding {
    Sharding { dims: sharding.dims.iter().rev().cloned().collect() }
}

fn edit(program: &Program, op: OpId, kernel: NewWeight, layer: &Linear) -> Edit {
    let (input, output) = (layer.input, layer.output.dtype);
    let last = program.ty(input).shape.rank().saturating_sub(1);
    let gathered = program.giver(layer.weight).and_then(|giver| match &giver.op {
        Op::ShardingConstraint(constraint) => Some(turned(&constraint.sharding)),
        _ => None,
    });
    Edit::one(program, op, move |site| {
        let stored = kernel.read(site)?;
        let weight = match &gathered {
            Some(gathered) => site.b.sharding_constraint(stored, gathered.clone())?,
            None => stored,
        };
        let dimensions = DotDimensions {
            lhs_contracting: vec![last],
            rhs_contracting: vec![0],
            ..DotDimensions::default()
        };
        let x = site.value(input)?;
        Ok(vec![site.b.dot_general(x, weight, dimensions, output)?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, DType};
    use porter_weights::{Expr, WeightMap};

    fn port(tied: bool) -> Port {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3, 8])).unwrap();
        let w = b.scope("embed").weight("weight", TensorType::new(DType::F32, [6, 8])).unwrap();
        b.result("y", b.linear(x, w, DType::F32).unwrap()).unwrap();
        if tied {
            let ids = b.argument("ids", TensorType::new(DType::I32, [2])).unwrap();
            b.result("rows", b.embedding(w, ids).unwrap()).unwrap();
        }
        let mut weights = WeightMap::new();
        weights.insert("embed.weight", [6, 8], Expr::source("w"));
        Port::new(vec![b.finish()], weights)
    }

    #[test]
    fn a_layer_reads_its_transposed_weight() {
        let port = port(false);
        let turned = WeightsInOut.propose(&port).apply(&port).unwrap();
        assert!(turned.programs[0].verify().is_empty());
        let (_, shape, expr) = turned.weights.resolve("embed.kernel").unwrap();
        assert_eq!((shape.to_vec(), expr.clone()), (vec![8, 6], Expr::source("w").transpose()));
        assert!(WeightsInOut.propose(&turned).is_empty());
    }

    #[test]
    fn a_weight_is_gathered_as_its_transpose_lies() {
        let split = |dims: [&[&str]; 2]| Sharding {
            dims: dims.map(|axes| axes.iter().map(ToString::to_string).collect()).to_vec(),
        };
        let b = Builder::new("main");
        b.set_mesh("fsdp=2,tensor=2".parse().unwrap());
        let x = b.argument("x", TensorType::new(DType::F32, [2, 8])).unwrap();
        let w = b.scope("proj").weight("weight", TensorType::new(DType::F32, [6, 8])).unwrap();
        b.shard_input("proj.weight", split([&["tensor"], &["fsdp"]])).unwrap();
        let whole = b.sharding_constraint(w, split([&["tensor"], &[]])).unwrap();
        b.result("y", b.linear(x, whole, DType::F32).unwrap()).unwrap();
        let mut weights = WeightMap::new();
        weights.insert("proj.weight", [6, 8], Expr::source("w"));
        let port = Port::new(vec![b.finish()], weights);
        let turned = WeightsInOut.propose(&port).apply(&port).unwrap().programs.remove(0);
        assert!(turned.verify().is_empty());
        let kernel = turned.inputs().iter().find(|input| input.name == "proj.kernel").unwrap();
        assert_eq!(kernel.sharding, Some(split([&["fsdp"], &["tensor"]])));
        let constraints = turned.ops().filter_map(|(_, data)| match &data.op {
            Op::ShardingConstraint(constraint) => Some(constraint.sharding.clone()),
            _ => None,
        });
        assert_eq!(constraints.collect::<Vec<_>>(), [split([&[], &["tensor"]])]);
    }

    #[test]
    fn a_table_that_is_also_looked_up_stays_as_it_is() {
        assert!(WeightsInOut.propose(&port(true)).is_empty());
    }
}
