//! How much partitions are used: counted where statements find out which they are about, and
//! told as totals and as what it came to in the last minute or so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::Instance;

/// How often rates are brought up to date.
const PAUSE: Duration = Duration::from_secs(2);
/// What was this long ago counts a third of what is now.
const MEMORY: Duration = Duration::from_secs(60);

/// How much partitions of an instance's databases are used.
#[derive(Debug, Default)]
pub struct Heat {
    databases: RwLock<HashMap<String, Arc<DatabaseHeat>>>,
}

/// Which partitions a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Their database.
    pub database: String,
    /// How many partitions that has.
    pub of: u16,
    /// Those that it is about; `None` for all.
    pub partitions: Option<Vec<u16>>,
    /// It writes.
    pub writes: bool,
}

/// Statements, and rows that they read or wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Use<T> {
    /// Statements that read.
    pub reads: T,
    /// Statements that write.
    pub writes: T,
    /// Rows that were read.
    pub rows_read: T,
    /// Rows that were written.
    pub rows_written: T,
}

/// How much a partition is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartitionHeat {
    /// Since the service began.
    pub total: Use<u64>,
    /// In a second, of late.
    pub rate: Use<f64>,
}

/// The counters of one database.
#[derive(Debug)]
pub struct DatabaseHeat {
    partitions: Vec<Use<AtomicU64>>,
    /// Reads that were passed on as they came.
    short_reads: AtomicU64,
    /// Writes that were.
    short_writes: AtomicU64,
    rates: Mutex<Rates>,
}

/// What was counted when it was last looked, and the rates then.
#[derive(Debug)]
struct Rates {
    at: Instant,
    seen: Vec<PartitionHeat>,
}

impl Heat {
    /// Counts a statement, and rows of it that are shared by its partitions.
    pub fn count(&self, used: &Used, rows: u64) {
        let database = self.of(&used.database, used.of);
        match &used.partitions {
            Some(partitions) => {
                let each = rows / (partitions.len() as u64).max(1);
                for partition in partitions {
                    database.add(*partition, used.writes, 1, each);
                }
            }
            None => {
                let each = rows / u64::from(used.of).max(1);
                for partition in 0..used.of {
                    database.add(partition, used.writes, 1, each);
                }
            }
        }
    }

    /// Counts a statement that wrote so many rows of each partition.
    pub fn wrote(&self, database: &str, of: u16, rows: impl IntoIterator<Item = (u16, u64)>) {
        let database = self.of(database, of);
        for (partition, rows) in rows {
            database.add(partition, true, 1, rows);
        }
    }

    /// How much each partition of a database is used; `None` if none was since the service began.
    #[must_use]
    pub fn told(&self, database: &str, now: Instant) -> Option<Vec<PartitionHeat>> {
        let known = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let database = Arc::clone(known.get(database)?);
        drop(known);
        Some(database.look(now))
    }

    /// How many reads and how many writes of a database were passed on as they came.
    #[must_use]
    pub fn short(&self, database: &str) -> (u64, u64) {
        let known = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let database = known.get(database);
        database.map_or((0, 0), |its| (of(&its.short_reads), of(&its.short_writes)))
    }

    /// Brings all rates up to date.
    fn look(&self, now: Instant) {
        let known = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = known.values().map(Arc::clone).collect();
        drop(known);
        for database in all {
            database.look(now);
        }
    }

    /// The counters of a database with so many partitions. One that was made anew with others begins anew.
    pub(crate) fn of(&self, name: &str, count: u16) -> Arc<DatabaseHeat> {
        let known = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name)
            && found.partitions.len() == usize::from(count)
        {
            return Arc::clone(found);
        }
        drop(known);
        let new = Arc::new(DatabaseHeat::new(count, Instant::now()));
        let mut known = self
            .databases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry(name.to_owned());
        let entry = entry.or_insert_with(|| Arc::clone(&new));
        if entry.partitions.len() != usize::from(count) {
            *entry = new;
        }
        Arc::clone(entry)
    }
}

impl DatabaseHeat {
    fn new(count: u16, now: Instant) -> Self {
        Self {
            partitions: (0..count).map(|_| Use::default()).collect(),
            short_reads: AtomicU64::new(0),
            short_writes: AtomicU64::new(0),
            rates: Mutex::new(Rates {
                at: now,
                seen: vec![PartitionHeat::default(); count.into()],
            }),
        }
    }

    /// Counts a statement that has read rows of one partition and was passed on as it came.
    pub(crate) fn read(&self, partition: u16, rows: u64) {
        self.short_reads.fetch_add(1, Ordering::Relaxed);
        self.add(partition, false, 1, rows);
    }

    /// Counts a statement that has written rows of one partition and was passed on as it came.
    pub(crate) fn wrote(&self, partition: u16, rows: u64) {
        self.short_writes.fetch_add(1, Ordering::Relaxed);
        self.add(partition, true, 1, rows);
    }

    fn add(&self, partition: u16, writes: bool, statements: u64, rows: u64) {
        let Some(its) = self.partitions.get(usize::from(partition)) else {
            return;
        };
        let (of_statements, of_rows) = match writes {
            true => (&its.writes, &its.rows_written),
            false => (&its.reads, &its.rows_read),
        };
        of_statements.fetch_add(statements, Ordering::Relaxed);
        of_rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Totals and rates as they are now.
    fn look(&self, now: Instant) -> Vec<PartitionHeat> {
        let mut rates = self.lock();
        let seconds = now.saturating_duration_since(rates.at).as_secs_f64();
        // Twice in no time tells nothing of a rate: what is new counts when it is looked again.
        let is_over = seconds >= PAUSE.as_secs_f64() / 4.0;
        let kept = (-seconds / MEMORY.as_secs_f64()).exp();
        let decayed = |rate: f64, new: u64, old: u64| {
            rate * kept + new.saturating_sub(old) as f64 / seconds * (1.0 - kept)
        };
        if is_over {
            rates.at = now;
        }
        let mut told = Vec::with_capacity(self.partitions.len());
        for (its, seen) in self.partitions.iter().zip(&mut rates.seen) {
            let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let total = Use {
                reads: of(&its.reads),
                writes: of(&its.writes),
                rows_read: of(&its.rows_read),
                rows_written: of(&its.rows_written),
            };
            if is_over {
                let (rate, old) = (seen.rate, seen.total);
                seen.rate = Use {
                    reads: decayed(rate.reads, total.reads, old.reads),
                    writes: decayed(rate.writes, total.writes, old.writes),
                    rows_read: decayed(rate.rows_read, total.rows_read, old.rows_read),
                    rows_written: decayed(rate.rows_written, total.rows_written, old.rows_written),
                };
                seen.total = total;
            }
            told.push(PartitionHeat {
                total,
                rate: seen.rate,
            });
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the rates of an instance up to date, for ever.
pub(super) async fn watch(instance: Arc<Instance>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        instance.heat().look(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(partitions: Option<Vec<u16>>, writes: bool) -> Used {
        Used {
            database: "shop".to_owned(),
            of: 4,
            partitions,
            writes,
        }
    }

    #[test]
    fn what_is_used_is_counted_for_its_partitions() {
        let heat = Heat::default();
        assert_eq!(heat.told("shop", Instant::now()), None);
        heat.count(&used(Some(vec![2]), false), 7);
        heat.count(&used(None, true), 8);
        heat.wrote("shop", 4, [(2, 5), (3, 1)]);
        // No such partition.
        heat.wrote("shop", 4, [(9, 5)]);
        let now = Instant::now() + Duration::from_secs(10);
        let told = heat.told("shop", now).expect("used");
        let totals: Vec<_> = told
            .iter()
            .map(|it| it.total)
            .map(|it| (it.reads, it.rows_read, it.writes, it.rows_written))
            .collect();
        assert_eq!(
            totals,
            [(0, 0, 1, 2), (0, 0, 1, 2), (1, 7, 2, 7), (0, 0, 2, 3)]
        );
        assert!(told[2].rate.rows_read > told[1].rate.rows_read);
        // It has been made anew.
        heat.wrote("shop", 8, [(7, 1)]);
        let told = heat
            .told("shop", now + Duration::from_secs(10))
            .expect("used");
        assert_eq!((told.len(), told[2].total.reads), (8, 0));
    }

    #[test]
    fn rates_follow_what_happens_and_fade() {
        let begun = Instant::now();
        let heat = DatabaseHeat::new(1, begun);
        let mut now = begun;
        for _ in 0..300 {
            now += Duration::from_secs(2);
            heat.add(0, false, 200, 600);
            heat.look(now);
        }
        let told = heat.look(now)[0];
        assert!((told.rate.reads - 100.0).abs() < 1.0, "{told:?}");
        assert!((told.rate.rows_read - 300.0).abs() < 3.0, "{told:?}");
        // Long after the last of them.
        let told = heat.look(now + Duration::from_secs(600))[0];
        assert!(told.rate.reads < 0.1, "{told:?}");
        assert_eq!(told.total.reads, 60_000);
    }
}
