//! Typed indices into a [`Program`](crate::Program)'s arenas.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);

        impl $name {
            pub(crate) fn at(index: usize) -> Self {
                // An arena of 2^32 entries would need more memory than any program that compiles.
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }

            /// The position in its arena.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// An SSA value: the result of an op, or an argument of a region.
    Value,
    "%"
);
id!(
    /// An op.
    OpId,
    "op"
);
id!(
    /// A region: a block of ops with arguments and results.
    RegionId,
    "region"
);
id!(
    /// An interned source path, such as `model.layers.3.self_attn.q_proj`.
    PathId,
    "path"
);
