//! The files of one model.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::ImportError;

/// The largest configuration file that is read. `tokenizer_config.json` of a large vocabulary has some hundred kB.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// A parsed JSON file.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonFile {
    /// Where it lies, for errors about what it holds.
    pub path: PathBuf,
    /// What it holds.
    pub value: Value,
}

impl JsonFile {
    /// Reads a file of at most 16 MiB; errors name line and column.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let file = File::open(path).map_err(ImportError::io("open", path))?;
        let found = file.metadata().map_err(ImportError::io("read", path))?.len();
        let mut bytes = Vec::new();
        file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(ImportError::io("read", path))?;
        if bytes.len() as u64 > MAX_JSON_BYTES {
            return Err(ImportError::TooLarge { path: path.to_owned(), found, limit: MAX_JSON_BYTES });
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| ImportError::Json {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        })?;
        Ok(Self { path: path.to_owned(), value })
    }

    fn read_if_present(path: &Path) -> Result<Option<Self>, ImportError> {
        present(path.to_owned()).map(|path| Self::read(&path)).transpose()
    }
}

/// The parser's message without the position, which [`ImportError::Json`] puts first.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

/// The files of one model, on this machine; of one in a bucket all but the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFiles {
    /// What to call the model: the repository, the package, the folder or the file.
    pub name: String,
    /// The folder of the model.
    pub root: PathBuf,
    /// What to open for the weights: a `.safetensors`, `.gguf` or PyTorch file, or an index of shards. In a bucket it is
    /// their `s3://` or `gs://` URL, for `porter_remote::open`.
    pub weights: PathBuf,
    /// `config.json`; a GGUF file holds its own.
    pub config: Option<JsonFile>,
    /// `generation_config.json`: the stop tokens.
    pub generation_config: Option<JsonFile>,
    /// `tokenizer_config.json`: special tokens and, in older models, the chat template.
    pub tokenizer_config: Option<JsonFile>,
    /// `tokenizer.json`.
    pub tokenizer: Option<PathBuf>,
    /// `chat_template.jinja`.
    pub chat_template: Option<PathBuf>,
}

impl ModelFiles {
    /// The files beside `weights` in the folder `root`. A GGUF or ONNX file takes none of them: it
    /// says itself what it is.
    pub(crate) fn beside(weights: PathBuf, root: PathBuf, name: String) -> Result<Self, ImportError> {
        let alone = weights.extension().is_some_and(|extension| extension == "gguf" || extension == "onnx");
        let json = |file: &str| if alone { Ok(None) } else { JsonFile::read_if_present(&root.join(file)) };
        let path = |file: &str| if alone { None } else { present(root.join(file)) };
        Ok(Self {
            config: json("config.json")?,
            generation_config: json("generation_config.json")?,
            tokenizer_config: json("tokenizer_config.json")?,
            tokenizer: path("tokenizer.json"),
            chat_template: path("chat_template.jinja"),
            name,
            weights,
            root,
        })
    }
}

fn present(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> ImportError {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        JsonFile::read(file.path()).unwrap_err()
    }

    #[test]
    fn errors_name_line_and_column() {
        let ImportError::Json { line, column, reason, .. } = read(b"{\"a\": 1,\n \"b\": nul}") else {
            panic!()
        };
        assert_eq!((line, column, reason.as_str()), (2, 10, "expected ident"));
    }

    #[test]
    fn hostile_files_are_errors() {
        assert!(matches!(read(&b"[".repeat(100_000)), ImportError::Json { .. }));
        assert!(matches!(read(b"\xff\xfe"), ImportError::Json { .. }));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_JSON_BYTES + 1).unwrap();
        let error = JsonFile::read(file.path()).unwrap_err();
        assert!(matches!(error, ImportError::TooLarge { found, .. } if found == MAX_JSON_BYTES + 1));
    }
}
