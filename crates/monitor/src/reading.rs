//! Reading blocks: no more of each than is asked for, and many at a time.
//!
//! What the system has in memory is taken at once. The rest is asked of the disk for many blocks
//! before any of it is waited for: first their heads, which tell where columns lie, then the
//! columns.

use std::ops::Range;

use crate::block::{HEAD, PREFIX, Plan, Prefix};
use crate::error::Corrupt;
use crate::segment::{BlockPlace, Segment};

/// Blocks that are read at a time.
const AT_ONCE: usize = 256;
/// Parts with no more between them are read as one: a disk gives whole pages anyway.
const NEAR: usize = 2048;
/// So many columns are most of a block, which then is read as one.
const MANY: usize = 8;

/// Reads what these columns need of each block, and shows it in order of the blocks. A block that
/// cannot be read or has no right header is shown as corrupt.
pub(crate) fn read<'p>(
    blocks: &[(&'p Segment, &'p BlockPlace)],
    columns: &[usize],
    mut show: impl FnMut(&BlockPlace, Result<(&Plan, &Parts<'p>), Corrupt>),
) {
    let head = if columns.len() < MANY {
        HEAD
    } else {
        usize::MAX
    };
    for blocks in blocks.chunks(AT_ONCE) {
        let heads: Vec<_> = blocks
            .iter()
            .map(|(segment, place)| Parts::ask_head(segment, place, head))
            .collect();
        let planned: Vec<_> = heads
            .into_iter()
            .map(|mut parts| parts.plan(columns).map(|plan| (plan, parts)))
            .collect();
        for ((_, place), planned) in blocks.iter().zip(planned) {
            let read = planned.and_then(|(plan, mut parts)| {
                parts.wait()?;
                Ok((plan, parts))
            });
            match &read {
                Ok((plan, parts)) => show(place, Ok((plan, parts))),
                Err(Corrupt) => show(place, Err(Corrupt)),
            }
        }
    }
}

/// Parts of a block, each read or on its way.
pub(crate) struct Parts<'p> {
    segment: &'p Segment,
    place: &'p BlockPlace,
    parts: Vec<Part>,
}

struct Part {
    range: Range<usize>,
    /// `None` while it is on its way.
    bytes: Option<Vec<u8>>,
}

impl<'p> Parts<'p> {
    fn ask_head(segment: &'p Segment, place: &'p BlockPlace, head: usize) -> Self {
        let mut parts = Self {
            segment,
            place,
            parts: Vec::with_capacity(2),
        };
        parts.ask(0..head.min(place.length));
        parts
    }

    fn ask(&mut self, range: Range<usize>) {
        let offset = self.place.offset + range.start as u64;
        let bytes = self.segment.read_held(offset, range.len());
        if bytes.is_none() {
            self.segment.expect(offset, range.len());
        }
        self.parts.push(Part { range, bytes });
    }

    /// Waits for what is on its way.
    fn wait(&mut self) -> Result<(), Corrupt> {
        for part in self.parts.iter_mut().filter(|part| part.bytes.is_none()) {
            let offset = self.place.offset + part.range.start as u64;
            let read = self.segment.read(offset, part.range.len());
            part.bytes = Some(read.map_err(|_| Corrupt)?);
        }
        Ok(())
    }

    /// Waits for the head, and asks for what the columns need beyond it.
    fn plan(&mut self, columns: &[usize]) -> Result<Plan, Corrupt> {
        self.wait()?;
        let prefix = Prefix::read(self.get(&(0..PREFIX)).ok_or(Corrupt)?)?;
        let header = PREFIX + prefix.header;
        if prefix.block() != self.place.length {
            return Err(Corrupt);
        }
        if self.get(&(0..header)).is_none() {
            // Of very many columns.
            self.parts.clear();
            self.ask(0..header);
            self.wait()?;
        }
        let head = self.parts.first().and_then(|head| head.bytes.as_deref());
        let plan = Plan::of(head.ok_or(Corrupt)?, columns)?;
        let mut missing: Vec<_> = plan.ranges().filter(|at| self.get(at).is_none()).collect();
        missing.sort_unstable_by_key(|range| range.start);
        let mut missing = missing.into_iter();
        if let Some(mut part) = missing.next() {
            for range in missing {
                if range.start <= part.end + NEAR {
                    part.end = part.end.max(range.end);
                } else {
                    self.ask(std::mem::replace(&mut part, range));
                }
            }
            self.ask(part);
        }
        Ok(plan)
    }

    /// Bytes of the block, if they have been read.
    pub(crate) fn get(&self, range: &Range<usize>) -> Option<&[u8]> {
        let holds = |part: &&Part| part.range.start <= range.start && range.end <= part.range.end;
        let part = self.parts.iter().find(holds)?;
        let begin = part.range.start;
        let bytes = part.bytes.as_ref()?;
        bytes.get(range.start - begin..range.end - begin)
    }
}
