//! Values used where they are defined, with the types that the ops infer.

use super::Verifier;
use crate::{OpId, RegionId, TensorType, Value, op::RegionType};

impl Verifier<'_> {
    pub(super) fn scopes(&mut self) {
        let mut visible = vec![false; self.program.values.len()];
        self.region_scope(self.program.body(), &mut visible);
    }

    /// Walks in order of execution. What a region defines is visible until its end.
    fn region_scope(&mut self, id: RegionId, visible: &mut [bool]) {
        let region = self.program.region(id);
        show(&region.arguments, visible, true);
        for &op in &region.ops {
            self.op_scope(op, visible);
        }
        if let Some(value) = region.results.iter().find(|value| !visible[value.index()]) {
            self.report(id, format!("returns {value}, which is not defined there"));
        }
        show(&region.arguments, visible, false);
        for &op in &region.ops {
            show(&self.program.op(op).results, visible, false);
        }
    }

    fn op_scope(&mut self, id: OpId, visible: &mut [bool]) {
        let data = self.program.op(id);
        if let Some(value) = data.operands.iter().find(|value| !visible[value.index()]) {
            self.report_op(id, format!("reads {value}, which is not defined before it"));
        }
        for &region in &data.regions {
            if !data.op.as_operation().regions_capture() {
                for value in self.program.captures(region) {
                    self.report_op(id, format!("{region} reads {value} from outside, which it may not"));
                }
            }
            self.region_scope(region, visible);
        }
        show(&data.results, visible, true);
        self.types(id);
    }

    fn types(&mut self, id: OpId) {
        let data = self.program.op(id);
        let operands: Vec<&TensorType> = data.operands.iter().map(|&value| self.program.ty(value)).collect();
        let regions: Vec<RegionType> =
            data.regions.iter().map(|&region| RegionType::of(self.program, region)).collect();
        let found: Vec<TensorType> =
            data.results.iter().map(|&value| self.program.ty(value).clone()).collect();
        match data.op.as_operation().infer(&operands, &regions) {
            Ok(expected) if expected == found => {}
            Ok(expected) => {
                self.report_op(id, format!("gives {}, expected {}", list(&found), list(&expected)));
            }
            Err(problem) => self.report_op(id, problem),
        }
    }
}

fn list(types: &[TensorType]) -> String {
    let types: Vec<String> = types.iter().map(TensorType::to_string).collect();
    format!("({})", types.join(", "))
}

fn show(values: &[Value], visible: &mut [bool], is_visible: bool) {
    for value in values {
        visible[value.index()] = is_visible;
    }
}
