//! `scatter`: slices folded into computed places, in the order of the updates.

use porter_ir::ops::Scatter;

use super::gather::Vectors;
use crate::{
    array::Array,
    body::{Body, Fold},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
    ops::reduce::combine,
    shapes::{Indices, others, pick, position, strides},
};

pub(super) fn execute(op: &Scatter, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let count = call.operands.len() / 2;
    let (inputs, rest) = call.operands.split_at(count);
    let (indices, updates) = rest.split_first().ok_or("takes inputs, indices and updates")?;
    let mut lanes: Vec<Lane> = inputs.iter().map(Array::lane).collect();
    let places = places(op, inputs.first().ok_or("takes at least one input")?, indices, updates)?;
    // Batch dimensions outermost, as the places are.
    let rank = updates.first().map_or(0, |update| update.shape().rank());
    let d = &op.dimensions.update_window_dims;
    let order = [others(rank, d), d.clone()].concat();
    let updates: Vec<Lane> = updates.iter().map(|update| update.permuted(&order).lane()).collect();
    fold_into(&Body::new(call.interpreter, call.region(0)?), &mut lanes, &updates, &places)?;
    let arrays = lanes.iter().zip(&call.results).map(|(lane, ty)| Array::of_lane(ty, lane));
    Ok(arrays.collect::<Result<_, _>>()?)
}

/// For each element of the updates, batch dimensions outermost, its place in the input; none where its
/// slice does not fit.
fn places(op: &Scatter, input: &Array, indices: &Array, updates: &[Array]) -> Outcome<Vec<Option<usize>>> {
    let d = &op.dimensions;
    let (vectors, shape) = (Vectors::of(indices, d.index_vector_dim), input.shape());
    let update = updates.first().ok_or("takes at least one update")?;
    let window = pick(update.shape(), &d.update_window_dims);
    let left_out = [&d.inserted_window_dims[..], &d.input_batching_dims].concat();
    let window_dims = others(shape.rank(), &left_out);
    let steps = strides(shape);
    let window_steps = pick(&steps, &window_dims);
    let mut extents = vec![1; shape.rank()];
    for (&dim, &size) in window_dims.iter().zip(&window) {
        extents[dim] = size;
    }
    let mut places = Vec::with_capacity(update.elements());
    let mut batch = Indices::of(&vectors.batch);
    while let Some(index) = batch.next() {
        let mut start = vec![0_i128; shape.rank()];
        for (entry, &dim) in vectors.at(index).into_iter().zip(&d.scatter_dims_to_operand_dims) {
            start[dim] = entry;
        }
        for (&dim, &of_indices) in d.input_batching_dims.iter().zip(&d.scatter_indices_batching_dims) {
            start[dim] = index[vectors.batch_position(of_indices)] as i128;
        }
        let fits = (0..shape.rank())
            .all(|dim| start[dim] >= 0 && start[dim] + extents[dim] as i128 <= shape[dim] as i128);
        let base: usize =
            if fits { start.iter().zip(&steps).map(|(&i, step)| i as usize * step).sum() } else { 0 };
        let mut within = Indices::of(&window);
        while let Some(index) = within.next() {
            places.push(fits.then(|| base + position(index, &window_steps)));
        }
    }
    Ok(places)
}

/// Folds element `i` of the updates into the inputs at place `i`, one after another.
pub(super) fn fold_into(
    body: &Body<'_>,
    inputs: &mut [Lane],
    updates: &[Lane],
    places: &[Option<usize>],
) -> Outcome<()> {
    if let Some(returned) = body.returns_arguments() {
        return keep(&returned, inputs, updates, places);
    }
    if let (Some(fold), [input], [update]) = (body.fold(), &mut *inputs, updates) {
        simple(fold, input, update, places);
        // An element is rounded once, however much was folded into it.
        return Ok(());
    }
    for (i, place) in places.iter().enumerate() {
        let Some(place) = *place else { continue };
        let here = inputs.iter().map(|input| input.repeated(place, 1));
        let arguments = here.chain(updates.iter().map(|update| update.repeated(i, 1))).collect();
        for (input, folded) in inputs.iter_mut().zip(body.call(arguments, 1)?) {
            input.put(&[place], &folded);
        }
    }
    Ok(())
}

/// A body that gives back some of its arguments: the last update at a place stays, or nothing changes.
fn keep(returned: &[usize], inputs: &mut [Lane], updates: &[Lane], places: &[Option<usize>]) -> Outcome<()> {
    let count = inputs.len();
    for (i, place) in places.iter().enumerate() {
        let Some(place) = *place else { continue };
        let before: Vec<Lane> = inputs.iter().map(|input| input.repeated(place, 1)).collect();
        for (input, &argument) in inputs.iter_mut().zip(returned) {
            let kept = match argument.checked_sub(count) {
                None => before.get(argument).cloned(),
                Some(update) => updates.get(update).map(|update| update.repeated(i, 1)),
            };
            input.put(&[place], &kept.ok_or("an argument is not there")?);
        }
    }
    Ok(())
}

fn simple(fold: Fold, input: &mut Lane, update: &Lane, places: &[Option<usize>]) {
    let places = places.iter().enumerate().filter_map(|(i, place)| place.map(|place| (i, place)));
    match (input, update) {
        (Lane::Floats(input), Lane::Floats(update)) => {
            places.for_each(|(i, place)| input[place] = combine(fold).0(input[place], update[i]));
        }
        (Lane::Integers(input), Lane::Integers(update)) => {
            places.for_each(|(i, place)| input[place] = combine(fold).1(input[place], update[i]));
        }
        _ => {}
    }
}
