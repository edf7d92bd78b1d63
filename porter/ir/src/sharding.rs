//! Device meshes and shardings, in JAX's and Shardy's words, carried as data.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use crate::{Program, TensorType, attribute::string};

/// A named grid of devices: `<["data"=4, "model"=2]>`
/// (<https://openxla.org/shardy/sharding_representation>). Devices are numbered along the last axis first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mesh {
    /// The axes and their sizes, outermost first.
    pub axes: Vec<(String, usize)>,
}

impl Mesh {
    /// A mesh of axes whose names are letters, digits and `_`, each there once, with 1 to 2^20 devices each.
    pub fn new(axes: Vec<(String, usize)>) -> Result<Self, NoMesh> {
        for (i, (name, size)) in axes.iter().enumerate() {
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || !(1..=1 << 20).contains(size) {
                return Err(NoMesh(format!("found {:?}", format!("{name}={size}"))));
            }
            if axes.iter().take(i).any(|(other, _)| other == name) {
                return Err(NoMesh(format!("the axis {name:?} is there twice")));
            }
        }
        Ok(Self { axes })
    }

    /// The number of devices; as many as there are numbers where it is more.
    pub fn devices(&self) -> usize {
        self.axes.iter().fold(1, |devices, (_, size)| devices.saturating_mul(*size))
    }

    /// The size of an axis, if there is one of that name.
    pub fn size(&self, axis: &str) -> Option<usize> {
        self.axes.iter().find(|(name, _)| name == axis).map(|&(_, size)| size)
    }

    /// The attribute of an `sdy.mesh` op.
    pub fn mlir(&self) -> String {
        let axes: Vec<String> =
            self.axes.iter().map(|(name, size)| format!("{}={size}", string(name))).collect();
        format!("<[{}]>", axes.join(", "))
    }

    /// Where a device stands along each axis.
    fn place(&self, device: usize) -> BTreeMap<&str, usize> {
        let mut rest = device;
        let mut place = BTreeMap::new();
        for (name, size) in self.axes.iter().rev() {
            place.insert(name.as_str(), rest % (*size).max(1));
            rest /= (*size).max(1);
        }
        place
    }
}

/// `data=2,tensor=4`.
impl fmt::Display for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> = self.axes.iter().map(|(name, size)| format!("{name}={size}")).collect();
        f.write_str(&axes.join(","))
    }
}

/// Why a text is no mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMesh(String);

impl fmt::Display for NoMesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nexpected: axes and their sizes, outermost first, as data=2,tensor=4", self.0)
    }
}

impl std::error::Error for NoMesh {}

impl FromStr for Mesh {
    type Err = NoMesh;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, NoMesh> {
        let axis = |part: &str| {
            let (name, size) = part.split_once('=')?;
            Some((name.to_owned(), size.parse().ok()?))
        };
        let axes = text.split(',').map(|part| axis(part).ok_or_else(|| NoMesh(format!("found {part:?}"))));
        Self::new(axes.collect::<Result<_, _>>()?)
    }
}

/// How a tensor lies over the mesh: for each dimension the mesh axes that split it, outermost first.
/// A dimension without axes is whole on every device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sharding {
    /// Axis names by dimension.
    pub dims: Vec<Vec<String>>,
}

impl Sharding {
    /// Whole on every device.
    pub fn whole(rank: usize) -> Self {
        Self { dims: vec![Vec::new(); rank] }
    }

    /// Whether every device has the whole tensor.
    pub fn is_whole(&self) -> bool {
        self.dims.iter().all(Vec::is_empty)
    }

    /// The mesh axes that split any dimension.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.dims.iter().flatten().map(String::as_str)
    }

    /// Into how many parts each dimension is split.
    pub fn parts(&self, mesh: &Mesh) -> Vec<usize> {
        let size = |axis: &String| mesh.size(axis).unwrap_or(1);
        self.dims.iter().map(|axes| axes.iter().map(size).fold(1, usize::saturating_mul)).collect()
    }

    /// The type of one device's part of a tensor whose dimensions divide.
    pub fn part_type(&self, mesh: &Mesh, ty: &TensorType) -> TensorType {
        let parts = self.parts(mesh).into_iter().chain(std::iter::repeat(1));
        let shape: Vec<usize> =
            ty.shape.iter().zip(parts).map(|(&size, parts)| size / parts.max(1)).collect();
        TensorType::new(ty.dtype, shape)
    }

    /// Where a device's part of a tensor of type `ty` begins along each dimension.
    pub fn part_start(&self, mesh: &Mesh, ty: &TensorType, device: usize) -> Vec<usize> {
        let place = mesh.place(device);
        let index = |axes: &Vec<String>| {
            axes.iter().fold(0, |index, axis| {
                let at = place.get(axis.as_str()).copied().unwrap_or(0);
                index * mesh.size(axis).unwrap_or(1) + at
            })
        };
        let sizes = self.part_type(mesh, ty).shape;
        self.dims.iter().map(index).zip(sizes.iter()).map(|(index, size)| index * size).collect()
    }

    /// The text of an HLO sharding, the older form that GSPMD reads: `{devices=[1,4,2]<=[2,4]T(1,0)
    /// last_tile_dim_replicate}`, devices in the order of the mesh.
    pub fn hlo(&self, mesh: &Mesh) -> String {
        if self.parts(mesh).iter().all(|&parts| parts == 1) {
            return "{replicated}".to_owned();
        }
        let position = |axis: &str| mesh.axes.iter().position(|(name, _)| name == axis);
        let used: Vec<usize> = self.axes().filter_map(position).collect();
        let unused: Vec<usize> = (0..mesh.axes.len()).filter(|axis| !used.contains(axis)).collect();
        let size = |axis: &usize| mesh.axes.get(*axis).map_or(1, |&(_, size)| size);
        let copies: usize = unused.iter().map(size).product();
        let mut tiles = self.parts(mesh);
        let replicated = if copies > 1 {
            tiles.push(copies);
            " last_tile_dim_replicate"
        } else {
            ""
        };
        let order = [used, unused].concat();
        let source = if order.is_sorted() {
            format!("[{}]", mesh.devices())
        } else {
            let sizes: Vec<usize> = (0..mesh.axes.len()).map(|axis| size(&axis)).collect();
            format!("[{}]T({})", commas(&sizes), commas(&order))
        };
        format!("{{devices=[{}]<={source}{replicated}}}", commas(&tiles))
    }

    /// The `#sdy.sharding` attribute over the mesh named `@mesh`.
    pub fn mlir(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(|axes| axis_set(axes)).collect();
        format!("#sdy.sharding<@mesh, [{}]>", dims.join(", "))
    }
}

fn commas(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `{"data", "model"}`.
fn axis_set(axes: &[String]) -> String {
    let names: Vec<String> = axes.iter().map(|axis| string(axis)).collect();
    format!("{{{}}}", names.join(", "))
}

/// What a dimension of a weight or an activation means (`heads`, `mlp`, `activation_batch`), whatever mesh it
/// will lie on. Rule tables say which mesh axes split it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogicalAxis {
    /// The name.
    pub name: Cow<'static, str>,
    /// How many things the dimension consists of that must stay whole (heads of some numbers each); as many
    /// as its size where it is none.
    pub parts: Option<usize>,
}

impl LogicalAxis {
    /// An axis that may be cut anywhere.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), parts: None }
    }

    /// The axis of a dimension that consists of `parts` things.
    #[must_use]
    pub fn of(&self, parts: usize) -> Self {
        Self { name: self.name.clone(), parts: Some(parts) }
    }
}

/// How the inputs and outputs of a program lie over a mesh, by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The mesh.
    pub mesh: Mesh,
    /// The inputs.
    pub inputs: BTreeMap<String, Sharding>,
    /// The outputs.
    pub outputs: BTreeMap<String, Sharding>,
}

impl Program {
    /// The program over a mesh. Inputs and outputs that the layout does not name keep what they have.
    #[must_use]
    pub fn over(mut self, layout: &Layout) -> Self {
        self.mesh = Some(layout.mesh.clone());
        for input in &mut self.inputs {
            if let Some(sharding) = layout.inputs.get(&input.name) {
                input.sharding = Some(sharding.clone());
            }
        }
        for output in &mut self.outputs {
            if let Some(sharding) = layout.outputs.get(&output.name) {
                output.sharding = Some(sharding.clone());
            }
        }
        self
    }

    /// The devices that run the program together.
    pub fn devices(&self) -> usize {
        self.mesh.as_ref().map_or(1, Mesh::devices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn sharding(dims: &[&[&str]]) -> Sharding {
        Sharding { dims: dims.iter().map(|axes| axes.iter().map(ToString::to_string).collect()).collect() }
    }

    #[test]
    fn meshes_are_read_back() {
        let mesh: Mesh = "data=2,tensor=4".parse().unwrap();
        assert_eq!(mesh.axes, [("data".to_owned(), 2), ("tensor".to_owned(), 4)]);
        assert_eq!((mesh.devices(), mesh.to_string()), (8, "data=2,tensor=4".to_owned()));
        for wrong in
            ["", "data", "data=0", "data=2,data=2", "=2", "data=x", "data=2,", "da\"ta=2", "data=99999999999"]
        {
            assert!(wrong.parse::<Mesh>().is_err(), "{wrong}");
        }
    }

    /// The strings that jax 0.10.2 gives for the same shardings (`NamedSharding._to_xla_hlo_sharding`).
    #[test]
    fn hlo_shardings_are_those_of_jax() {
        let mesh: Mesh = "data=2,tensor=4".parse().unwrap();
        assert_eq!(sharding(&[&["data"], &["tensor"]]).hlo(&mesh), "{devices=[2,4]<=[8]}");
        assert_eq!(sharding(&[&["tensor"], &["data"]]).hlo(&mesh), "{devices=[4,2]<=[2,4]T(1,0)}");
        let half = sharding(&[&[], &["tensor"]]).hlo(&mesh);
        assert_eq!(half, "{devices=[1,4,2]<=[2,4]T(1,0) last_tile_dim_replicate}");
        let rows = sharding(&[&["data"], &[]]).hlo(&mesh);
        assert_eq!(rows, "{devices=[2,1,4]<=[8] last_tile_dim_replicate}");
        assert_eq!(Sharding::whole(2).hlo(&mesh), "{replicated}");
    }

    /// The order of Shardy and of JAX: device 5 of data=2, tensor=4 is data 1, tensor 1.
    #[test]
    fn parts_lie_in_the_order_of_the_mesh() {
        let mesh: Mesh = "data=2,tensor=4".parse().unwrap();
        let ty = TensorType::new(DType::F32, [8, 16]);
        let both = sharding(&[&["data"], &["tensor"]]);
        assert_eq!(both.part_type(&mesh, &ty).shape[..], [4, 4]);
        assert_eq!(both.part_start(&mesh, &ty, 5), [4, 4]);
        // Two axes on one dimension: the first named is the outer one.
        assert_eq!(sharding(&[&["data", "tensor"], &[]]).part_start(&mesh, &ty, 5), [5, 0]);
        assert_eq!(sharding(&[&["tensor", "data"], &[]]).part_start(&mesh, &ty, 5), [3, 0]);
        assert_eq!(Sharding::whole(2).part_start(&mesh, &ty, 7), [0, 0]);
    }
}
