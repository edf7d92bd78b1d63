//! Events: how a plugin says that something asynchronous is over.

use std::{ffi::c_void, ptr::NonNull};

use pjrt_sys::{
    PJRT_Error, PJRT_Event, PJRT_Event_Await_Args, PJRT_Event_Destroy_Args, PJRT_Event_OnReady_Args,
    StructSize,
};

use crate::{
    Result,
    api::{Api, call},
};

/// An event of a plugin. Dropping it does not wait.
#[derive(Debug)]
pub(crate) struct Event {
    api: Api,
    raw: NonNull<PJRT_Event>,
}

// SAFETY: an event is a reference-counted future of the plugin; the C API lets any thread await,
// query and destroy it, and each `Event` owns its own handle.
unsafe impl Send for Event {}
// SAFETY: as above; `&Event` gives no call at all.
unsafe impl Sync for Event {}

impl Event {
    /// Takes over an event; none where `raw` is null, which stands for an event in the past.
    ///
    /// # Safety
    /// `raw` is null or an event of `api`'s plugin that the caller owns.
    pub(crate) unsafe fn new(api: Api, raw: *mut PJRT_Event) -> Option<Self> {
        Some(Self { api, raw: NonNull::new(raw)? })
    }

    /// Blocks until the event has happened, and returns its error if it has one.
    pub(crate) fn wait(self, doing: &str) -> Result<()> {
        let mut args = PJRT_Event_Await_Args { event: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: the event is alive until `self` is dropped.
        unsafe { call!(self.api, PJRT_Event_Await, &raw mut args, doing) }
    }

    /// Keeps `owner` alive until the event has happened, with or without an error.
    pub(crate) fn keep_until_ready<T: Send + 'static>(self, owner: T) -> Result<()> {
        let kept = Box::into_raw(Box::new(Kept { api: self.api, owner }));
        let mut args = PJRT_Event_OnReady_Args {
            event: self.raw.as_ptr(),
            callback: Some(release::<T>),
            user_arg: kept.cast(),
            ..StructSize::sized()
        };
        // SAFETY: the event is alive. The plugin calls the callback exactly once, from any thread,
        // which is why `T: Send`; destroying the event afterwards leaves the callback registered.
        // Where the plugin refuses, nobody knows whether it reads the memory still: the owner leaks.
        unsafe {
            call!(self.api, PJRT_Event_OnReady, &raw mut args, "wait for the plugin to release host memory")
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let mut args = PJRT_Event_Destroy_Args { event: self.raw.as_ptr(), ..StructSize::sized() };
        // SAFETY: `self` owns the event and nobody uses it after this. A failure to destroy leaks it.
        drop(unsafe { call!(self.api, PJRT_Event_Destroy, &raw mut args, "destroy an event") });
    }
}

struct Kept<T> {
    api: Api,
    owner: T,
}

/// Drops what [`Event::keep_until_ready`] kept.
///
/// # Safety
/// `kept` comes from `Box::into_raw` of a `Kept<T>` and is passed to this function once; `error` is
/// null or an error that the callee owns.
unsafe extern "C" fn release<T: Send>(error: *mut PJRT_Error, kept: *mut c_void) {
    // SAFETY: by the contract above.
    let kept = unsafe { Box::from_raw(kept.cast::<Kept<T>>()) };
    // SAFETY: by the contract above. A failed transfer shows again when its buffer is used.
    drop(unsafe { kept.api.check(error, "release host memory") });
    drop(kept.owner);
}
