//! The ops, one a file, named as in StableHLO.

mod elementwise;

/// Declares the op modules and the [`Op`] enum over them: an op is one file and one line here.
macro_rules! operations {
    ($($module:ident: $name:ident,)*) => {
        $(mod $module; pub use $module::$name;)*

        /// An op with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Op {
            $($name($name),)*
        }

        impl Op {
            /// The op's specification.
            pub fn as_operation(&self) -> &dyn crate::op::Operation {
                match self {
                    $(Op::$name(op) => op,)*
                }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}

operations! {
    add: Add,
    dot_general: DotGeneral,
    multiply: Multiply,
}
