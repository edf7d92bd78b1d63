//! The terms, one a file: the shape of the result, and the runs that it is made of.

pub(super) mod concat;
pub(super) mod dequantise;
pub(super) mod pad;
pub(super) mod permute;
pub(super) mod quantise;
pub(super) mod repeat;
pub(super) mod reshape;
pub(super) mod slice;
pub(super) mod stack;
