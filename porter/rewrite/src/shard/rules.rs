//! Rule tables: from logical axes to mesh axes.

use std::collections::BTreeMap;

use porter_ir::{LogicalAxis, Mesh};
use serde::Deserialize;

/// Which mesh axes split a logical axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The table's name, for messages.
    pub name: &'static str,
    /// The mesh axes of each logical axis, outermost first.
    axes: BTreeMap<String, Vec<String>>,
    /// Mesh axes that weights are gathered over before they are used.
    gathered: Vec<String>,
    /// Logical axes whose weights are not gathered where it moves fewer bytes to bring rows to them.
    stays: Vec<String>,
    /// Logical axes that are split as far as they divide, and are not refused where they do not.
    where_divisible: Vec<String>,
}

/// The tables for the programs of a model. Weights and caches must lie in all of them alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Their name, for reports: `serving`, `2d`, `training`, or the user's file.
    pub name: String,
    /// For programs that read one token a row.
    pub decode: Rules,
    /// For those that read more.
    pub prefill: Rules,
}

/// A table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The default tables that the lines of `axes` change: `serving` if it says nothing.
    base: Option<String>,
    gathered: Option<Vec<String>>,
    stays: Option<Vec<String>>,
    where_divisible: Option<Vec<String>>,
    #[serde(default)]
    axes: BTreeMap<String, Vec<String>>,
}

/// A rule table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule table {name}: {problem}")]
pub struct RulesError {
    name: String,
    problem: String,
}

impl Tables {
    /// The default tables for running a model.
    pub fn serving() -> Result<Self, RulesError> {
        Ok(Self {
            name: "serving".to_owned(),
            decode: Rules::read("decode", include_str!("../../rules/decode.toml"))?,
            prefill: Rules::read("prefill", include_str!("../../rules/prefill.toml"))?,
        })
    }

    /// The default table for training, for all programs.
    pub fn training() -> Result<Self, RulesError> {
        let rules = Rules::read("training", include_str!("../../rules/training.toml"))?;
        Ok(Self { name: "training".to_owned(), decode: rules.clone(), prefill: rules })
    }

    /// The default tables with weights that stay split along both dimensions.
    pub fn two_dimensional() -> Result<Self, RulesError> {
        Self::of_user("2d", include_str!("../../rules/2d.toml"))
    }

    /// The tables of a name that [`Tables::NAMES`] has.
    pub fn named(name: &str) -> Option<Result<Self, RulesError>> {
        Some(match name {
            "serving" => Self::serving(),
            "2d" => Self::two_dimensional(),
            "training" => Self::training(),
            _ => return None,
        })
    }

    /// The names of the default tables.
    pub const NAMES: [&str; 3] = ["serving", "2d", "training"];

    /// A user's table: default tables with the lines of `text` in place of their own. `name` is for messages.
    pub fn of_user(name: &str, text: &str) -> Result<Self, RulesError> {
        let file = parse(name, text)?;
        let base = file.base.as_deref().unwrap_or("serving");
        let tables = Self::named(base).unwrap_or_else(|| {
            let problem = format!("base is {base:?}, expected one of {}", Self::NAMES.join(", "));
            Err(RulesError { name: name.to_owned(), problem })
        })?;
        let change = |rules: Rules| Rules {
            gathered: file.gathered.clone().unwrap_or(rules.gathered),
            stays: file.stays.clone().unwrap_or(rules.stays),
            where_divisible: file.where_divisible.clone().unwrap_or(rules.where_divisible),
            axes: rules.axes.into_iter().chain(file.axes.clone()).collect(),
            ..rules
        };
        Ok(Self { name: name.to_owned(), decode: change(tables.decode), prefill: change(tables.prefill) })
    }
}

impl Rules {
    fn read(name: &'static str, text: &str) -> Result<Self, RulesError> {
        let file = parse(name, text)?;
        Ok(Self {
            name,
            axes: file.axes,
            gathered: file.gathered.unwrap_or_default(),
            stays: file.stays.unwrap_or_default(),
            where_divisible: file.where_divisible.unwrap_or_default(),
        })
    }

    /// The axes of `mesh` that split a dimension of this logical axis; none where the table has no line of it.
    pub fn mesh_axes<'a>(&'a self, axis: &LogicalAxis, mesh: &'a Mesh) -> Option<Vec<&'a str>> {
        let axes = self.axes.get(axis.name.as_ref())?;
        Some(axes.iter().map(String::as_str).filter(|axis| mesh.size(axis).is_some()).collect())
    }

    /// Whether a logical axis lies over fewer mesh axes where it does not divide over all of its own.
    pub fn yields(&self, axis: &LogicalAxis) -> bool {
        self.where_divisible.iter().any(|name| *name == axis.name)
    }

    /// Whether weights are gathered over a mesh axis before they are used.
    pub fn gathers(&self, mesh_axis: &str) -> bool {
        self.gathered.iter().any(|axis| axis == mesh_axis)
    }

    /// Whether a weight whose dimensions mean `axes` may stay split while rows come to it.
    pub(super) fn stays(&self, axes: &[Option<LogicalAxis>]) -> bool {
        axes.iter().flatten().any(|axis| self.stays.iter().any(|name| *name == axis.name))
    }
}

fn parse(name: &str, text: &str) -> Result<File, RulesError> {
    toml::from_str(text).map_err(|e| RulesError { name: name.to_owned(), problem: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(rules: &Rules, name: &'static str) -> Vec<String> {
        let mesh = "data=2,fsdp=2,tensor=2".parse().unwrap();
        let axes = rules.mesh_axes(&LogicalAxis::new(name), &mesh).unwrap();
        axes.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn default_tables_keep_weights_and_caches_alike() {
        for tables in Tables::NAMES.map(|name| Tables::named(name).unwrap().unwrap()) {
            let Tables { decode, prefill, .. } = &tables;
            let kept = prefill.axes.iter().filter(|(name, _)| !name.starts_with("activation"));
            kept.for_each(|(name, axes)| assert_eq!(decode.axes.get(name), Some(axes), "{name}"));
        }
        let prefill = Tables::serving().unwrap().prefill;
        assert_eq!(axes(&prefill, "activation_batch"), ["data", "fsdp"], "the mesh has no expert axis");
    }

    #[test]
    fn a_users_lines_take_the_place_of_the_default_ones() {
        let tables = Tables::of_user("my.toml", "[axes]\nvocab = []\nembed = [\"data\"]").unwrap();
        assert_eq!(axes(&tables.decode, "vocab"), [""; 0]);
        assert_eq!(axes(&tables.prefill, "embed"), ["data"]);
        assert_eq!(axes(&tables.prefill, "mlp"), ["tensor"]);
        assert!(tables.decode.gathers("fsdp"));
        for wrong in ["axis = 1", "[axes]\nvocab = 3", "base = \"serve\"", "["] {
            let error = Tables::of_user("my.toml", wrong).unwrap_err().to_string();
            assert!(error.starts_with("the rule table my.toml: "), "{error}");
        }
    }
}
