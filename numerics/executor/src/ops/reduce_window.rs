//! `reduce_window`: windows folded by a function, all places at once.

use porter_ir::ops::ReduceWindow;

use super::windows::seen;
use crate::{
    array::Array, body::Body, failure::Outcome, interpreter::Call, lane::Lane, ops::reduce::combine,
    shapes::Indices,
};

pub(super) fn execute(op: &ReduceWindow, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let (inputs, inits) = call.operands.split_at(call.operands.len() / 2);
    let shape = inputs.first().ok_or("takes at least one tensor")?.shape();
    let places = &call.result()?.shape;
    let n = places.elements();
    let lanes: Vec<Lane> = inputs.iter().map(Array::lane).collect();
    let mut folded: Vec<Lane> = inits.iter().map(|init| init.lane().repeated(0, n)).collect();
    let body = Body::new(call.interpreter, call.region(0)?);
    let mut offsets = Indices::of(&op.sizes);
    while let Some(offset) = offsets.next() {
        let offset = offset.to_vec();
        let (mut to, mut from) = (Vec::new(), Vec::new());
        let (mut indices, mut i) = (Indices::of(places), 0);
        while let Some(place) = indices.next() {
            if let Some(element) = seen(&op.window, shape, place, &offset) {
                to.push(i);
                from.push(element);
            }
            i += 1;
        }
        if let (Some(fold), [so_far], [lane]) = (body.fold(), &mut folded[..], &lanes[..]) {
            // A sum of floats is rounded once, at the end.
            match (so_far, lane) {
                (Lane::Floats(so_far), Lane::Floats(lane)) => to
                    .iter()
                    .zip(&from)
                    .for_each(|(&to, &from)| so_far[to] = combine(fold).0(so_far[to], lane[from])),
                (Lane::Integers(so_far), Lane::Integers(lane)) => to
                    .iter()
                    .zip(&from)
                    .for_each(|(&to, &from)| so_far[to] = combine(fold).1(so_far[to], lane[from])),
                _ => {}
            }
            continue;
        }
        let mut arguments: Vec<Lane> = folded.iter().map(|lane| lane.picked(&to)).collect();
        arguments.extend(lanes.iter().map(|lane| lane.picked(&from)));
        for (lane, new) in folded.iter_mut().zip(body.call(arguments, to.len())?) {
            lane.put(&to, &new);
        }
    }
    let arrays = folded.iter().zip(&call.results).map(|(lane, ty)| Array::of_lane(ty, lane));
    Ok(arrays.collect::<Result<_, _>>()?)
}
