//! The hardware table: one chip a file.
//!
//! `facts/tpu.md` part 1 and `facts/aot.md` are where the figures were collected, with what disagrees.

mod v4;
mod v5e;
mod v5p;
mod v6e;
mod v7x;

use porter_ir::DType;

use crate::{Chip, Figure, Peak, Source};

/// Every chip that libtpu 0.0.52 compiles for and that is sold, oldest first.
pub const CHIPS: &[&Chip] = &[&v4::V4, &v5e::V5E, &v5p::V5P, &v6e::V6E, &v7x::V7X];

/// Figures there are a core; a chip has them times its cores.
const JAX: Source = Source { title: "jax, jax/_src/tpu_info.py at cec06d1", date: "2026-08-08" };
const DOCS: Source = Source { title: "Cloud TPU documentation, system architecture", date: "2026-08" };
const BOOK: Source =
    Source { title: "How to Scale Your Model (jax-ml/scaling-book at 0819a7d)", date: "2025-02-18" };
/// What it says of a device of each topology.
const LIBTPU: Source = Source { title: "libtpu 0.0.52, device_memory_bytes_limit", date: "2026-11-24" };
/// What makes the compiler's cycles for large bf16 products agree with the peak; not read from libtpu.
const FITTED: Source =
    Source { title: "bf16 peak against libtpu 0.0.52's cycles of large products", date: "2026-11-24" };

/// Shapes of the 2D generations, which are 8 chips a host and 256 chips a pod.
const MESHES: &[[usize; 2]] = &[[1, 1], [2, 2], [2, 4], [4, 4], [4, 8], [8, 8], [8, 16], [16, 16]];

/// `tera` times 1e12 operations a second.
const fn peak(operands: DType, tera: f64, source: Source) -> Peak {
    Peak { operands, rate: Figure::new(tera * 1e12, source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for chip in CHIPS {
            let ratio = chip.hbm.value / 2_f64.powi(30);
            assert!((ratio - ratio.round()).abs() < 1e-9, "{}: {ratio} GiB", chip.name);
            assert!(chip.peak(DType::BF16).is_some(), "{}", chip.name);
            assert!(chip.cores.is_multiple_of(chip.devices));
            for shape in chip.topologies.all() {
                assert!(chip.topologies.contain(&shape), "{}: {shape:?}", chip.name);
                assert_eq!(shape.len(), chip.topologies.rank());
            }
        }
    }

    /// Where matrix units, cores and clock are known, two operations a cell and cycle are the peak.
    #[test]
    fn units_times_clock_is_the_peak() {
        for chip in CHIPS.iter().filter(|chip| ["v4", "v5e", "v5p"].contains(&chip.name)) {
            let cells = (chip.cores * chip.mxu.count * chip.mxu.size * chip.mxu.size) as f64;
            let rate = 2.0 * cells * chip.clock.value / chip.devices as f64;
            let peak = chip.bf16_peak();
            assert!((rate / peak - 1.0).abs() < 0.01, "{}: {rate:e} against {peak:e}", chip.name);
        }
    }
}
