//! `bitcast_convert`: the same bits as another element type. In f64 throughout, a float is first rounded to
//! the type that the program says, which alone has the bits.

use porter_ir::{DType, ops::BitcastConvert};

use crate::{
    array::{Array, allocate},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
};

pub(super) fn execute(op: &BitcastConvert, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let program = call.interpreter.program;
    let from = call.data.operands.first().map(|&value| program.ty(value).dtype).ok_or("takes one operand")?;
    let [x] = call.operands()?;
    let mut bytes = vec![0; x.elements() * from.host_bytes()];
    x.lane().encode(from, &mut bytes);
    let bits = regrouped(&bytes, from, op.dtype);
    Ok(vec![from_bits(&bits, op.dtype, &call)?])
}

/// The result of declared type `dtype` from its elements' bytes.
pub(super) fn from_bits(bytes: &[u8], dtype: DType, call: &Call<'_>) -> Outcome<Array> {
    let ty = call.results.last().ok_or("has no result")?;
    let mut held = allocate(ty)?;
    Lane::decode(dtype, bytes).encode(ty.dtype, &mut held);
    Ok(Array::new(ty.clone(), held))
}

/// Half bytes join and part, the lower one first; whole bytes are in order already.
fn regrouped(bytes: &[u8], from: DType, to: DType) -> Vec<u8> {
    let halves: Vec<u8> = match (from.bits(), to.bits()) {
        (4, 4) => return bytes.to_vec(),
        (4, _) => {
            return bytes
                .chunks(2)
                .map(|pair| pair.iter().rev().fold(0, |byte, half| byte << 4 | half & 15))
                .collect();
        }
        (_, 4) => bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).collect(),
        _ => return bytes.to_vec(),
    };
    halves
}
