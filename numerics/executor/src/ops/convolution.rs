//! `convolution`: Burn's for floats of one to three spatial dimensions, else a loop over everything.

use std::{
    num::Wrapping,
    ops::{Add, Mul},
};

use burn_backend::ops::{ConvOptions, ModuleOps};
use burn_flex::{Flex, FlexTensor};
use porter_ir::{
    DType, TensorType,
    ops::{Convolution, ConvolutionLayout, Pad},
};

use super::{pad::padded, windows::seen};
use crate::{
    array::{Array, burn_shape},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
    shapes::{Indices, inverse, pick},
};

pub(super) fn execute(op: &Convolution, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [input, kernel] = call.operands()?;
    let result = call.result()?.clone();
    let input = input.permuted(&dims(&op.input)).contiguous();
    let kernel = kernel.permuted(&dims(&op.kernel)).contiguous();
    let order = dims(&op.output);
    let ty = TensorType::new(result.dtype, pick(&result.shape, &order));
    let exact = !(input.dtype().is_float() || kernel.dtype().is_float() || result.dtype.is_float());
    let output = if exact {
        let wide =
            |x: &Array| x.integers().into_iter().map(|value| Wrapping(value as i64)).collect::<Vec<_>>();
        let sums = direct(op, (&wide(&input), input.shape()), (&wide(&kernel), kernel.shape()), &ty.shape);
        Array::of_lane(&ty, &Lane::Integers(sums.into_iter().map(|sum| sum.0.into()).collect()))?
    } else if (1..=3).contains(&op.input.spatial.len()) && input.elements() > 0 && kernel.elements() > 0 {
        let wide = [input.dtype(), kernel.dtype(), result.dtype].contains(&DType::F64);
        let dtype = if wide { DType::F64 } else { DType::F32 };
        by_burn(op, &input.as_float(dtype)?, &kernel.as_float(dtype)?, &ty)?
    } else {
        let (x, w) = (input.floats(), kernel.floats());
        let sums = direct(op, (&x, input.shape()), (&w, kernel.shape()), &ty.shape);
        Array::of_lane(&ty, &Lane::Floats(sums))?
    };
    Ok(vec![output.permuted(&inverse(&order))])
}

/// Batch or output features, features, space.
fn dims(layout: &ConvolutionLayout) -> Vec<usize> {
    [&[layout.outer, layout.feature], &layout.spatial[..]].concat()
}

/// Padding and dilation of the input are written out, groups of the batch taken one by one.
fn by_burn(op: &Convolution, input: &Array, kernel: &Array, ty: &TensorType) -> Outcome<Array> {
    let zero = vec![0; input.dtype().host_bytes()];
    let pad = Pad {
        low: [0, 0].into_iter().chain(op.window.padding.iter().map(|&(low, _)| low)).collect(),
        high: [0, 0].into_iter().chain(op.window.padding.iter().map(|&(_, high)| high)).collect(),
        interior: [0, 0].into_iter().chain(op.window.base_dilations.iter().map(|d| d - 1)).collect(),
    };
    let sizes = input.shape().iter().zip(&pad.interior).zip(pad.low.iter().zip(&pad.high));
    let shape: Vec<usize> = sizes
        .map(|((&size, &interior), (&low, &high))| {
            let spread = size + size.saturating_sub(1) * interior;
            (spread as i128 + i128::from(low) + i128::from(high)).max(0) as usize
        })
        .collect();
    crate::array::check_size(&TensorType::new(input.dtype(), shape.clone()))?;
    let input = padded(input, &zero, &pad, &shape.into())?;
    let groups = op.batch_groups;
    let (batch, features) = (input.shape()[0] / groups, kernel.shape()[0] / groups);
    let mut parts = Vec::with_capacity(groups);
    for group in 0..groups {
        let part = |x: &Array, size: usize| {
            let (mut starts, mut sizes) = (vec![0; x.shape().rank()], x.shape().to_vec());
            (starts[0], sizes[0]) = (group * size, size);
            let steps = vec![1; sizes.len()];
            super::slice::part(x, &starts, &sizes, &steps)
        };
        let (x, w) =
            (part(&input, batch)?.contiguous().compact(), part(kernel, features)?.contiguous().compact());
        let convolved = convolve(op, x.into_flex(), w.into_flex());
        let mut shape = ty.shape.to_vec();
        shape[1] /= groups;
        let convolved = convolved.to_contiguous().reshape(burn_shape(&shape));
        parts.push(Array::from_flex(TensorType::new(input.dtype(), shape), &convolved));
    }
    let whole = match &parts[..] {
        [part] => part.clone(),
        parts => {
            let joined = TensorType::new(input.dtype(), ty.shape.clone());
            let mut whole = Array::new(joined.clone(), crate::array::allocate(&joined)?);
            let mut starts = vec![0; ty.shape.rank()];
            for part in parts {
                super::dynamic_update_slice::write(&mut whole, part, &starts);
                starts[1] += part.shape()[1];
            }
            whole
        }
    };
    Ok(whole.as_float(ty.dtype)?)
}

fn convolve(op: &Convolution, x: FlexTensor, w: FlexTensor) -> FlexTensor {
    let groups = op.feature_groups;
    match (&op.window.strides[..], &op.window.window_dilations[..]) {
        (&[s], &[d]) => Flex::conv1d(x, w, None, ConvOptions::new([s], [0], [d], groups)),
        (&[s, t], &[d, e]) => Flex::conv2d(x, w, None, ConvOptions::new([s, t], [0; 2], [d, e], groups)),
        (&[s, t, u], &[d, e, f]) => {
            Flex::conv3d(x, w, None, ConvOptions::new([s, t, u], [0; 3], [d, e, f], groups))
        }
        // The caller has one to three.
        _ => x,
    }
}

/// The sums of the definition, in the order batch, features, space.
fn direct<T: Copy + Default + Add<Output = T> + Mul<Output = T>>(
    op: &Convolution,
    (x, x_shape): (&[T], &[usize]),
    (w, w_shape): (&[T], &[usize]),
    result: &[usize],
) -> Vec<T> {
    let (space, window) = (&x_shape[2..], &w_shape[2..]);
    let (taken, outputs) = (w_shape[1], w_shape[0]);
    let (area, room): (usize, usize) = (space.iter().product(), window.iter().product());
    let mut sums = Vec::new();
    let mut places = Indices::of(result);
    while let Some(place) = places.next() {
        let (batch, output) = (place[0], place[1]);
        // A group of features, or of the batch, has outputs of its own.
        let feature = output / (outputs / op.feature_groups) * taken;
        let image = output / (outputs / op.batch_groups) * (x_shape[0] / op.batch_groups) + batch;
        let mut sum = T::default();
        let (mut offsets, mut k) = (Indices::of(window), 0);
        while let Some(offset) = offsets.next() {
            if let Some(at) = seen(&op.window, space, &place[2..], offset) {
                for i in 0..taken {
                    let element = x[(image * x_shape[1] + feature + i) * area + at];
                    sum = sum + element * w[(output * taken + i) * room + k];
                }
            }
            k += 1;
        }
        sums.push(sum);
    }
    sums
}
