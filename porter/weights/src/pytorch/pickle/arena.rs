//! Many values, by number.

use super::value::{Id, Value};

/// Values in one piece of memory. Pieces are never moved, so growing costs no second copy.
const CHUNK: usize = 4096;

/// Values that are only added.
#[derive(Debug, Default)]
pub(super) struct Arena<'a> {
    chunks: Vec<Vec<Value<'a>>>,
}

impl<'a> Arena<'a> {
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn add(&mut self, value: Value<'a>) -> Id {
        let id = Id(self.len() as u32);
        if let Some(last) = self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
            last.push(value);
            return id;
        }
        // The first piece grows, so that a small pickle takes little.
        let room = if self.chunks.is_empty() { 16 } else { CHUNK };
        let mut chunk = Vec::with_capacity(room);
        chunk.push(value);
        self.chunks.push(chunk);
        id
    }

    pub(super) fn get(&self, id: Id) -> Option<&Value<'a>> {
        self.chunks.get(id.0 as usize / CHUNK)?.get(id.0 as usize % CHUNK)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Value<'a>> {
        self.chunks.get_mut(id.0 as usize / CHUNK)?.get_mut(id.0 as usize % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_number() {
        let mut arena = Arena::default();
        for n in 0..10_000 {
            assert_eq!(arena.add(Value::Int(n)), Id(n as u32));
            assert_eq!(arena.len(), n as usize + 1);
        }
        assert!(
            (0..10_000).all(|n| matches!(arena.get(Id(n as u32)), Some(Value::Int(found)) if *found == n))
        );
        assert!(arena.get(Id(10_000)).is_none());
    }
}
