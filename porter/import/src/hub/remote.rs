//! The hub, as far as Porter asks it.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode};

use super::listing::{Listing, RemoteFile};
use super::retry::Failure;
use super::{HubSettings, Repository, offline};
use crate::error::ImportError;

/// The largest listing that is read.
const MAX_LISTING_BYTES: u64 = 32 << 20;
const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_mins(1);
/// A transfer in which nothing comes for this long has ended.
const STALL: Duration = Duration::from_mins(1);

/// Bytes of a file, from one of them on.
pub(super) struct Body {
    /// The place of the first byte in the file.
    pub(super) start: u64,
    pub(super) bytes: Box<dyn Read>,
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
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("porter/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { settings, repository, api: api.repo(repo), agent })
    }

    /// What the repository holds at its revision.
    pub(super) fn list(&self) -> Result<Listing, Failure> {
        const WHAT: &str = "the list of files";
        let request = self.api.info_request().query("blobs", "true");
        let request = request
            .config()
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(STALL))
            .http_status_as_error(false)
            .build();
        // A hub that cannot be reached at all is not asked again: the cache may serve.
        let answer = request.call().map_err(|error| match error {
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                Failure::Final(self.unreached(WHAT, &error))
            }
            ureq::Error::Io(ref io) if io.kind() == ErrorKind::ConnectionRefused => {
                Failure::Final(self.unreached(WHAT, &error))
            }
            _ => self.passing(WHAT, &error),
        })?;
        let mut answer = self.accepted(WHAT, answer)?;
        let json = answer.body_mut().with_config().limit(MAX_LISTING_BYTES).read_to_vec();
        let json = json.map_err(|error| self.passing(WHAT, &error))?;
        Ok(Listing::parse(&json, &format!("hf:{}", self.repository.name))?)
    }

    /// The bytes of a file at a commit from `start` on, or from an earlier one where the server sends no ranges. They
    /// are not checked here.
    pub(super) fn open(&self, commit: &str, file: &RemoteFile, start: u64) -> Result<Body, Failure> {
        let url = format!(
            "{}/{}/resolve/{commit}/{}",
            self.settings.endpoint,
            self.repository.name,
            percent_encoded(&file.name)
        );
        // Ranges count the bytes that are sent, so these must be the file's.
        let mut request = self.agent.get(&url).header("Accept-Encoding", "identity");
        if let Some(token) = &self.settings.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let answer = request.call().map_err(|error| self.passing(&file.name, &error))?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE && start > 0 {
            return self.open(commit, file, 0);
        }
        let answer = self.accepted(&file.name, answer)?;
        let start = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                range_start(&answer, start).ok_or_else(|| self.wrong_range(file))?
            }
            _ => 0,
        };
        Ok(Body { start, bytes: Box::new(answer.into_body().into_reader()) })
    }

    fn wrong_range(&self, file: &RemoteFile) -> ImportError {
        let reason = "the server sent another range than was asked for".to_owned();
        ImportError::Untrusted { name: format!("hf:{}: {}", self.repository.name, file.name), reason }
    }

    fn unreached(&self, what: &str, error: &ureq::Error) -> ImportError {
        offline(self.repository, self.settings, &format!("{what}: {error}"))
    }

    fn passing(&self, what: &str, error: &ureq::Error) -> Failure {
        Failure::Passing { error: self.unreached(what, error), after: None }
    }

    /// The answer, if it is one; `what` is the repository or a file of it.
    fn accepted(&self, what: &str, answer: Response<ureq::Body>) -> Result<Response<ureq::Body>, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let code = header("X-Error-Code").unwrap_or_default();
        let message: String = header("X-Error-Message").unwrap_or_default().chars().take(200).collect();
        let said = if message.is_empty() { code } else { &message };
        let said = if said.is_empty() { String::new() } else { format!(", {said:?}") };
        let reason = format!("{what}: http status: {}{said}", status.as_u16());
        let name = format!("{}@{}", self.repository.name, self.repository.revision);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Final(ImportError::Forbidden {
                name: format!("hf:{name}"),
                reason,
                advice: self.advice(code),
            }),
            StatusCode::NOT_FOUND => {
                Failure::Final(ImportError::NotFound { place: self.settings.endpoint.clone(), name, reason })
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => self.later(&reason, &answer),
            _ if status.is_server_error() => self.later(&reason, &answer),
            _ => Failure::Final(offline(self.repository, self.settings, &reason)),
        })
    }

    fn later(&self, reason: &str, answer: &Response<ureq::Body>) -> Failure {
        let after = answer.headers().get("Retry-After").and_then(|value| retry_after(value.to_str().ok()?));
        let reason = match after {
            Some(after) => format!("{reason}, to be tried again after {} s", after.as_secs()),
            None => reason.to_owned(),
        };
        Failure::Passing { error: offline(self.repository, self.settings, &reason), after }
    }

    /// What to do about a refusal, by the hub's own code for it.
    fn advice(&self, code: &str) -> String {
        let HubSettings { endpoint, token, .. } = self.settings;
        let tokens = format!("{endpoint}/settings/tokens");
        match (code, token) {
            ("GatedRepo", None) => format!(
                "the model is gated: accept its terms at {endpoint}/{}, make a token at {tokens} and set HF_TOKEN to it",
                self.repository.name
            ),
            ("GatedRepo", Some(_)) => format!(
                "the model is gated: accept its terms at {endpoint}/{} with the account that HF_TOKEN is of; a \
                 fine-grained token also needs the right to read gated repositories ({tokens})",
                self.repository.name
            ),
            (_, None) => format!(
                "if it is private or gated, accept its terms at {endpoint}/{}, make a token at {tokens} and set \
                 HF_TOKEN to it; check the name too: the hub answers the same for repositories that do not exist",
                self.repository.name
            ),
            (_, Some(_)) => format!(
                "HF_TOKEN, or the token of huggingface-cli, does not open it: check at {tokens} that it is valid and \
                 may read it, and check the name"
            ),
        }
    }
}

/// Where a partial answer begins, if it is not past the byte asked for.
fn range_start(answer: &Response<ureq::Body>, asked: u64) -> Option<u64> {
    let range = answer.headers().get("Content-Range")?.to_str().ok()?;
    let start = range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()?;
    (start == asked).then_some(start)
}

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
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

    #[test]
    fn both_forms_of_retry_after() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Wed, 21 Oct 2099 07:28:00 GMT").unwrap() > Duration::from_hours(1));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
    }
}
