//! What an entry holds.

use prost::Message;

use crate::{Client, Error, LoadedExecutable, Result, Signature, interface::Interface};

/// A serialized program, and what it takes: the program would tell, but only slowly.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Stored {
    #[prost(message, required, tag = "1")]
    interface: Interface,
    #[prost(bytes = "vec", tag = "2")]
    program: Vec<u8>,
}

impl Stored {
    pub(super) fn of(executable: &LoadedExecutable) -> Result<Self> {
        Ok(Self { interface: executable.interface().clone(), program: executable.executable().serialize()? })
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<Self> {
        let misread = |e| Error::Options(format!("read an entry of the compile cache: {e}"));
        Self::decode(bytes).map_err(misread)
    }

    pub(super) fn load(self, client: &Client, signature: &Signature) -> Result<LoadedExecutable> {
        client.deserialize(&self.program, self.interface, signature)
    }
}
