//! What collectives share: which devices work together.

use super::check;
use crate::attribute::{Attribute, i64_matrix};

/// What the numbers in a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Replica ids, of the devices of one partition. The program is compiled for several replicas.
    Replicas,
    /// Device numbers. The program is compiled for several partitions.
    Devices {
        /// Above zero, and one of its own for each collective of a program.
        channel: u32,
    },
}

impl Among {
    /// The channel of a collective, where it has one.
    pub(super) fn attribute(self) -> Option<Attribute> {
        match self {
            Among::Replicas => None,
            Among::Devices { channel } => Some(channel_handle(channel)),
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        match self {
            Among::Devices { channel: 0 } => Err("channel 0, expected one above zero".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Devices that work together, in groups of one size
/// (<https://openxla.org/stablehlo/spec#all_reduce>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The members of each group.
    pub groups: Vec<Vec<usize>>,
    /// What their numbers are.
    pub among: Among,
}

impl Groups {
    /// The number of members of every group.
    pub(super) fn size(&self) -> Result<usize, String> {
        self.among.check()?;
        let size = self.groups.first().map_or(0, Vec::len);
        if size == 0 || self.groups.iter().any(|group| group.len() != size) {
            return Err(format!("the groups {:?} are not of one size above zero", self.groups));
        }
        let members = self.groups.concat();
        check::unique_dims("group member", members.len(), &members)?;
        Ok(size)
    }

    /// The attributes of a collective that knows replicas and partitions.
    pub(super) fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![("replica_groups", i64_matrix(&self.groups))];
        attributes.extend(self.among.attribute());
        attributes
    }

    /// The attributes of a collective that, with a channel, must be told that its groups hold device
    /// numbers.
    pub(super) fn global_attributes(&self) -> Vec<Attribute> {
        let mut attributes = self.attributes();
        if matches!(self.among, Among::Devices { .. }) {
            attributes.push(("use_global_device_ids", "unit".to_owned()));
        }
        attributes
    }
}

fn channel_handle(channel: u32) -> Attribute {
    ("channel_handle", format!("#stablehlo.channel_handle<handle = {channel}, type = 1>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_even_and_disjoint() {
        let among = Among::Replicas;
        let size = |groups: &[&[usize]]| {
            Groups { groups: groups.iter().map(|group| group.to_vec()).collect(), among }.size()
        };
        assert_eq!(size(&[&[0, 1], &[2, 3]]), Ok(2));
        assert_eq!(
            size(&[&[0, 1], &[2]]).unwrap_err(),
            "the groups [[0, 1], [2]] are not of one size above zero"
        );
        assert_eq!(size(&[&[0, 0]]).unwrap_err(), "group member 0 is named twice in [0, 0]");
        let devices = Groups { groups: vec![vec![0]], among: Among::Devices { channel: 0 } };
        assert_eq!(devices.size().unwrap_err(), "channel 0, expected one above zero");
    }
}
