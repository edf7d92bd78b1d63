//! What tells one compiled program from another.

use std::{env, fmt, fs, time::UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::machine;
use crate::{Client, CompileOptions, Error, Result, hex};

/// The name of an entry: the SHA-256 of everything that a compiled program depends on.
///
/// That is the program's text, the compile options, the compiler flags in the environment, the
/// plugin (its library's size and time of change, its API version and attributes), its platform and
/// devices, and the machine's processor, whose instructions CPU programs use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

/// Changes whenever what is hashed or stored changes its meaning.
const FORMAT: &str = "porter executable 1";

/// The variables from which plugins take compiler flags.
const FLAG_VARIABLES: [&str; 2] = ["XLA_FLAGS", "LIBTPU_INIT_ARGS"];

impl Key {
    /// The key of `program`, compiled with `options` for the devices of `client`.
    pub(super) fn new(client: &Client, program: &str, options: &CompileOptions) -> Result<Self> {
        let mut parts = Parts(Sha256::new());
        parts.add(FORMAT);
        for variable in FLAG_VARIABLES {
            parts.add(env::var_os(variable).unwrap_or_default().as_encoded_bytes());
        }
        add_plugin(&mut parts, client)?;
        add_devices(&mut parts, client)?;
        parts.add(machine::identity());
        parts.add(client.checked_options(options)?);
        parts.add(program);
        Ok(parts.into_key())
    }

    #[cfg(test)]
    pub(in crate::cache) fn of_test(number: u8) -> Self {
        let mut parts = Parts(Sha256::new());
        parts.add([number]);
        parts.into_key()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Size and time stand for the library's content: hashing 200 MB takes 0.6 s at every start.
fn add_plugin(parts: &mut Parts, client: &Client) -> Result<()> {
    let plugin = client.plugin();
    let metadata = fs::metadata(plugin.path()).map_err(Error::io("read", plugin.path()))?;
    let changed = metadata.modified().map_err(Error::io("read", plugin.path()))?;
    let since = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    parts.add(metadata.len().to_le_bytes());
    parts.add(since.as_nanos().to_le_bytes());
    parts.add(format!("{:?} {:?}", plugin.api_version(), plugin.attributes()));
    Ok(())
}

fn add_devices(parts: &mut Parts, client: &Client) -> Result<()> {
    parts.add(client.platform());
    parts.add(client.platform_version());
    for device in client.devices() {
        let device = device.describe()?;
        parts.add(format!("{} {}", device.id, device.kind));
    }
    Ok(())
}

/// Hashes parts with their lengths, so that no two lists of parts look alike.
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn into_key(self) -> Key {
        Key(hex::encode(&self.0.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_part_ends_matters() {
        let key = |list: &[&str]| {
            let mut parts = Parts(Sha256::new());
            for part in list {
                parts.add(part);
            }
            parts.into_key()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab"]), key(&["ab", ""]));
        assert_eq!(key(&["ab"]).to_string().len(), 64);
    }
}
