//! Storage for streams under ids that are never used twice.

use crate::api::StreamId;

/// Values at small indices; each index counts its uses, so an id of an earlier use finds nothing.
pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> StreamId {
        if let Some(index) = self.free.pop() {
            let entry = &mut self.entries[index as usize];
            entry.value = Some(value);
            return id(index, entry.generation);
        }
        let index = u32::try_from(self.entries.len()).expect("fewer streams than 2^32");
        self.entries.push(Entry {
            generation: 0,
            value: Some(value),
        });
        id(index, 0)
    }

    /// The ids of all values.
    pub(crate) fn ids(&self) -> Vec<StreamId> {
        let used = self.entries.iter().enumerate();
        used.filter(|(_, entry)| entry.value.is_some())
            .map(|(index, entry)| id(index as u32, entry.generation))
            .collect()
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<&T> {
        let entry = self.entries.get(stream.0 as u32 as usize)?;
        if u64::from(entry.generation) != stream.0 >> 32 {
            return None;
        }
        entry.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut T> {
        let entry = self.entries.get_mut(stream.0 as u32 as usize)?;
        if u64::from(entry.generation) != stream.0 >> 32 {
            return None;
        }
        entry.value.as_mut()
    }

    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<T> {
        let index = stream.0 as u32;
        let entry = self.entries.get_mut(index as usize)?;
        if u64::from(entry.generation) != stream.0 >> 32 {
            return None;
        }
        let value = entry.value.take()?;
        // The topmost bits of an id are free for the backends.
        entry.generation = (entry.generation + 1) & (u32::MAX >> 3);
        self.free.push(index);
        Some(value)
    }
}

fn id(index: u32, generation: u32) -> StreamId {
    StreamId(u64::from(generation) << 32 | u64::from(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_finds_nothing_after_its_slot_is_used_again() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.0 as u32, second.0 as u32);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
    }
}
