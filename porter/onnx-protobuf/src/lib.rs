//! ONNX files: their messages, and the bytes of their tensors.
//!
//! [`Model::open`] maps a file and decodes it with tensors left where they lie; [`Model::packed`] gives a
//! tensor's bytes, from the file or from one beside it. Nesting is limited by prost to 100 messages, sizes
//! are checked before memory is taken, and external data stays in the model's folder.

mod data_type;
mod messages;
mod model;
mod tensor;

pub use data_type::DataType;
pub use messages::*;
pub use model::{Error, Model, Packed};
pub use prost::{DecodeError, Message};
pub use tensor::{TensorError, unpack};
