//! TPU v5p: two cores that run as one (megacore), 3D torus.

use porter_ir::DType;

use super::{BOOK, DOCS, FITTED, JAX, LIBTPU, peak};
use crate::{Chip, Figure, Ici, Mxu, Topologies};

pub(super) const V5P: Chip = Chip {
    name: "v5p",
    libtpu_name: "v5p",
    device_kind: "TPU v5",
    also: &["v5"],
    chip_config: None,
    devices: 1,
    cores: 2,
    clock: Figure::new(1.75e9, FITTED),
    mxu: Mxu { count: 4, size: 128, source: JAX },
    peaks: &[
        peak(DType::BF16, 459.0, DOCS),
        peak(DType::F8E4M3FN, 459.0, DOCS),
        peak(DType::F8E5M2, 459.0, DOCS),
        peak(DType::I8, 918.0, DOCS),
        peak(DType::I4, 1840.0, JAX),
    ],
    hbm: Figure::new(95.0 * 1_073_741_824.0, DOCS),
    usable_hbm: Figure::new(95.73 * 1_073_741_824.0, LIBTPU),
    hbm_bandwidth: Figure::new(2765.0e9, DOCS),
    vmem: Figure::new(64.0 * 1_048_576.0, JAX),
    ici: Ici { link: Figure::new(90.0e9, BOOK), ring_from: None },
    topologies: Topologies::Torus {
        small: &[[1, 1, 1], [2, 2, 1], [2, 2, 2], [2, 2, 4], [2, 4, 4]],
        pod: [16, 20, 28],
    },
    topologies_source: DOCS,
};
