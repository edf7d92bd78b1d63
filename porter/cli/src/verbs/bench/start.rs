//! From the start of a process to its first token, as a user waits for it.

use std::{env, path::Path, process::Command, time::Instant};

use crate::{
    args::{BenchArgs, Global},
    console::Console,
    exit::{Exit, Failure},
};

/// Seconds to the first token.
pub(super) struct Starts {
    /// With an empty compile cache.
    pub(super) cold: f64,
    /// With the programs in it.
    pub(super) warm: f64,
}

/// Runs `porter run` for one token in processes of their own: once over an empty cache, then twice
/// over the filled one, of which the better counts.
pub(super) fn measure(
    weights: &Path,
    args: &BenchArgs,
    global: &Global,
    console: &Console,
) -> Result<Starts, Failure> {
    console.note("measuring the start of a process, cold and warm");
    let cache = tempfile::tempdir()
        .map_err(|e| Failure::new(Exit::Environment, format!("cannot make a folder: {e}")))?;
    let once = || first_token(weights, args, global, cache.path());
    let cold = once()?;
    Ok(Starts { cold, warm: once()?.min(once()?) })
}

fn first_token(weights: &Path, args: &BenchArgs, global: &Global, cache: &Path) -> Result<f64, Failure> {
    let failed = |what: String| {
        Failure::new(Exit::Environment, format!("cannot run porter in a process of its own: {what}"))
    };
    let porter = env::current_exe().map_err(|e| failed(e.to_string()))?;
    let mut command = Command::new(porter);
    command.arg("run").arg(weights).args(["--prompt", "The capital of France is", "--max-tokens", "1"]);
    command.args(["--quiet", "--dtype", args.dtype.name()]).env("PORTER_CACHE_DIR", cache);
    for key in &args.model.ignore_config {
        command.args(["--ignore-config", key]);
    }
    if let Some(prefix) = &args.model.prefix {
        command.args(["--prefix", prefix]);
    }
    if args.model.weights_only_lenient {
        command.arg("--weights-only-lenient");
    }
    if let Some(plugin) = &global.plugin {
        command.args(["--plugin", plugin]);
    }
    let started = Instant::now();
    let output = command.output().map_err(|e| failed(e.to_string()))?;
    let seconds = started.elapsed().as_secs_f64();
    if output.status.success() {
        Ok(seconds)
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
