//! `custom_call`: a function that the compiler or the plugin knows by name.

use crate::{
    AttributeValue, Builder, Result, TensorType, Value,
    attribute::{Attribute, dictionary, string},
    op::{Operation, RegionType},
};

/// How a custom call is bound, with the configuration in the form that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomCallApi {
    /// API version 1, with an opaque string.
    Original(String),
    /// API version 2, which returns a status, with an opaque string.
    StatusReturning(String),
    /// API version 4, XLA's typed FFI, with named values.
    TypedFfi(Vec<(String, AttributeValue)>),
}

/// Calls `target`, whose meaning is outside of the program
/// (<https://openxla.org/stablehlo/spec#custom_call>).
#[derive(Clone, Debug, PartialEq)]
pub struct CustomCall {
    /// The name that the function is registered by.
    pub target: String,
    /// How it is bound.
    pub api: CustomCallApi,
    /// Whether it does something besides giving results, and so is kept where none is used.
    pub has_side_effect: bool,
    /// The types of its results.
    pub results: Vec<TensorType>,
}

impl Operation for CustomCall {
    fn name(&self) -> &'static str {
        "stablehlo.custom_call"
    }

    fn infer(&self, _: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        if self.target.is_empty() {
            return Err("the target is empty, expected a registered name".to_owned());
        }
        Ok(self.results.clone())
    }

    fn attributes(&self) -> Vec<Attribute> {
        let (version, config) = match &self.api {
            CustomCallApi::Original(config) => (1, string(config)),
            CustomCallApi::StatusReturning(config) => (2, string(config)),
            CustomCallApi::TypedFfi(config) => (4, dictionary(config)),
        };
        vec![
            ("call_target_name", string(&self.target)),
            ("has_side_effect", self.has_side_effect.to_string()),
            ("api_version", format!("{version} : i32")),
            ("backend_config", config),
        ]
    }
}

impl Builder {
    /// The results of calling a registered function. See [`CustomCall`].
    pub fn custom_call(&self, op: CustomCall, operands: &[Value]) -> Result<Vec<Value>> {
        self.push(op, operands, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn gives_what_it_declares() {
        let b = Builder::new("main");
        let op = CustomCall {
            target: "f".to_owned(),
            api: CustomCallApi::TypedFfi(vec![("n".to_owned(), AttributeValue::I64(3))]),
            has_side_effect: false,
            results: vec![TensorType::scalar(DType::F32), TensorType::scalar(DType::I32)],
        };
        assert_eq!(op.attributes()[3].1, "{n = 3 : i64}");
        let y = b.custom_call(op.clone(), &[]).unwrap();
        assert_eq!([b.ty(y[0]), b.ty(y[1])], [op.results[0].clone(), op.results[1].clone()]);
        let error = b.custom_call(CustomCall { target: String::new(), ..op }, &[]).unwrap_err();
        assert_eq!(error.problem, "the target is empty, expected a registered name");
    }
}
