//! The hub, as far as Porter asks it.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use ureq::config::RedirectAuthHeaders;

use super::listing::{Listing, RemoteFile};
use super::{HubSettings, Repository, offline};
use crate::error::ImportError;

/// The largest listing that is read.
const MAX_LISTING_BYTES: u64 = 32 << 20;
const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_mins(1);
/// A transfer in which nothing comes for this long has ended.
const STALL: Duration = Duration::from_mins(1);

/// Something that lists and sends the files of one repository.
pub(super) trait Remote {
    /// What the repository holds at its revision.
    fn list(&self) -> Result<Listing, ImportError>;
    /// The bytes of a file at a commit. They are not checked here.
    fn open(&self, commit: &str, file: &RemoteFile) -> Result<Box<dyn Read>, ImportError>;
}

/// A hub at [`HubSettings::endpoint`].
pub(super) struct HfHub<'a> {
    settings: &'a HubSettings,
    repository: &'a Repository,
    api: ApiRepo,
    agent: ureq::Agent,
}

impl<'a> HfHub<'a> {
    pub(super) fn new(settings: &'a HubSettings, repository: &'a Repository) -> Result<Self, ImportError> {
        let api = ApiBuilder::from_cache(Cache::new(PathBuf::from(&settings.cache)))
            .with_endpoint(settings.endpoint.clone())
            .with_token(settings.token.clone())
            .with_user_agent("porter", env!("CARGO_PKG_VERSION"))
            .with_progress(false)
            .build()
            .map_err(|error| offline(repository, settings, &error.to_string()))?;
        let repo = Repo::with_revision(repository.name.clone(), RepoType::Model, repository.revision.clone());
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(STALL))
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("porter/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { settings, repository, api: api.repo(repo), agent })
    }

    /// What a failed request means; `what` is the repository or a file of it.
    fn failed(&self, what: &str, error: &ureq::Error) -> ImportError {
        let name = format!("{}@{}", self.repository.name, self.repository.revision);
        match error {
            ureq::Error::StatusCode(401 | 403) => {
                ImportError::Forbidden { name: format!("hf:{name}"), reason: format!("{what}: {error}") }
            }
            ureq::Error::StatusCode(404) => ImportError::NotFound {
                place: self.settings.endpoint.clone(),
                name,
                reason: format!("{what}: {error}"),
            },
            _ => offline(self.repository, self.settings, &format!("{what}: {error}")),
        }
    }
}

impl Remote for HfHub<'_> {
    fn list(&self) -> Result<Listing, ImportError> {
        let failed = |error: ureq::Error| self.failed("the list of files", &error);
        let request = self.api.info_request().query("blobs", "true");
        let request =
            request.config().timeout_connect(Some(CONNECT)).timeout_recv_response(Some(ANSWER)).build();
        let mut answer = request.call().map_err(failed)?;
        let json = answer.body_mut().with_config().limit(MAX_LISTING_BYTES).read_to_vec().map_err(failed)?;
        Listing::parse(&json, &format!("hf:{}", self.repository.name))
    }

    fn open(&self, commit: &str, file: &RemoteFile) -> Result<Box<dyn Read>, ImportError> {
        let url = format!(
            "{}/{}/resolve/{commit}/{}",
            self.settings.endpoint,
            self.repository.name,
            percent_encoded(&file.name)
        );
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.settings.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|error| self.failed(&file.name, &error))?;
        Ok(Box::new(answer.into_body().into_reader()))
    }
}

/// A path as part of a URL.
fn percent_encoded(path: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_urls() {
        assert_eq!(percent_encoded("a b/c?#%é.gguf"), "a%20b/c%3F%23%25%C3%A9.gguf");
    }
}
