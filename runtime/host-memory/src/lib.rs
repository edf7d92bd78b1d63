//! The two kinds of host memory that Porter hands around: read-only file maps
//! ([`MappedFile`]) and 64-byte aligned allocations ([`AlignedBytes`]).
//!
//! Alignment matters because PJRT CPU plugins take a host buffer without copying it
//! only when its address is a multiple of 64 (`facts/pjrt.md` part 5).

mod aligned;
mod mapped;

pub use aligned::{ALIGNMENT, AlignedBytes};
pub use mapped::MappedFile;
