//! Device meshes and shardings, in JAX's and Shardy's words, carried as data.

use crate::attribute::string;

/// A named grid of devices: `<["data"=4, "model"=2]>`
/// (<https://openxla.org/shardy/sharding_representation>).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mesh {
    /// The axes and their sizes, outermost first.
    pub axes: Vec<(String, usize)>,
}

impl Mesh {
    /// The number of devices.
    pub fn devices(&self) -> usize {
        self.axes.iter().map(|(_, size)| size).product()
    }

    /// The attribute of an `sdy.mesh` op.
    pub fn mlir(&self) -> String {
        let axes: Vec<String> =
            self.axes.iter().map(|(name, size)| format!("{}={size}", string(name))).collect();
        format!("<[{}]>", axes.join(", "))
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
    /// The `#sdy.sharding` attribute over the mesh named `@mesh`.
    pub fn mlir(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(|axes| axis_set(axes)).collect();
        format!("#sdy.sharding<@mesh, [{}]>", dims.join(", "))
    }
}

/// `{"data", "model"}`.
fn axis_set(axes: &[String]) -> String {
    let names: Vec<String> = axes.iter().map(|axis| string(axis)).collect();
    format!("{{{}}}", names.join(", "))
}
