//! TPU v5e: one core, 2D mesh, rings at 16.

use porter_ir::DType;

use super::{BOOK, DOCS, FITTED, JAX, LIBTPU, MESHES, peak};
use crate::{Chip, Figure, Ici, Mxu, Topologies};

pub(super) const V5E: Chip = Chip {
    name: "v5e",
    libtpu_name: "v5e",
    device_kind: "TPU v5 lite",
    also: &["v5litepod", "v5lite", "v5-lite"],
    chip_config: None,
    devices: 1,
    cores: 1,
    clock: Figure::new(1.5e9, FITTED),
    mxu: Mxu { count: 4, size: 128, source: JAX },
    peaks: &[peak(DType::BF16, 197.0, DOCS), peak(DType::I8, 394.0, DOCS), peak(DType::I4, 788.0, JAX)],
    hbm: Figure::new(16.0 * 1_073_741_824.0, DOCS),
    usable_hbm: Figure::new(15.75 * 1_073_741_824.0, LIBTPU),
    hbm_bandwidth: Figure::new(819.0e9, DOCS),
    vmem: Figure::new(128.0 * 1_048_576.0, JAX),
    ici: Ici { link: Figure::new(45.0e9, BOOK), ring_from: Some(16) },
    topologies: Topologies::Mesh(MESHES),
    topologies_source: DOCS,
};
