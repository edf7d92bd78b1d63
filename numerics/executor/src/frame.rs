//! The values that are live in one run of a region.

use std::collections::HashMap;

use porter_ir::Value;

use crate::array::Array;

/// The values of a region, and those around it.
#[derive(Default)]
pub(crate) struct Frame<'a> {
    values: HashMap<Value, Array>,
    around: Option<&'a Frame<'a>>,
}

impl<'a> Frame<'a> {
    /// An empty frame of a region that sees the values in `around`.
    pub(crate) fn within(around: Option<&'a Frame<'a>>) -> Self {
        Self { values: HashMap::new(), around }
    }

    pub(crate) fn set(&mut self, value: Value, array: Array) {
        self.values.insert(value, array);
    }

    /// A value from here or around.
    pub(crate) fn get(&self, value: Value) -> Option<Array> {
        let here = self.values.get(&value).cloned();
        here.or_else(|| self.around.and_then(|around| around.get(value)))
    }

    /// As [`Frame::get`], and no longer kept here, so that nothing else shares it.
    pub(crate) fn take(&mut self, value: Value) -> Option<Array> {
        self.values.remove(&value).or_else(|| self.around.and_then(|around| around.get(value)))
    }
}
