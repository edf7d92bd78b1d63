//! `map`: a region applied to each element.

use crate::{array::Array, body::Body, failure::Outcome, interpreter::Call, lane::Lane};

pub(super) fn execute(call: &Call<'_>) -> Outcome<Vec<Array>> {
    let ty = call.result()?;
    let arguments: Vec<Lane> = call.operands.iter().map(Array::lane).collect();
    let body = Body::new(call.interpreter, call.region(0)?);
    let results = body.call(arguments, ty.shape.elements())?;
    let lane = results.first().ok_or("the body returns nothing")?;
    Ok(vec![Array::of_lane(ty, lane)?])
}
