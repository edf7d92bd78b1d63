//! Why a model does not lie over a mesh.

use std::fmt;

use porter_ir::Mesh;

/// How many names a message gives.
const NAMED: usize = 3;

/// Why a model cannot be sharded: everything that stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardError {
    /// The mesh.
    pub mesh: Mesh,
    /// What was found.
    pub problems: Vec<ShardProblem>,
}

/// One thing that stands against a sharding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardProblem {
    /// A logical axis does not divide over the mesh axes that the rules give it.
    Indivisible {
        /// The logical axis: `kv_heads`.
        axis: String,
        /// How many parts it has.
        parts: usize,
        /// The mesh axes and their sizes.
        over: Vec<(String, usize)>,
        /// The weights, inputs and values that have it.
        tensors: Vec<String>,
    },
    /// No line of the table names a logical axis.
    NoRule {
        /// The logical axis.
        axis: String,
        /// The table.
        table: &'static str,
        /// The tensors that have it.
        tensors: Vec<String>,
    },
    /// An input or output whose dimensions nobody has named.
    NoAxes {
        /// Its names.
        tensors: Vec<String>,
    },
    /// A weight or a state that lies otherwise in another program.
    Differs {
        /// Its name.
        tensor: String,
        /// The programs.
        programs: [String; 2],
    },
    /// A mesh axis that splits nothing: its devices would all compute the same.
    Idle {
        /// The mesh axis.
        axis: String,
        /// Its size.
        size: usize,
        /// The program.
        program: String,
    },
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model does not lie over the mesh {}:", self.mesh)?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

impl std::error::Error for ShardError {}

impl fmt::Display for ShardProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Indivisible { axis, parts, over, tensors } => {
                let axes: Vec<String> = over.iter().map(|(name, size)| format!("{name}={size}")).collect();
                let step = next_step(axis, *parts, over);
                write!(f, "{axis}: {parts} do not divide over {}", axes.join(","))?;
                if !tensors.is_empty() {
                    write!(f, " ({})", some(tensors))?;
                }
                write!(f, "; {step}")
            }
            Self::NoRule { axis, table, tensors } => write!(
                f,
                "{axis}: the rule table {table} has no line of it ({}); add one, as `{axis} = []`",
                some(tensors)
            ),
            Self::NoAxes { tensors } => write!(
                f,
                "nobody has said what the dimensions of {} mean; a rewrite that makes a tensor must name them",
                some(tensors)
            ),
            Self::Differs { tensor, programs: [a, b] } => {
                write!(f, "{tensor} would lie otherwise in {a} than in {b}; the rule tables must agree on it")
            }
            Self::Idle { axis, size, program } => write!(
                f,
                "the mesh axis {axis}={size} splits nothing in {program}, and its devices would compute the same; \
                 take it from the mesh, or give it a logical axis with a rule table"
            ),
        }
    }
}

fn some(tensors: &[String]) -> String {
    let named = tensors.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match tensors.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What would make `parts` divide.
fn next_step(axis: &str, parts: usize, over: &[(String, usize)]) -> String {
    let size = over.iter().fold(1_usize, |size, (_, axis)| size.saturating_mul(*axis)).max(1);
    let multiple = parts.div_ceil(size).saturating_mul(size);
    let step = if axis.ends_with("_batch") {
        format!("run {multiple} rows")
    } else if axis.contains("kv_heads") || axis == "cache_heads" {
        format!("repeat each head {} times (repeat_kv_heads)", size / gcd(parts, size).max(1))
    } else {
        format!("pad it to {multiple}")
    };
    match (over, gcd(parts, size)) {
        ([(name, _)], 1) => format!("{step}, or take {name}=1"),
        ([(name, _)], most) => format!("{step}, or take {name}={most}"),
        (_, most) => format!("{step}, or axes that multiply to a divisor of {most}"),
    }
}

/// The greatest common divisor.
pub(crate) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_to_do() {
        let of = |axis: &str, parts| {
            ShardProblem::Indivisible {
                axis: axis.to_owned(),
                parts,
                over: vec![("tensor".to_owned(), 4)],
                tensors: vec!["a".to_owned(), "b".to_owned(), "c".to_owned(), "d".to_owned()],
            }
            .to_string()
        };
        assert_eq!(
            of("vocab", 998),
            "vocab: 998 do not divide over tensor=4 (a, b, c and 1 more); pad it to 1000, or take tensor=2"
        );
        assert!(
            of("kv_heads", 2).ends_with("; repeat each head 2 times (repeat_kv_heads), or take tensor=2")
        );
        assert!(of("activation_batch", 1).ends_with("; run 4 rows, or take tensor=1"));
    }
}
