//! What collectives take on a torus.

use serde::Serialize;

use crate::{
    Target,
    hlo::{Array, Computation, Instruction, Module},
};

/// Seconds for a message to pass one link, however short (`facts/tpu.md` part 1.4: about a microsecond).
const HOP: f64 = 1e-6;

/// The collectives of one kind in a program, over all its runs on one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Collectives {
    /// HLO's name: `all-reduce`, ...
    pub kind: String,
    /// How many run.
    pub count: f64,
    /// The bytes of their operands on one device.
    pub bytes: f64,
    /// How long they hold the links.
    pub seconds: f64,
}

/// One collective.
pub(super) struct Collective {
    pub(super) kind: &'static str,
    /// The bytes of its operands on one device.
    pub(super) bytes: f64,
    /// How long it holds the links.
    pub(super) seconds: f64,
    /// The links of a device that it holds.
    pub(super) links: Links,
    /// Whether the device computes meanwhile.
    pub(super) overlapped: bool,
}

/// A set of a device's links: two an axis, one each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links(u8);

impl Links {
    /// As many as a chip has at most.
    const MOST: usize = 6;

    fn add(&mut self, axis: usize, forward: bool) {
        self.0 |= 1_u8.checked_shl((2 * axis + usize::from(forward)) as u32).unwrap_or(0);
    }

    fn hold(self, link: usize) -> bool {
        self.0 >> link & 1 == 1
    }
}

/// How long a collective of `kind` over the devices of `group` holds the links, each bringing `bytes`.
pub(crate) fn collective_seconds(kind: &str, bytes: f64, group: &[usize], target: &Target) -> f64 {
    let groups = vec![group.iter().map(|&device| device as i64).collect()];
    seconds(kind, bytes, &Instruction { groups, ..Instruction::default() }, target)
}

/// How long the busiest link is held: collectives that go other ways run at the same time.
pub(super) fn busiest_link(collectives: &[&Collective]) -> f64 {
    let held =
        |link: usize| -> f64 { collectives.iter().filter(|c| c.links.hold(link)).map(|c| c.seconds).sum() };
    (0..Links::MOST).map(held).fold(0.0, f64::max)
}

const KINDS: [&str; 7] = [
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
];

/// The collective that an instruction is or starts.
pub(super) fn collective(
    module: &Module,
    within: &Computation,
    instruction: &Instruction,
    target: &Target,
) -> Option<Collective> {
    let named = |opcode: &str| {
        let stem = opcode.strip_suffix("-start").unwrap_or(opcode);
        KINDS.into_iter().find(|kind| *kind == stem)
    };
    let (kind, collective, overlapped) = if instruction.opcode == "async-start" {
        let inner = module.called(instruction)?.result()?;
        (named(&inner.opcode)?, inner, true)
    } else {
        (named(&instruction.opcode)?, instruction, instruction.opcode.ends_with("-start"))
    };
    let arrays = within.operands(instruction).flat_map(|x| &x.arrays);
    let bytes = arrays.map(|array: &Array| array.bytes as f64).sum();
    let seconds = seconds(kind, bytes, collective, target);
    Some(Collective { kind, bytes, seconds, links: links(kind, collective, target), overlapped })
}

/// The links that a collective holds: of a permute, those on the ways from sender to receiver.
fn links(kind: &str, collective: &Instruction, target: &Target) -> Links {
    let mut links = Links::default();
    if kind != "collective-permute" {
        for (axis, ..) in axes(collective, target) {
            links.add(axis, false);
            links.add(axis, true);
        }
        return links;
    }
    let rings = target.rings();
    for &(from, to) in &collective.pairs {
        let (from, to) = (place(from, target), place(to, target));
        let axes = from.iter().zip(&to).zip(target.dims().iter().zip(&rings)).enumerate();
        for (axis, ((&a, &b), (&size, &ring))) in axes.filter(|(_, ((a, b), _))| a != b) {
            let around = ring && 2 * a.abs_diff(b) > size;
            links.add(axis, (b > a) != around);
        }
    }
    links
}

/// Bytes over the links of the axes that the group spans, both directions of a ring at once. Along an axis
/// that does not close, what goes around goes back over the same links: half the rate.
fn seconds(kind: &str, bytes: f64, collective: &Instruction, target: &Target) -> f64 {
    let link = target.chip().ici.link.value;
    if kind == "collective-permute" {
        let hops = collective.pairs.iter().map(|&(from, to)| hops(from, to, target)).max().unwrap_or(1);
        return bytes / link + hops as f64 * HOP;
    }
    let axes = axes(collective, target);
    let size: f64 = axes.iter().map(|&(_, size, _)| size as f64).product();
    let rate: f64 = axes.iter().map(|&(.., ring)| if ring { 2.0 * link } else { link }).sum();
    if size <= 1.0 || rate <= 0.0 {
        // A group inside one chip, or of one device.
        return 0.0;
    }
    let latency: f64 =
        axes.iter().map(|&(_, size, ring)| if ring { size / 2 } else { size - 1 } as f64 * HOP).sum();
    let part = (size - 1.0) / size;
    match kind {
        "all-gather" => bytes * (size - 1.0) / rate + latency,
        "all-reduce" => 2.0 * (bytes * part / rate + latency),
        // Each device keeps its own part; the rest goes half way around on average.
        "all-to-all" | "ragged-all-to-all" => bytes * size / 4.0 / rate + latency,
        _ => bytes * part / rate + latency,
    }
}

/// The axes that a collective's first group spans: which, chips along it, and whether it closes to a ring.
fn axes(collective: &Instruction, target: &Target) -> Vec<(usize, usize, bool)> {
    let all: Vec<i64> = (0..target.devices() as i64).collect();
    let group = collective.groups.first().filter(|group| !group.is_empty()).unwrap_or(&all);
    let places: Vec<Vec<usize>> = group.iter().map(|&device| place(device, target)).collect();
    let rings = target.rings();
    let axis = |(axis, (&size, ring)): (usize, (&usize, bool))| {
        let mut along: Vec<usize> = places.iter().filter_map(|place| place.get(axis).copied()).collect();
        along.sort_unstable();
        along.dedup();
        // Only all of an axis goes around.
        (along.len() > 1).then_some((axis, along.len(), ring && along.len() == size))
    };
    target.dims().iter().zip(rings).enumerate().filter_map(axis).collect()
}

/// The coordinates of a device's chip: devices are numbered along the first axis first.
fn place(device: i64, target: &Target) -> Vec<usize> {
    let mut rest = usize::try_from(device).unwrap_or(0) / target.chip().devices;
    let along = |&size: &usize| {
        let at = rest % size;
        rest /= size;
        at
    };
    target.dims().iter().map(along).collect()
}

/// The links between two devices.
fn hops(from: i64, to: i64, target: &Target) -> usize {
    let (from, to) = (place(from, target), place(to, target));
    let rings = target.rings();
    let axes = from.iter().zip(&to).zip(target.dims().iter().zip(rings));
    axes.map(|((&a, &b), (&size, ring))| {
        let straight = a.abs_diff(b);
        if ring { straight.min(size - straight) } else { straight }
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(kind: &str, groups: &[&[i64]], target: &str) -> f64 {
        let groups = groups.iter().map(|group| group.to_vec()).collect();
        let instruction = Instruction { groups, ..Instruction::default() };
        seconds(kind, 45e6, &instruction, &target.parse().unwrap())
    }

    /// How to Scale Your Model, sharding: an all-gather over a ring of bandwidth W takes V / W, V being
    /// what each device has in the end and W both directions of a link; an all-reduce twice, an all-to-all
    /// a quarter.
    #[test]
    fn rings_are_those_of_the_book() {
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
        let row: Vec<i64> = (0..16).collect();
        let gathered = 45e6 * 16.0 / 90e9;
        near(time("all-gather", &[&row], "v5e:16x16"), gathered * 15.0 / 16.0 + 8e-6);
        near(time("all-reduce", &[&row], "v5e:16x16"), 2.0 * (45e6 / 90e9 * 15.0 / 16.0 + 8e-6));
        near(time("all-to-all", &[&row], "v5e:16x16"), gathered / 4.0 + 8e-6);
    }

    fn permute(pairs: &[(i64, i64)], target: &str) -> Collective {
        let (target, pairs) = (target.parse().unwrap(), pairs.to_vec());
        let instruction = Instruction { pairs, ..Instruction::default() };
        let kind = "collective-permute";
        let seconds = seconds(kind, 45e6, &instruction, &target);
        let links = links(kind, &instruction, &target);
        Collective { kind, bytes: 45e6, seconds, links, overlapped: true }
    }

    #[test]
    fn permutes_that_go_other_ways_run_at_the_same_time() {
        let (right, left) = (permute(&[(0, 1), (1, 2)], "v5e:4x4"), permute(&[(1, 0)], "v5e:4x4"));
        let up = permute(&[(0, 4)], "v5e:4x4");
        let alone = busiest_link(&[&right]);
        assert!((alone - (45e6 / 45e9 + 1e-6)).abs() < 1e-9, "one link, one hop: {alone}");
        assert!((busiest_link(&[&right, &left, &up]) - alone).abs() < 1e-12);
        assert!((busiest_link(&[&right, &right]) - 2.0 * alone).abs() < 1e-12);
        // From the end of a ring to its beginning is one hop forward, and back through a line of four three.
        let (ring, line) = (permute(&[(15, 0)], "v5e:16x16"), permute(&[(3, 0)], "v5e:4x4"));
        assert_eq!((ring.links, line.links), (right.links, left.links));
        assert!((line.seconds - ring.seconds - 2e-6).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_close_takes_twice_and_two_axes_half() {
        let (line, ring) = (time("reduce-scatter", &[&[0, 1]], "v5e:2x2"), 45e6 / 2.0 / 45e9);
        assert!((line / (ring + 1e-6) - 1.0).abs() < 1e-9);
        let both = time("reduce-scatter", &[&[0, 1, 2, 3]], "v5e:2x2");
        assert!((both - (45e6 * 0.75 / 90e9 + 2e-6)).abs() < 1e-12);
        assert!(time("all-reduce", &[&[0, 1]], "7x:1x1x1") <= 0.0, "two cores of a chip share no link");
    }
}
