//! Which devices a collective joins.

use std::collections::BTreeMap;

use super::proto::{AxisRef, Instruction, IotaGroups, MeshGroups, ReplicaGroup};

/// More devices than any slice has.
const MOST: usize = 1 << 17;

/// The groups of a collective; none where it names none, or where they make no sense.
pub(super) fn groups(instruction: &Instruction) -> Vec<Vec<i64>> {
    let listed = |groups: &[ReplicaGroup]| groups.iter().map(|group| group.replica_ids.clone()).collect();
    let devices = instruction.devices.as_ref();
    let iota_groups = instruction.iota_devices.as_ref().or(devices.and_then(|devices| devices.iota.as_ref()));
    if let Some(groups) = &instruction.mesh_devices {
        return by_mesh(groups).unwrap_or_default();
    }
    match (iota_groups, devices) {
        (Some(groups), _) => iota(groups).unwrap_or_default(),
        (None, Some(devices)) => listed(&devices.replica_groups),
        (None, None) => listed(&instruction.replica_groups),
    }
}

/// Devices of a mesh that differ along the named axes, or along parts of them, are one group
/// (`MeshAxesReplicaGroupListProto` of XLA's `xla_data.proto`).
fn by_mesh(groups: &MeshGroups) -> Option<Vec<Vec<i64>>> {
    let mesh = groups.mesh.as_ref()?;
    let sizes: Vec<usize> =
        mesh.axes.iter().map(|axis| usize::try_from(axis.size).ok()).collect::<Option<_>>()?;
    let total = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    if total == 0 || total > MOST {
        return None;
    }
    // Of each named axis, how far apart its devices are, and how many.
    let axis = |of: &AxisRef| {
        let index = usize::try_from(of.axis).ok()?;
        let (size, inner) = (*sizes.get(index)?, sizes.get(index + 1..)?.iter().product::<usize>());
        let Some(part) = of.part else { return Some((inner, size)) };
        let (before, part) = (usize::try_from(part.pre_size).ok()?, usize::try_from(part.size).ok()?);
        let after = size.checked_div(before.checked_mul(part)?)?;
        (before * part * after == size).then_some((inner * after, part))
    };
    let axes: Vec<(usize, usize)> = groups.axes.iter().map(axis).collect::<Option<_>>()?;
    let mut by_rest: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for place in 0..total {
        let along = axes.iter().map(|&(stride, size)| place / stride % size * stride);
        let id = mesh.device_ids.get(place).copied().unwrap_or(place as i64);
        by_rest.entry(place.checked_sub(along.sum())?).or_default().push(id);
    }
    Some(by_rest.into_values().collect())
}

/// `iota(count) reshaped, transposed, and cut into groups`
/// (<https://openxla.org/shardy/sharding_representation> calls the form V2).
fn iota(iota: &IotaGroups) -> Option<Vec<Vec<i64>>> {
    let sizes: Vec<usize> =
        iota.reshape.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    let order: Vec<usize> =
        iota.transpose.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    let (groups, size) = (usize::try_from(iota.groups).ok()?, usize::try_from(iota.group_size).ok()?);
    let total = sizes.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
    if total == 0 || total > MOST || groups.checked_mul(size)? != total || order.len() != sizes.len() {
        return None;
    }
    let mut strides = vec![1_usize; sizes.len()];
    for dim in (1..sizes.len()).rev() {
        *strides.get_mut(dim - 1)? = strides.get(dim)? * sizes.get(dim)?;
    }
    // The sizes and strides of the transposed array, in its own order.
    let axes: Vec<(usize, usize)> =
        order.iter().map(|&dim| Some((*sizes.get(dim)?, *strides.get(dim)?))).collect::<Option<_>>()?;
    let id = |place: usize| {
        let (_, id) = axes.iter().rev().fold((place, 0), |(rest, id), &(size, stride)| {
            (rest / size.max(1), id + rest % size.max(1) * stride)
        });
        id as i64
    };
    Some((0..groups).map(|group| (group * size..(group + 1) * size).map(id).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlo::proto::{AxisPart, Mesh, MeshAxis};

    #[test]
    fn devices_that_differ_along_an_axis_are_a_group() {
        let of = |sizes: &[i64], axes: &[(i64, Option<[i64; 2]>)], device_ids: &[i64]| {
            let part = |[pre_size, size]: [i64; 2]| AxisPart { pre_size, size };
            let axes = axes.iter().map(|&(axis, of)| AxisRef { axis, part: of.map(part) }).collect();
            let sizes = sizes.iter().map(|&size| MeshAxis { size }).collect();
            by_mesh(&MeshGroups { mesh: Some(Mesh { axes: sizes, device_ids: device_ids.into() }), axes })
        };
        assert_eq!(of(&[2, 2], &[(0, None)], &[]), Some(vec![vec![0, 2], vec![1, 3]]));
        assert_eq!(of(&[2, 2], &[(1, None)], &[3, 2, 1, 0]), Some(vec![vec![3, 2], vec![1, 0]]));
        assert_eq!(of(&[2, 2], &[(0, None), (1, None)], &[]), Some(vec![vec![0, 1, 2, 3]]));
        assert_eq!(
            of(&[8], &[(0, Some([2, 2]))], &[]),
            Some(vec![vec![0, 2], vec![1, 3], vec![4, 6], vec![5, 7]])
        );
        assert_eq!(of(&[8], &[(0, Some([3, 2]))], &[]), None);
        assert_eq!(of(&[8], &[(0, Some([0, 0]))], &[]), None);
        assert_eq!(of(&[2], &[(5, None)], &[]), None);
        assert_eq!(of(&[i64::MAX, i64::MAX], &[(0, None)], &[]), None);
        assert_eq!(of(&[2, 2], &[(0, None), (0, None)], &[]), None);
    }

    #[test]
    fn transposed_groups_step_through_the_other_axis() {
        let of = |groups, group_size, reshape: &[i64], transpose: &[i32]| {
            iota(&IotaGroups { groups, group_size, reshape: reshape.into(), transpose: transpose.into() })
        };
        assert_eq!(of(2, 2, &[4], &[0]), Some(vec![vec![0, 1], vec![2, 3]]));
        assert_eq!(of(2, 2, &[2, 2], &[1, 0]), Some(vec![vec![0, 2], vec![1, 3]]));
        assert_eq!(of(2, 3, &[4], &[0]), None);
        assert_eq!(of(1 << 40, 1 << 40, &[i64::MAX, i64::MAX], &[0, 1]), None);
        assert_eq!(of(1, 4, &[2, 2], &[0, 9]), None);
    }
}
