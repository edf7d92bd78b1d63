//! Renaming tensors by patterns.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use crate::error::{Place, Problem};

/// A rule: names that match one pattern are called as the other says.
///
/// A pattern is text in which `{name}` stands for one part of a dotted name, or for the rest of a part, and
/// `{name..}` for any text, dots included; neither stands for nothing. Where a name can be read in several
/// ways, the first capture is as short as it can be, then the second. The new pattern may use each
/// capture any number of times.
///
/// ```
/// use porter_weights::Rename;
/// let rule = Rename::new("model.layers.{n}.{rest..}", "blk.{n}.{rest..}")?;
/// assert_eq!(rule.apply("model.layers.12.mlp.up_proj.weight").as_deref(), Some("blk.12.mlp.up_proj.weight"));
/// assert_eq!(rule.inverse()?.apply("blk.12.mlp.up_proj.weight").as_deref(), Some("model.layers.12.mlp.up_proj.weight"));
/// # Ok::<(), porter_weights::RenameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    from: Pattern,
    to: Pattern,
}

/// Why a [`Rename`] cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// A pattern is not well formed.
    #[error("pattern {pattern:?}: {what}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        what: String,
    },
    /// A capture is used that the other pattern does not have.
    #[error("{used:?} uses {{{capture}}}, which {given:?} does not capture")]
    Unbound {
        /// The pattern that uses it.
        used: String,
        /// The pattern that should capture it.
        given: String,
        /// The capture.
        capture: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Capture { name: String, dots: bool },
}

impl Rename {
    /// The rule that calls what matches `from` as `to` says.
    pub fn new(from: &str, to: &str) -> Result<Self, RenameError> {
        let (from, to) = (Pattern::new(from)?, Pattern::new(to)?);
        let mut names = BTreeSet::new();
        if let Some(twice) = from.captures().find(|name| !names.insert(*name)) {
            let what = format!("captures {{{twice}}} twice");
            return Err(RenameError::Pattern { pattern: from.text.clone(), what });
        }
        if let Some(unbound) = to.captures().find(|name| !names.contains(name)) {
            let (used, given) = (to.text.clone(), from.text.clone());
            return Err(RenameError::Unbound { used, given, capture: unbound.to_owned() });
        }
        Ok(Self { from, to })
    }

    /// The new name; `None` if the pattern does not match all of `name`.
    pub fn apply(&self, name: &str) -> Option<String> {
        let mut captured = BTreeMap::new();
        if !matches(&self.from.parts, name, &mut captured) {
            return None;
        }
        let parts = self.to.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Capture { name, .. } => captured.get(name.as_str()).copied(),
        });
        parts.collect()
    }

    /// The rule the other way round, where every capture survives. It gives a name back if the new name
    /// can be read in one way only, which [`rename_all`] checks for the names that there are.
    pub fn inverse(&self) -> Result<Self, RenameError> {
        Self::new(&self.to.text, &self.from.text)
    }
}

/// As [`FromStr`] reads it: `from=to`.
impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from.text, self.to.text)
    }
}

/// Reads `from=to`. Neither pattern may hold a `=`.
impl FromStr for Rename {
    type Err = RenameError;

    fn from_str(text: &str) -> Result<Self, RenameError> {
        let rule = text.split_once('=').filter(|(_, to)| !to.contains('='));
        let no_rule = || RenameError::Pattern {
            pattern: text.to_owned(),
            what: "is not a rule; expected FROM=TO, as {rest..}.gamma={rest..}.weight".to_owned(),
        };
        rule.ok_or_else(no_rule).and_then(|(from, to)| Self::new(from, to))
    }
}

/// The new name of each of `names` by the first rule that matches it; a name that none matches stays.
///
/// # Errors
/// Every new name that several get, and every one that is empty.
pub fn rename_all<'a>(
    rules: &[Rename],
    names: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<&'a str, String>, Vec<Problem>> {
    let mut renamed = BTreeMap::new();
    let mut old_names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        let new = rules.iter().find_map(|rule| rule.apply(name)).unwrap_or_else(|| name.to_owned());
        old_names.entry(new.clone()).or_default().push(name);
        renamed.insert(name, new);
    }
    let collisions = old_names.into_iter().filter(|(new, old)| old.len() > 1 || new.is_empty());
    let problems: Vec<Problem> = collisions
        .map(|(new, old)| Problem {
            what: format!("is what {} are renamed to; expected one name for each", quoted(&old)),
            place: Place::Tensor(new),
        })
        .collect();
    if problems.is_empty() { Ok(renamed) } else { Err(problems) }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" and ")
}

impl Pattern {
    fn new(text: &str) -> Result<Self, RenameError> {
        let wrong = |what: &str| RenameError::Pattern { pattern: text.to_owned(), what: what.to_owned() };
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or_else(|| wrong("a { is not closed"))?;
            let (name, dots) = inside.strip_suffix("..").map_or((inside, false), |name| (name, true));
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
                return Err(wrong("a capture is {name} or {name..}, of letters, digits and _"));
            }
            if before.is_empty() && matches!(parts.last(), Some(Part::Capture { .. })) {
                return Err(wrong("two captures stand side by side, so where one ends is not known"));
            }
            parts.extend(text_part(before));
            parts.push(Part::Capture { name: name.to_owned(), dots });
            rest = after;
        }
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}')))
            || rest.contains('}')
        {
            return Err(wrong("a } closes nothing"));
        }
        parts.extend(text_part(rest));
        Ok(Self { text: text.to_owned(), parts })
    }

    fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Capture { name, .. } => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

fn text_part(text: &str) -> Option<Part> {
    (!text.is_empty()).then(|| Part::Text(text.to_owned()))
}

/// True if `parts` match all of `name`; then `captured` has what each capture stands for.
fn matches<'p, 'n>(parts: &'p [Part], name: &'n str, captured: &mut BTreeMap<&'p str, &'n str>) -> bool {
    match parts {
        [] => name.is_empty(),
        [Part::Text(text), rest @ ..] => {
            name.strip_prefix(text.as_str()).is_some_and(|after| matches(rest, after, captured))
        }
        [Part::Capture { name: capture, dots }, rest @ ..] => {
            let longest = if *dots { name.len() } else { name.find('.').unwrap_or(name.len()) };
            let ends = name.char_indices().skip(1).map(|(end, _)| end).chain([name.len()]);
            let mut ends = ends.take_while(|end| *end <= longest && *end > 0);
            ends.any(|end| {
                let (taken, after) = name.split_at(end);
                captured.insert(capture, taken);
                matches(rest, after, captured)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, to: &str) -> Rename {
        Rename::new(from, to).unwrap()
    }

    #[test]
    fn captures_stand_for_one_part_or_for_several() {
        let one = rule("model.layers.{n}.{x}.weight", "blk.{n}.{x}");
        assert_eq!(one.apply("model.layers.7.norm.weight").as_deref(), Some("blk.7.norm"));
        assert_eq!(one.apply("model.layers.7.mlp.norm.weight"), None);
        assert_eq!(one.apply("model.layers..norm.weight"), None);
        let several = rule("{a..}.weight", "{a..}.kernel");
        assert_eq!(several.apply("a.b.weight.weight").as_deref(), Some("a.b.weight.kernel"));
        assert_eq!(
            rule("{p..}.h{n}.{q..}", "{q..}/{n}/{p..}").apply("t.h1.h2.w").as_deref(),
            Some("h2.w/1/t")
        );
        assert_eq!(rule("é{x}", "{x}").apply("éü").as_deref(), Some("ü"));
        assert_eq!(rule("a", "b").apply("ab"), None);
    }

    #[test]
    fn an_inverse_needs_every_capture() {
        let back = rule("a.{n}.b", "{n}/{n}").inverse();
        assert_eq!(back.unwrap_err().to_string(), "pattern \"{n}/{n}\": captures {n} twice");
        let lost = rule("a.{n}.{m}", "b.{n}").inverse().unwrap_err().to_string();
        assert_eq!(lost, "\"a.{n}.{m}\" uses {m}, which \"b.{n}\" does not capture");
    }

    #[test]
    fn patterns_that_are_none_are_refused() {
        for wrong in ["{", "a}", "{}", "{..}", "{a}{b}", "{a b}", "{a}.{a}", "{a{b}"] {
            assert!(Rename::new(wrong, "x").is_err(), "{wrong}");
        }
        assert!(Rename::new("x", "{a}").is_err());
    }

    #[test]
    fn collisions_are_all_reported_and_the_first_rule_wins() {
        let rules = [rule("a.{n}", "x.{n}"), rule("{m}.{n}", "y.{n}")];
        let renamed = rename_all(&rules, ["a.1", "b.2", "c"]).unwrap();
        assert_eq!(
            renamed.into_iter().collect::<Vec<_>>(),
            [("a.1", "x.1".to_owned()), ("b.2", "y.2".to_owned()), ("c", "c".to_owned())]
        );
        let problems = rename_all(&rules, ["b.1", "c.1", "d.2", "e.2", "x.9", "a.9"]).unwrap_err();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected =
            "tensor \"y.1\": is what \"b.1\" and \"c.1\" are renamed to; expected one name for each";
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0], expected);
    }
}
