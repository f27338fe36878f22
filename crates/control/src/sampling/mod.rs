//! Samples: what instances and databases did and took, over time.
//!
//! Each second the gateway's totals are looked at; every five, what was added goes into the archive.
//! Nodes are measured beside that, each by a task of its own, so that one that hangs holds up
//! neither the others nor the samples of sessions.

mod collect;
mod columns;
mod figures;
mod sampler;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_monitor::{Answer, Archive, ArchiveConfig};
use openpeta_store::Database;
use openpeta_types::InstanceId;

use crate::{MonitoringConfig, Traffic};
pub use collect::DatabaseFigures;
pub(crate) use collect::{Measured, Measuring, sample};
pub(crate) use columns::Column;
pub(crate) use figures::Figure;

/// The archive of samples, and what is on its way there.
pub(crate) struct Samples {
    /// Without one nothing is kept: the service does not fail for its samples.
    archive: Option<RwLock<Archive>>,
    sampler: Mutex<sampler::Sampler>,
    /// Damaged places that were met, by source, until somebody takes them.
    damage: Mutex<BTreeMap<String, usize>>,
    /// What nodes were when they were looked at last.
    pub(crate) measured: Arc<Mutex<Measured>>,
    health: Mutex<SamplingFigures>,
}

/// How sampling goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplingFigures {
    /// Whether samples are kept at all.
    pub is_kept: bool,
    /// Times that sessions were looked at.
    pub looks: u64,
    /// When they were last looked at, in seconds of Unix time; 0 for not yet.
    pub last_look: i64,
    /// Rows that were kept.
    pub rows: u64,
    /// Rows that were lost because the disk was full or failed.
    pub lost_rows: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes that it may have.
    pub archive_limit_bytes: u64,
    /// Sources of which there are samples.
    pub sources: u64,
    /// Damaged places that were found in it.
    pub damaged: u64,
}

/// Sources whose damage is told apart.
const MOST_DAMAGED: usize = 100;

impl Samples {
    pub(crate) fn open(dir: &Path, config: &MonitoringConfig) -> Self {
        let days = i64::from(config.keep_days) * 86_400;
        let hours = i64::from(config.keep_fine_hours) * 3600;
        let max_bytes = config.max_bytes;
        let config = ArchiveConfig {
            keep_seconds: [hours, days, days],
            max_bytes,
            ..ArchiveConfig::new(columns::FOLDS.to_vec())
        };
        let archive = Archive::open(dir, config);
        let mut damage = BTreeMap::new();
        let archive = archive.inspect(|archive| {
            let damaged = archive.usage().damaged;
            if damaged > 0 {
                let places = usize::try_from(damaged).unwrap_or(usize::MAX);
                damage.insert("the archive".to_owned(), places);
                tracing::warn!(dir = %dir.display(), damaged, "places in the archive of samples are damaged; what was there is a gap");
            }
        });
        let archive = archive.inspect_err(|error| {
            tracing::error!(%error, "no samples are kept");
        });
        let health = SamplingFigures {
            is_kept: archive.is_ok(),
            archive_limit_bytes: max_bytes,
            ..SamplingFigures::default()
        };
        Self {
            archive: archive.ok().map(RwLock::new),
            sampler: Mutex::default(),
            damage: Mutex::new(damage),
            measured: Arc::default(),
            health: Mutex::new(health),
        }
    }

    /// Damaged places that were met since this was last called, by source.
    pub(crate) fn take_damage(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.damage())
    }

    fn damage(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it goes.
    pub(crate) fn figures(&self) -> SamplingFigures {
        let mut figures = *self.health();
        if let Some(archive) = &self.archive {
            let usage = archive
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .usage();
            figures.archive_bytes = usage.bytes;
            figures.sources = usage.sources as u64;
            figures.damaged = usage.damaged;
        }
        figures
    }

    /// A look at all that can be seen, `elapsed` after the one before.
    pub(crate) fn look(&self, now: i64, elapsed: Duration, seen: Vec<(String, u64, Traffic)>) {
        let mut sampler = self.sampler();
        let complete = sampler.go_to(now);
        sampler.look(elapsed, seen);
        drop(sampler);
        {
            let mut health = self.health();
            health.looks += 1;
            health.last_look = now;
        }
        if let Some(complete) = complete {
            self.append(&complete);
        }
    }

    /// Something else was measured.
    pub(crate) fn measured(&self, source: &str, values: &[(Column, u64)]) {
        self.sampler().measured(source, values);
    }

    /// Keeps the seconds that are not yet a row, when the service ends.
    pub(crate) fn flush(&self) {
        let complete = self.sampler().complete();
        self.append(&complete);
    }

    fn append(&self, complete: &sampler::Complete) {
        let Some(archive) = &self.archive else { return };
        let rows: Vec<_> = complete
            .rows
            .iter()
            .map(|(name, row)| (&**name, &**row))
            .collect();
        let appended = archive
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .append(complete.at, &rows);
        let mut health = self.health();
        match appended {
            Ok(()) => health.rows += rows.len() as u64,
            Err(error) => {
                health.lost_rows += rows.len() as u64;
                tracing::warn!(%error, "samples are lost");
            }
        }
    }

    /// Removes what has been kept long enough, and has the rest survive a power failure.
    pub(crate) fn tidy(&self, now: i64) {
        let Some(archive) = &self.archive else { return };
        let mut archive = archive.write().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = archive.forget_old(now).and_then(|()| archive.sync()) {
            tracing::warn!(%error, "the archive of samples cannot be tidied");
        }
    }

    /// The columns of a source for each step that begins between these times.
    pub(crate) fn query(&self, source: &str, columns: &[Column], window: &Steps) -> Answer {
        let columns: Vec<_> = columns.iter().map(|column| *column as usize).collect();
        let Some(archive) = &self.archive else {
            return Answer {
                columns: vec![Vec::new(); columns.len()],
                damaged: 0,
            };
        };
        let archive = archive.read().unwrap_or_else(PoisonError::into_inner);
        let answer = archive.query(source, &columns, window.start..window.end, window.step);
        if answer.damaged > 0 {
            let mut damage = self.damage();
            if damage.len() < MOST_DAMAGED || damage.contains_key(source) {
                damage.insert(source.to_owned(), answer.damaged);
            }
            drop(damage);
            tracing::warn!(
                source,
                damaged = answer.damaged,
                "blocks of samples are damaged; what was there is a gap"
            );
        }
        answer
    }

    fn health(&self) -> MutexGuard<'_, SamplingFigures> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sampler(&self) -> MutexGuard<'_, sampler::Sampler> {
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

impl Steps {
    /// When a step begins.
    pub(crate) fn begin(&self, place: usize) -> Timestamp {
        let seconds = i64::try_from(place)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.step);
        Timestamp::from_second(self.start.saturating_add(seconds)).unwrap_or(Timestamp::MAX)
    }
}

/// The name of an instance's samples.
pub(crate) fn of_instance(id: &InstanceId) -> String {
    id.as_str().to_owned()
}

/// The name of a database's samples. One that was dropped and ordered again is another.
pub(crate) fn of_database(database: &Database) -> String {
    let ordered = database.created_at.as_second();
    format!("{}/{}@{ordered}", database.instance_id, database.db_name)
}
