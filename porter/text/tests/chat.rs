//! Chat templates give the text that jinja2 gives in transformers' environment, and hostile ones end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, UNIX_EPOCH};

use porter_text::{ChatContext, ChatTemplate, ErrorKind, Message, TextError};
use serde_json::{Value, json};

fn context(variables: &Value) -> ChatContext {
    ChatContext {
        add_generation_prompt: false,
        variables: variables.as_object().unwrap().clone(),
        now: UNIX_EPOCH,
    }
}

#[test]
fn recorded_conversations() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat");
    let recorded = common::json(&folder.join("expected.json"));
    let cases = recorded["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let template = ChatTemplate::from_file(&folder.join(name).with_extension("jinja")).unwrap();
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let chat = ChatContext {
            add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap(),
            now: UNIX_EPOCH + Duration::from_secs(recorded["now"].as_u64().unwrap()),
            ..context(&case["variables"])
        };
        match (template.render(&messages, &chat), case["raises"].as_str()) {
            (Ok(text), None) => assert_eq!(text, case["text"].as_str().unwrap(), "{name}"),
            (Err(TextError::Refused(message)), Some(raises)) => assert_eq!(message, raises, "{name}"),
            (found, expected) => panic!("{name}: {found:?} for {expected:?}"),
        }
    }
}

fn render(source: &str) -> Result<String, TextError> {
    ChatTemplate::new(source, "t.jinja")?.render(&[Message::new("user", "hi")], &context(&json!({})))
}

#[test]
fn hostile_templates_end_with_an_error() {
    for (source, part) in [
        ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "steps"),
        ("{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}", "bytes"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{{ messages[0].content.nope() }}", "line 1"),
        ("{% if %}", "syntax error"),
        ("{{ messages | nope }}", "unknown filter"),
        ("{{ strftime_now('%Q') }}", "%Q"),
        ("{% include 'x' %}", "line 1"),
    ] {
        let error = render(source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{source}");
        let message = error.to_string();
        assert!(
            message.starts_with("chat template of t.jinja: ") && message.contains(part),
            "{source}: {message}"
        );
    }
}

#[test]
fn deep_nesting_is_an_error() {
    assert!(render(&format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000))).is_err());
    assert!(render(&"{% if true %}".repeat(100_000)).is_err());
}

#[test]
fn templates_of_a_configuration() {
    let load = |config: &Value| ChatTemplate::from_config(config, "tokenizer_config.json");
    let text = |config: &Value| load(config).unwrap().unwrap().render(&[], &context(&json!({}))).unwrap();
    assert_eq!(text(&json!({"chat_template": "a"})), "a");
    let named = json!([{"name": "tool_use", "template": "b"}, {"name": "default", "template": "c"}]);
    assert_eq!(text(&json!({"chat_template": named})), "c");
    assert!(load(&json!({})).unwrap().is_none());
    for wrong in [json!(3), json!([{"name": "x", "template": "y"}]), json!([{"name": "default"}])] {
        let error = load(&json!({"chat_template": wrong})).unwrap_err();
        assert!(error.to_string().starts_with("tokenizer_config.json: chat_template: found"), "{error}");
    }
}

#[test]
fn special_tokens_come_from_the_configuration() {
    let config =
        json!({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null});
    let chat = ChatContext::answering(&config);
    let template =
        ChatTemplate::new("{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}", "t").unwrap();
    assert_eq!(template.render(&[], &chat).unwrap(), "<s></s>True");
    assert!(!chat.variables.contains_key("pad_token"));
}
