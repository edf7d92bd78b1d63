//! `select_and_scatter`: each window's value folded into the element that it selects.

use porter_ir::ops::{SelectAndScatter, Window};

use super::{scatter::fold_into, windows::seen};
use crate::{array::Array, body::Body, failure::Outcome, interpreter::Call, shapes::Indices};

pub(super) fn execute(op: &SelectAndScatter, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [operand, source, init] = call.operands()?;
    let shape = operand.shape();
    let window =
        Window { strides: op.strides.clone(), padding: op.padding.clone(), ..Window::plain(op.sizes.len()) };
    let select = Body::new(call.interpreter, call.region(0)?);
    let (elements, n) = (operand.lane(), source.elements());

    // In all windows at once, the element selected so far against the next one.
    let mut selected: Vec<Option<usize>> = vec![None; n];
    let mut offsets = Indices::of(&op.sizes);
    while let Some(offset) = offsets.next() {
        let offset = offset.to_vec();
        let (mut windows, mut so_far, mut next) = (Vec::new(), Vec::new(), Vec::new());
        let (mut places, mut i) = (Indices::of(source.shape()), 0);
        while let Some(place) = places.next() {
            if let Some(element) = seen(&window, shape, place, &offset) {
                match selected[i] {
                    None => selected[i] = Some(element),
                    Some(before) => {
                        windows.push(i);
                        so_far.push(before);
                        next.push(element);
                    }
                }
            }
            i += 1;
        }
        let arguments = vec![elements.picked(&so_far), elements.picked(&next)];
        let stays = select.call(arguments, windows.len())?;
        let stays = stays.first().ok_or("the selection returns nothing")?;
        for (k, (&window, &element)) in windows.iter().zip(&next).enumerate() {
            if !stays.truth(k) {
                selected[window] = Some(element);
            }
        }
    }

    let mut folded = vec![init.lane().repeated(0, operand.elements())];
    let fold = Body::new(call.interpreter, call.region(1)?);
    fold_into(&fold, &mut folded, &[source.lane()], &selected)?;
    let lane = folded.first().ok_or("gives one tensor")?;
    Ok(vec![Array::of_lane(call.result()?, lane)?])
}
