//! The processor that compiled code is for.

use std::{env::consts, fs::File, io::Read as _, sync::LazyLock};

/// The architecture, and on Linux the model and features of the first processor.
///
/// Code for the CPU uses what the machine has; on another one it may end in an illegal instruction.
pub(super) fn identity() -> &'static str {
    static IDENTITY: LazyLock<String> = LazyLock::new(|| {
        let features = first_processor().unwrap_or_default();
        format!("{} {}\n{features}", consts::OS, consts::ARCH)
    });
    &IDENTITY
}

/// The lines of `/proc/cpuinfo` that name the model and the features; the others are of one core, or
/// change from moment to moment.
fn first_processor() -> Option<String> {
    // One processor's entry fits many times; a machine may have hundreds.
    let mut text = String::new();
    File::open("/proc/cpuinfo").ok()?.take(64 << 10).read_to_string(&mut text).ok()?;
    let first = text.split("\n\n").next()?;
    let names =
        ["vendor_id", "cpu family", "model", "model name", "stepping", "flags", "CPU part", "Features"];
    let is_identity =
        |line: &&str| line.split_once(':').is_some_and(|(name, _)| names.contains(&name.trim()));
    Some(first.lines().filter(is_identity).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_names_the_processor_and_stays_the_same() {
        let first = super::identity();
        assert!(first.contains(std::env::consts::ARCH));
        assert!(first.lines().count() > 1 || !cfg!(target_os = "linux"), "{first}");
        assert!(!first.contains("MHz"));
        assert_eq!(first, super::identity());
    }
}
