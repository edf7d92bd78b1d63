//! The hub's environment variables, as `huggingface_hub.constants` reads them.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::Retry;
use crate::error::ImportError;

/// Where the hub is, where its files are kept, and who asks.
#[derive(Clone)]
pub struct HubSettings {
    /// `HF_ENDPOINT`, or `https://huggingface.co`.
    pub endpoint: String,
    /// The folder of the repositories: `HF_HUB_CACHE`, or `hub` below `HF_HOME`.
    pub cache: PathBuf,
    /// `HF_TOKEN`, or the file at `HF_TOKEN_PATH`, or `token` below `HF_HOME`.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: nothing is asked of the hub.
    pub offline: bool,
    /// What is tried again, and when.
    pub retry: Retry,
}

/// The token stays out of logs.
impl std::fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("offline", &self.offline)
            .field("retry", &self.retry)
            .finish()
    }
}

impl HubSettings {
    /// Reads this process's environment.
    pub fn from_environment() -> Result<Self, ImportError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ImportError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().trim().to_owned());
        let folder = |name: &str| set(name).map(|value| expand(value, set("HOME")));
        let home = folder("HF_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface")))
            .ok_or(ImportError::NoCache("HF_HOME"))?;
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .unwrap_or_else(|| home.join("hub"));
        let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let implicit = !text("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value));
            let path = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            if implicit { fs::read_to_string(path).ok() } else { None }
        });
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let offline = text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE"));
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache,
            token: token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
            offline: offline.is_some_and(|value| is_true(&value)),
            retry: Retry::default(),
        })
    }
}

/// A leading `~/` is the user's folder, as Python's `expanduser` has it.
fn expand(path: OsString, home: Option<OsString>) -> PathBuf {
    let path = PathBuf::from(path);
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path,
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let find =
            |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| value.into());
        HubSettings::from_variables(find).unwrap()
    }

    #[test]
    fn folders_are_pythons() {
        let cache = |variables: &[(&str, &str)]| settings(variables).cache;
        assert_eq!(cache(&[("HOME", "/h")]), PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/h"), ("HF_HOME", "~/hf")]), PathBuf::from("/h/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), PathBuf::from("/c"));
        assert!(matches!(HubSettings::from_variables(|_| None), Err(ImportError::NoCache("HF_HOME"))));
    }

    #[test]
    fn tokens_come_from_the_variable_or_a_file() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "from-file\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home)]).token.as_deref(), Some("from-file"));
        assert_eq!(settings(&[("HF_HOME", home), ("HF_TOKEN", " t ")]).token.as_deref(), Some("t"));
        assert_eq!(settings(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).token, None);
        assert_eq!(settings(&[("HF_HOME", home), ("HF_TOKEN_PATH", "/none")]).token, None);
        assert!(!format!("{:?}", settings(&[("HF_HOME", home)])).contains("from-file"));
    }

    #[test]
    fn the_endpoint_and_offline() {
        let found = settings(&[("HOME", "/h"), ("HF_ENDPOINT", "http://m/"), ("HF_HUB_OFFLINE", "yes")]);
        assert_eq!((found.endpoint.as_str(), found.offline), ("http://m", true));
        assert!(!settings(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "0")]).offline);
    }
}
