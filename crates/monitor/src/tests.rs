//! The archive against a naive model of it, ended at any byte; and what it does with age and damage.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::block::{PREFIX, Plan, Prefix};
use crate::disk::Disk;
use crate::disk::tests::Fault;
use crate::{Archive, ArchiveConfig, Fold, Latest};

const FOLDS: [Fold; 3] = [Fold::Sum, Fold::Max, Fold::Last];
const SOURCES: [&str; 3] = ["pd-a", "pd-b/shop", "pd-c"];
/// Begins neither a window of logs nor an hour.
const BEGIN: i64 = 1_700_000_000;
const PLENTY: usize = usize::MAX / 2;

fn config() -> ArchiveConfig {
    ArchiveConfig::new(FOLDS.to_vec())
}

type Batch = Vec<(usize, Vec<Option<i64>>)>;

/// All rows as they were appended.
#[derive(Clone, Default)]
struct Model(Vec<(usize, i64, Vec<Option<i64>>)>);

impl Model {
    fn append(&mut self, at: i64, batch: &Batch) {
        for (source, values) in batch {
            self.0
                .push((*source, at - at.rem_euclid(5), values.clone()));
        }
    }

    fn query(&self, source: usize, range: &Range<i64>, step: i64) -> Vec<Vec<Option<i64>>> {
        let steps = (range.end - range.start)
            .unsigned_abs()
            .div_ceil(step.unsigned_abs());
        let mut found = vec![vec![None; steps as usize]; FOLDS.len()];
        let mut latest = BTreeMap::new();
        for (_, at, values) in self
            .0
            .iter()
            .filter(|row| row.0 == source && range.contains(&row.1))
        {
            let place = (at - range.start) / step;
            for (column, value) in values.iter().enumerate() {
                let Some(value) = *value else { continue };
                let cell: &mut Option<i64> = &mut found[column][place as usize];
                *cell = Some(match (FOLDS[column], *cell) {
                    (_, None) => value,
                    (Fold::Sum, Some(held)) => held + value,
                    (Fold::Max, Some(held)) => held.max(value),
                    (Fold::Last, Some(held)) if latest[&(column, place)] > *at => held,
                    (Fold::Last, Some(_)) => value,
                });
                let newest = latest.entry((column, place)).or_insert(*at);
                *newest = (*at).max(*newest);
            }
        }
        found
    }

    /// A clock that went back leaves it to chance, in roll-ups, which value was the last.
    fn is_in_order(&self) -> bool {
        self.0.is_sorted_by_key(|row| row.1)
    }

    fn difference(&self, archive: &Archive) -> Option<String> {
        let first = self.0.iter().map(|row| row.1).min().unwrap_or(BEGIN);
        let last = self.0.iter().map(|row| row.1).max().unwrap_or(BEGIN);
        for (source, name) in SOURCES.iter().enumerate() {
            for (start, step) in [
                (5, 5),
                (5, 7),
                (60, 60),
                (60, 300),
                (3600, 3600),
                (3600, 86_400),
            ] {
                let start = first - first.rem_euclid(start);
                // Enough of it where all would be too much.
                let range = start..(last + 1).min(start + step * 3000);
                let columns = if step < 60 || self.is_in_order() {
                    3
                } else {
                    2
                };
                let wanted: Vec<_> = (0..columns).collect();
                let answer = archive.query(name, &wanted, range.clone(), step);
                let expected = self.query(source, &range, step);
                if answer.damaged > 0 || answer.columns != expected[..columns] {
                    return Some(format!(
                        "{name} in steps of {step}:\n{answer:?}\n{expected:?}"
                    ));
                }
            }
        }
        None
    }
}

/// An append: how far the clock moves before it, its rows, and how many bytes may be written until
/// the crash, if there is one.
type Step = (i64, Batch, Option<usize>);

fn steps(backwards: i64) -> impl Strategy<Value = Vec<Step>> {
    let clock = prop_oneof![
        10 => 0_i64..60,
        5 => 60_i64..1500,
        2 => 1500_i64..20_000,
        1 => 20_000_i64..1_000_000,
        2 => backwards..1,
    ];
    let values = vec(option::weighted(0.8, -50_i64..1_000_000), 0..=FOLDS.len());
    let batch = vec((0..SOURCES.len(), values), 1..4);
    let crash = option::weighted(0.3, prop_oneof![0_usize..60, 0_usize..1500]);
    vec((clock, batch, crash), 1..60)
}

fn append(archive: &mut Archive, at: i64, batch: &Batch) -> Result<(), crate::ArchiveError> {
    let rows: Vec<_> = batch
        .iter()
        .map(|(source, values)| (SOURCES[*source], &**values))
        .collect();
    archive.append(at, &rows)
}

/// Appends step by step, with what the fault lets through, and compares after each failure and at
/// the end.
fn run(steps: &[Step], is_crash: bool) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().expect("a directory");
    let left = Arc::new(AtomicUsize::new(PLENTY));
    let fault = Fault {
        left: Arc::clone(&left),
        is_crash,
    };
    let disk = Disk { fault: Some(fault) };
    let mut archive = Archive::open_on(&disk, dir.path(), config()).expect("opened");
    let (mut model, mut at) = (Model::default(), BEGIN);
    for (clock, batch, fault) in steps {
        at += clock;
        left.store(fault.unwrap_or(PLENTY), Ordering::Relaxed);
        let result = append(&mut archive, at, batch);
        let mut with = model.clone();
        with.append(at, batch);
        if result.is_ok() {
            model = with;
            continue;
        }
        if is_crash {
            // The next start may be ended too.
            let again = Archive::open_on(&disk, dir.path(), config());
            prop_assert!(again.is_err() || left.load(Ordering::Relaxed) > 0);
            left.store(fault.unwrap_or(0) / 2, Ordering::Relaxed);
            drop(Archive::open_on(&disk, dir.path(), config()));
            left.store(PLENTY, Ordering::Relaxed);
            archive = Archive::open_on(&disk, dir.path(), config()).expect("opened");
            // What was not acknowledged may be there, as a whole.
            if model.difference(&archive).is_some() {
                model = with;
            }
        }
        left.store(PLENTY, Ordering::Relaxed);
        let difference = model.difference(&archive);
        prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }
    left.store(PLENTY, Ordering::Relaxed);
    let difference = model.difference(&archive);
    prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    drop(archive);
    let archive = Archive::open(dir.path(), config()).expect("opened");
    let difference = model.difference(&archive);
    prop_assert!(
        difference.is_none(),
        "opened again: {}",
        difference.unwrap_or_default()
    );
    prop_assert_eq!(archive.usage().damaged, 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_crash_at_any_byte_loses_nothing_and_doubles_nothing(steps in steps(0)) {
        run(&steps, true)?;
    }

    #[test]
    fn so_with_a_clock_that_is_put_back(steps in steps(-100_000)) {
        run(&steps, true)?;
    }

    #[test]
    fn a_full_disk_loses_only_what_it_refused(steps in steps(-1000)) {
        run(&steps, false)?;
    }
}

/// A value every five seconds for so long, the number of the row.
fn filled(dir: &Path, seconds: i64, config: ArchiveConfig) -> Archive {
    let mut archive = Archive::open(dir, config).expect("opened");
    let begin = BEGIN - BEGIN.rem_euclid(86_400);
    for at in (begin..begin + seconds).step_by(5) {
        let number = (at - begin) / 5;
        let values = [Some(1), Some(number), Some(number)];
        archive
            .append(at, &[(SOURCES[0], &values)])
            .expect("appended");
    }
    archive
}

fn begin() -> i64 {
    BEGIN - BEGIN.rem_euclid(86_400)
}

#[test]
fn old_rows_go_the_finest_first_and_queries_take_what_is_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let keep = ArchiveConfig {
        keep_seconds: [8 * 3600, 400 * 86_400, 400 * 86_400],
        ..config()
    };
    let mut archive = filled(dir.path(), 30 * 3600, keep.clone());
    let before = archive.usage().bytes;
    let now = begin() + 30 * 3600;
    archive.forget_old(now).expect("removed");
    assert!(archive.usage().bytes < before);
    for archive in [archive, Archive::open(dir.path(), keep).expect("opened")] {
        // Five seconds are still there for the last hours; for the first there are minutes alone,
        // and they hold everything.
        let fine = archive.query(SOURCES[0], &[0], begin()..now, 5);
        let values: Vec<_> = fine.columns[0].iter().flatten().copied().collect();
        assert_eq!(values.iter().sum::<i64>(), 30 * 720);
        assert_eq!((values.first(), values.last()), (Some(&12), Some(&1)));
        let middle = archive.query(SOURCES[0], &[0, 1], begin()..now, 300);
        assert_eq!(middle.columns[0], vec![Some(60); 360]);
        assert_eq!(middle.columns[1][359], Some(30 * 720 - 1));
        let last = archive.latest(SOURCES[0], &[2, 0]).expect("there is one");
        assert_eq!(
            last,
            Latest {
                at: now - 5,
                values: vec![30 * 720 - 1, 1]
            }
        );
    }
}

#[test]
fn a_bound_on_bytes_is_kept_by_what_is_oldest() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut archive = filled(dir.path(), 40 * 3600, config());
    let all = archive.usage().bytes;
    drop(archive);
    let bound = ArchiveConfig {
        max_bytes: all * 2 / 3,
        ..config()
    };
    archive = Archive::open(dir.path(), bound).expect("opened");
    archive.forget_old(begin() + 40 * 3600).expect("removed");
    assert!(archive.usage().bytes <= all * 2 / 3);
    let hours = archive.query(SOURCES[0], &[0], begin()..begin() + 40 * 3600, 3600);
    assert_eq!(hours.columns[0], vec![Some(720); 40]);
}

#[test]
fn sources_that_are_gone_stay_for_their_time_then_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut archive = filled(dir.path(), 7200, config());
    let later = begin() + 90 * 86_400;
    for at in (later..later + 86_400 * 700).step_by(86_400 / 4) {
        archive
            .append(at, &[(SOURCES[1], &[Some(1)])])
            .expect("appended");
    }
    archive.forget_old(later).expect("removed");
    assert_eq!(archive.sources().len(), 2);
    archive.forget_old(later + 86_400 * 700).expect("removed");
    let names: Vec<_> = archive.sources().into_iter().collect();
    assert_eq!(names, [SOURCES[1].into()]);
    assert_eq!(archive.latest(SOURCES[0], &[0]), None);
}

fn file(dir: &Path, prefix: &str) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("listed")
        .map(|file| file.expect("listed").path())
        .collect();
    files.retain(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    });
    files.sort();
    files.remove(0)
}

#[test]
fn a_damaged_block_is_a_gap_and_its_neighbours_are_not() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path(), 3600 * 2 + 5, config()));
    let path = file(&dir.path().join("5s"), "blocks");
    let damage = OpenOptions::new().write(true).open(&path).expect("opened");
    let length = damage.metadata().expect("measured").len();
    // In the middle of the middle one's body.
    damage
        .write_all_at(&[0xaa, 0x55, 0xaa], length / 2 - length / 20)
        .expect("written");
    let archive = Archive::open(dir.path(), config()).expect("opened");
    let answer = archive.query(SOURCES[0], &[0, 1, 2], begin()..begin() + 7200, 5);
    assert_eq!(answer.damaged, 1);
    let there = answer.columns[1].iter().flatten().count();
    assert_eq!(there, 1440 - 240);
    // Minutes are not harmed.
    let minutes = archive.query(SOURCES[0], &[0], begin()..begin() + 7200, 60);
    assert_eq!(
        (minutes.damaged, &minutes.columns[0]),
        (0, &vec![Some(12); 120])
    );

    // A header: the block cannot be found.
    damage.write_all_at(&[0xaa; 8], 20).expect("written");
    let archive = Archive::open(dir.path(), config()).expect("opened");
    assert_eq!(archive.usage().damaged, 1);
    let answer = archive.query(SOURCES[0], &[1], begin()..begin() + 7200, 5);
    assert_eq!(answer.columns[0].iter().flatten().count(), 1440 - 480);
}

/// So many that a block's header is longer than what is first read of it.
const WIDE: usize = 200;

/// What a column of wide rows has at a time; nothing that packs well.
fn wide_value(at: i64, column: usize) -> i64 {
    let mixed = (at + 7919 * column as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    mixed.rem_euclid(1 << 20)
}

/// An archive of three blocks of wide rows of five seconds, and where the blocks are.
fn wide(dir: &Path) -> (Archive, PathBuf) {
    let config = ArchiveConfig::new(vec![Fold::Sum; WIDE]);
    let mut archive = Archive::open(dir, config).expect("opened");
    for at in (begin()..begin() + 3605).step_by(5) {
        let values: Vec<_> = (0..WIDE)
            .map(|column| Some(wide_value(at, column)))
            .collect();
        archive
            .append(at, &[(SOURCES[0], &values)])
            .expect("appended");
    }
    (archive, file(&dir.join("5s"), "blocks"))
}

/// The values of columns over an hour, and how many blocks are damaged; those that are there are
/// the ones that were appended.
fn wide_answer(archive: &Archive, columns: &[usize]) -> (usize, usize) {
    let answer = archive.query(SOURCES[0], columns, begin()..begin() + 3600, 5);
    let mut there = 0;
    for (column, values) in columns.iter().zip(&answer.columns) {
        for (place, value) in values.iter().enumerate() {
            let at = begin() + 5 * place as i64;
            there += usize::from(value.is_some());
            assert!(value.is_none_or(|value| value == wide_value(at, *column)));
        }
    }
    (there, answer.damaged)
}

#[test]
fn any_columns_are_read_whether_the_system_has_them_in_memory_or_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let (archive, path) = wide(dir.path());
    let blocks = fs::File::open(path).expect("opened");
    for columns in [
        &[0][..],
        &[199],
        &[3, 150],
        &[150, 3, 4],
        &(0..WIDE).collect::<Vec<_>>(),
    ] {
        blocks.sync_all().expect("synced");
        rustix::fs::fadvise(&blocks, 0, None, rustix::fs::Advice::DontNeed).expect("forgotten");
        for _ in 0..2 {
            assert_eq!(wide_answer(&archive, columns), (columns.len() * 720, 0));
        }
    }
}

#[test]
fn a_flipped_bit_in_what_is_read_is_found_and_no_other_is_looked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let (archive, path) = wide(dir.path());
    let blocks = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("opened");
    let length = blocks.metadata().expect("measured").len();
    let mut whole = vec![0; length as usize];
    blocks.read_exact_at(&mut whole, 0).expect("read");
    // The middle one of three.
    let first = Prefix::read(&whole).expect("a block").block();
    let block = &whole[first..];
    let header = Prefix::read(block).expect("a block").header;
    let ranges: Vec<_> = Plan::of(block, &[0, 150, 199])
        .expect("a header")
        .ranges()
        .collect();
    let [times, low, high, unwanted] = &ranges[..] else {
        panic!("times and three columns: {ranges:?}");
    };
    let everything: Vec<_> = (0..WIDE).collect();
    let in_all = [
        0..4,
        4..8,
        8..12,
        12..PREFIX,
        PREFIX..PREFIX + header,
        times.clone(),
    ];
    let in_wanted = [low.clone(), high.clone()];
    for (range, is_read) in in_all
        .iter()
        .chain(&in_wanted)
        .map(|range| (range, true))
        .chain([(unwanted, false)])
    {
        for place in [range.start, (range.start + range.end) / 2, range.end - 1] {
            for bit in [0, 7] {
                let at = (first + place) as u64;
                blocks
                    .write_all_at(&[block[place] ^ (1 << bit)], at)
                    .expect("written");
                let few = if is_read { (2 * 480, 1) } else { (2 * 720, 0) };
                assert_eq!(
                    wide_answer(&archive, &[0, 150]),
                    few,
                    "bit {bit} of byte {place}"
                );
                assert_eq!(wide_answer(&archive, &everything), (WIDE * 480, 1));
                blocks
                    .write_all_at(&block[place..=place], at)
                    .expect("written");
            }
        }
    }
    assert_eq!(
        wide_answer(&archive, &everything),
        (WIDE * 720, 0),
        "as it was"
    );
    // An end that is missing.
    blocks.set_len((first + high.start) as u64).expect("cut");
    assert_eq!(
        wide_answer(&archive, &[0]),
        (480, 1),
        "the last block's head is gone"
    );
    assert_eq!(wide_answer(&archive, &[0, 150]), (2 * 240, 2));
}

#[test]
fn a_damaged_log_loses_what_was_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path(), 600, config()));
    let path = file(&dir.path().join("5s"), "log");
    let damage = OpenOptions::new().write(true).open(&path).expect("opened");
    let length = damage.metadata().expect("measured").len();
    damage
        .write_all_at(&[0xaa, 0x55, 0xaa], length / 2)
        .expect("written");
    let mut archive = Archive::open(dir.path(), config()).expect("opened");
    assert_eq!(archive.usage().damaged, 1);
    let answer = archive.query(SOURCES[0], &[0], begin()..begin() + 600, 5);
    let there = answer.columns[0].iter().flatten().count();
    assert!((118..120).contains(&there), "{there}");
    archive
        .append(begin() + 600, &[(SOURCES[0], &[Some(1)])])
        .expect("appended");
    let answer = archive.query(SOURCES[0], &[0], begin()..begin() + 605, 5);
    assert_eq!(answer.columns[0].iter().flatten().count(), there + 1);
}

#[test]
fn without_its_logs_an_archive_still_has_its_blocks() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path(), 3600 * 9, config()));
    for tier in ["5s", "1m", "1h"] {
        let log = file(&dir.path().join(tier), "log");
        fs::remove_file(log).expect("removed");
    }
    let mut archive = Archive::open(dir.path(), config()).expect("opened");
    let later = begin() + 3600 * 9;
    for at in (later..later + 3600 * 9).step_by(5) {
        archive
            .append(at, &[(SOURCES[0], &[Some(1)])])
            .expect("appended");
    }
    let answer = archive.query(SOURCES[0], &[0], begin()..later + 3600 * 9, 60);
    let values: Vec<_> = answer.columns[0].iter().flatten().collect();
    assert!(values.iter().all(|value| **value == 12), "nothing twice");
    assert!(values.len() >= 60 * (8 + 9), "{}", values.len());
}

#[test]
fn what_was_never_sampled_is_a_gap() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = filled(dir.path(), 60, config());
    let answer = archive.query("pd-none", &[0], begin()..begin() + 100, 30);
    assert_eq!(answer.columns, [[None; 4]]);
    let answer = archive.query(SOURCES[0], &[0, 99], begin() - 60..begin() + 120, 60);
    assert_eq!(answer.columns, [[None, Some(12), None], [None; 3]]);
    let nothing = archive.query(SOURCES[0], &[0], begin()..begin(), 60);
    assert_eq!(nothing.columns, [[]]);
    assert_eq!(archive.latest(SOURCES[0], &[99]), None);
}
