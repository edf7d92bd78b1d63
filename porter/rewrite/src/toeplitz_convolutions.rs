//! # Convolutions of one feature as products with Toeplitz matrices
//!
//! **What.** A convolution over time whose input has one feature (a filter bank, a short Fourier transform, a low pass
//! before each octave of a constant-Q transform) becomes one matrix product.
//!
//! **Why on TPU.** Matrix units contract features, and there is one: the compiler takes the window's taps one by one, on
//! one lane of 128. As a product the taps are contracted.
//!
//! **Before and after.** `y[o, t] = Σₖ w[o, k]·x[s·t + k]` becomes `y[o, i·B + b] = Σⱼ W[o, b, j]·x[i·B·s + j]`: `B`
//! results a block, `W[o, b, j] = w[o, j - s·b]` or 0, `j` of `0..k + s·(B - 1)`. The blocks of `x` overlap; they are
//! shifted copies of it side by side. `W` is `w` with zeros after it, repeated, and cut into rows that are `s` shorter
//! than what is repeated.
//!
//! **Effect on the numbers.** Neutral: the same sums of the same products, and products with 0 between them, in another
//! order. An infinity in `x` reaches the other results of its block as NaN.
//!
//! **Undo.** None is needed: weights stay as they are.
//!
//! **Evidence.** docs/rewrites.md, "Convolutions of one feature".

use porter_ir::{
    Builder, DType, Op, OpId, Program, Result, Value,
    ops::{Convolution, ConvolutionLayout, DotDimensions},
    program::OpData,
};

use crate::{Edit, Effect, Patch, Port, Rewrite, Site};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct ToeplitzConvolutions {
    /// A block has so many results at least, of all features together: the lanes of a matrix unit.
    pub lanes: usize,
    /// The most columns of a Toeplitz matrix for a tap: what of its products are with zeros.
    pub most_columns_a_tap: usize,
}

impl Rewrite for ToeplitzConvolutions {
    fn name(&self) -> &'static str {
        "toeplitz_convolutions"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for (program, edits) in port.programs.iter().zip(&mut patch.edits) {
            let found = program.ops().filter_map(|(id, data)| Some((id, Blocks::of(program, data, *self)?)));
            edits.extend(found.map(|(id, blocks)| edit(program, id, blocks)));
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason =
            format!("{count} convolutions read one feature, over which matrix units have nothing to sum");
        patch
    }

    fn left_alone(&self) -> Option<String> {
        Some("no convolution over time of one feature".to_owned())
    }
}

fn edit(program: &Program, op: OpId, blocks: Blocks) -> Edit {
    let operands = program.op(op).operands.clone();
    Edit::one(program, op, move |site| {
        let (Some(&input), Some(&kernel)) = (operands.first(), operands.get(1)) else {
            return Ok(Vec::new());
        };
        Ok(vec![blocks.product(site, input, kernel)?])
    })
}

/// How a convolution is divided into blocks of its results.
#[derive(Clone)]
struct Blocks {
    convolution: Convolution,
    /// Rows of the input; elements before and after which it is cut or padded.
    batch: usize,
    padding: (i64, i64),
    /// Output features, taps, and the distance between two windows.
    features: usize,
    taps: usize,
    stride: usize,
    /// Results of a feature: all of them, in a block, and how many blocks there are.
    results: usize,
    block: usize,
    count: usize,
    /// Elements of the input that a block reads, and how many shifted copies hold them.
    reads: usize,
    copies: usize,
}

impl Blocks {
    /// The blocks of `data`, if it is a convolution of one feature over one dimension that is worth it.
    fn of(program: &Program, data: &OpData, limits: ToeplitzConvolutions) -> Option<Self> {
        let (Op::Convolution(convolution), &[input, kernel], &[result]) =
            (&data.op, &data.operands[..], &data.results[..])
        else {
            return None;
        };
        let window = &convolution.window;
        let (&[stride], &[(low, _)]) = (&window.strides[..], &window.padding[..]) else { return None };
        let size = |value, dim: usize| program.ty(value).shape.get(dim).copied();
        let space = |value, layout: &ConvolutionLayout| size(value, *layout.spatial.first()?);
        let dilated = window.base_dilations != [1] || window.window_dilations != [1];
        let grouped = convolution.feature_groups != 1 || convolution.batch_groups != 1;
        let one = size(kernel, convolution.kernel.feature)? == 1;
        if dilated || grouped || !one || !convolution.dtype.is_float() {
            return None;
        }
        let features = size(kernel, convolution.kernel.outer)?;
        let (taps, length) = (space(kernel, &convolution.kernel)?, space(input, &convolution.input)?);
        let results = space(result, &convolution.output)?;
        let block = limits.lanes.div_ceil(features.max(1));
        let count = results.div_ceil(block);
        let step = block.checked_mul(stride)?;
        let reads = taps.checked_add(step.checked_sub(stride)?)?;
        let copies = reads.div_ceil(step.max(1));
        let held = count.checked_add(copies)?.checked_sub(1)?.checked_mul(step)?;
        let high = i64::try_from(held).ok()?.checked_sub(i64::try_from(length).ok()?)?.checked_sub(low)?;
        let worth = count > 1 && reads <= taps.saturating_mul(limits.most_columns_a_tap);
        worth.then(|| Self {
            convolution: convolution.clone(),
            batch: size(input, convolution.input.outer).unwrap_or(1),
            padding: (low, high),
            features,
            taps,
            stride,
            results,
            block,
            count,
            reads,
            copies,
        })
    }

    fn product(&self, site: &Site<'_>, input: Value, kernel: Value) -> Result<Value> {
        let b = &site.b;
        let x = self.blocks(b, site.value(input)?)?;
        let w = self.toeplitz(b, site.value(kernel)?)?;
        let dimensions =
            DotDimensions { lhs_contracting: vec![2], rhs_contracting: vec![2], ..DotDimensions::default() };
        let y = b.dot_general(x, w, dimensions, self.convolution.dtype)?;
        let Self { batch, features, count, block, results, .. } = *self;
        let y = b.transpose(y, &[0, 2, 1, 3])?;
        let y = b.slice_dim(b.reshape(y, [batch, features, count * block])?, 2, 0, results)?;
        b.transpose(y, &placed(&self.convolution.output))
    }

    /// What each block reads: `[batch, count, reads]`.
    fn blocks(&self, b: &Builder, x: Value) -> Result<Value> {
        let Self { batch, count, reads, copies, .. } = *self;
        let step = self.block * self.stride;
        let x = b.transpose(x, &order(&self.convolution.input))?;
        let shape = b.shape(x);
        let x = b.reshape(x, [batch, shape.elements() / batch.max(1)])?;
        let (low, high) = self.padding;
        let x = b.pad(x, zero(b, x)?, &[0, low], &[0, high], &[0, 0])?;
        let copy =
            |i: usize| b.reshape(b.slice_dim(x, 1, i * step, (i + count) * step)?, [batch, count, step]);
        let copies = (0..copies).map(copy).collect::<Result<Vec<_>>>()?;
        b.slice_dim(b.concatenate(&copies, 2)?, 2, 0, reads)
    }

    /// The kernels at each place of a block: `[features, block, reads]`.
    fn toeplitz(&self, b: &Builder, w: Value) -> Result<Value> {
        let Self { features, taps, stride, block, reads, .. } = *self;
        let w = b.reshape(b.transpose(w, &order(&self.convolution.kernel))?, [features, taps])?;
        let zeros = i64::try_from(reads + stride - taps).unwrap_or(i64::MAX);
        let w = b.pad(w, zero(b, w)?, &[0, 0], &[0, zeros], &[0, 0])?;
        let w = b.broadcast_in_dim(w, [features, block, reads + stride], &[0, 2])?;
        let w = b.reshape(w, [features, block * (reads + stride)])?;
        b.reshape(b.slice_dim(w, 1, 0, block * reads)?, [features, block, reads])
    }
}

fn zero(b: &Builder, like: Value) -> Result<Value> {
    let dtype: DType = b.ty(like).dtype;
    b.full(porter_ir::TensorType::scalar(dtype), 0.0)
}

/// The dimensions of a layout in the order outer, feature, space.
fn order(layout: &ConvolutionLayout) -> Vec<usize> {
    [layout.outer, layout.feature].into_iter().chain(layout.spatial.iter().copied()).collect()
}

/// The way back: where each dimension of a layout lies in that order.
fn placed(layout: &ConvolutionLayout) -> Vec<usize> {
    let order = order(layout);
    (0..order.len()).map(|dim| order.iter().position(|&at| at == dim).unwrap_or(dim)).collect()
}
