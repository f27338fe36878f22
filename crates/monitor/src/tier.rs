//! One resolution: a log, the rows in it, and the segments of those sealed before.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::block::{self, Decoded, Present};
use crate::disk::Disk;
use crate::error::{AtPath, Result};
use crate::fold::{Cell, Fold};
use crate::log::{Log, LoggedRow, Record};
use crate::reading;
use crate::row::{Rows, Values, put_values};
use crate::segment::{BlockPlace, Segment};

/// A log is sealed when it is this long, whatever the time.
const LONGEST_LOG: u64 = 64 << 20;

/// How far apart rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Five seconds: what is appended.
    FiveSeconds,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Resolution {
    /// All, the finest first.
    pub const ALL: [Self; 3] = [Self::FiveSeconds, Self::Minute, Self::Hour];

    /// The time that a row stands for.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::FiveSeconds => 5,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    /// The name of its directory.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FiveSeconds => "5s",
            Self::Minute => "1m",
            Self::Hour => "1h",
        }
    }

    /// Rows of a source between two seals: 20 minutes, 8 hours, 10 days. Each is a whole part of a
    /// row or block of the next resolution, which so gets one row for each of its times.
    const fn rows(self) -> i64 {
        match self {
            Self::FiveSeconds => 240,
            Self::Minute => 480,
            Self::Hour => 240,
        }
    }

    /// Logs that go into one segment, which is what goes at once when it is too old: some hours,
    /// ten days, two months.
    const fn logs_in_segment(self) -> u64 {
        match self {
            Self::FiveSeconds => 18,
            Self::Minute => 30,
            Self::Hour => 6,
        }
    }
}

/// A source as a resolution knows it.
#[derive(Debug, Default)]
struct Source {
    /// Its number in the log, if it has one there.
    number: Option<usize>,
    rows: Rows,
    /// In the order in which they were sealed.
    blocks: Vec<BlockPlace>,
}

/// The values of a column in a block.
pub(crate) struct Run<'a> {
    times: &'a [i64],
    present: Present<'a>,
    values: &'a [i64],
    /// The times that the block is of.
    held: Range<i64>,
    /// The rows that are asked for.
    rows: &'a [Range<usize>],
}

/// The one of these ranges, in order and apart, that a time is in.
fn range_of(ranges: &[Range<i64>], at: i64) -> Option<&Range<i64>> {
    let next = ranges.partition_point(|range| range.end <= at);
    ranges.get(next).filter(|range| range.contains(&at))
}

/// Those of these ranges, in order and apart, that `held` has a part of.
fn touching<'a>(ranges: &'a [Range<i64>], held: &Range<i64>) -> &'a [Range<i64>] {
    let first = ranges.partition_point(|range| range.end <= held.start);
    let behind = ranges.partition_point(|range| range.start < held.end);
    ranges.get(first..behind).unwrap_or_default()
}

/// The rows whose times are in these ranges, in order and apart; in order of the rows.
fn rows_in(ranges: &[Range<i64>], times: &[i64], rows: &mut Vec<Range<usize>>) {
    rows.clear();
    let mut present = ranges.first().cloned().unwrap_or_default();
    for (row, at) in times.iter().enumerate() {
        if !present.contains(at) {
            match range_of(ranges, *at) {
                Some(range) => present = range.clone(),
                None => continue,
            }
        }
        match rows.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => rows.push(row..row + 1),
        }
    }
}

impl Run<'_> {
    /// All values, if they are of times within `step` and asked for.
    pub(crate) fn whole(&self, step: &Range<i64>) -> Option<&[i64]> {
        let is_within = step.start <= self.held.start && self.held.end <= step.end;
        let are_all = matches!(self.rows, [all] if all.len() == self.times.len());
        (is_within && are_all).then_some(self.values)
    }

    /// The least time in the block.
    pub(crate) const fn first(&self) -> i64 {
        self.held.start
    }

    /// Shows each value that is asked for, and its time.
    #[inline]
    pub(crate) fn each(&self, mut visit: impl FnMut(i64, i64)) {
        for rows in self.rows {
            self.present
                .each(self.times, self.values, rows.clone(), &mut visit);
        }
    }
}

/// One resolution of an archive.
#[derive(Debug)]
pub(crate) struct Tier {
    resolution: Resolution,
    disk: Disk,
    dir: PathBuf,
    log: Log,
    /// The log's number; logs are numbered from one.
    pub(crate) number: u64,
    /// The finer log that went into this resolution, and all before it; `None` if its own log is
    /// damaged so that it does not tell.
    pub(crate) contributed: Option<u64>,
    /// The time that the rows in the log are of, in units of what a log holds.
    window: Option<i64>,
    /// Sources with a number in the log.
    numbered: usize,
    sources: HashMap<Arc<str>, Source>,
    segments: BTreeMap<u64, Segment>,
    pub(crate) damaged: AtomicU64,
}

impl Tier {
    pub(crate) fn open(disk: &Disk, dir: PathBuf, resolution: Resolution) -> Result<Self> {
        fs::create_dir_all(&dir).at("create", &dir)?;
        let (mut logs, mut segments) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let name = entry.at("list", &dir)?.file_name();
            let name = name.to_string_lossy();
            logs.extend(Log::number(&name));
            segments.extend(Segment::id(&name));
        }
        logs.sort_unstable();
        segments.sort_unstable();
        // Without a log, one that follows all blocks.
        let following = segments
            .last()
            .map(|id| (id + 1) * resolution.logs_in_segment());
        let number = logs.pop().or(following).unwrap_or(1);
        let path = dir.join(Log::name(number));
        let (log, records, damaged) = if path.exists() {
            Log::open(disk, path)?
        } else {
            let contributed = 0;
            let log = Log::create(disk, &dir, number, contributed)?;
            let first = (following.is_none()).then(Record::default);
            (log, first.into_iter().collect(), 0)
        };
        let mut tier = Self {
            resolution,
            disk: disk.clone(),
            log,
            number,
            contributed: records.iter().map(|record| record.contributed).max(),
            window: None,
            numbered: 0,
            sources: HashMap::new(),
            segments: BTreeMap::new(),
            damaged: AtomicU64::new(damaged as u64),
            dir,
        };
        tier.take(records);
        for id in segments {
            tier.open_segment(id)?;
        }
        for old in logs {
            let path = tier.dir.join(Log::name(old));
            disk.remove(&path).at("remove", &path)?;
        }
        Ok(tier)
    }

    /// Takes over what the log says.
    fn take(&mut self, records: Vec<Record>) {
        let mut names: Vec<Option<Arc<str>>> = Vec::new();
        for record in records {
            names.resize(record.known.max(names.len()), None);
            names.truncate(record.known);
            names.extend(record.sources.into_iter().map(Some));
            for (number, at, values) in record.rows {
                match names.get(number) {
                    Some(Some(name)) => self.keep(&Arc::clone(name), number, at, &values),
                    _ => drop(self.damaged.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
        self.numbered = names.len();
    }

    fn keep(&mut self, name: &Arc<str>, number: usize, at: i64, values: &[u8]) {
        self.window
            .get_or_insert(at.div_euclid(self.resolution.seconds() * self.resolution.rows()));
        let source = self.sources.entry(Arc::clone(name)).or_default();
        source.number = Some(number);
        source.rows.push(at, values);
    }

    fn open_segment(&mut self, id: u64) -> Result<()> {
        let path = self.dir.join(Segment::name(id));
        let segment = (id, id == self.number / self.resolution.logs_in_segment());
        let sources = &mut self.sources;
        let visit = |name: &str, place| match sources.get_mut(name) {
            Some(source) => source.blocks.push(place),
            None => {
                let source = Source {
                    blocks: vec![place],
                    ..Source::default()
                };
                sources.insert(name.into(), source);
            }
        };
        let (segment, damaged) = Segment::open(&self.disk, path, segment, self.number, visit)?;
        *self.damaged.get_mut() += damaged as u64;
        self.segments.insert(id, segment);
        Ok(())
    }

    /// Whether the log has to be sealed before a row of this time goes into it.
    pub(crate) fn is_due(&self, at: i64) -> bool {
        let window = at.div_euclid(self.resolution.seconds() * self.resolution.rows());
        self.window.is_some_and(|held| held != window) || self.log.length() > LONGEST_LOG
    }

    /// All rows are on disk when this returns, or none.
    pub(crate) fn append<'r>(
        &mut self,
        rows: impl Iterator<Item = (&'r str, i64, &'r [Option<i64>])>,
        contributed: u64,
    ) -> Result<()> {
        let mut record = Record {
            contributed,
            known: self.numbered,
            ..Record::default()
        };
        let mut names = Vec::new();
        let mut new: HashMap<&str, usize> = HashMap::new();
        for (name, at, values) in rows {
            let held = self.sources.get_key_value(name);
            let (shared, number) = match held.map(|(name, source)| (name, source.number)) {
                Some((shared, Some(number))) => (Arc::clone(shared), number),
                held => {
                    let shared = held.map_or_else(|| Arc::from(name), |held| Arc::clone(held.0));
                    let number = *new.entry(name).or_insert_with(|| {
                        record.sources.push(Arc::clone(&shared));
                        record.known + record.sources.len() - 1
                    });
                    (shared, number)
                }
            };
            let mut encoded = Vec::with_capacity(values.len() * 2);
            put_values(&mut encoded, values);
            record.rows.push((number, at, encoded));
            names.push(shared);
        }
        self.log.append(&record)?;
        self.numbered += record.sources.len();
        self.contributed = self.contributed.max(Some(contributed));
        for (name, (number, at, values)) in names.into_iter().zip::<Vec<LoggedRow>>(record.rows) {
            self.keep(&name, number, at, &values);
        }
        Ok(())
    }

    /// The rows in the log, put together to rows of a coarser resolution.
    pub(crate) fn folded(
        &self,
        coarser: Resolution,
        folds: &[Fold],
    ) -> Vec<(Arc<str>, i64, Values)> {
        let mut all = Vec::new();
        for (name, source) in &self.sources {
            let mut rows: BTreeMap<i64, Vec<Option<Cell>>> = BTreeMap::new();
            source.rows.each(|at, values| {
                let start = at - at.rem_euclid(coarser.seconds());
                let cells = rows.entry(start).or_default();
                cells.resize(cells.len().max(values.len()), None);
                for ((cell, value), fold) in cells.iter_mut().zip(values).zip(folds) {
                    if let Some(value) = value {
                        fold.add(cell, at, *value);
                    }
                }
            });
            for (at, cells) in rows {
                let values = cells
                    .into_iter()
                    .map(|cell| cell.map(Cell::value))
                    .collect();
                all.push((Arc::clone(name), at, values));
            }
        }
        all
    }

    /// Writes the log's rows as blocks and begins a new log.
    pub(crate) fn seal(&mut self) -> Result<()> {
        let id = self.number / self.resolution.logs_in_segment();
        if !self.segments.contains_key(&id) {
            let path = self.dir.join(Segment::name(id));
            self.segments.insert(id, Segment::create(&self.disk, path)?);
        }
        let Some(segment) = self.segments.get_mut(&id) else {
            return Ok(());
        };
        let (mut blocks, mut places) = (Vec::new(), Vec::new());
        for (name, source) in &self.sources {
            if source.rows.len() == 0 {
                continue;
            }
            let block = block::encode(self.number, name, &source.rows);
            let (mut first, mut last) = (i64::MAX, i64::MIN);
            source
                .rows
                .each(|at, _| (first, last) = (first.min(at), last.max(at)));
            let place = BlockPlace {
                segment: id,
                offset: segment.length + blocks.len() as u64,
                length: block.len(),
                first,
                last,
            };
            blocks.extend_from_slice(&block);
            places.push((Arc::clone(name), place));
        }
        segment.write(&blocks)?;
        let contributed = self.contributed.unwrap_or(0);
        let next = Log::create(&self.disk, &self.dir, self.number + 1, contributed)?;
        // From here on the blocks count.
        segment.length += blocks.len() as u64;
        for (name, place) in places {
            segment.first = segment.first.min(place.first);
            segment.last = segment.last.max(place.last);
            if let Some(source) = self.sources.get_mut(&name) {
                source.blocks.push(place);
                source.rows = Rows::default();
            }
        }
        for source in self.sources.values_mut() {
            source.number = None;
        }
        let old = std::mem::replace(&mut self.log, next);
        self.number += 1;
        self.numbered = 0;
        self.window = None;
        if let Err(error) = old.remove() {
            tracing::warn!(%error, "a log that is sealed stays until the next start");
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.log.sync()
    }

    /// Shows the values of the columns in rows that are sealed and of these times. Tells how many
    /// blocks are damaged.
    pub(crate) fn visit_blocks(
        &self,
        source: &str,
        columns: &[usize],
        ranges: &[Range<i64>],
        mut visit: impl FnMut(usize, &Run<'_>),
    ) -> usize {
        let Some(source) = self.sources.get(source) else {
            return 0;
        };
        let held = |place: &BlockPlace| place.first..place.last.saturating_add(1);
        let is_touched = |place: &&BlockPlace| !touching(ranges, &held(place)).is_empty();
        let touched = source.blocks.iter().filter(is_touched);
        let blocks: Vec<_> = touched
            .filter_map(|place| Some((self.segments.get(&place.segment)?, place)))
            .collect();
        let (mut decoded, mut damaged) = (Decoded::default(), 0);
        let mut rows = Vec::new();
        reading::read(&blocks, columns, |place, parts| {
            let held = held(place);
            let mut is_first = true;
            let result = parts.and_then(|(plan, parts)| {
                let get = |range: &Range<usize>| parts.get(range);
                decoded.read(plan, get, |column, times, present, values| {
                    if std::mem::take(&mut is_first) {
                        rows_in(touching(ranges, &held), times, &mut rows);
                    }
                    let run = Run {
                        times,
                        present,
                        values,
                        held: held.clone(),
                        rows: &rows,
                    };
                    visit(column, &run);
                })
            });
            damaged += usize::from(result.is_err());
        });
        damaged
    }

    /// As above, of the rows in the log.
    pub(crate) fn visit_log(
        &self,
        source: &str,
        columns: &[usize],
        ranges: &[Range<i64>],
        mut visit: impl FnMut(usize, i64, i64),
    ) {
        let Some(source) = self.sources.get(source) else {
            return;
        };
        source.rows.each(|at, values| {
            if range_of(ranges, at).is_none() {
                return;
            }
            for (place, column) in columns.iter().enumerate() {
                if let Some(Some(value)) = values.get(*column) {
                    visit(place, at, *value);
                }
            }
        });
    }

    /// The times that a source's last block is of.
    pub(crate) fn last_block(&self, source: &str) -> Option<Range<i64>> {
        let block = self.sources.get(source)?.blocks.last()?;
        Some(block.first..block.last + 1)
    }

    /// From when on rows are there; what is older has been removed from this resolution.
    pub(crate) fn floor(&self) -> i64 {
        match self.segments.first_key_value() {
            Some((0, _)) => i64::MIN,
            None if self.number < self.resolution.logs_in_segment() => i64::MIN,
            _ => {
                let sealed = self.segments.values().map(|segment| segment.first);
                let window = self.resolution.seconds() * self.resolution.rows();
                let unsealed = self.window.map(|held| held * window);
                sealed.chain(unsealed).min().unwrap_or(i64::MAX)
            }
        }
    }

    /// Removes segments that hold only rows from before `oldest`.
    pub(crate) fn forget_before(&mut self, oldest: i64) -> Result<()> {
        let written = self.number / self.resolution.logs_in_segment();
        let old = self
            .segments
            .iter()
            .filter(|(id, segment)| **id != written && segment.last < oldest);
        for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.forget(id)?;
        }
        Ok(())
    }

    /// Removes the oldest segment, unless it is the one that is written. Tells whether there was one.
    pub(crate) fn forget_oldest(&mut self) -> Result<bool> {
        let written = self.number / self.resolution.logs_in_segment();
        match self.segments.first_key_value() {
            Some((id, _)) if *id != written => self.forget(*id).map(|()| true),
            _ => Ok(false),
        }
    }

    fn forget(&mut self, id: u64) -> Result<()> {
        if let Some(segment) = self.segments.get(&id) {
            self.disk
                .remove(&segment.path)
                .at("remove", &segment.path)?;
            self.segments.remove(&id);
        }
        self.sources.retain(|_, source| {
            source.blocks.retain(|block| block.segment != id);
            !source.blocks.is_empty() || source.number.is_some()
        });
        Ok(())
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        let sealed: u64 = self.segments.values().map(|segment| segment.length).sum();
        sealed + self.log.length()
    }

    /// Names of sources of which there are rows.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sources.keys()
    }

    pub(crate) const fn resolution(&self) -> Resolution {
        self.resolution
    }
}
