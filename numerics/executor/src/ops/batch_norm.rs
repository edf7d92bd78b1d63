//! `batch_norm_inference` and `batch_norm_training`.

use porter_ir::ops::{BatchNormInference, BatchNormTraining};

use crate::{array::Array, failure::Outcome, interpreter::Call, lane::Lane, shapes::count};

pub(super) fn inference(op: &BatchNormInference, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x, scale, offset, mean, variance] = call.operands()?;
    let parameters = [scale, offset, mean, variance].map(|x| x.floats());
    let normed = normed(&x, op.feature, op.epsilon, &parameters);
    Ok(vec![Array::of_lane(call.result()?, &Lane::Floats(normed))?])
}

/// The variance is that of the batch itself, not an estimate from it.
pub(super) fn training(op: &BatchNormTraining, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x, scale, offset] = call.operands()?;
    let (values, features) = (x.floats(), x.shape()[op.feature]);
    let inner = count(&x.shape()[op.feature + 1..]);
    let n = values.len().checked_div(features).unwrap_or(0) as f64;
    let per_feature = |of: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0; features];
        for (i, &value) in values.iter().enumerate() {
            let feature = i / inner % features;
            sums[feature] += of(feature, value);
        }
        sums.into_iter().map(|sum| sum / n).collect::<Vec<f64>>()
    };
    let mean = per_feature(&|_, value| value);
    let variance = per_feature(&|feature, value| (value - mean[feature]).powi(2));
    let parameters = [scale.floats(), offset.floats(), mean.clone(), variance.clone()];
    let normed = normed(&x, op.feature, op.epsilon, &parameters);
    let arrays = [normed, mean, variance].into_iter().zip(&call.results);
    Ok(arrays.map(|(values, ty)| Array::of_lane(ty, &Lane::Floats(values))).collect::<Result<_, _>>()?)
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + offset`.
fn normed(
    x: &Array,
    feature: usize,
    epsilon: f32,
    [scale, offset, mean, variance]: &[Vec<f64>; 4],
) -> Vec<f64> {
    let inner = count(&x.shape()[feature + 1..]).max(1);
    let features = x.shape()[feature].max(1);
    let norm = |(i, x): (usize, f64)| {
        let f = i / inner % features;
        (x - mean[f]) / (variance[f] + f64::from(epsilon)).sqrt() * scale[f] + offset[f]
    };
    x.floats().into_iter().enumerate().map(norm).collect()
}
