//! What is recognised in imported programs, and what exported models give.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contrib;
mod recognised_transformers;
mod recognition;
mod support;
mod transformers;
