//! TPU v4: two cores that run as one (megacore), 3D torus.

use porter_ir::DType;

use super::{BOOK, DOCS, FITTED, JAX, LIBTPU, peak};
use crate::{Chip, Figure, Ici, Mxu, Topologies};

pub(super) const V4: Chip = Chip {
    name: "v4",
    libtpu_name: "v4",
    device_kind: "TPU v4",
    also: &[],
    chip_config: Some("megacore"),
    devices: 1,
    cores: 2,
    clock: Figure::new(1.05e9, FITTED),
    mxu: Mxu { count: 4, size: 128, source: JAX },
    peaks: &[peak(DType::BF16, 275.0, DOCS), peak(DType::I8, 275.0, DOCS)],
    hbm: Figure::new(32.0 * 1_073_741_824.0, DOCS),
    usable_hbm: Figure::new(30.75 * 1_073_741_824.0, LIBTPU),
    hbm_bandwidth: Figure::new(1228.0e9, DOCS),
    vmem: Figure::new(16.0 * 1_048_576.0, JAX),
    ici: Ici { link: Figure::new(45.0e9, BOOK), ring_from: None },
    topologies: Topologies::Torus { small: &[[2, 2, 1], [2, 2, 2], [2, 2, 4], [2, 4, 4]], pod: [16, 16, 16] },
    topologies_source: DOCS,
};
