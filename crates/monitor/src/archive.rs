//! The archive: three resolutions, and queries over them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block::LONGEST_SOURCE;
use crate::disk::Disk;
use crate::error::Result;
use crate::fold::{Cell, Fold};
use crate::row::MOST_COLUMNS;
use crate::tier::{Resolution, Run, Tier};

const DAY: i64 = 86_400;

/// What an archive keeps.
#[derive(Clone, Debug)]
pub struct ArchiveConfig {
    /// How the values of each column are put together. Columns may be added at the end; the
    /// meaning of one never changes.
    pub folds: Vec<Fold>,
    /// How long rows are kept, by resolution, in seconds.
    pub keep_seconds: [i64; 3],
    /// Bytes that all files may take together. Beyond, the oldest rows of the finest resolution that
    /// has some to give go before their time.
    pub max_bytes: u64,
}

impl ArchiveConfig {
    /// Two days of five seconds, 400 days of minutes and hours, in at most 10 GB.
    #[must_use]
    pub const fn new(folds: Vec<Fold>) -> Self {
        Self {
            folds,
            keep_seconds: [2 * DAY, 400 * DAY, 400 * DAY],
            max_bytes: 10 << 30,
        }
    }
}

/// Rows of sources over time.
#[derive(Debug)]
pub struct Archive {
    config: ArchiveConfig,
    tiers: [Tier; 3],
}

/// What a query found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For each column asked for, a value for each step, or none where there is a gap.
    pub columns: Vec<Vec<Option<i64>>>,
    /// Blocks that could not be read. What was in them is a gap.
    pub damaged: usize,
}

/// The latest values of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The time of the row.
    pub at: i64,
    /// A value for each column asked for.
    pub values: Vec<i64>,
}

/// What an archive takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its files.
    pub bytes: u64,
    /// Sources of which there are rows.
    pub sources: usize,
    /// Damaged places that were found in its files when it was opened.
    pub damaged: u64,
}

impl Archive {
    /// Opens the archive in a directory of its own, which is made if need be. What a crash left
    /// half done is done or undone.
    ///
    /// # Errors
    /// [`ArchiveError`](crate::ArchiveError) when files cannot be read or written.
    pub fn open(dir: &Path, config: ArchiveConfig) -> Result<Self> {
        Self::open_on(&Disk::default(), dir, config)
    }

    pub(crate) fn open_on(disk: &Disk, dir: &Path, config: ArchiveConfig) -> Result<Self> {
        let tier =
            |resolution: Resolution| Tier::open(disk, dir.join(resolution.name()), resolution);
        let [fine, middle, coarse] = Resolution::ALL;
        let mut archive = Self {
            config,
            tiers: [tier(fine)?, tier(middle)?, tier(coarse)?],
        };
        for finer in [1, 0] {
            let number = archive.tiers[finer].number;
            let coarser = &mut archive.tiers[finer + 1];
            // What cannot be told is taken for done: a gap in roll-ups rather than doubled counts.
            let contributed = *coarser.contributed.get_or_insert(number - 1);
            if contributed >= number {
                archive.tiers[finer].seal()?;
            }
        }
        Ok(archive)
    }

    /// Adds a row for each of these sources, of the time `at`, in seconds. They are on disk, and
    /// survive the end of the process, when this returns.
    ///
    /// # Errors
    /// [`ArchiveError`](crate::ArchiveError) when the disk is full or fails; no row has been added
    /// then.
    pub fn append(&mut self, at: i64, rows: &[(&str, &[Option<i64>])]) -> Result<()> {
        let at = at - at.rem_euclid(Resolution::FiveSeconds.seconds());
        self.make_room(0, at)?;
        let usable = |(name, values): &&(&str, &[Option<i64>])| {
            name.len() <= LONGEST_SOURCE
                && values.len() <= MOST_COLUMNS.min(self.config.folds.len())
        };
        let rows = rows.iter().filter(usable);
        let rows = rows.map(|(name, values)| (*name, at, *values));
        self.tiers[0].append(rows, 0)
    }

    /// Seals the log of a resolution if it is due, after its rows went into the next one.
    fn make_room(&mut self, index: usize, at: i64) -> Result<()> {
        let number = self.tiers[index].number;
        let has_gone_on = self.has_gone_on(index);
        if !has_gone_on && !self.tiers[index].is_due(at) {
            return Ok(());
        }
        if index + 1 < self.tiers.len() && !has_gone_on {
            let coarser = self.tiers[index + 1].resolution();
            let rows = self.tiers[index].folded(coarser, &self.config.folds);
            if let Some((_, first, _)) = rows.first() {
                self.make_room(index + 1, *first)?;
                let rows = rows
                    .iter()
                    .map(|(name, at, values)| (&**name, *at, &**values));
                self.tiers[index + 1].append(rows, number)?;
                self.tiers[index + 1].sync()?;
            }
        }
        self.tiers[index].seal()
    }

    /// Whether what is in a resolution's log is in the next resolution too.
    fn has_gone_on(&self, index: usize) -> bool {
        let coarser = self.tiers.get(index + 1);
        let contributed = coarser.and_then(|tier| tier.contributed);
        contributed >= Some(self.tiers[index].number)
    }

    /// Removes what has been kept long enough, or has no room.
    ///
    /// # Errors
    /// [`ArchiveError`](crate::ArchiveError) when a file cannot be removed.
    pub fn forget_old(&mut self, now: i64) -> Result<()> {
        for (tier, keep) in self.tiers.iter_mut().zip(self.config.keep_seconds) {
            tier.forget_before(now.saturating_sub(keep))?;
        }
        for index in 0..self.tiers.len() {
            while self.usage().bytes > self.config.max_bytes {
                if !self.tiers[index].forget_oldest()? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Has what was appended survive a power failure too.
    ///
    /// # Errors
    /// [`ArchiveError`](crate::ArchiveError) when the disk fails.
    pub fn sync(&self) -> Result<()> {
        self.tiers[0].sync()
    }

    /// The columns of a source, folded to steps: one for each `step` seconds that begins in `range`.
    ///
    /// Each step is put together of the coarsest rows that lie wholly in it, and of finer ones at its
    /// ends; of coarser ones where finer ones are no longer kept.
    #[must_use]
    pub fn query(&self, source: &str, columns: &[usize], range: Range<i64>, step: i64) -> Answer {
        let step = step.max(1);
        let span = range.end.saturating_sub(range.start).max(0);
        let steps = usize::try_from(span / step + i64::from(span % step > 0)).unwrap_or(0);
        let mut found = Found {
            folds: columns
                .iter()
                .map(|column| self.config.folds.get(*column).copied())
                .collect(),
            cells: vec![vec![None; steps]; columns.len()],
            start: range.start,
            step,
            present: 0..0,
            place: 0,
        };
        let bound = |place: usize| {
            let past = i64::try_from(place)
                .unwrap_or(i64::MAX)
                .saturating_mul(step);
            range.start.saturating_add(past).min(range.end)
        };
        let ranges = (0..steps)
            .map(|place| bound(place)..bound(place + 1))
            .collect();
        let damaged = self.collect_steps(0, source, columns, ranges, &mut found);
        let value = |cell: Option<Cell>| cell.map(Cell::value);
        let values = |cells: Vec<Option<Cell>>| cells.into_iter().map(value).collect();
        Answer {
            columns: found.cells.into_iter().map(values).collect(),
            damaged,
        }
    }

    /// Collects the rows of these ranges, in order and apart, from this resolution or coarser ones.
    fn collect_steps(
        &self,
        index: usize,
        source: &str,
        columns: &[usize],
        ranges: Vec<Range<i64>>,
        found: &mut Found,
    ) -> usize {
        let Some(coarser) = self.tiers.get(index + 1) else {
            return self.collect(index, source, columns, &ranges, found);
        };
        let seconds = coarser.resolution().seconds();
        let (mut ends, mut insides) = (Vec::new(), Vec::new());
        for range in ranges {
            let begin = next_bound(range.start, seconds);
            let end = range.end - range.end.rem_euclid(seconds);
            if begin < end {
                add_range(&mut ends, range.start..begin);
                insides.push(begin..end);
                add_range(&mut ends, end..range.end);
            } else {
                add_range(&mut ends, range);
            }
        }
        let damaged = self.collect(index, source, columns, &ends, found);
        damaged + self.collect_steps(index + 1, source, columns, insides, found)
    }

    /// Collects the rows of these ranges, in order and apart, from this resolution, and from coarser
    /// ones where it has them no longer.
    fn collect(
        &self,
        index: usize,
        source: &str,
        columns: &[usize],
        ranges: &[Range<i64>],
        found: &mut Found,
    ) -> usize {
        if ranges.is_empty() {
            return 0;
        }
        let tier = &self.tiers[index];
        let (mut damaged, mut floor) = (0, i64::MIN);
        if let Some(coarser) = self.tiers.get(index + 1) {
            // Where a row of the coarser resolution ends.
            floor = next_bound(tier.floor(), coarser.resolution().seconds());
            let old: Vec<_> = clipped(ranges, i64::MIN..floor);
            damaged += self.collect(index + 1, source, columns, &old, found);
        }
        let ranges = clipped(ranges, floor..i64::MAX);
        damaged += tier.visit_blocks(source, columns, &ranges, |column, run| {
            found.add_run(column, run);
        });
        let mut visit = |column, at, value| found.add(column, at, value);
        tier.visit_log(source, columns, &ranges, &mut visit);
        for finer in (0..index).filter(|finer| !self.has_gone_on(*finer)) {
            self.tiers[finer].visit_log(source, columns, &ranges, &mut visit);
        }
        damaged
    }

    /// The latest row of a source that has all of these columns, of those that lie near its end.
    #[must_use]
    pub fn latest(&self, source: &str, columns: &[usize]) -> Option<Latest> {
        let all = std::slice::from_ref(&(i64::MIN..i64::MAX));
        self.tiers.iter().find_map(|tier| {
            let mut found: Vec<Option<(i64, i64)>> = vec![None; columns.len()];
            let mut visit = |column: usize, at, value| {
                if found[column].is_none_or(|(held, _)| held <= at) {
                    found[column] = Some((at, value));
                }
            };
            tier.visit_log(source, columns, all, &mut visit);
            if let Some(range) = tier.last_block(source) {
                tier.visit_blocks(source, columns, &[range], |column, run| {
                    run.each(|at, value| visit(column, at, value));
                });
            }
            let found: Vec<_> = found.into_iter().collect::<Option<_>>()?;
            Some(Latest {
                at: found.iter().map(|(at, _)| *at).min()?,
                values: found.iter().map(|(_, value)| *value).collect(),
            })
        })
    }

    /// The names of all sources of which there are rows.
    #[must_use]
    pub fn sources(&self) -> BTreeSet<Arc<str>> {
        let tiers = self.tiers.iter();
        tiers.flat_map(|tier| tier.sources().cloned()).collect()
    }

    /// What it takes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let damaged = |tier: &Tier| tier.damaged.load(Ordering::Relaxed);
        Usage {
            bytes: self.tiers.iter().map(Tier::bytes).sum(),
            sources: self
                .tiers
                .iter()
                .map(|tier| tier.sources().count())
                .max()
                .unwrap_or(0),
            damaged: self.tiers.iter().map(damaged).sum(),
        }
    }
}

/// The first multiple of `seconds` that is not before `at`.
fn next_bound(at: i64, seconds: i64) -> i64 {
    let past = at.rem_euclid(seconds);
    match past {
        0 => at,
        _ => at.saturating_add(seconds - past),
    }
}

/// Adds a range behind others, as one with the last if they adjoin.
fn add_range(ranges: &mut Vec<Range<i64>>, range: Range<i64>) {
    match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// What of these ranges lies in `within`.
fn clipped(ranges: &[Range<i64>], within: Range<i64>) -> Vec<Range<i64>> {
    let clip = |range: &Range<i64>| range.start.max(within.start)..range.end.min(within.end);
    ranges
        .iter()
        .map(clip)
        .filter(|range| !range.is_empty())
        .collect()
}

/// What a query has folded so far.
struct Found {
    folds: Vec<Option<Fold>>,
    /// By column and step.
    cells: Vec<Vec<Option<Cell>>>,
    start: i64,
    step: i64,
    /// The times of the step that the last value fell into, and its place: the next one mostly falls
    /// into it too, and a division takes as long as all else.
    present: Range<i64>,
    place: usize,
}

impl Found {
    /// Adds a block's values. Those that are counts and all of one step need no look at each.
    fn add_run(&mut self, column: usize, run: &Run<'_>) {
        self.go_to(run.first());
        match (self.folds[column], run.whole(&self.present)) {
            (Some(Fold::Sum), Some(values)) if !values.is_empty() => {
                let sum = values
                    .iter()
                    .fold(0, |sum: i64, value| sum.wrapping_add(*value));
                self.add(column, run.first(), sum);
            }
            (Some(Fold::Max), Some([first, rest @ ..])) => {
                let most = rest.iter().fold(*first, |most, value| most.max(*value));
                self.add(column, run.first(), most);
            }
            _ => run.each(|at, value| self.add(column, at, value)),
        }
    }

    /// Makes the step that a time is in the present one.
    #[inline]
    fn go_to(&mut self, at: i64) {
        if !self.present.contains(&at) {
            let place = at.wrapping_sub(self.start).div_euclid(self.step);
            let begin = self.start.wrapping_add(place.wrapping_mul(self.step));
            self.present = begin..begin.saturating_add(self.step);
            self.place = usize::try_from(place).unwrap_or(usize::MAX);
        }
    }

    #[inline]
    fn add(&mut self, column: usize, at: i64, value: i64) {
        self.go_to(at);
        if let Some(fold) = self.folds[column]
            && let Some(cell) = self.cells[column].get_mut(self.place)
        {
            fold.add(cell, at, value);
        }
    }
}
