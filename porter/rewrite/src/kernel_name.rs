//! The names of weights that lie in another order than the checkpoint's.

use crate::{Patch, Port};

/// A name for the kernel of the weight `name` that neither the port nor the patch has: `q_proj.weight[0:256]` →
/// `q_proj.kernel[0:256]`, as Flax names it.
pub(crate) fn kernel_name(name: &str, port: &Port, patch: &Patch) -> String {
    let mut kernel = match name.rsplit_once("weight") {
        Some((module, piece)) => format!("{module}kernel{piece}"),
        None => format!("{name}.kernel"),
    };
    while is_taken(&kernel, port, patch) {
        kernel.push_str(".kernel");
    }
    kernel
}

fn is_taken(name: &str, port: &Port, patch: &Patch) -> bool {
    let inputs = || port.programs.iter().flat_map(porter_ir::Program::inputs);
    patch.weights.iter().any(|(new, ..)| new == name)
        || port.weights.resolve(name).is_some()
        || inputs().any(|input| input.name == name)
}
