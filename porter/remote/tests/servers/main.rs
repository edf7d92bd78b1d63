//! Buckets of real servers on 127.0.0.1, which `ci/remote/test.sh` starts, and what may go wrong on the way to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod faults;
mod gcs;
mod output;
mod proxy;
mod reading;
