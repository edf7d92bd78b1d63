//! The walk over a program, op by op.

use std::collections::{BTreeMap, HashMap};

use porter_ir::{DType, InputRole, Op, OpId, Program, RegionId, Value, program::OpData};

use super::{
    Roundings,
    events::{Event, Reached},
    rules::{Joins, Rounds, joins, rounds},
    trips::trips,
    unit_roundoff,
};

/// How often a loop's body is walked until what its values carry no longer grows.
const MOST_PASSES: usize = 8;

/// The roundings of every output.
pub(super) fn outputs(program: &Program) -> BTreeMap<String, Roundings> {
    let mut walk = Walk { program, events: Vec::new(), of_op: HashMap::new(), reached: HashMap::new() };
    for input in program.inputs() {
        let dtype = program.ty(input.value).dtype;
        if input.role == InputRole::Weight && unit_roundoff(dtype) > unit_roundoff(DType::F32) {
            let event = Event { dtype, kind: "weight", times: 1, sum: None, note: None };
            walk.add(input.value, event);
        }
    }
    walk.region(program.body(), 1);
    let of = |value: Value| {
        Roundings::from_events(walk.of(value).indices().filter_map(|index| walk.events.get(index)))
    };
    program.outputs().iter().map(|output| (output.name.clone(), of(output.value))).collect()
}

struct Walk<'p> {
    program: &'p Program,
    events: Vec<Event>,
    /// The event of an op that was walked before: a loop's body is walked more than once.
    of_op: HashMap<OpId, usize>,
    reached: HashMap<Value, Reached>,
}

impl Walk<'_> {
    fn of(&self, value: Value) -> Reached {
        self.reached.get(&value).cloned().unwrap_or_default()
    }

    fn add(&mut self, value: Value, event: Event) {
        let reached = self.of(value).with(self.events.len(), &event);
        self.events.push(event);
        self.reached.insert(value, reached);
    }

    /// Walks the ops of a region that runs `times` times.
    fn region(&mut self, region: RegionId, times: u64) {
        for &id in &self.program.region(region).ops {
            let data = self.program.op(id);
            match &data.op {
                Op::While(_) => self.repeat(data, times),
                Op::If(_) | Op::Case(_) => self.branches(data, times),
                Op::Composite(_) => self.inline(data, times),
                _ => self.plain(id, data, times),
            }
        }
    }

    fn plain(&mut self, id: OpId, data: &OpData, times: u64) {
        let float = |value: &&Value| self.program.ty(**value).dtype.is_float();
        let operands = data.operands.iter().filter(float).map(|&value| self.of(value));
        let joined = match joins(&data.op) {
            Joins::Product => operands.fold(Reached::default(), |all, next| all.union(&next, &self.events)),
            Joins::Greatest => operands.fold(Reached::default(), |most, next| most.greater(&next)),
            Joins::Nothing => Reached::default(),
        };
        let reached = match rounds(self.program, data) {
            Some(rounds) => self.rounded(id, data, rounds, times, joined),
            None => joined,
        };
        for &result in data.results.iter().filter(|&&v| self.program.ty(v).dtype.is_float()) {
            self.reached.insert(result, reached.clone());
        }
    }

    fn rounded(&mut self, id: OpId, data: &OpData, rounds: Rounds, times: u64, joined: Reached) -> Reached {
        let name = data.op.as_operation().name();
        let kind = name.split_once('.').map_or(name, |(_, kind)| kind);
        let index = *self.of_op.entry(id).or_insert(self.events.len());
        if index == self.events.len() {
            let Rounds { dtype, sum, note } = rounds;
            self.events.push(Event { dtype, kind, times, sum, note });
        }
        match self.events.get(index) {
            Some(event) => joined.with(index, event),
            None => joined,
        }
    }

    fn bind(&mut self, region: RegionId, from: &[Value]) {
        let program = self.program;
        for (&argument, &value) in program.region(region).arguments.iter().zip(from) {
            self.reached.insert(argument, self.of(value));
        }
    }

    fn inline(&mut self, data: &OpData, times: u64) {
        for &region in &data.regions {
            self.bind(region, &data.operands);
            self.region(region, times);
            self.hand_out(region, data);
        }
    }

    /// The branch that has gathered most.
    fn branches(&mut self, data: &OpData, times: u64) {
        for &region in &data.regions {
            self.region(region, times);
            self.hand_out(region, data);
        }
    }

    /// The results of a region become those of its op, where they have gathered more.
    fn hand_out(&mut self, region: RegionId, data: &OpData) {
        for (&result, &inner) in data.results.iter().zip(&self.program.region(region).results) {
            let most = self.of(result).greater(&self.of(inner));
            self.reached.insert(result, most);
        }
    }

    fn repeat(&mut self, data: &OpData, times: u64) {
        let &[_, body] = &data.regions[..] else { return };
        let counted = trips(self.program, data);
        if counted == Some(0) {
            return self.hand_through(data);
        }
        let inside = self.events.len();
        self.bind(body, &data.operands);
        for _ in 0..MOST_PASSES {
            self.region(body, times.saturating_mul(counted.unwrap_or(1)));
            let region = self.program.region(body);
            let mut grown = false;
            for (&argument, &result) in region.arguments.iter().zip(&region.results) {
                let before = self.of(argument);
                let after = before.clone().greater(&self.of(result));
                grown |= !after.same(&before);
                self.reached.insert(argument, after);
            }
            if !grown {
                break;
            }
        }
        if counted.is_none() {
            let note = "a loop whose trips no constant tells counts once";
            self.events.iter_mut().skip(inside).for_each(|event| event.note = Some(note.to_owned()));
        }
        self.hand_through(data);
        self.hand_out(body, data);
    }

    /// A loop's operands as its results.
    fn hand_through(&mut self, data: &OpData) {
        for (&result, &operand) in data.results.iter().zip(&data.operands) {
            self.reached.insert(result, self.of(operand));
        }
    }
}
