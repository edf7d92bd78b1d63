//! Which part of the port is which part of the reference.

use std::collections::HashMap;

use porter_ir::{OpKind, Program, Value};

use super::units::{Extent, Unit, Uses};

/// A program with what is known of it.
pub(super) struct Whole<'a> {
    pub(super) program: &'a Program,
    pub(super) uses: Uses,
}

impl<'a> Whole<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        Self { program, uses: Uses::of(program) }
    }

    fn outputs(&self, unit: &Unit) -> Vec<Value> {
        unit.outputs(self.program, &self.uses)
    }

    fn kind(&self, unit: &Unit) -> Option<OpKind> {
        unit.ops.first().filter(|_| unit.extent == Extent::Op).map(|&op| self.program.op(op).op.kind())
    }
}

/// A part of the port and the same part of the reference.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) port: Unit,
    pub(super) reference: Unit,
    /// The outputs of the port's, in order.
    pub(super) outputs: Vec<Value>,
}

/// The port's values and their counterparts.
pub(super) struct Pairing<'a> {
    pub(super) port: Whole<'a>,
    pub(super) reference: Whole<'a>,
    counterparts: HashMap<Value, Value>,
}

impl<'a> Pairing<'a> {
    /// Pairs the inputs by name.
    pub(super) fn new(port: &'a Program, reference: &'a Program) -> Self {
        let by_name: HashMap<&str, Value> =
            reference.inputs().iter().map(|i| (i.name.as_str(), i.value)).collect();
        let counterparts =
            port.inputs().iter().filter_map(|i| Some((i.value, *by_name.get(i.name.as_str())?))).collect();
        Self { port: Whole::new(port), reference: Whole::new(reference), counterparts }
    }

    /// The reference's value for one of the port's.
    pub(super) fn counterpart(&self, value: Value) -> Option<Value> {
        self.counterparts.get(&value).copied()
    }

    /// Both programs as one pair.
    pub(super) fn whole(&self) -> Pair {
        let (port, reference) = (Unit::whole(self.port.program), Unit::whole(self.reference.program));
        Pair { outputs: self.port.outputs(&port), port, reference }
    }

    /// The parts of a pair, if they are the same on both sides: as many, of the same names, with outputs
    /// of the same shapes, which are each other's counterparts from then on.
    pub(super) fn parts(&mut self, pair: &Pair) -> Option<Vec<Pair>> {
        if pair.port.extent == Extent::Op {
            return None;
        }
        let (ours, theirs) =
            (pair.port.parts(self.port.program), pair.reference.parts(self.reference.program));
        if ours.len() != theirs.len() {
            return None;
        }
        let mut parts = Vec::with_capacity(ours.len());
        let mut found = Vec::new();
        for (port, reference) in ours.into_iter().zip(theirs) {
            let (outputs, expected) = (self.port.outputs(&port), self.reference.outputs(&reference));
            let same_shapes = outputs.len() == expected.len()
                && outputs.iter().zip(&expected).all(|(&a, &b)| self.same_shape(a, b));
            // Modules may have become other ops; ops that stand for each other are of one kind.
            let same_kind = self.port.kind(&port) == self.reference.kind(&reference);
            let same_place = port.path == reference.path && port.extent == reference.extent;
            if !same_place || !same_kind || !same_shapes {
                return None;
            }
            found.extend(outputs.iter().copied().zip(expected));
            parts.push(Pair { port, reference, outputs });
        }
        self.counterparts.extend(found);
        // A part whose result nobody reads has nothing to be wrong about.
        parts.retain(|part| !part.outputs.is_empty());
        Some(parts)
    }

    fn same_shape(&self, port: Value, reference: Value) -> bool {
        self.port.program.ty(port).shape == self.reference.program.ty(reference).shape
    }
}
