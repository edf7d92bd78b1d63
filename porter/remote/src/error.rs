//! What can go wrong with a bucket.

use std::io;

use object_store::Error as StoreError;

use crate::{Provider, RemoteUrl};

/// Why something in a bucket cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A URL that names nothing in a bucket.
    #[error("`{url}` names nothing in a bucket: {reason}; expected s3://BUCKET/KEY or gs://BUCKET/KEY")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Variables that do not make a client.
    #[error("{url} cannot be reached with these settings: {reason}; check the {variables} variables")]
    Settings {
        /// What was to be reached.
        url: String,
        /// What is wrong.
        reason: String,
        /// How the names of the variables begin.
        variables: &'static str,
    },
    /// Nothing is there.
    #[error("{url} does not exist: {reason}")]
    Missing {
        /// The object or bucket.
        url: String,
        /// What was answered.
        reason: String,
    },
    /// The credentials were good once.
    #[error("the credentials for {url} have expired ({reason}); {advice}, and run the same command again")]
    Expired {
        /// The object or bucket.
        url: String,
        /// What was answered.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The credentials are missing, wrong, or not enough.
    #[error("{url} cannot be read or written with these credentials ({reason}); {advice}")]
    Denied {
        /// The object or bucket.
        url: String,
        /// What was answered.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The object is not the one that was looked at first.
    #[error("{url} changed while it was read: {reason}; nothing of the two was mixed, run the command again")]
    Changed {
        /// The object.
        url: String,
        /// What was found, and what was expected.
        reason: String,
    },
    /// An answer that breaks the protocol.
    #[error("{url}: the server's answer is not what was asked for: {reason}")]
    Answer {
        /// The object.
        url: String,
        /// What was found, and what was expected.
        reason: String,
    },
    /// An object above the limit for its kind.
    #[error("{url} has {found} bytes, more than the {limit} allowed for this kind of file")]
    TooLarge {
        /// The object.
        url: String,
        /// Its size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// No connection, or a server that goes on failing.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The object or bucket.
        url: String,
        /// What failed last.
        reason: String,
    },
}

impl RemoteError {
    /// What a failed request for `url` means.
    pub(crate) fn of(url: &RemoteUrl, error: &StoreError) -> Self {
        let reason = whole(error);
        let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        let provider = url.provider();
        let url = url.to_string();
        if says(&[
            "ExpiredToken",
            "RequestExpired",
            "TokenRefreshRequired",
            "token has expired",
            "invalid_grant",
        ]) {
            return Self::Expired { url, reason: short(&reason), advice: expired(provider) };
        }
        match error {
            StoreError::Precondition { .. } => {
                Self::Changed { url, reason: "its ETag is another one now".to_owned() }
            }
            StoreError::NotFound { .. } => Self::Missing { url, reason: short(&reason) },
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                Self::Denied { url, reason: short(&reason), advice: denied(provider) }
            }
            _ if says(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"]) => {
                Self::Denied { url, reason: short(&reason), advice: denied(provider) }
            }
            _ => Self::Unreachable { url, reason: short(&reason) },
        }
    }

    /// For traits that speak of IO.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Missing { .. } => io::ErrorKind::NotFound,
            Self::Denied { .. } | Self::Expired { .. } => io::ErrorKind::PermissionDenied,
            Self::Url { .. } | Self::Settings { .. } => io::ErrorKind::InvalidInput,
            Self::Changed { .. } | Self::Answer { .. } | Self::TooLarge { .. } => io::ErrorKind::InvalidData,
            Self::Unreachable { .. } => io::ErrorKind::NotConnected,
        };
        io::Error::new(kind, self)
    }
}

fn expired(provider: Provider) -> &'static str {
    match provider {
        Provider::S3 => {
            "get new ones (aws sso login, or your own way) and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
             AWS_SESSION_TOKEN to them"
        }
        Provider::Gcs => "get new ones (gcloud auth application-default login, or a new GOOGLE_BEARER_TOKEN)",
    }
}

fn denied(provider: Provider) -> &'static str {
    match provider {
        Provider::S3 => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones) of an account \
             that may, check AWS_REGION and AWS_ENDPOINT_URL, or set AWS_SKIP_SIGNATURE=true for a public bucket"
        }
        Provider::Gcs => {
            "set GOOGLE_APPLICATION_CREDENTIALS to the key file of an account that may, run gcloud auth \
             application-default login, or set GOOGLE_SKIP_SIGNATURE=true for a public bucket"
        }
    }
}

/// The error with all its causes.
fn whole(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}

/// No reason is longer.
const MOST: usize = 400;

/// What the server said, without its XML, in a line.
fn short(text: &str) -> String {
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside.to_owned())
    };
    let said = match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    if said.chars().count() > MOST { said.chars().take(MOST).chain("...".chars()).collect() } else { said }
}
