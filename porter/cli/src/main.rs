//! The `porter` command.
fn main() {}
