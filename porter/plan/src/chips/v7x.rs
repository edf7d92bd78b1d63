//! `TPU7x` (Ironwood): two cores that are two devices, 3D torus.

use porter_ir::DType;

use super::{DOCS, FITTED, JAX, LIBTPU, peak};
use crate::{Chip, Figure, Ici, Mxu, Source, Topologies};

/// `MaxText`'s `custom_model.md` has 12800 operations a byte and axis: 2307e12 over it is both directions.
const LINK: Source =
    Source { title: "maxtext at e591f30, arithmetic intensities of an axis", date: "2026-08-22" };

pub(super) const V7X: Chip = Chip {
    name: "7x",
    libtpu_name: "tpu7x",
    device_kind: "TPU7x",
    also: &["v7x", "v7", "tpu7", "ironwood"],
    chip_config: None,
    devices: 2,
    cores: 2,
    clock: Figure::new(1.9e9, FITTED),
    mxu: Mxu { count: 2, size: 256, source: JAX },
    peaks: &[
        peak(DType::BF16, 2307.0, JAX),
        peak(DType::F8E4M3FN, 4614.0, JAX),
        peak(DType::F8E5M2, 4614.0, JAX),
    ],
    hbm: Figure::new(192.0 * 1_073_741_824.0, DOCS),
    usable_hbm: Figure::new(94.74 * 1_073_741_824.0, LIBTPU),
    hbm_bandwidth: Figure::new(7380.0e9, DOCS),
    vmem: Figure::new(64.0 * 1_048_576.0, JAX),
    ici: Ici { link: Figure::new(90.0e9, LINK), ring_from: None },
    topologies: Topologies::Torus {
        small: &[[1, 1, 1], [2, 2, 1], [2, 2, 2], [2, 2, 4], [2, 4, 4]],
        pod: [16, 16, 36],
    },
    topologies_source: DOCS,
};
