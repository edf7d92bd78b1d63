//! What element-wise ops share: the families of accepted element types, and the two macros that
//! declare an op of one or two operands.

use super::check;
use crate::{DType, Kind, TensorType};

/// The element types that an op is defined for.
#[derive(Clone, Copy)]
pub(super) enum Accepts {
    Any,
    /// Integers and floats.
    Number,
    /// Signed integers and floats.
    Signed,
    Integer,
    /// Booleans and integers.
    Logical,
    Float,
}

impl Accepts {
    fn dtype(self, dtype: DType) -> bool {
        match self {
            Accepts::Any => true,
            Accepts::Number => dtype.kind() != Kind::Bool,
            Accepts::Signed => matches!(dtype.kind(), Kind::Signed | Kind::Float),
            Accepts::Integer => dtype.is_integer(),
            Accepts::Logical => !dtype.is_float(),
            Accepts::Float => dtype.is_float(),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Accepts::Any => "any type",
            Accepts::Number => "an integer or a float",
            Accepts::Signed => "a signed integer or a float",
            Accepts::Integer => "an integer",
            Accepts::Logical => "a boolean or an integer",
            Accepts::Float => "a float",
        }
    }

    fn check(self, x: &TensorType) -> Result<(), String> {
        if self.dtype(x.dtype) {
            Ok(())
        } else {
            Err(format!("element type {} is not {}", x.dtype, self.expected()))
        }
    }
}

/// One operand of an accepted element type; the result has its type.
pub(super) fn unary(operands: &[&TensorType], accepts: Accepts) -> Result<Vec<TensorType>, String> {
    let [x] = check::operands(operands)?;
    accepts.check(x)?;
    Ok(vec![x.clone()])
}

/// Two operands of one type; the result has it too.
pub(super) fn binary(operands: &[&TensorType], accepts: Accepts) -> Result<Vec<TensorType>, String> {
    let [lhs, rhs] = check::operands(operands)?;
    if lhs != rhs {
        return Err("both operands must have the same type".to_owned());
    }
    accepts.check(lhs)?;
    Ok(vec![lhs.clone()])
}

/// Declares an op of one operand, its builder method and its tests.
macro_rules! unary_op {
    ($(#[$doc:meta])* $name:ident, $method:ident = $mlir:literal, $accepts:ident, refuses $refused:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name;

        impl crate::op::Operation for $name {
            fn name(&self) -> &'static str {
                $mlir
            }

            fn infer(
                &self,
                operands: &[&crate::TensorType],
                _: &[crate::op::RegionType],
            ) -> Result<Vec<crate::TensorType>, String> {
                super::elementwise::unary(operands, super::elementwise::Accepts::$accepts)
            }
        }

        impl crate::Builder {
            $(#[$doc])*
            pub fn $method(&self, x: crate::Value) -> crate::Result<crate::Value> {
                self.push_one($name, &[x])
            }
        }

        #[cfg(test)]
        mod tests {
            use super::super::elementwise::{Accepts, tests};

            #[test]
            fn result_type_and_refused_element_type() {
                tests::unary(crate::Builder::$method, Accepts::$accepts, crate::DType::$refused);
            }
        }
    };
}
pub(super) use unary_op;

/// Declares an op of two operands of one type, its builder method and its tests. Where every
/// element type is accepted, only a mismatch is refused.
macro_rules! binary_op {
    ($(#[$doc:meta])* $name:ident, $method:ident = $mlir:literal, $accepts:ident $(, refuses $refused:ident)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name;

        impl crate::op::Operation for $name {
            fn name(&self) -> &'static str {
                $mlir
            }

            fn infer(
                &self,
                operands: &[&crate::TensorType],
                _: &[crate::op::RegionType],
            ) -> Result<Vec<crate::TensorType>, String> {
                super::elementwise::binary(operands, super::elementwise::Accepts::$accepts)
            }
        }

        impl crate::Builder {
            $(#[$doc])*
            pub fn $method(&self, lhs: crate::Value, rhs: crate::Value) -> crate::Result<crate::Value> {
                self.push_one($name, &[lhs, rhs])
            }
        }

        #[cfg(test)]
        mod tests {
            use super::super::elementwise::{Accepts, tests};

            #[test]
            fn result_type_and_refused_mismatch() {
                tests::binary(crate::Builder::$method, Accepts::$accepts);
            }

            $(#[test]
            fn refused_element_type() {
                tests::binary_refuses(crate::Builder::$method, Accepts::$accepts, crate::DType::$refused);
            })?
        }
    };
}
pub(super) use binary_op;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Builder, Result, Value};

    type Unary = fn(&Builder, Value) -> Result<Value>;
    type Binary = fn(&Builder, Value, Value) -> Result<Value>;

    fn argument(b: &Builder, name: &str, dtype: DType, shape: &[usize]) -> Value {
        b.argument(name, TensorType::new(dtype, shape)).unwrap()
    }

    pub(in crate::ops) fn unary(method: Unary, accepts: Accepts, refused: DType) {
        let b = Builder::new("main");
        for dtype in DType::ALL.into_iter().filter(|&dtype| accepts.dtype(dtype)) {
            let x = argument(&b, dtype.name(), dtype, &[2, 3]);
            let y = method(&b, x).unwrap();
            assert_eq!(b.ty(y), b.ty(x));
        }
        let x = argument(&b, "refused", refused, &[2]);
        let error = method(&b, x).unwrap_err();
        assert_eq!(error.problem, format!("element type {refused} is not {}", accepts.expected()));
    }

    pub(in crate::ops) fn binary(method: Binary, accepts: Accepts) {
        let b = Builder::new("main");
        for dtype in DType::ALL.into_iter().filter(|&dtype| accepts.dtype(dtype)) {
            let x = argument(&b, dtype.name(), dtype, &[2, 3]);
            let y = method(&b, x, x).unwrap();
            assert_eq!(b.ty(y), b.ty(x));
            let scalar = argument(&b, &format!("{dtype} scalar"), dtype, &[]);
            let error = method(&b, x, scalar).unwrap_err();
            assert_eq!(error.problem, "both operands must have the same type");
        }
    }

    pub(in crate::ops) fn binary_refuses(method: Binary, accepts: Accepts, refused: DType) {
        let b = Builder::new("main");
        let x = argument(&b, "refused", refused, &[2]);
        let error = method(&b, x, x).unwrap_err();
        assert_eq!(error.problem, format!("element type {refused} is not {}", accepts.expected()));
    }
}
