//! The function table of a loaded plugin.

use std::{ffi::c_char, mem::offset_of, ptr, ptr::NonNull, slice};

use pjrt_sys::{
    PJRT_Api, PJRT_Error, PJRT_Error_Destroy_Args, PJRT_Error_GetCode_Args, PJRT_Error_Message_Args,
    StructSize,
};

use crate::{Code, Error, Result, error::clean_message};

/// A plugin's function table. Libraries are never unloaded, so it lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api(NonNull<PJRT_Api>);

// SAFETY: the table is written before `GetPjrtApi` returns it and is constant from then on; this
// type only reads it.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

/// Calls the function of a plugin that its argument struct belongs to. Must be used inside `unsafe`:
/// the pointers in the arguments must be valid for that function.
macro_rules! call {
    ($api:expr, $function:ident, $args:expr, $doing:expr) => {{
        let api: $crate::api::Api = $api;
        api.slot(stringify!($function), std::mem::offset_of!(pjrt_sys::PJRT_Api, $function), |table| {
            &raw const (*table).$function
        })
        .and_then(|function| api.check(function($args), $doing))
    }};
}
pub(crate) use call;

impl Api {
    /// The table at `table`.
    ///
    /// # Safety
    /// `table` is null or points to a plugin's function table, which lives as long as the process.
    pub(crate) unsafe fn new(table: *const PJRT_Api) -> Option<Self> {
        let api = Self(NonNull::new(table.cast_mut())?);
        // Version and extension list, read without a further check, come before the first function.
        (api.struct_size() >= offset_of!(PJRT_Api, PJRT_Error_Destroy)).then_some(api)
    }

    /// Checks once that the functions are there which every other call relies on to report its own
    /// errors and to wait.
    pub(crate) fn require_core(self) -> Result<()> {
        macro_rules! require {
            ($($function:ident)*) => {
                // SAFETY: the closure computes an address only.
                $(unsafe {
                    self.slot(stringify!($function), offset_of!(PJRT_Api, $function), |t| &raw const (*t).$function)?;
                })*
            };
        }
        require! {
            PJRT_Error_Destroy PJRT_Error_Message PJRT_Error_GetCode
            PJRT_Event_Destroy PJRT_Event_Await PJRT_Event_OnReady
        }
        Ok(())
    }

    fn struct_size(self) -> usize {
        // SAFETY: every version of the table starts with its size.
        unsafe { (*self.0.as_ptr()).struct_size }
    }

    /// The API version (major, minor) that the plugin was built with.
    pub(crate) fn version(self) -> (i32, i32) {
        // SAFETY: `new` saw that the table reaches to its first function, so the version is there.
        let version = unsafe { &raw const (*self.0.as_ptr()).pjrt_api_version };
        // SAFETY: as above.
        unsafe { ((*version).major_version, (*version).minor_version) }
    }

    /// The type numbers of the plugin's extensions.
    pub(crate) fn extensions(self) -> Vec<u32> {
        let mut types = Vec::new();
        // SAFETY: `new` saw that the table reaches to its first function.
        let mut extension = unsafe { (*self.0.as_ptr()).extension_start };
        while !extension.is_null() {
            // SAFETY: the list is part of the constant table; each node starts with this struct.
            unsafe {
                types.push((*extension).type_);
                extension = (*extension).next;
            }
        }
        types
    }

    /// The function in the slot that `field` points to, `offset` bytes into the table.
    ///
    /// # Safety
    /// `field` computes the address of the slot at `offset`, and does not read it.
    pub(crate) unsafe fn slot<F: Copy>(
        self,
        name: &'static str,
        offset: usize,
        field: impl FnOnce(*const PJRT_Api) -> *const Option<F>,
    ) -> Result<F> {
        let missing = Error::MissingFunction { function: name };
        if self.struct_size() < offset + size_of::<Option<F>>() {
            return Err(missing);
        }
        // SAFETY: the slot lies inside the table by the check above.
        unsafe { field(self.0.as_ptr()).read() }.ok_or(missing)
    }

    /// Turns the error that a call returned, or null, into a result.
    ///
    /// # Safety
    /// `error` is null or an error of this plugin that the caller owns.
    pub(crate) unsafe fn check(self, error: *mut PJRT_Error, doing: &str) -> Result<()> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: passed on.
        let (code, message) = unsafe { self.take_error(error) };
        Err(Error::Pjrt { doing: doing.to_owned(), code, message: clean_message(&message) })
    }

    /// Reads and destroys an error.
    ///
    /// # Safety
    /// `error` is an error of this plugin that the caller owns.
    unsafe fn take_error(self, error: *mut PJRT_Error) -> (Code, String) {
        let table = self.0.as_ptr();
        let mut message = PJRT_Error_Message_Args { error, ..StructSize::sized() };
        let mut code = PJRT_Error_GetCode_Args { error, ..StructSize::sized() };
        let mut destroy = PJRT_Error_Destroy_Args { error, ..StructSize::sized() };
        // SAFETY: `Plugin::load` refuses a table without these slots (`require_core`). The message lives until the
        // error is destroyed and is copied before.
        unsafe {
            if let Some(function) = (*table).PJRT_Error_Message {
                function(&raw mut message);
            }
            let text = string(message.message, message.message_size);
            if let Some(function) = (*table).PJRT_Error_GetCode {
                // An error about reading an error has nobody to go to; the code stays `Unknown`.
                let failed = function(&raw mut code);
                if !failed.is_null() {
                    code.code = pjrt_sys::PJRT_Error_Code_UNKNOWN;
                }
            }
            if let Some(function) = (*table).PJRT_Error_Destroy {
                function(&raw mut destroy);
            }
            (Code::from_raw(code.code), text)
        }
    }
}

/// The `size` bytes at `text` as a string, with replacement characters for what is not UTF-8.
///
/// # Safety
/// `text` is null or points to `size` readable bytes.
pub(crate) unsafe fn string(text: *const c_char, size: usize) -> String {
    // SAFETY: passed on.
    String::from_utf8_lossy(unsafe { array(text.cast::<u8>(), size) }).into_owned()
}

/// The `len` items at `items`; none where `items` is null.
///
/// # Safety
/// `items` is null or points to `len` items that stay valid and unchanged for `'a`.
pub(crate) unsafe fn array<'a, T>(items: *const T, len: usize) -> &'a [T] {
    if items.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: passed on.
    unsafe { slice::from_raw_parts(items, len) }
}

/// What a plugin returned as a pointer, where null is against the rules.
pub(crate) fn non_null<T>(pointer: *mut T, doing: &str) -> Result<NonNull<T>> {
    NonNull::new(pointer).ok_or_else(|| Error::Misbehaved {
        doing: doing.to_owned(),
        found: "reported success but returned nothing".into(),
    })
}

/// `text` as the C API takes strings: address and size.
pub(crate) fn as_c(text: &str) -> (*const c_char, usize) {
    (ptr::from_ref(text).cast(), text.len())
}
