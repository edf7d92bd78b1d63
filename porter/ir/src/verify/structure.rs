//! Ids that lead somewhere, and definitions that lead back.

use super::Verifier;
use crate::{OpId, RegionId, Value, program::Definition};

impl Verifier<'_> {
    pub(super) fn structure(&mut self) {
        let holders = self.holders();
        for (index, holders) in holders.iter().enumerate() {
            self.op_structure(OpId::at(index), holders);
        }
        for index in 0..self.program.regions.len() {
            self.region_structure(RegionId::at(index));
        }
        for index in 0..self.program.values.len() {
            self.value_structure(Value::at(index));
        }
        if self.program.regions.is_empty() {
            self.report("the program", "has no body");
        }
    }

    /// For each op the regions that list it.
    fn holders(&self) -> Vec<Vec<RegionId>> {
        let mut holders = vec![Vec::new(); self.program.ops.len()];
        for (index, region) in self.program.regions.iter().enumerate() {
            for op in &region.ops {
                if let Some(holders) = holders.get_mut(op.index()) {
                    holders.push(RegionId::at(index));
                }
            }
        }
        holders
    }

    fn op_structure(&mut self, id: OpId, holders: &[RegionId]) {
        let data = self.program.op(id);
        let unknown = data.operands.iter().find(|value| !self.has_value(**value));
        if let Some(value) = unknown {
            self.report_op(id, format!("reads {value}, which does not exist"));
        }
        for (index, &value) in data.results.iter().enumerate() {
            self.defined_as(value, Definition::Result { op: id, index });
        }
        for &region in &data.regions {
            let owner = self.program.regions.get(region.index()).and_then(|region| region.op);
            if owner != Some(id) {
                self.report_op(id, format!("has {region}, which does not name it as its op"));
            }
        }
        if holders != [data.parent] {
            let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
            let (found, expected) = (holders.join(", "), data.parent);
            self.report_op(id, format!("is among the ops of [{found}], expected {expected} once"));
        }
        if self.program.paths.get(data.path.index()).is_none() {
            self.report_op(id, format!("has {}, which does not exist", data.path));
        }
    }

    fn region_structure(&mut self, id: RegionId) {
        let region = self.program.region(id);
        for (index, &value) in region.arguments.iter().enumerate() {
            self.defined_as(value, Definition::Argument { region: id, index });
        }
        if let Some(&value) = region.results.iter().find(|value| !self.has_value(**value)) {
            self.report(id, format!("returns {value}, which does not exist"));
        }
        if let Some(&op) = region.ops.iter().find(|op| op.index() >= self.program.ops.len()) {
            self.report(id, format!("holds {op}, which does not exist"));
        }
        let is_body = id == self.program.body();
        let owner = region.op.and_then(|op| self.program.ops.get(op.index()));
        match owner {
            None if !is_body => {
                self.report(id, "belongs to no op: building it failed, or its op was never added");
            }
            Some(_) if is_body => self.report(id, "is the body and belongs to an op"),
            Some(op) if !op.regions.contains(&id) => self.report(id, "is not among the regions of its op"),
            Some(op) if region.parent != Some(op.parent) => {
                self.report(id, format!("has a parent other than {}, where its op is", op.parent));
            }
            _ => {}
        }
    }

    fn value_structure(&mut self, value: Value) {
        let values = match self.program.value(value).definition {
            Definition::Argument { region, index } => {
                self.program.regions.get(region.index()).and_then(|region| region.arguments.get(index))
            }
            Definition::Result { op, index } => {
                self.program.ops.get(op.index()).and_then(|op| op.results.get(index))
            }
        };
        if values != Some(&value) {
            self.report(value, "is not where its definition says");
        }
    }

    fn defined_as(&mut self, value: Value, definition: Definition) {
        let found = self.program.values.get(value.index()).map(|data| data.definition);
        if found != Some(definition) {
            self.report(value, format!("is defined as {found:?}, expected {definition:?}"));
        }
    }

    fn has_value(&self, value: Value) -> bool {
        value.index() < self.program.values.len()
    }
}
