//! The meshes that a number of devices can form.

use porter_ir::Mesh;

/// Every way to write `devices` as a product of the sizes of `axes`, in their order. Axes of one device are left
/// out; one device is a mesh without axes.
pub fn meshes(devices: usize, axes: &[&str]) -> Vec<Mesh> {
    let mut all = Vec::new();
    extend(devices, axes, &mut Vec::new(), &mut all);
    all
}

fn extend(rest: usize, axes: &[&str], chosen: &mut Vec<(String, usize)>, all: &mut Vec<Mesh>) {
    let Some((axis, others)) = axes.split_first() else {
        if rest == 1 {
            let axes = chosen.iter().filter(|(_, size)| *size > 1).cloned().collect();
            all.push(Mesh { axes });
        }
        return;
    };
    for size in (1..=rest).filter(|size| rest.is_multiple_of(*size)) {
        chosen.push(((*axis).to_owned(), size));
        extend(rest / size, others, chosen, all);
        chosen.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factorization_is_there_once() {
        let of = |devices, axes: &[&str]| -> Vec<String> {
            meshes(devices, axes).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(4, &["data", "tensor"]), ["tensor=4", "data=2,tensor=2", "data=4"]);
        assert_eq!(of(1, &["data", "tensor"]), [""]);
        // 2^8 over three axes: ten choose two.
        assert_eq!(of(256, &["data", "fsdp", "tensor"]).len(), 45);
        assert_eq!(of(6, &["data", "tensor"]).len(), 4);
    }
}
