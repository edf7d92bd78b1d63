//! Device meshes and shardings, in JAX's and Shardy's words, carried as data.

use std::fmt::Write;

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
        let axes: Vec<String> = self.axes.iter().map(|(name, size)| format!("{name:?}={size}")).collect();
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
        let mut text = String::from("#sdy.sharding<@mesh, [");
        for (i, axes) in self.dims.iter().enumerate() {
            let names: Vec<String> = axes.iter().map(|a| format!("{a:?}")).collect();
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{{{}}}", if i == 0 { "" } else { ", " }, names.join(", "));
        }
        text + "]>"
    }
}
