//! TPU v6e (Trillium): one core, 2D mesh, rings at 16.

use porter_ir::DType;

use super::{BOOK, DOCS, FITTED, JAX, LIBTPU, MESHES, peak};
use crate::{Chip, Figure, Ici, Mxu, Topologies};

pub(super) const V6E: Chip = Chip {
    name: "v6e",
    libtpu_name: "v6e",
    device_kind: "TPU v6 lite",
    also: &["v6", "v6lite", "trillium"],
    chip_config: None,
    devices: 1,
    cores: 1,
    clock: Figure::new(1.75e9, FITTED),
    mxu: Mxu { count: 2, size: 256, source: JAX },
    peaks: &[
        peak(DType::BF16, 918.0, DOCS),
        peak(DType::F8E4M3FN, 918.0, DOCS),
        peak(DType::F8E5M2, 918.0, DOCS),
        peak(DType::I8, 1836.0, DOCS),
        peak(DType::I4, 3680.0, JAX),
    ],
    hbm: Figure::new(32.0 * 1_073_741_824.0, DOCS),
    usable_hbm: Figure::new(31.24 * 1_073_741_824.0, LIBTPU),
    hbm_bandwidth: Figure::new(1640.0e9, DOCS),
    vmem: Figure::new(128.0 * 1_048_576.0, JAX),
    ici: Ici { link: Figure::new(90.0e9, BOOK), ring_from: Some(16) },
    topologies: Topologies::Mesh(MESHES),
    topologies_source: DOCS,
};
