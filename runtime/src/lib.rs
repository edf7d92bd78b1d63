//! Safe PJRT: plugins, clients, buffers and executables.
//!
//! ```no_run
//! use porter_ir::{DType, TensorType};
//! use porter_runtime::{Arg, Client, ClientOptions, CompileOptions, HostTensor, Plugin, Signature};
//!
//! let plugin = Plugin::load("libpjrt_cpu.so".as_ref())?;
//! let client = Client::create(&plugin, &ClientOptions::default())?;
//! let program = "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
//!   %0 = stablehlo.add %x, %x : tensor<2xf32>
//!   return %0 : tensor<2xf32>
//! }";
//! let ty = TensorType::new(DType::F32, [2]);
//! let signature = Signature { inputs: vec![ty.clone()], donated: vec![], outputs: vec![ty] };
//! let double = client.compile(program, &signature, &CompileOptions::default())?;
//! let x = client.device(0)?.upload(&HostTensor::from_slice([2], &[1.0_f32, 2.0])?)?;
//! let doubled = double.execute(vec![Arg::Keep(&x)])?;
//! assert_eq!(doubled[0].download()?.to_vec::<f32>()?, [2.0, 4.0]);
//! # Ok::<(), porter_runtime::Error>(())
//! ```
#![allow(unsafe_code, reason = "this crate is the one that calls C; every block says why it may")]

pub mod aot;
mod api;
mod buffer;
mod cache;
mod client;
mod compile_options;
mod device;
mod element_type;
mod error;
mod event;
mod executable;
mod execute;
mod folders;
mod generate;
mod hex;
mod host;
mod interface;
mod loaded;
mod named_value;
mod plugin;
pub mod plugins;
mod session;
mod signature;
mod spread;

pub use buffer::Buffer;
pub use cache::{Cached, CompileCache, Outcome};
pub use client::{Client, ClientOptions};
pub use compile_options::{CompileOptions, Flag, Partitioner, SINGLE_YNN_OPS};
pub use device::{Device, DeviceDescription, DeviceMemory};
pub use error::{Code, Error, Result};
pub use executable::{Executable, OptimizedProgram, ProgramMemory};
pub use execute::{Arg, Running};
pub use generate::{Generator, Next, Times};
pub use host::{Element, HostBytes, HostTensor};
pub use loaded::LoadedExecutable;
pub use named_value::{NamedValue, Value};
pub use plugin::Plugin;
pub use session::{States, Step, Weights};
pub use signature::Signature;
pub use spread::{DeviceTensor, Devices, Placement};
