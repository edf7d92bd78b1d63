//! A chip and a shape.

use std::{fmt, str::FromStr};

use crate::{CHIPS, Chip, Topologies};

/// How many near shapes an error names.
const NEAR: usize = 4;

/// What programs are compiled for: `v6e:2x4`, `v5p:4x4x4`, `7x:2x2x1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    chip: &'static Chip,
    dims: Vec<usize>,
}

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is not a chip and a shape.
    #[error("{found:?} names no target\nexpected: a chip and a shape, as {}", examples.join(", "))]
    Form {
        /// The text.
        found: String,
        /// What it may have meant.
        examples: Vec<String>,
    },
    /// There is no such chip.
    #[error("there is no chip {found:?}\nexpected: {}{}", chips.join(", "), hint(meant.as_ref()))]
    Chip {
        /// The chip.
        found: String,
        /// Every chip there is.
        chips: Vec<&'static str>,
        /// The chip that goes by that name elsewhere.
        meant: Option<&'static str>,
    },
    /// The chip does not come in such a shape.
    #[error("{chip} does not come as {found}\nnear ones: {}", near.join(", "))]
    Shape {
        /// The chip.
        chip: &'static str,
        /// The shape.
        found: String,
        /// Targets of about as many chips.
        near: Vec<String>,
    },
}

fn hint(meant: Option<&&'static str>) -> String {
    meant.map_or_else(String::new, |chip| format!("; did you mean {chip}?"))
}

impl Target {
    /// The chip.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// Chips along each axis.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The number of chips.
    pub fn chips(&self) -> usize {
        self.dims.iter().product()
    }

    /// The number of devices, as XLA counts them.
    pub fn devices(&self) -> usize {
        self.chips() * self.chip.devices
    }

    /// The name that libtpu knows the topology by.
    pub fn libtpu_name(&self) -> String {
        format!("{}:{}", self.chip.libtpu_name, shape(&self.dims))
    }

    /// Which axes close to a ring.
    pub fn rings(&self) -> Vec<bool> {
        let closes = |dim: usize| match self.chip.topologies {
            Topologies::Mesh(_) => self.chip.ici.ring_from.is_some_and(|least| dim >= least),
            Topologies::Torus { .. } => Topologies::is_cubes(&self.dims),
        };
        self.dims.iter().map(|&dim| closes(dim)).collect()
    }

    /// Every target of a chip, smallest first.
    pub fn all(chip: &'static Chip) -> impl Iterator<Item = Self> {
        chip.topologies.all().into_iter().map(move |dims| Self { chip, dims })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let form = |examples: Vec<String>| TargetError::Form { found: text.to_owned(), examples };
        let usual = || ["v6e:2x4", "v5p:4x4x4", "7x:2x2x1"].map(str::to_owned).to_vec();
        let Some((name, dims)) = text.split_once(':') else {
            return Err(form(by_count(text).unwrap_or_else(usual)));
        };
        let chip = chip(name)?;
        let dims: Option<Vec<usize>> = dims.split('x').map(number).collect();
        let dims = dims.ok_or_else(|| form(usual()))?;
        if chip.topologies.contain(&dims) {
            return Ok(Self { chip, dims });
        }
        let count = dims.iter().fold(1_usize, |product, &dim| product.saturating_mul(dim));
        let near = near(chip, count);
        Err(TargetError::Shape { chip: chip.name, found: shape(&dims), near })
    }
}

/// A dimension: digits only.
fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn chip(name: &str) -> Result<&'static Chip, TargetError> {
    let lower = name.to_ascii_lowercase();
    let exact = CHIPS.iter().find(|chip| chip.name == lower || chip.libtpu_name == lower);
    exact.copied().ok_or_else(|| TargetError::Chip {
        found: name.to_owned(),
        chips: CHIPS.iter().map(|chip| chip.name).collect(),
        meant: CHIPS.iter().find(|chip| chip.also.contains(&lower.as_str())).map(|chip| chip.name),
    })
}

/// Targets of the chip and about as many chips as a name like `v6e-8` has, or of the chip alone.
fn by_count(text: &str) -> Option<Vec<String>> {
    let (name, count) = text.rsplit_once('-').unwrap_or((text, "4"));
    Some(near(chip(name).ok()?, number(count)?))
}

/// The targets of a chip whose number of chips is nearest to `count`.
fn near(chip: &'static Chip, count: usize) -> Vec<String> {
    let mut all: Vec<Target> = Target::all(chip).collect();
    // The sort keeps the order of equals: smallest first.
    all.sort_by_key(|target| target.chips().abs_diff(count));
    all.truncate(NEAR);
    all.iter().map(ToString::to_string).collect()
}

fn shape(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chip.name, shape(&self.dims))
    }
}

impl serde::Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Target>().unwrap_err().to_string()
    }

    #[test]
    fn every_target_is_read_back() {
        for target in CHIPS.iter().flat_map(|chip| Target::all(chip)) {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
    }

    #[test]
    fn devices_are_those_of_xla() {
        let of = |text: &str| text.parse::<Target>().unwrap();
        assert_eq!((of("v4:2x2x1").devices(), of("7x:2x2x1").devices(), of("v6e:2x4").devices()), (4, 8, 8));
        assert_eq!(of("tpu7x:1x1x1"), of("7x:1x1x1"));
        assert_eq!(of("7x:1x1x1").libtpu_name(), "tpu7x:1x1x1");
    }

    #[test]
    fn rings_close_at_sixteen_or_in_cubes() {
        let rings = |text: &str| text.parse::<Target>().unwrap().rings();
        assert_eq!(rings("v6e:8x16"), [false, true]);
        assert_eq!(rings("v5e:4x4"), [false, false]);
        assert_eq!(rings("v5p:4x4x8"), [true; 3]);
        assert_eq!(rings("v5p:2x4x4"), [false; 3]);
    }

    #[test]
    fn what_is_no_target_is_told_with_what_is_near() {
        assert!(error("v6e:3x3").contains("v6e does not come as 3x3\nnear ones: v6e:2x4, v6e:2x2"));
        assert!(error("v5e:16x32").contains("v5e:16x16"), "libtpu takes it, no such slice is sold");
        assert!(error("v5p:3x3x3").contains("v5p:"));
        assert!(error("v6e:4x2").contains("v6e:2x4"));
        assert!(error("v5litepod:2x2").contains("did you mean v5e?"));
        assert!(error("Ironwood:2x2x1").contains("did you mean 7x?"));
        assert!(error("v6e-8").contains("v6e:2x4"));
        assert!(error("").contains("expected: a chip and a shape, as v6e:2x4"));
        for text in [
            ":2x2",
            "v6e:",
            "v6e:2x",
            "v6e:x",
            "v6e:+2x2",
            "v6e:2x2x2",
            "v6e:99999999999999999999x2",
            "v9:2x2",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Target>();
        }

        #[test]
        fn no_shape_panics(dims in prop::collection::vec(any::<u64>(), 0..4)) {
            let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
            let _ = format!("v5p:{}", dims.join("x")).parse::<Target>();
        }
    }
}
