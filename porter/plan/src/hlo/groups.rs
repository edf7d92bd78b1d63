//! Which devices a collective joins.

use super::proto::{Instruction, IotaGroups, ReplicaGroup};

/// More devices than any slice has.
const MOST: usize = 1 << 17;

/// The groups of a collective; none where it names none, or where they make no sense.
pub(super) fn groups(instruction: &Instruction) -> Vec<Vec<i64>> {
    let listed = |groups: &[ReplicaGroup]| groups.iter().map(|group| group.replica_ids.clone()).collect();
    let devices = instruction.devices.as_ref();
    let iota_groups = instruction.iota_devices.as_ref().or(devices.and_then(|devices| devices.iota.as_ref()));
    match (iota_groups, devices) {
        (Some(groups), _) => iota(groups).unwrap_or_default(),
        (None, Some(devices)) => listed(&devices.replica_groups),
        (None, None) => listed(&instruction.replica_groups),
    }
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
