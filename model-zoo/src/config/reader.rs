//! Reading a config object so that every key is accounted for and every problem is reported.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive};

use porter_weights::{Place, QuantisedConfig};
use serde_json::{Map, Value};

use super::{INERT, Problem, ProblemKind};

/// The largest value accepted for any one size. Hidden sizes, vocabularies and context lengths of
/// published models are below a hundredth of it, and a product of three stays inside `usize`.
const LARGEST_SIZE: u64 = 1 << 20;

/// The largest vocabulary or context length accepted: token ids and positions are `i32` in a program.
const LARGEST_COUNT: u64 = i32::MAX as u64;

/// The keys of one JSON object and what was found wrong with them.
///
/// A getter that meets a problem records it and gives its default back, so that one pass finds them
/// all; [`Reader::finish`] then adds the keys that nobody asked for. `null` is the same as absent but
/// for [`Reader::nullable_size`] and [`Reader::nullable_count`].
pub(crate) struct Reader<'a> {
    object: &'a Map<String, Value>,
    prefix: String,
    read: BTreeSet<&'a str>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, prefix: String::new(), read: BTreeSet::new(), problems: Vec::new() }
    }

    /// A hidden size, a number of heads, ...: a positive whole number that every config states.
    pub(crate) fn size(&mut self, key: &str) -> usize {
        self.optional_size(key).unwrap_or_else(|| self.missing(key, 1))
    }

    /// A size that the configuration class has a default for.
    pub(crate) fn size_or(&mut self, key: &str, default: usize) -> usize {
        self.optional_size(key).unwrap_or(default)
    }

    /// A size that may be absent.
    pub(crate) fn optional_size(&mut self, key: &str) -> Option<usize> {
        self.whole(key, 1..=LARGEST_SIZE)
    }

    /// A number of layers, which may be zero, that the configuration class has a default for.
    pub(crate) fn index_or(&mut self, key: &str, default: usize) -> usize {
        self.whole(key, 0..=LARGEST_SIZE).unwrap_or(default)
    }

    /// A size of which `null` means that there is none, and absence the default.
    pub(crate) fn nullable_size(&mut self, key: &str, default: Option<usize>) -> Option<usize> {
        if self.object.contains_key(key) { self.optional_size(key) } else { default }
    }

    /// A vocabulary size or a context length that every config states.
    pub(crate) fn count(&mut self, key: &str) -> usize {
        self.optional_count(key).unwrap_or_else(|| self.missing(key, 1))
    }

    /// A count that the configuration class has a default for.
    pub(crate) fn count_or(&mut self, key: &str, default: usize) -> usize {
        self.optional_count(key).unwrap_or(default)
    }

    /// A count that may be absent.
    pub(crate) fn optional_count(&mut self, key: &str) -> Option<usize> {
        self.whole(key, 1..=LARGEST_COUNT)
    }

    /// A count of which `null` means that there is none, and absence the default.
    pub(crate) fn nullable_count(&mut self, key: &str, default: Option<usize>) -> Option<usize> {
        if self.object.contains_key(key) { self.optional_count(key) } else { default }
    }

    /// A finite number that must be there.
    pub(crate) fn number(&mut self, key: &str) -> f64 {
        self.optional_number(key).unwrap_or_else(|| self.missing(key, 1.0))
    }

    /// A finite number that the configuration class has a default for.
    pub(crate) fn number_or(&mut self, key: &str, default: f64) -> f64 {
        self.optional_number(key).unwrap_or(default)
    }

    /// A finite number that may be absent.
    pub(crate) fn optional_number(&mut self, key: &str) -> Option<f64> {
        let value = self.present(key)?;
        match value.as_f64().filter(|x| x.is_finite()) {
            Some(x) => Some(x),
            None => self.wrong_type(key, value, "a number"),
        }
    }

    /// Finite numbers that must be there, `len` of them.
    pub(crate) fn numbers(&mut self, key: &str, len: usize) -> Vec<f64> {
        let Some(value) = self.present(key) else {
            return self.missing(key, Vec::new());
        };
        let numbers: Option<Vec<f64>> =
            value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        match numbers.filter(|list| list.len() == len) {
            Some(list) => list,
            None => self.wrong_type(key, value, format!("a list of {len} numbers")).unwrap_or_default(),
        }
    }

    /// True or false, with the configuration class's default.
    pub(crate) fn flag_or(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.present(key) else { return default };
        value.as_bool().or_else(|| self.wrong_type(key, value, "true or false")).unwrap_or(default)
    }

    /// A text, with the configuration class's default.
    pub(crate) fn text_or(&mut self, key: &str, default: &'a str) -> &'a str {
        let Some(value) = self.present(key) else { return default };
        value.as_str().or_else(|| self.wrong_type(key, value, "a text")).unwrap_or(default)
    }

    /// A list of texts that may be absent.
    pub(crate) fn optional_texts(&mut self, key: &str) -> Option<Vec<&'a str>> {
        let value = self.present(key)?;
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.or_else(|| self.wrong_type(key, value, "a list of texts"))
    }

    /// The number of entries of an object that may be absent.
    pub(crate) fn optional_entries(&mut self, key: &str) -> Option<usize> {
        let value = self.present(key)?;
        value.as_object().map(Map::len).or_else(|| self.wrong_type(key, value, "an object"))
    }

    /// A key of which only one value is supported.
    pub(crate) fn fixed(&mut self, key: &str, supported: &Value) {
        if let Some(found) = self.present(key)
            && found != supported
        {
            self.unsupported(key, found, format!("only {supported} is supported"));
        }
    }

    /// Keys that change nothing for this class, whatever they say.
    pub(crate) fn inert(&mut self, keys: &[&str]) {
        for key in keys {
            self.present(key);
        }
    }

    /// An object under `key`, to be given back with [`Reader::absorb`].
    pub(crate) fn object(&mut self, key: &str) -> Option<Reader<'a>> {
        let value = self.present(key)?;
        let Some(object) = value.as_object() else {
            return self.wrong_type(key, value, "an object");
        };
        Some(Reader { prefix: format!("{}{key}.", self.prefix), ..Reader::new(object) })
    }

    /// Takes over the problems of an object that was read to its end.
    pub(crate) fn absorb(&mut self, child: Reader<'a>) {
        self.problems.extend(child.finish(&[]));
    }

    /// How the checkpoint is quantised, if the config says that it is.
    pub(crate) fn quantised(&mut self) -> Option<QuantisedConfig> {
        let found = self.present("quantization_config")?;
        let problems = match QuantisedConfig::from_options(found) {
            Ok(config) => return Some(config),
            Err(problems) => problems,
        };
        for porter_weights::Problem { place, what } in problems {
            let key = if let Place::Field(key) = place { key } else { "quantization_config".to_owned() };
            self.problem(&key, ProblemKind::Unsupported, what);
        }
        None
    }

    /// The raw value of `key`, which counts as read.
    pub(crate) fn present(&mut self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.object.get_key_value(key)?;
        self.read.insert(key);
        (!value.is_null()).then_some(value)
    }

    /// Records that the value of `key` is understood, but not supported.
    pub(crate) fn unsupported(&mut self, key: &str, found: impl fmt::Display, why: impl fmt::Display) {
        self.problem(key, ProblemKind::Unsupported, format!("found {}; {why}", Short(&found.to_string())));
    }

    /// Every problem, with the keys that were not asked for, are not known to be inert and are not
    /// in `ignore`.
    pub(crate) fn finish(mut self, ignore: &[&str]) -> Vec<Problem> {
        for (key, value) in self.object {
            let known = self.read.contains(key.as_str()) || INERT.contains(&key.as_str());
            // An unset key says nothing, whatever it would have meant.
            if !known && !value.is_null() && !ignore.contains(&key.as_str()) {
                let what = "Porter does not know whether it changes the maths".to_owned();
                self.problem(key, ProblemKind::Unknown, what);
            }
        }
        self.problems
    }

    fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<usize> {
        let value = self.present(key)?;
        // Configs written by hand or by way of YAML say 1e4 for 10000.
        let integral = |x: f64| (x.fract() == 0.0 && (0.0..1e15).contains(&x)).then_some(x as u64);
        let n = value.as_u64().or_else(|| value.as_f64().and_then(integral));
        n.filter(|n| range.contains(n)).and_then(|n| usize::try_from(n).ok()).or_else(|| {
            let (first, last) = (range.start(), range.end());
            self.wrong_type(key, value, format!("a whole number from {first} to {last}"))
        })
    }

    fn missing<T>(&mut self, key: &str, stand_in: T) -> T {
        // A value of the wrong type was reported where it was found.
        if self.object.get(key).is_none_or(Value::is_null) {
            self.problem(key, ProblemKind::Missing, "is missing".to_owned());
        }
        stand_in
    }

    fn wrong_type<T>(&mut self, key: &str, found: &Value, expected: impl fmt::Display) -> Option<T> {
        let what = format!("found {}, expected {expected}", Short(&found.to_string()));
        self.problem(key, ProblemKind::WrongType, what);
        None
    }

    fn problem(&mut self, key: &str, kind: ProblemKind, what: String) {
        self.problems.push(Problem { key: format!("{}{key}", self.prefix), kind, what });
    }
}

/// A value's text, cut where a hostile config makes it long.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{}...", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(config: &Value, read: impl FnOnce(&mut Reader<'_>)) -> Vec<String> {
        let mut reader = Reader::new(config.as_object().unwrap());
        read(&mut reader);
        reader.finish(&["ignored"]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_problem_is_found_in_one_pass() {
        let config = json!({
            "hidden_size": "96", "head_dim": 0, "vocab_size": 1e30, "eps": [], "act": "gelu",
            "surprise": 1, "ignored": 1, "use_cache": true, "unset": null, "inner": {"a": 1, "b": 2},
        });
        let found = problems(&config, |r| {
            r.size("hidden_size");
            r.size("num_attention_heads");
            r.optional_size("head_dim");
            r.count("vocab_size");
            r.number_or("eps", 1.0);
            r.fixed("act", &json!("silu"));
            let mut inner = r.object("inner").unwrap();
            inner.size("a");
            r.absorb(inner);
        });
        let unknown = "Porter does not know whether it changes the maths";
        assert_eq!(
            found,
            [
                "hidden_size: found \"96\", expected a whole number from 1 to 1048576".to_owned(),
                "num_attention_heads: is missing".to_owned(),
                "head_dim: found 0, expected a whole number from 1 to 1048576".to_owned(),
                "vocab_size: found 1e+30, expected a whole number from 1 to 2147483647".to_owned(),
                "eps: found [], expected a number".to_owned(),
                "act: found \"gelu\"; only \"silu\" is supported".to_owned(),
                format!("inner.b: {unknown}"),
                format!("surprise: {unknown}"),
            ]
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let config = json!({"head_dim": "é".repeat(1000)});
        let found = problems(&config, |r| {
            r.optional_size("head_dim");
        });
        assert!(found[0].len() < 250, "{}", found[0]);
    }
}
