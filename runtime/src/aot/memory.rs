//! Programs that do not fit.

use std::fmt;

/// A program needs more memory than a device has.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfMemory {
    /// Which memory: `hbm`, `vmem`, ... in lower case, as the compiler calls it.
    pub space: String,
    /// What the program needs in bytes, where the compiler says it. It rounds to a hundredth of a GiB.
    pub needed: Option<u64>,
    /// What a device has in bytes, or what one step may take of it, likewise.
    pub available: Option<u64>,
    /// The source path of the step that does not fit, where one is to blame.
    pub source: Option<String>,
    /// The compiler's message.
    pub message: String,
}

impl OutOfMemory {
    /// Reads the message of a plugin that ran out of a resource; none where memory is not what it is
    /// about.
    pub(super) fn read(message: &str) -> Option<Self> {
        let lower = message.to_ascii_lowercase();
        let about = ["ran out of memory in memory space", "out of memory on", "out of memory in", "oom"];
        if !about.iter().any(|phrase| lower.contains(phrase)) {
            return None;
        }
        let space = ["vmem", "smem", "cmem", "sflag", "hbm"].into_iter().find(|space| {
            lower.contains(&format!("memory space {space}"))
                || lower.contains(&format!("memory on {space}"))
                || lower.contains(&format!("compiletime{space}oom"))
        });
        let (needed, available) = used_of(&lower)
            .or_else(|| exceeds_available(&lower))
            .or_else(|| scoped(&lower))
            .map_or((None, None), |(needed, available)| (Some(needed), Some(available)));
        Some(Self {
            space: space.unwrap_or("device memory").to_owned(),
            needed,
            available,
            source: source(message),
            message: message.to_owned(),
        })
    }
}

/// `Used 16.16G of 15.75G hbm.`
fn used_of(lower: &str) -> Option<(u64, u64)> {
    let (_, rest) = lower.split_once("used ")?;
    let (needed, rest) = rest.split_once(" of ")?;
    let available = rest.split(' ').next()?;
    Some((size(needed)?, size(available)?))
}

/// `... required for HLO temporaries (48.00G) exceeds available HBM (15.75G).`
fn exceeds_available(lower: &str) -> Option<(u64, u64)> {
    let (before, after) = lower.split_once("exceeds available")?;
    let parenthesised = |text: &str| text.split_once(')').and_then(|(inside, _)| size(inside));
    Some((parenthesised(before.rsplit_once('(')?.1)?, parenthesised(after.split_once('(')?.1)?))
}

/// `Scoped allocation with size 64.0K and limit 1.0K exceeded scoped vmem limit by 63.0K.`
fn scoped(lower: &str) -> Option<(u64, u64)> {
    let (_, rest) = lower.split_once("allocation with size ")?;
    let (needed, rest) = rest.split_once(" and limit ")?;
    Some((size(needed)?, size(rest.split(' ').next()?)?))
}

/// `metadata={op_name="model.layers.0.mlp"}`
fn source(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("op_name=\"")?;
    rest.split_once('"').map(|(source, _)| source.to_owned())
}

/// A size as XLA prints it: a number and one of K, M, G, T, each 1024 times the one before.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches(['.', ',']).trim_end_matches('b').trim_end_matches('i');
    let power = match text.chars().next_back()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        _ => 0,
    };
    let number = text.trim_end_matches(['k', 'm', 'g', 't']).trim();
    let bytes = number.parse::<f64>().ok()? * 1024_f64.powi(power);
    (bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
        if let Some(source) = &self.source {
            write!(f, "{source} ")?;
        }
        match (self.needed, self.available) {
            (Some(needed), Some(available)) if needed >= 1 << 26 => {
                let (needed, available) = (gib(needed), gib(available));
                write!(f, "needs {needed:.2} GiB of {}, a device has {available:.2} GiB", self.space)
            }
            (Some(needed), Some(available)) => {
                write!(f, "needs {needed} bytes of {}, a device has {available}", self.space)
            }
            _ => write!(f, "runs out of {}: {}", self.space, self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both messages are libtpu 0.0.52's (`facts/aot.md` part 6, `facts/pjrt.md` part 4).
    #[test]
    fn both_figures_are_read_from_what_the_compiler_says() {
        let message = "E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO \
                       temporaries (16.00G) exceeds available HBM (15.75G). HLO module: jit_decode.";
        let oom = OutOfMemory::read(message).unwrap();
        assert_eq!((oom.needed, oom.available), (Some(16 << 30), Some((63 << 30) / 4)));
        assert_eq!(oom.space, "hbm");
        assert_eq!(oom.to_string(), "needs 16.00 GiB of hbm, a device has 15.75 GiB");
    }

    /// libtpu 0.0.52, of a product with `xla_tpu_scoped_vmem_limit_kib=1`.
    #[test]
    fn a_step_that_does_not_fit_vector_memory_is_named() {
        let message = "E1001: CompileTimeScopedVmemOom:\nRan out of memory in memory space vmem while allocating \
                       on stack for %fusion = bf16[4096,4096]{1,0} fusion(%a), metadata={op_name=\"model.mlp\"}. \
                       Scoped allocation with size 64.0K and limit 1.0K exceeded scoped vmem limit by 63.0K.";
        let oom = OutOfMemory::read(message).unwrap();
        assert_eq!((oom.space.as_str(), oom.needed, oom.available), ("vmem", Some(64 << 10), Some(1 << 10)));
        assert_eq!(oom.to_string(), "model.mlp needs 65536 bytes of vmem, a device has 1024");
    }

    #[test]
    fn another_shortage_is_none_of_memory() {
        assert_eq!(OutOfMemory::read("too many threads"), None);
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(size("15.75g"), Some(16_911_433_728));
        assert_eq!(size("128.0m"), Some(128 << 20));
        assert_eq!(size("17"), Some(17));
        assert_eq!(size("much"), None);
        assert_eq!(size(""), None);
        assert_eq!(size("-3g"), None);
    }
}
