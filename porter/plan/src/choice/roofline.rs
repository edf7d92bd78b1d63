//! The time that the hardware cannot beat.

use porter_ir::Mesh;
use serde::Serialize;

use super::{Demand, Exchange};
use crate::{Resource, Target, estimate::collective_seconds};

/// How long a program takes at least on one device, in seconds: bytes over the bandwidth of HBM or operations
/// over the bf16 peak, whichever is longer, and after it the collectives over the links, ring by ring. That no
/// collective is hidden is the cautious assumption; that nothing else takes time is the bold one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Roofline {
    /// All of it.
    pub seconds: f64,
    /// What takes longest.
    pub bound: Resource,
    /// Operations over the peak.
    pub compute: f64,
    /// Bytes over the bandwidth of HBM.
    pub memory: f64,
    /// Collectives over the links.
    pub links: f64,
}

impl Roofline {
    /// The roofline of a program over `mesh`.
    pub fn new(demand: &Demand, mesh: &Mesh, target: &Target) -> Self {
        let chip = target.chip();
        let compute = demand.flops / chip.bf16_peak();
        let memory = demand.traffic / chip.device_bandwidth();
        let one = |exchange: &Exchange| {
            let group = group(mesh, &exchange.axes);
            exchange.count as f64 * collective_seconds(exchange.kind, exchange.bytes, &group, target)
        };
        let links = demand.exchanges.iter().map(one).sum::<f64>();
        let bound = if links > compute.max(memory) {
            Resource::Ici
        } else if memory >= compute {
            Resource::Hbm
        } else {
            Resource::Core
        };
        Self { seconds: compute.max(memory) + links, bound, compute, memory, links }
    }
}

/// The devices of the group of device 0 that differ along `axes` alone. Devices are numbered along the last axis
/// of a mesh first.
fn group(mesh: &Mesh, axes: &[String]) -> Vec<usize> {
    let mut group = vec![0];
    let mut stride = 1_usize;
    for (name, size) in mesh.axes.iter().rev() {
        if axes.contains(name) {
            let along = |device: &usize| (0..*size).map(move |i| device + i * stride).collect::<Vec<_>>();
            group = group.iter().flat_map(along).collect();
        }
        stride = stride.saturating_mul(*size);
    }
    group.sort_unstable();
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    #[test]
    fn groups_step_over_inner_axes() {
        let mesh: Mesh = "data=2,fsdp=2,tensor=2".parse().unwrap();
        let of = |axes: &[&str]| group(&mesh, &axes.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["tensor"]), [0, 1]);
        assert_eq!(of(&["data"]), [0, 4]);
        assert_eq!(of(&["data", "fsdp"]), [0, 2, 4, 6]);
    }

    /// By hand, on v5e (197e12 operations, 819e9 or so bytes a second, 45e9 a link and direction): two chips of a
    /// line of two, all-reduce of B bytes: 2 (B/2 / 45e9 + 1 us).
    #[test]
    fn terms_are_those_of_the_book() {
        let target: Target = "v5e:2x2".parse().unwrap();
        let demand = Demand {
            memory: Memory::default(),
            traffic: 8e9,
            flops: 1e12,
            exchanges: vec![Exchange {
                kind: "all-reduce",
                axes: vec!["tensor".to_owned()],
                bytes: 45e6,
                count: 10,
            }],
        };
        let mesh = "data=2,tensor=2".parse().unwrap();
        let roofline = Roofline::new(&demand, &mesh, &target);
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        near(roofline.compute, 1e12 / target.chip().bf16_peak());
        near(roofline.memory, 8e9 / target.chip().device_bandwidth());
        near(roofline.links, 10.0 * 2.0 * (45e6 / 2.0 / 45e9 + 1e-6));
        near(roofline.seconds, roofline.memory + roofline.links);
        assert_eq!(roofline.bound, Resource::Ici);
    }
}
