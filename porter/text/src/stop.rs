//! Where generation ends: stop tokens, and stop strings that may lie across token borders.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::TextError;

/// The token ids after which generation ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopTokens(BTreeSet<u32>);

impl StopTokens {
    /// The `eos_token_id` (a number or a list) of the first of the configurations that has one. transformers'
    /// order is `generation_config.json`, then `config.json`; each comes with its name, for errors.
    pub fn from_configs(configs: &[(&str, &Value)]) -> Result<Self, TextError> {
        let named = configs.iter().find_map(|(name, config)| {
            config.get("eos_token_id").filter(|value| !value.is_null()).map(|value| (name, value))
        });
        let Some((name, value)) = named else { return Ok(Self::default()) };
        let ids = match value {
            Value::Array(ids) => ids.iter().map(token_id).collect(),
            id => token_id(id).map(|id| BTreeSet::from([id])),
        };
        ids.map(Self).ok_or_else(|| TextError::Field {
            field: format!("{name}: eos_token_id"),
            found: value.to_string(),
            expected: "a token id or a list of token ids".to_owned(),
        })
    }

    /// Whether generation ends at this token.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    /// Whether no token ends generation.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }
}

impl FromIterator<u32> for StopTokens {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

fn token_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// Looks for stop strings in text that arrives in pieces. Text that may still become a stop string is held back, so
/// that nothing of a stop string is ever shown.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
}

/// What a piece of text led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// No stop string is complete; this text is safe to show.
    Text(String),
    /// A stop string is complete; this is the last text before it.
    Stopped {
        /// The text before the stop string.
        text: String,
        /// The stop string.
        stop: String,
    },
}

impl StopStrings {
    /// Empty stop strings are refused: they would end every text at once.
    pub fn new(stops: Vec<String>) -> Result<Self, TextError> {
        if stops.iter().any(String::is_empty) {
            return Err(TextError::Option {
                option: "stop",
                found: "an empty string".to_owned(),
                expected: "text",
            });
        }
        Ok(Self { stops, held: String::new() })
    }

    /// Takes the next piece of text. The stop string that ends first counts; of those that end together, the longest.
    pub fn push(&mut self, piece: &str) -> Scan {
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop)));
        let first = found.min_by_key(|(at, stop)| (at + stop.len(), *at));
        if let Some((at, stop)) = first {
            let stop = stop.clone();
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            return Scan::Stopped { text, stop };
        }
        let kept = self.held.len() - self.possible_start();
        let rest = self.held.split_off(kept);
        Scan::Text(std::mem::replace(&mut self.held, rest))
    }

    /// The text held back, once no more comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length in bytes of the longest end of the text that a stop string starts with.
    fn possible_start(&self) -> usize {
        let starts = self.stops.iter().flat_map(|stop| stop.char_indices().map(move |(at, _)| &stop[..at]));
        starts.filter(|start| self.held.ends_with(start)).map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_first_configuration_that_names_eos_counts() {
        let generation = json!({"eos_token_id": [2, 7]});
        let config = json!({"eos_token_id": 3});
        let empty = json!({"eos_token_id": null});
        let stops = |configs: &[(&str, &Value)]| StopTokens::from_configs(configs).unwrap();
        assert_eq!(stops(&[("g", &generation), ("c", &config)]), [2, 7].into_iter().collect());
        assert_eq!(stops(&[("g", &empty), ("c", &config)]), [3].into_iter().collect());
        assert!(stops(&[("g", &empty)]).is_empty());
    }

    #[test]
    fn wrong_ids_are_errors_with_their_file() {
        for bad in [json!(-1), json!(1.5), json!("2"), json!([1, "x"]), json!(4_294_967_296_u64)] {
            let config = json!({"eos_token_id": bad});
            let error = StopTokens::from_configs(&[("config.json", &config)]).unwrap_err();
            assert!(error.to_string().starts_with("config.json: eos_token_id: found"), "{error}");
        }
    }

    #[test]
    fn a_stop_string_across_pieces_is_never_shown() {
        let mut stops = StopStrings::new(vec!["\n\nUser:".to_owned()]).unwrap();
        assert_eq!(stops.push("Hi.\n"), Scan::Text("Hi.".to_owned()));
        assert_eq!(stops.push("\nUs"), Scan::Text(String::new()));
        assert_eq!(stops.push("ed"), Scan::Text("\n\nUsed".to_owned()));
        assert_eq!(stops.push("\n\n"), Scan::Text(String::new()));
        let stopped = Scan::Stopped { text: String::new(), stop: "\n\nUser:".to_owned() };
        assert_eq!(stops.push("User: x"), stopped);
    }

    #[test]
    fn empty_stop_strings_are_refused() {
        assert!(StopStrings::new(vec![String::new()]).is_err());
    }

    proptest! {
        /// However the text is cut, what is shown is the text before the stop string that ends first.
        #[test]
        fn cutting_does_not_matter(
            text in "[abé]{0,24}",
            stops in prop::collection::vec("[abé]{1,4}", 0..3),
            cuts in prop::collection::vec(0_usize..25, 0..8),
        ) {
            let expected = text
                .char_indices()
                .map(|(at, letter)| &text[..at + letter.len_utf8()])
                .find_map(|start| {
                    stops.iter().filter(|stop| start.ends_with(stop.as_str())).max_by_key(|stop| stop.len())
                        .map(|stop| start.len() - stop.len())
                })
                .map_or(text.as_str(), |end| &text[..end]);
            let letters: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= letters.len()).collect();
            cuts.extend([0, letters.len()]);
            cuts.sort_unstable();
            let mut scanner = StopStrings::new(stops).unwrap();
            let mut shown = String::new();
            let mut stopped = false;
            for window in cuts.windows(2) {
                let piece: String = letters[window[0]..window[1]].iter().collect();
                match scanner.push(&piece) {
                    Scan::Text(text) => shown.push_str(&text),
                    Scan::Stopped { text, .. } => { shown.push_str(&text); stopped = true; break; }
                }
            }
            if !stopped {
                shown.push_str(&scanner.finish());
            }
            prop_assert_eq!(shown, expected);
        }
    }
}
