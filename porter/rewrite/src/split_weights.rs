//! # Split weights
//!
//! **What.** A linear layer whose weight is larger than what fits vector memory beside the weights in use becomes
//! several, each with some of its rows, and their results side by side.
//!
//! **Why on TPU.** The compiler fetches a weight to vector memory while the step before it runs, if it fits whole;
//! what does not is streamed by the product itself, which waits for its first tiles every time: 0.75 to 0.87 of HBM's
//! bandwidth. In pieces every weight is fetched ahead and a decode step is bound by HBM alone. The products of prefill
//! are shorter in one dimension: down projections gain a tenth, others nothing. A weight of very many pieces (the head)
//! stays whole: it waits once for much, and its pieces cost the compiler more than they gain. So does one of two
//! whose products are sums over devices: joining what was exchanged costs a prefill more than a decode step gains; and so
//! does a stacked weight whose pieces would be what it was stacked of.
//!
//! **Before and after.** `y = x·Wᵀ` becomes `y = [x·W₀ᵀ, x·W₁ᵀ, ...]`, `W₀`, `W₁` being rows of `W`: of each device's
//! rows where these are divided over a mesh, so that a device's rows stay its own.
//!
//! **Effect on the numbers.** Neutral: every element of the result is the same sum; a compiler may tile it otherwise.
//!
//! **Undo.** A piece is a `Slice` of the weight; all pieces together are the weight.
//!
//! **Evidence.** docs/rewrites.md, "Llama-3.1-8B against plain JAX".

use std::collections::HashMap;

use porter_ir::{Builder, Op, OpId, Program, Result, Shape, TensorType, Value, ops::Slice};
use porter_weights::Expr;

use crate::{
    Edit, Effect, Patch, Port, Rewrite,
    linear::{Linear, LinearWeight, reads, sharded_weight},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct SplitWeights {
    /// The largest piece, in bytes a device.
    pub most_bytes: usize,
    /// A weight of more pieces stays whole.
    pub most_pieces: usize,
    /// The rows of a piece are a multiple of this.
    pub tile: usize,
}

impl Rewrite for SplitWeights {
    fn name(&self) -> &'static str {
        "split_weights"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        let mut count = 0;
        let readers: Vec<_> = port.programs.iter().map(reads).collect();
        for weight in LinearWeight::all(port) {
            let Some(pieces) = Pieces::of(&weight, *self) else { continue };
            if pieces.parts == 1
                && weight
                    .layers
                    .iter()
                    .all(|(at, op, _)| cut_anyway(&port.programs[*at], &readers[*at], *op, &pieces.bounds))
            {
                continue;
            }
            let Some((_, _, expr)) = port.weights.resolve(&weight.name) else { continue };
            count += 1;
            patch.weights.extend(pieces.weights(expr));
            for (at, op, layer) in &weight.layers {
                patch.edits[*at].push(edit(&port.programs[*at], *op, pieces.clone(), layer));
            }
        }
        patch.reason = format!(
            "{count} weights of more than {} MiB a device are not fetched ahead whole",
            self.most_bytes >> 20
        );
        patch
    }

    fn left_alone(&self) -> Option<String> {
        let (most, pieces) = (self.most_bytes >> 20, self.most_pieces);
        Some(format!("no weight of more than {most} MiB a device that at most {pieces} pieces divide"))
    }
}

/// Whether all that read the results of `op` cut them where pieces of its weight's rows end.
fn cut_anyway(
    program: &Program,
    readers: &HashMap<Value, Vec<OpId>>,
    op: OpId,
    bounds: &[(usize, usize)],
) -> bool {
    let cuts = |&reader: &OpId| match &program.op(reader).op {
        Op::Slice(Slice { starts, limits, .. }) => {
            starts.last().zip(limits.last()).is_some_and(|(&start, &limit)| bounds.contains(&(start, limit)))
        }
        _ => false,
    };
    let results = &program.op(op).results;
    results.iter().all(|result| readers.get(result).is_some_and(|ops| ops.iter().all(cuts)))
}

/// How a weight is cut.
#[derive(Clone)]
struct Pieces {
    name: String,
    columns: usize,
    dtype: porter_ir::DType,
    sharding: Option<porter_ir::Sharding>,
    /// Devices that share the rows.
    parts: usize,
    /// Where a device's pieces begin and end among its rows.
    bounds: Vec<(usize, usize)>,
}

impl Pieces {
    fn of(weight: &LinearWeight, limits: SplitWeights) -> Option<Self> {
        let [parts, summed] = weight.parts;
        let own = weight.rows / parts.max(1);
        let bytes = weight.device_bytes();
        let fits = |step: &usize| bytes / own.max(1) * step <= limits.most_bytes;
        let steps = (1..=limits.most_pieces.min(own)).map(|count| {
            let whole_tiles = own.div_ceil(count).next_multiple_of(limits.tile.max(1));
            whole_tiles.min(own)
        });
        let step = steps.into_iter().find(fits)?;
        let few = summed > 1 && bytes <= 2 * limits.most_bytes;
        (own * parts == weight.rows && step < own && !few).then(|| Self {
            name: weight.name.clone(),
            columns: weight.columns,
            dtype: weight.dtype,
            sharding: weight.sharding.clone(),
            parts,
            bounds: (0..own).step_by(step).map(|start| (start, own.min(start + step))).collect(),
        })
    }

    /// `model.layers.0.mlp.down_proj.weight[0:1024]`.
    fn piece_name(&self, (start, end): (usize, usize)) -> String {
        format!("{}[{start}:{end}]", self.name)
    }

    fn ty(&self, (start, end): (usize, usize)) -> TensorType {
        TensorType::new(self.dtype, [self.parts * (end - start), self.columns])
    }

    fn weights(&self, whole: &Expr) -> impl Iterator<Item = (String, Shape, Expr)> {
        let own = self.bounds.last().map_or(0, |&(_, end)| end);
        self.bounds.iter().map(move |&(start, end)| {
            let apart = whole.clone().reshape([self.parts, own, self.columns]);
            let rows = apart.slice([0..self.parts, start..end, 0..self.columns]);
            let shape = self.ty((start, end)).shape;
            (self.piece_name((start, end)), shape.clone(), rows.reshape(shape))
        })
    }
}

fn edit(program: &Program, op: OpId, pieces: Pieces, layer: &Linear) -> Edit {
    let (input, output) = (layer.input, layer.output.dtype);
    Edit::one(program, op, move |site| {
        let x = site.value(input)?;
        let results = pieces.bounds.iter().map(|&bounds| {
            let name = pieces.piece_name(bounds);
            let weight = sharded_weight(site, &name, pieces.ty(bounds), pieces.sharding.as_ref())?;
            site.b.linear(x, weight, output)
        });
        let results = results.collect::<Result<Vec<_>>>()?;
        Ok(vec![side_by_side(&site.b, &results, pieces.parts)?])
    })
}

/// `[.., parts · n]` each, joined so that a part's columns stay together.
fn side_by_side(b: &Builder, values: &[Value], parts: usize) -> Result<Value> {
    let split = |&value: &Value| {
        let mut shape = b.shape(value).to_vec();
        let last = shape.pop().unwrap_or(1);
        shape.extend([parts, last / parts.max(1)]);
        b.reshape(value, shape)
    };
    if parts == 1 {
        let last = values.first().map_or(0, |&value| b.shape(value).rank().saturating_sub(1));
        return b.concatenate(values, last);
    }
    let values = values.iter().map(split).collect::<Result<Vec<_>>>()?;
    let last = values.first().map_or(0, |&value| b.shape(value).rank().saturating_sub(1));
    let all = b.concatenate(&values, last)?;
    let mut shape = b.shape(all).to_vec();
    let inner = shape.pop().unwrap_or(1);
    if let Some(outer) = shape.last_mut() {
        *outer *= inner;
    }
    b.reshape(all, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{DType, Mesh, Sharding};
    use porter_weights::WeightMap;

    fn split(most_bytes: usize) -> SplitWeights {
        SplitWeights { most_bytes, most_pieces: 4, tile: 256 }
    }

    fn port(sharded: Option<[Vec<String>; 2]>) -> Port {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [8, 64])).unwrap();
        let w = b.scope("proj").weight("weight", TensorType::new(DType::BF16, [2048, 64])).unwrap();
        b.result("y", b.linear(x, w, DType::F32).unwrap()).unwrap();
        if let Some(dims) = sharded {
            b.set_mesh(Mesh { axes: vec![("tensor".into(), 2)] });
            b.shard_input("proj.weight", Sharding { dims: dims.to_vec() }).unwrap();
        }
        let mut weights = WeightMap::new();
        weights.insert("proj.weight", [2048, 64], Expr::source("w"));
        Port::new(vec![b.finish()], weights)
    }

    #[test]
    fn a_large_weight_becomes_pieces_whose_results_are_joined() {
        let port = port(None);
        let apart = split(1 << 17).propose(&port).apply(&port).unwrap();
        let program = &apart.programs[0];
        assert!(program.verify().is_empty());
        let names: Vec<&str> = program.inputs().iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["x", "proj.weight[0:1024]", "proj.weight[1024:2048]"]);
        assert_eq!(apart.weights.parameters().len(), 2);
        assert!(split(1 << 18).propose(&port).is_empty(), "it is small enough");
        assert!(split(1 << 15).propose(&port).is_empty(), "too many pieces");
    }

    /// Of 2048 rows, which two pieces would cut at 1024.
    #[test]
    fn pieces_that_a_weight_was_stacked_of_stay_stacked() {
        let stacked = |cut: usize| {
            let b = Builder::new("main");
            let x = b.argument("x", TensorType::new(DType::BF16, [8, 64])).unwrap();
            let w = b.weight("gate_up", TensorType::new(DType::BF16, [2048, 64])).unwrap();
            let both = b.linear(x, w, DType::F32).unwrap();
            b.result("gate", b.slice_dim(both, 1, 0, cut).unwrap()).unwrap();
            b.result("up", b.slice_dim(both, 1, cut, 2048).unwrap()).unwrap();
            let mut weights = WeightMap::new();
            weights.insert("gate_up", [2048, 64], Expr::source("w"));
            Port::new(vec![b.finish()], weights)
        };
        assert!(split(1 << 17).propose(&stacked(1024)).is_empty());
        assert!(!split(1 << 17).propose(&stacked(1536)).is_empty(), "pieces cross its parts");
        assert!(!split(1 << 16).propose(&stacked(1024)).is_empty(), "pieces are smaller than its parts");
    }

    #[test]
    fn a_devices_rows_stay_its_own() {
        let port = port(Some([vec!["tensor".into()], vec![]]));
        let apart = split(1 << 16).propose(&port).apply(&port).unwrap();
        let program = &apart.programs[0];
        let piece = &program.inputs()[1];
        assert_eq!(program.ty(piece.value).shape.to_vec(), [1024, 64]);
        assert_eq!(piece.sharding.as_ref().map(|s| s.dims[0].len()), Some(1));
        let (_, _, expr) = apart.weights.resolve("proj.weight[0:512]").unwrap();
        let whole = Expr::source("w").reshape([2, 1024, 64]);
        assert_eq!(*expr, whole.slice([0..2, 0..512, 0..64]).reshape([1024, 64]));
        assert_eq!(program.ops().filter(|(_, op)| matches!(op.op, Op::DotGeneral(_))).count(), 2);
        assert!(program.verify().is_empty());
    }

    #[test]
    fn a_weight_of_two_pieces_whose_products_are_summed_over_devices_stays_whole() {
        let port = port(Some([vec![], vec!["tensor".into()]]));
        assert!(split(1 << 16).propose(&port).is_empty());
        assert!(!split(1 << 15).propose(&port).is_empty());
    }
}
