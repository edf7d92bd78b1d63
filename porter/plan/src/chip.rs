//! What the hardware table says of a chip.

use porter_ir::DType;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The document, the file with its commit, or how it was worked out.
    pub title: &'static str,
    /// When it was read or worked out: year and month, or the day of the commit.
    pub date: &'static str,
}

/// A number with its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The number, in the unit that its field names.
    pub value: f64,
    /// Where it comes from.
    pub source: Source,
}

impl Figure {
    pub(crate) const fn new(value: f64, source: Source) -> Self {
        Self { value, source }
    }
}

/// The most operations a second on operands of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// The type of both operands.
    pub operands: DType,
    /// Operations a second and chip; a multiplication and its addition are two.
    pub rate: Figure,
}

/// The matrix units of a tensor core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mxu {
    /// How many a core has.
    pub count: usize,
    /// Rows and columns of one.
    pub size: usize,
    /// Where that comes from.
    pub source: Source,
}

/// The links between chips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ici {
    /// Bytes a second over one link in one direction. A chip has two links an axis.
    pub link: Figure,
    /// The shortest axis that closes to a ring by itself, where that goes by axis (2D generations).
    pub ring_from: Option<usize>,
}

/// The shapes in which a chip can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topologies {
    /// A 2D mesh: these.
    Mesh(&'static [[usize; 2]]),
    /// A 3D mesh: `small`, and every shape whose dimensions are multiples of 4, none less than the one
    /// before it and none more than that of the `pod`. The latter are tori.
    Torus {
        /// Shapes below a cube of 4x4x4.
        small: &'static [[usize; 3]],
        /// The largest dimensions.
        pod: [usize; 3],
    },
}

/// A generation of TPU. Figures are for one chip unless said otherwise.
#[derive(Debug, PartialEq)]
pub struct Chip {
    /// As targets name it: `v6e`.
    pub name: &'static str,
    /// As libtpu's topologies name it.
    pub libtpu_name: &'static str,
    /// What libtpu calls a device of it.
    pub device_kind: &'static str,
    /// Further names that people use.
    pub also: &'static [&'static str],
    /// The configuration that libtpu must be given, where its default is not how the chip is run.
    pub chip_config: Option<&'static str>,
    /// The devices of a chip, as XLA sees them.
    pub devices: usize,
    /// The tensor cores of a chip.
    pub cores: usize,
    /// Cycles a second that turn the compiler's cycles into time.
    pub clock: Figure,
    /// The matrix units of a core.
    pub mxu: Mxu,
    /// Peaks by operand type. A type that is missing is not native.
    pub peaks: &'static [Peak],
    /// Bytes of HBM.
    pub hbm: Figure,
    /// Bytes of HBM of one device that programs can use: the compiler keeps the rest for itself.
    pub usable_hbm: Figure,
    /// Bytes a second of HBM.
    pub hbm_bandwidth: Figure,
    /// Bytes of vector memory of a core.
    pub vmem: Figure,
    /// The links.
    pub ici: Ici,
    /// The shapes of its slices.
    pub topologies: Topologies,
    /// Where the shapes come from.
    pub topologies_source: Source,
}

impl Chip {
    /// The rate of products of `operands` on one device, in operations a second; none where the chip does
    /// not multiply them natively.
    pub fn peak(&self, operands: DType) -> Option<f64> {
        let peak = self.peaks.iter().find(|peak| peak.operands == operands)?;
        Some(peak.rate.value / self.devices as f64)
    }

    /// The rate of bf16 products on one device, which every generation has.
    pub fn bf16_peak(&self) -> f64 {
        self.peak(DType::BF16).unwrap_or(f64::NAN)
    }

    /// The HBM of one device in bytes.
    pub fn device_hbm(&self) -> f64 {
        self.hbm.value / self.devices as f64
    }

    /// The HBM bandwidth of one device in bytes a second.
    pub fn device_bandwidth(&self) -> f64 {
        self.hbm_bandwidth.value / self.devices as f64
    }

    /// How elements of a matrix are tiled in HBM: sublanes and lanes, before narrow types pack further
    /// rows into a sublane (`T(8,128)`, bf16 `T(8,128)(2,1)`, int8 `T(8,128)(4,1)`). The same on every
    /// generation (measured, `facts/tpu.md` part 1.3).
    pub const TILE: (usize, usize) = (8, 128);
}

impl Topologies {
    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        match self {
            Self::Mesh(_) => 2,
            Self::Torus { .. } => 3,
        }
    }

    /// Whether a shape can be had.
    pub fn contain(&self, dims: &[usize]) -> bool {
        match self {
            Self::Mesh(shapes) => shapes.iter().any(|shape| shape == dims),
            Self::Torus { small, pod } => {
                small.iter().any(|shape| shape == dims)
                    || dims.len() == 3
                        && Self::is_cubes(dims)
                        && dims.is_sorted()
                        && dims.iter().zip(pod).all(|(dim, most)| dim <= most)
            }
        }
    }

    /// Whether a 3D shape is made of whole cubes of 4x4x4, and so a torus.
    pub fn is_cubes(dims: &[usize]) -> bool {
        dims.iter().all(|&dim| dim > 0 && dim.is_multiple_of(4))
    }

    /// Every shape, smallest first.
    pub fn all(&self) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = match self {
            Self::Mesh(shapes) => shapes.iter().map(|shape| shape.to_vec()).collect(),
            Self::Torus { small, pod: [a, b, c] } => {
                let steps = |most: usize| (4..=most).step_by(4);
                let cubes = steps(*a)
                    .flat_map(|x| steps(*b).map(move |y| [x, y]))
                    .flat_map(|[x, y]| steps(*c).map(move |z| [x, y, z]))
                    .filter(|dims| dims.is_sorted());
                small.iter().copied().chain(cubes).map(Vec::from).collect()
            }
        };
        all.sort_by_key(|dims| (dims.iter().product::<usize>(), dims.clone()));
        all
    }
}
