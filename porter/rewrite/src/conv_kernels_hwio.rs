//! # Convolution kernels as `[spatial..., in, out]`
//!
//! **What.** Kernels of convolutions, which PyTorch and ONNX hold as `[out, in, spatial...]` (OIHW), lie as
//! `[spatial..., in, out]` (HWIO).
//!
//! **Why on TPU.** Matrix units take the right operand with the contracted features before those that are given. From
//! OIHW the compiler brings each kernel into that order in every run.
//!
//! **Before and after.** `convolution(x, W)` with a kernel numbered `[o, i, 0, 1]` becomes `convolution(x, K)` with one
//! numbered `[0, 1, i, o]`; `x` and the result keep their layouts. Of channels last the compiler makes the same program as
//! of channels first.
//!
//! **Effect on the numbers.** Neutral: the same sums of the same products; in which order a compiler sums may depend on
//! how a kernel lies.
//!
//! **Undo.** A kernel is a `Permute` of the weight, whose inverse is a `Permute`.
//!
//! **Evidence.** docs/rewrites.md, "Kernels of convolutions"; docs/performance.md.

use porter_ir::{
    Op, OpId, Program, Sharding, TensorType, Value,
    ops::{Convolution, ConvolutionLayout},
};

use crate::{
    Edit, Effect, Patch, Port, Rewrite, kernel_name::kernel_name, linear::read_only_as, new_weight::NewWeight,
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct ConvKernelsHwio;

impl Rewrite for ConvKernelsHwio {
    fn name(&self) -> &'static str {
        "conv_kernels_hwio"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for (program, weight, readers) in read_only_as(port, reader) {
            let Some((_, _, expr)) = port.weights.resolve(&weight.name) else { continue };
            let ty = program.ty(weight.value);
            let (order, expr) = (hwio(ty.shape.rank()), expr.clone());
            let permuted_dims = |sharding: &Sharding| Sharding { dims: permuted(&sharding.dims, &order) };
            let kernel = NewWeight {
                name: kernel_name(&weight.name, port, &patch),
                ty: TensorType::new(ty.dtype, permuted(&ty.shape, &order)),
                axes: None,
                sharding: weight.sharding.as_ref().map(permuted_dims),
            };
            patch.weights.push((kernel.name.clone(), kernel.ty.shape.clone(), expr.permute(order)));
            for (at, op, reader) in readers {
                patch.edits[at].push(edit(&port.programs[at], op, reader, kernel.clone()));
            }
        }
        patch.reason = format!(
            "{} kernels of convolutions are read with their features last, the contracted ones first",
            patch.weights.len()
        );
        patch
    }

    fn left_alone(&self) -> Option<String> {
        Some("no weight that convolutions alone read, in the order OIHW".to_owned())
    }
}

/// The dimensions of an OIHW kernel in the order HWIO.
fn hwio(rank: usize) -> Vec<usize> {
    (2..rank).chain([1, 0]).collect()
}

fn permuted<T: Clone>(dims: &[T], order: &[usize]) -> Vec<T> {
    order.iter().filter_map(|&dim| dims.get(dim).cloned()).collect()
}

/// A convolution and its input.
struct Reader {
    input: Value,
    convolution: Convolution,
}

/// The convolution `op`, if it reads `weight` as a kernel in PyTorch's order.
fn reader(program: &Program, op: OpId, weight: Value) -> Option<Reader> {
    let data = program.op(op);
    let (Op::Convolution(convolution), &[input, kernel]) = (&data.op, &data.operands[..]) else {
        return None;
    };
    let oihw = ConvolutionLayout::channels_first(convolution.kernel.spatial.len());
    let reads = kernel == weight && input != weight && convolution.kernel == oihw;
    reads.then(|| Reader { input, convolution: convolution.clone() })
}

fn edit(program: &Program, op: OpId, reader: Reader, kernel: NewWeight) -> Edit {
    let Reader { input, mut convolution } = reader;
    let spatial = convolution.kernel.spatial.len();
    convolution.kernel =
        ConvolutionLayout { spatial: (0..spatial).collect(), feature: spatial, outer: spatial + 1 };
    Edit::one(program, op, move |site| {
        let weight = kernel.read(site)?;
        Ok(vec![site.b.convolution(convolution.clone(), site.value(input)?, weight)?])
    })
}

#[cfg(test)]
mod tests {
    use porter_ir::{Builder, DType};
    use porter_weights::{Expr, WeightMap};

    use super::*;

    fn ty(shape: &[usize]) -> TensorType {
        TensorType::new(DType::F32, shape)
    }

    /// Two convolutions of two groups with one weight, `[6, 2, 3, 5]`.
    fn build(names: &[&str], more: impl Fn(&Builder, Value)) -> Port {
        let b = Builder::new("main");
        let mut x = b.argument("x", ty(&[1, 4, 9, 9])).unwrap();
        let w = b.weight(names[0], ty(&[6, 2, 3, 5])).unwrap();
        let grouped = Convolution { feature_groups: 2, ..Convolution::plain(2, DType::F32) };
        for name in ["y", "z"] {
            let y = b.convolution(grouped.clone(), x, w).unwrap();
            b.result(name, y).unwrap();
            x = b.multiply(x, x).unwrap();
        }
        more(&b, w);
        let mut weights = WeightMap::new();
        for name in names {
            weights.insert(*name, [6, 2, 3, 5], Expr::source(*name));
        }
        Port::new(vec![b.finish()], weights)
    }

    #[test]
    fn convolutions_read_the_permuted_kernel() {
        let port = build(&["conv.weight"], |_, _| ());
        let turned = ConvKernelsHwio.propose(&port).apply(&port).unwrap();
        assert!(turned.programs[0].verify().is_empty());
        let (_, shape, expr) = turned.weights.resolve("conv.kernel").unwrap();
        let permuted = Expr::source("conv.weight").permute([2, 3, 1, 0]);
        assert_eq!((shape.to_vec(), expr.clone()), (vec![3, 5, 2, 6], permuted));
        assert!(turned.weights.resolve("conv.weight").is_none());
        let text = turned.programs[0].to_string();
        assert_eq!(text.matches("[b, f, 0, 1]x[0, 1, i, o]->[b, f, 0, 1]").count(), 2, "{text}");
        assert_eq!(text.matches("feature_group_count = 2").count(), 2, "{text}");
        assert!(ConvKernelsHwio.propose(&turned).is_empty());
    }

    #[test]
    fn a_weight_that_anything_else_reads_stays_as_it_is() {
        let squared = build(&["w"], |b, w| b.result("squared", b.multiply(w, w).unwrap()).unwrap());
        let returned = build(&["w"], |b, w| b.result("same", w).unwrap());
        let both_sides = build(&["w"], |b, w| {
            let same = Convolution { batch_groups: 1, ..Convolution::plain(2, DType::F32) };
            let x = b.argument("more", ty(&[1, 2, 9, 9])).unwrap();
            let y = b.convolution(same, x, w).unwrap();
            b.result("q", y).unwrap();
        });
        for left in [squared, returned] {
            assert!(ConvKernelsHwio.propose(&left).is_empty());
        }
        assert_eq!(ConvKernelsHwio.propose(&both_sides).edits[0].len(), 3);
    }

    #[test]
    fn another_program_that_reads_it_otherwise_keeps_it_too() {
        let mut port = build(&["w"], |_, _| ());
        let other = build(&["w"], |b, w| b.result("same", w).unwrap());
        port.programs.extend(other.programs);
        port.flags.push(Vec::new());
        assert!(ConvKernelsHwio.propose(&port).is_empty());
    }

    #[test]
    fn a_weight_of_an_unknown_origin_and_another_order_are_left_alone() {
        let mut port = build(&["w"], |_, _| ());
        port.weights = WeightMap::new();
        assert!(ConvKernelsHwio.propose(&port).is_empty());
        let b = Builder::new("main");
        let x = b.argument("x", ty(&[1, 4, 9])).unwrap();
        let w = b.weight("w", ty(&[4, 6, 3])).unwrap();
        let mut op = Convolution::plain(1, DType::F32);
        (op.kernel.outer, op.kernel.feature) = (1, 0);
        b.result("y", b.convolution(op, x, w).unwrap()).unwrap();
        let mut weights = WeightMap::new();
        weights.insert("w", [4, 6, 3], Expr::source("w"));
        assert!(ConvKernelsHwio.propose(&Port::new(vec![b.finish()], weights)).is_empty());
    }

    #[test]
    fn a_name_that_is_taken_is_not_taken_again() {
        let port = build(&["a.weight", "a.kernel"], |_, _| ());
        let patch = ConvKernelsHwio.propose(&port);
        assert_eq!(patch.weights[0].0, "a.kernel.kernel");
    }
}
