//! The operators, one a file, named as ONNX names them.

use crate::context::{Cx, Out};

/// Lowers one node: an item for each output.
pub(crate) type Lower = fn(&Cx<'_, '_>) -> Out;

/// Declares the operators: a domain, a name, a file.
macro_rules! operators {
    ($($domain:literal $name:ident: $module:ident,)*) => {
        $(mod $module;)*

        /// Every operator that has a lowering: domain, name, lowering; sorted by the first two.
        pub(crate) const ALL: &[(&str, &str, Lower)] = &[$(($domain, stringify!($name), $module::lower),)*];
    };
}

operators! {
    "" Abs: abs,
    "" Acos: acos,
    "" Acosh: acosh,
    "" Add: add,
    "" And: and,
    "" ArgMax: arg_max,
    "" ArgMin: arg_min,
    "" Asin: asin,
    "" Asinh: asinh,
    "" Atan: atan,
    "" Atanh: atanh,
    "" BitCast: bit_cast,
    "" BitShift: bit_shift,
    "" BitwiseAnd: bitwise_and,
    "" BitwiseNot: bitwise_not,
    "" BitwiseOr: bitwise_or,
    "" BitwiseXor: bitwise_xor,
    "" Cast: cast,
    "" CastLike: cast_like,
    "" Ceil: ceil,
    "" Celu: celu,
    "" CenterCropPad: center_crop_pad,
    "" Clip: clip,
    "" Compress: compress,
    "" Concat: concat,
    "" Constant: constant,
    "" ConstantOfShape: constant_of_shape,
    "" Cos: cos,
    "" Cosh: cosh,
    "" CumProd: cum_prod,
    "" CumSum: cum_sum,
    "" DepthToSpace: depth_to_space,
    "" Div: div,
    "" Dropout: dropout,
    "" Elu: elu,
    "" Equal: equal,
    "" Erf: erf,
    "" Exp: exp,
    "" Expand: expand,
    "" EyeLike: eye_like,
    "" Flatten: flatten,
    "" Floor: floor,
    "" Gather: gather,
    "" GatherElements: gather_elements,
    "" GatherND: gather_nd,
    "" Gelu: gelu,
    "" Greater: greater,
    "" GreaterOrEqual: greater_or_equal,
    "" HardSigmoid: hard_sigmoid,
    "" HardSwish: hard_swish,
    "" Hardmax: hardmax,
    "" Identity: identity,
    "" IsInf: is_inf,
    "" IsNaN: is_na_n,
    "" LeakyRelu: leaky_relu,
    "" Less: less,
    "" LessOrEqual: less_or_equal,
    "" Log: log,
    "" LogSoftmax: log_softmax,
    "" Max: max,
    "" Mean: mean,
    "" Min: min,
    "" Mish: mish,
    "" Mod: mod_,
    "" Mul: mul,
    "" Neg: neg,
    "" Not: not,
    "" OneHot: one_hot,
    "" Or: or,
    "" PRelu: p_relu,
    "" Pad: pad,
    "" Pow: pow,
    "" Range: range,
    "" Reciprocal: reciprocal,
    "" ReduceL1: reduce_l1,
    "" ReduceL2: reduce_l2,
    "" ReduceLogSum: reduce_log_sum,
    "" ReduceLogSumExp: reduce_log_sum_exp,
    "" ReduceMax: reduce_max,
    "" ReduceMean: reduce_mean,
    "" ReduceMin: reduce_min,
    "" ReduceProd: reduce_prod,
    "" ReduceSum: reduce_sum,
    "" ReduceSumSquare: reduce_sum_square,
    "" Relu: relu,
    "" Reshape: reshape,
    "" ReverseSequence: reverse_sequence,
    "" Round: round,
    "" Scatter: scatter,
    "" ScatterElements: scatter_elements,
    "" ScatterND: scatter_nd,
    "" Selu: selu,
    "" Shape: shape,
    "" Shrink: shrink,
    "" Sigmoid: sigmoid,
    "" Sign: sign,
    "" Sin: sin,
    "" Sinh: sinh,
    "" Size: size,
    "" Slice: slice,
    "" Softmax: softmax,
    "" Softplus: softplus,
    "" Softsign: softsign,
    "" SpaceToDepth: space_to_depth,
    "" Split: split,
    "" Sqrt: sqrt,
    "" Squeeze: squeeze,
    "" Sub: sub,
    "" Sum: sum,
    "" Swish: swish,
    "" Tan: tan,
    "" Tanh: tanh,
    "" ThresholdedRelu: thresholded_relu,
    "" Tile: tile,
    "" TopK: top_k,
    "" Transpose: transpose,
    "" Trilu: trilu,
    "" Unsqueeze: unsqueeze,
    "" Where: where_,
    "" Xor: xor,
}

/// The lowering of an operator.
pub(crate) fn find(domain: &str, name: &str) -> Option<Lower> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    let at = ALL.binary_search_by(|&(d, n, _)| (d, n).cmp(&(domain, name))).ok()?;
    ALL.get(at).map(|&(_, _, lower)| lower)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted() {
        assert!(super::ALL.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
    }
}
