//! What libtpu needs in the environment on a machine without a TPU.

use std::{env, fs, path::Path};

use crate::{Error, Result};

/// Settings for compiling ahead of time on a machine without a TPU: do not wait for a cloud
/// metadata server (it takes minutes to give up), and do not insist on being the only process.
pub(crate) const LIBTPU_SETTINGS: [(&str, &str); 2] =
    [("TPU_SKIP_MDS_QUERY", "1"), ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")];

/// Sets what libtpu reads when it is loaded, where this machine has no TPU and the user has not set
/// it. Call it before any thread is started; [`Plugin::load`](crate::Plugin::load) calls it as well.
///
/// The environment cannot be changed while another thread may read it. Where there is one already
/// and something is missing, this is an error that says what to set.
pub fn prepare_libtpu() -> Result<()> {
    let missing: Vec<_> =
        LIBTPU_SETTINGS.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect();
    if missing.is_empty() || has_tpu() {
        return Ok(());
    }
    if !is_single_threaded() {
        let settings: Vec<String> = missing.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return Err(Error::Environment(format!(
            "libtpu on a machine without a TPU needs {} in the environment: set it and start again",
            settings.join(" ")
        )));
    }
    for (name, value) in missing {
        // SAFETY: this is the only thread of the process, so no other reads the environment.
        unsafe { env::set_var(name, value) };
    }
    Ok(())
}

/// True where the kernel shows a TPU: `/dev/accel*` up to v4, `/dev/vfio/*` later.
fn has_tpu() -> bool {
    let numbered = |folder: &str, prefix: &str| {
        fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
    };
    numbered("/dev", "accel") || numbered("/dev/vfio", "")
}

fn is_single_threaded() -> bool {
    Path::new("/proc/self/task").read_dir().is_ok_and(|tasks| tasks.count() == 1)
}
