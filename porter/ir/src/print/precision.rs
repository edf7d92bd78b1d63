//! In how many bits a product's operands are multiplied.

use crate::{DType, Op, attribute::Attribute};

/// What a product of these operands says of its precision.
///
/// XLA's default is fewer bits than f32 has: TPUs round both operands to bf16, NVIDIA's GPUs to TF32
/// (<https://openxla.org/stablehlo/spec#dot_general>, `precision_config`). A program's types say what it
/// computes, so products of f32 and f64 ask for all bits; narrower operands are multiplied as they are.
pub(super) fn precision(op: &Op, operands: impl IntoIterator<Item = DType>) -> Option<Attribute> {
    const EVERY_BIT: &str = "[#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]";
    let multiplies = matches!(op, Op::DotGeneral(_) | Op::Convolution(_));
    let is_wide = |dtype| matches!(dtype, DType::F32 | DType::F64);
    (multiplies && operands.into_iter().any(is_wide)).then(|| ("precision_config", EVERY_BIT.to_owned()))
}
