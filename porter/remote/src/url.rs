//! How a user names what lies in a bucket.

use std::fmt;

use object_store::path::Path;

use crate::RemoteError;

/// Who keeps a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// `s3://`: Amazon S3, and every server that speaks its protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Gcs,
}

impl Provider {
    /// The URL's scheme.
    pub fn scheme(self) -> &'static str {
        match self {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
        }
    }
}

/// `s3://BUCKET[/KEY]` or `gs://BUCKET[/KEY]`: an object, or what lies under a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteUrl {
    provider: Provider,
    bucket: String,
    key: String,
}

impl RemoteUrl {
    /// True if `text` has the form of such a URL, valid or not.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("s3://") || text.starts_with("gs://")
    }

    /// Understands a URL. A `/` at its end changes nothing; empty, `.` and `..` parts of a key are refused.
    pub fn parse(text: &str) -> Result<Self, RemoteError> {
        let wrong = |reason: &str| RemoteError::Url { url: text.to_owned(), reason: reason.to_owned() };
        let (provider, rest) = match text.split_once("://") {
            Some(("s3", rest)) => (Provider::S3, rest),
            Some(("gs", rest)) => (Provider::Gcs, rest),
            _ => return Err(wrong("it begins with neither s3:// nor gs://")),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if bucket.len() < 3 || bucket.len() > 222 || !bucket.chars().all(letters) || bucket.contains("..") {
            return Err(wrong("the name of the bucket has 3 to 222 letters, digits, '-', '_' and '.'"));
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        if !key.is_empty() {
            if key.split('/').any(str::is_empty) {
                return Err(wrong("its key has an empty part"));
            }
            Path::parse(key).map_err(|error| wrong(&error.to_string()))?;
        }
        Ok(Self { provider, bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Who keeps it.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object, or the prefix without its last `/`; empty for the whole bucket.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The part of the key after its last `/`.
    pub fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }

    /// What lies at `path` below this.
    pub fn join(&self, path: &str) -> Result<Self, RemoteError> {
        Self::parse(&format!("{self}/{path}"))
    }

    /// The prefix that this lies in.
    #[must_use]
    pub fn parent(&self) -> Self {
        let key = self.key.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self { key: key.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.provider.scheme(), self.bucket)?;
        if self.key.is_empty() { Ok(()) } else { write!(f, "/{}", self.key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood_and_written_back() {
        for (text, bucket, key) in [
            ("s3://models/llama/model.safetensors", "models", "llama/model.safetensors"),
            ("gs://a-b.c/x y", "a-b.c", "x y"),
            ("s3://models", "models", ""),
        ] {
            let url = RemoteUrl::parse(text).unwrap();
            assert_eq!((url.bucket(), url.key()), (bucket, key));
            assert_eq!(url.to_string(), text);
        }
        let folder = RemoteUrl::parse("gs://models/llama/").unwrap();
        assert_eq!(folder.join("a/b").unwrap().to_string(), "gs://models/llama/a/b");
        assert_eq!(folder.parent().to_string(), "gs://models");
        assert_eq!(folder.join("a/b").unwrap().file_name(), "b");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "s3:/x",
            "s3://",
            "s3://ab",
            "https://models/x",
            "s3://mod els/x",
            "s3://a@b:c/x",
            "s3://models//x",
            "s3://models/../x",
            "s3://models/a/./x",
            "s3://a..b/x",
        ] {
            assert!(RemoteUrl::parse(text).is_err(), "{text}");
        }
        assert!(RemoteUrl::parse("s3://models/a").unwrap().join("../b").is_err());
    }
}
