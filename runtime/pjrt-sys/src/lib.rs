//! Raw bindings to the PJRT C API, version 0.81: what `pjrt_c_api.h` declares and nothing more.
//!
//! `bindings.rs` is checked in, so that a build needs neither libclang nor the header. It is what
//! `regenerate.sh` writes; the struct offsets and sizes in it are asserted at compile time.
//!
//! Every argument struct starts with its size, by which caller and plugin agree on the fields that
//! exist. Plugins accept structs of this version or newer ones, and reject older ones: plugins of
//! API 0.81, 0.106, 0.115 and 0.117 accept these. [`StructSize`] gives the size to send.
//!
//! The crates `pjrt` and `pjrt-sys` on crates.io carry API 0.54: no current plugin creates a client
//! for them (`Unexpected PJRT_Client_Create_Args size: expected 88, got 72`), and their build needs
//! libclang and protoc. That is why this crate exists.
#![allow(unsafe_code, reason = "an FFI crate: nothing in it is safe to call")]

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::pedantic,
    reason = "generated: names and shapes are those of pjrt_c_api.h, which documents them"
)]
#[rustfmt::skip]
mod bindings;
mod struct_size;

pub use bindings::*;
pub use struct_size::StructSize;

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the header's `PJRT_DEFINE_STRUCT_TRAITS` gives: up to the end of the last
    /// field, without the padding after it.
    #[test]
    fn struct_sizes_end_with_the_last_field() {
        assert_eq!(PJRT_Error_GetCode_Args::STRUCT_SIZE, 28);
        assert_eq!(PJRT_Client_Create_Args::STRUCT_SIZE, 88);
        assert_eq!(PJRT_Api::STRUCT_SIZE, size_of::<PJRT_Api>());
    }

    #[test]
    fn a_sized_struct_announces_its_size_and_nothing_else() {
        let args = PJRT_Client_Create_Args::sized();
        assert_eq!(args.struct_size, 88);
        assert!(args.client.is_null() && args.kv_get_callback.is_none());
    }
}
