//! Chat templates: Jinja, rendered as transformers renders them.
//!
//! transformers documents its environment: `trim_blocks` and `lstrip_blocks`, loop controls, the functions
//! `raise_exception` and `strftime_now`, a `tojson` that is `json.dumps(x, ensure_ascii=False)` (no HTML escapes), a
//! `generation` block that changes nothing in the text, and Python's methods and spelling of values (`True`, `None`).
//!
//! A template is code of a stranger: the steps it may take, its recursion and its output are bounded. What stays
//! unbounded is the size of a value that it builds step by step without printing it.

mod python;
mod strftime;

use std::io;
use std::path::Path;
use std::time::SystemTime;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;
use serde_json::Value;

use crate::error::TextError;
use crate::tokenizer::read_limited;

/// The largest template text that is read.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;
/// Instructions a template may run: some hundred a message.
const MAX_STEPS: u64 = 10_000_000;
/// The largest text a template may give.
const MAX_OUTPUT_BYTES: usize = 16 << 20;
/// The template that is used where several are named and none is asked for.
const DEFAULT: &str = "default";

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// One turn.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// What a template sees besides the messages.
#[derive(Debug, Clone, Serialize)]
pub struct ChatContext {
    /// Whether the text ends with the opening of the assistant's turn: true to generate an answer.
    pub add_generation_prompt: bool,
    /// The text of the special tokens and other variables: `bos_token`, `eos_token`, `tools`, `enable_thinking`, ...
    #[serde(flatten)]
    pub variables: serde_json::Map<String, Value>,
    /// The time that `strftime_now` tells, in UTC.
    #[serde(skip)]
    pub now: SystemTime,
}

impl ChatContext {
    /// The context in which an answer is generated, with the special tokens of a `tokenizer_config.json`.
    pub fn answering(tokenizer_config: &Value) -> Self {
        let variables = ["bos_token", "eos_token", "pad_token", "unk_token"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), special_token(tokenizer_config.get(name)?)?)));
        Self { add_generation_prompt: true, variables: variables.collect(), now: SystemTime::now() }
    }
}

/// A special token is its text, or an object with the text in `content`.
fn special_token(value: &Value) -> Option<Value> {
    let text = if value.is_object() { value.get("content")? } else { value };
    text.as_str().map(Value::from)
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    origin: String,
}

impl ChatTemplate {
    /// Compiles a template; `origin` names it in errors.
    pub fn new(source: &str, origin: &str) -> Result<Self, TextError> {
        let fail = |error| failed(origin, &error);
        let mut environment = python::environment().map_err(fail)?;
        environment.set_fuel(Some(MAX_STEPS));
        environment.add_template_owned(DEFAULT, without_generation_blocks(source)).map_err(fail)?;
        Ok(Self { environment, origin: origin.to_owned() })
    }

    /// Reads a `chat_template.jinja`.
    pub fn from_file(path: &Path) -> Result<Self, TextError> {
        let origin = path.display().to_string();
        let source = String::from_utf8(read_limited(path, MAX_TEMPLATE_BYTES)?)
            .map_err(|error| TextError::Template { origin: origin.clone(), reason: error.to_string() })?;
        Self::new(&source, &origin)
    }

    /// The template of a `tokenizer_config.json`: its `chat_template` is a text, or a list of named texts of which
    /// `default` is taken. `None` if there is none.
    pub fn from_config(config: &Value, origin: &str) -> Result<Option<Self>, TextError> {
        let wrong = |found: &Value| TextError::Field {
            field: format!("{origin}: chat_template"),
            found: found.to_string().chars().take(80).collect(),
            expected: "a template, or a list of {name, template} with one named `default`".to_owned(),
        };
        match config.get("chat_template") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(source)) => Self::new(source, origin).map(Some),
            Some(Value::Array(named)) => {
                let default = named.iter().find(|entry| entry.get("name") == Some(&DEFAULT.into()));
                let source = default.and_then(|entry| entry.get("template")?.as_str());
                Self::new(source.ok_or_else(|| wrong(&Value::from(named.clone())))?, origin).map(Some)
            }
            Some(other) => Err(wrong(other)),
        }
    }

    /// The conversation as one text, special tokens included: encode it with
    /// [`Tokenizer::encode_without_special`](crate::Tokenizer::encode_without_special).
    pub fn render(&self, messages: &[Message], chat: &ChatContext) -> Result<String, TextError> {
        let fail = |error| failed(&self.origin, &error);
        let mut environment = self.environment.clone();
        let now = chat.now;
        environment.add_function("strftime_now", move |format: &str| {
            strftime::strftime(format, now)
                .map_err(|reason| minijinja::Error::new(ErrorKind::InvalidOperation, reason))
        });
        let mut output = Bounded(Vec::new());
        let values = context! { ..Serde(chat), ..context! { messages => Serde(messages) } };
        environment
            .get_template(DEFAULT)
            .and_then(|template| template.render_captured_to(values, &mut output).map(drop))
            .map_err(fail)?;
        String::from_utf8(output.0)
            .map_err(|error| TextError::Template { origin: self.origin.clone(), reason: error.to_string() })
    }
}

fn failed(origin: &str, error: &minijinja::Error) -> TextError {
    if let Some(python::Raised(message)) = python::raised(error) {
        return TextError::Refused(message.clone());
    }
    let reason = match error.kind() {
        ErrorKind::OutOfFuel => format!("takes more than {MAX_STEPS} steps"),
        ErrorKind::WriteFailure => format!("gives more than {MAX_OUTPUT_BYTES} bytes"),
        _ => match error.line() {
            Some(line) => format!("line {line}: {}", detail(error)),
            None => detail(error),
        },
    };
    TextError::Template { origin: origin.to_owned(), reason }
}

fn detail(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

/// `generation` blocks only mark text for training: they become blocks that are always taken.
fn without_generation_blocks(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        result.push_str(before);
        let sign = tag.len() - tag.strip_prefix(['-', '+']).unwrap_or(tag).len();
        let (sign, tag) = tag.split_at(sign);
        result.push_str(sign);
        let end = tag.find("%}").unwrap_or(tag.len());
        let (body, after) = tag.split_at(end);
        match body.trim_end_matches(['-', '+']).trim() {
            "generation" => result.push_str(&body.replace("generation", "if true")),
            "endgeneration" => result.push_str(&body.replace("endgeneration", "endif")),
            _ => result.push_str(body),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

/// A buffer that refuses to grow beyond [`MAX_OUTPUT_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MAX_OUTPUT_BYTES - self.0.len() {
            return Err(io::Error::other("output limit"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_keep_their_whitespace_control() {
        let source = "{%- generation -%}a{% endgeneration %}{% if generation %}{% endif %}";
        let expected = "{%- if true -%}a{% endif %}{% if generation %}{% endif %}";
        assert_eq!(without_generation_blocks(source), expected);
        assert_eq!(without_generation_blocks("{% generation"), "{% if true");
    }
}
