//! A move from a live server: its database is loaded beside the one that it is for, follows the
//! server for as long as the operator wants, and takes its place when both have the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{EngineError, Followed, ImportPlace, LogPiece, SourcePosition, TableSum};
use openpeta_store::{Task, Writer};
use openpeta_tasks::{
    RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable,
};
use openpeta_types::{DbName, NodeId, format_time};
use tokio::time::sleep;

use super::import_database::{
    CheckImport, ImportDatabaseParams, Imports, LoadDump, PublishImport, SourceSums, back_up, node,
    staging,
};
use super::loading::RETRY;
use super::{FAILED_INSIDE, engine_error};
use crate::imports::{LiveDatabase, Origin, Snapshot, SourceLog};
use crate::parts::Parts;

/// Between two looks at the source's log.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Bytes that a copy may be behind its source for its progress to say that they are level.
const FAR: u64 = 1 << 20;

/// Pause after the source did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Where each log file begins.
const BEGIN: u64 = 4;

/// Takes a database over from a live server.
pub(crate) struct MigrateDatabase(pub(super) Arc<Parts>);

/// Whether a task takes a database over.
pub(crate) fn is_migration(task: &Task) -> bool {
    task.workflow == MigrateDatabase::NAME
}

impl Workflow for MigrateDatabase {
    const NAME: &'static str = "migrate-database";
    // It may follow for days, and must not keep backups from their places meanwhile.
    const IS_LONG: bool = false;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = ImportDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(LoadDump),
            undoable(FollowSource),
            undoable(CheckImport),
            forward(PublishImport),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        back_up(&self.0, writer, task.params())
    }
}

impl Imports for MigrateDatabase {
    const FOLLOWS: bool = true;

    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn sums(task: &TaskContext<'_, Self>) -> Result<Option<SourceSums>, StepError> {
        task.output::<FollowSource>().map(Some)
    }
}

/// What the source has is here, to the last row, and nothing was written there since.
struct FollowSource;

#[async_trait]
impl Step<MigrateDatabase> for FollowSource {
    const NAME: &'static str = "follow-source";
    const TITLE: &'static str = "Following the source";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = SourceSums;

    async fn run(
        &self,
        workflow: &MigrateDatabase,
        task: &TaskContext<'_, MigrateDatabase>,
    ) -> Result<SourceSums, StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let Origin::Server(source, options) = params.origin()? else {
            return Err(StepError::permanent(FAILED_INSIDE, "it is no server"));
        };
        let node = node(parts, params).await?;
        let staging = staging(task.task_id())?;
        let loaded = task.output::<LoadDump>()?;
        let from = loaded.position.ok_or_else(|| {
            let message = "The dump does not tell where the source's log was.";
            StepError::permanent(message, message)
        })?;
        let mut copy = Copy {
            parts,
            task,
            source,
            options,
            node: &node,
            staging: &staging,
            at: None,
            is_level: false,
        };
        let begun = parts.engine.begin_following(copy.place(), &from).await;
        let mut position = begun.map_err(engine_error)?;
        loop {
            match copy.round(&mut position).await {
                Ok(Some(sums)) => return Ok(sums),
                Ok(None) => sleep(LOOK_AGAIN).await,
                Err(Trouble::Here(error)) => return Err(error),
                Err(Trouble::There(what)) => {
                    tracing::warn!(task = %task.task_id(), what, "the source of an import does not answer; it is asked again");
                    copy.tell(&format!("the source does not answer: {what}"));
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Who is to blame.
enum Trouble {
    /// The step fails.
    Here(StepError),
    /// The source is asked again.
    There(String),
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        Self::Here(error)
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self::Here(engine_error(error))
    }
}

/// A copy that follows its source.
struct Copy<'a> {
    parts: &'a Parts,
    task: &'a TaskContext<'a, MigrateDatabase>,
    source: LiveDatabase,
    options: PathBuf,
    node: &'a NodeId,
    staging: &'a DbName,
    /// When the newest transaction began that is here.
    at: Option<Timestamp>,
    /// It has caught up with the source since it was last far behind.
    is_level: bool,
}

impl Copy<'_> {
    fn place(&self) -> ImportPlace<'_> {
        ImportPlace {
            node: self.node,
            staging: self.staging,
            target: &self.task.params().db_name,
        }
    }

    fn tell(&self, what: &str) {
        self.task.progress(0.5, what);
    }

    /// Applies what the source has written since the last look. What its tables have, once they
    /// are asked for and the same here.
    async fn round(
        &mut self,
        position: &mut SourcePosition,
    ) -> Result<Option<SourceSums>, Trouble> {
        self.follow_to(position, None).await?;
        let task_id = self.task.task_id();
        let asked = self.parts.store.read(|reader| reader.cut_over(task_id));
        let asked = asked.map_err(StepError::from)?;
        let refused = match asked {
            None => None,
            Some(asked) => match asked.refused {
                Some(why) => Some(why),
                None => match self.compare(position).await? {
                    Ok(sums) => return Ok(Some(sums)),
                    Err(why) => {
                        let noted = self
                            .parts
                            .store
                            .write(|writer| writer.refuse_cut_over(task_id, &why));
                        noted.map_err(StepError::from)?;
                        Some(why)
                    }
                },
            },
        };
        self.is_level = true;
        let of = self.at.map(|at| format!(" (of {})", format_time(at)));
        let refused = refused.map(|why| format!("; it could not cut over: {why}"));
        self.tell(&format!(
            "level with the source{}{}",
            of.unwrap_or_default(),
            refused.unwrap_or_default()
        ));
        Ok(None)
    }

    /// Applies all that the source has now, or has up to a position; the number of transactions of
    /// the database.
    async fn follow_to(
        &mut self,
        position: &mut SourcePosition,
        end: Option<&SourcePosition>,
    ) -> Result<u64, Trouble> {
        let logs = self.source.logs(&self.options).await;
        let logs = logs.map_err(Trouble::There)?;
        let mut transactions = 0;
        loop {
            let (log, next) = place_in(&logs, position)?;
            let is_last = end.is_some_and(|end| end.file == position.file);
            let until = match (is_last, end) {
                (true, Some(end)) => end.position,
                _ => u64::MAX,
            };
            if position.position >= log.bytes.min(until) {
                let Some(next) = next.filter(|_| !is_last) else {
                    return Ok(transactions);
                };
                *position = SourcePosition {
                    file: next.file.clone(),
                    position: BEGIN,
                };
                self.parts
                    .engine
                    .follow_from(self.place(), position)
                    .await?;
                continue;
            }
            let behind = behind(&logs, position);
            // What was written since the last look is no news.
            self.is_level &= behind < FAR;
            if !self.is_level {
                let of = self.at.map(|at| format!(", at {}", format_time(at)));
                self.tell(&format!(
                    "{behind} bytes behind the source{}",
                    of.unwrap_or_default()
                ));
            }
            let followed = self.fetch_and_apply(position, until).await?;
            transactions += followed.transactions;
            self.at = followed.at.or(self.at);
            if followed.position <= position.position {
                // The end of a transaction is not there yet.
                return Ok(transactions);
            }
            position.position = followed.position;
        }
    }

    async fn fetch_and_apply(
        &self,
        position: &SourcePosition,
        until: u64,
    ) -> Result<Followed, Trouble> {
        let engine = &self.parts.engine;
        let dir = engine.pieces_dir(self.place()).await?;
        let fetched = self.source.fetch_log(&self.options, position, &dir).await;
        fetched.map_err(Trouble::There)?;
        let path = dir.join(&position.file);
        let piece = LogPiece {
            path: &path,
            file: &position.file,
            from: position.position,
            until,
        };
        let followed = engine
            .follow(self.place(), self.source.database(), piece)
            .await;
        remove(&path).await;
        Ok(followed?)
    }

    /// Compares both at one moment. An error says why the copy cannot take the source's place.
    async fn compare(
        &mut self,
        position: &mut SourcePosition,
    ) -> Result<Result<SourceSums, String>, Trouble> {
        let checks = self.parts.engine.import_checks(self.place()).await?;
        let snapshot = self.source.snapshot(&self.options, &checks).await;
        let snapshot: Snapshot = snapshot.map_err(Trouble::There)?;
        let moment = snapshot.position.clone();
        // Both are read at the same time: clients of the source wait for it.
        let there = tokio::spawn(snapshot.sums());
        self.follow_to(position, Some(&moment)).await?;
        let tell = |_: u64, _: u64, what: &str| self.tell(&format!("Comparing table {what}"));
        let here = self.parts.engine.import_sums(self.place(), &tell).await?;
        let there = there
            .await
            .map_err(|error| Trouble::Here(StepError::permanent(FAILED_INSIDE, error)))?;
        let there = there.map_err(Trouble::There)?;
        if let Some(what) = difference(&there, &here) {
            return Ok(Err(what));
        }
        // What came after that moment is not compared.
        let later = self.follow_to(position, None).await?;
        Ok(match later {
            0 => Ok(there),
            _ => Err("the source is still written to".to_owned()),
        })
    }
}

async fn remove(path: &Path) {
    // What is left is overwritten, or goes with the directory.
    let _ = tokio::fs::remove_file(path).await;
}

/// The log file of a position, and the one behind it.
fn place_in<'l>(
    logs: &'l [SourceLog],
    position: &SourcePosition,
) -> Result<(&'l SourceLog, Option<&'l SourceLog>), StepError> {
    let at = logs.iter().position(|log| log.file == position.file);
    let Some(log) = at.and_then(|at| logs.get(at)) else {
        let message = format!("The source has no log {} any more.", position.file);
        return Err(StepError::permanent(&message, &message));
    };
    if log.bytes > u64::from(u32::MAX) {
        let message = format!("The source's log {} has more than 4 GiB.", log.file);
        return Err(StepError::permanent(&message, &message));
    }
    Ok((log, at.and_then(|at| logs.get(at + 1))))
}

/// Bytes that are not here yet.
fn behind(logs: &[SourceLog], position: &SourcePosition) -> u64 {
    let rest = logs.iter().skip_while(|log| log.file != position.file);
    let bytes: u64 = rest.map(|log| log.bytes).sum();
    bytes.saturating_sub(position.position)
}

/// A table in which both differ, in words.
fn difference(there: &SourceSums, here: &SourceSums) -> Option<String> {
    let differs = |name: &&String| {
        let of = |sums: &SourceSums| sums.get(*name).cloned();
        of(there) != of(here)
    };
    let name = there.keys().chain(here.keys()).find(differs)?;
    let rows = |sums: &SourceSums| sums.get(name).map(|sum: &TableSum| sum.rows);
    Some(match (rows(there), rows(here)) {
        (Some(there), Some(here)) => {
            format!("table {name} differs: {there} rows on the source, {here} rows here")
        }
        (Some(_), None) => format!("table {name} is on the source alone"),
        _ => format!("table {name} is here alone"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(file: &str, bytes: u64) -> SourceLog {
        SourceLog {
            file: file.to_owned(),
            bytes,
        }
    }

    #[test]
    fn places_in_the_log_are_found() {
        let logs = [log("bin.1", 100), log("bin.2", 50), log("bin.3", 1 << 33)];
        let at = |file: &str, position| SourcePosition {
            file: file.to_owned(),
            position,
        };
        let (first, next) = place_in(&logs, &at("bin.1", 4)).expect("it is there");
        assert_eq!((first.bytes, next.map(|it| it.bytes)), (100, Some(50)));
        assert_eq!(behind(&logs[..2], &at("bin.1", 90)), 60);
        assert_eq!(behind(&logs[..2], &at("bin.2", 50)), 0);
        for gone in [at("bin.0", 4), at("bin.3", 4)] {
            assert!(place_in(&logs, &gone).is_err());
        }
    }

    #[test]
    fn a_difference_is_told() {
        let sums = |entries: &[(&str, u64, &str)]| -> SourceSums {
            let entry = |&(name, rows, checksum): &(&str, u64, &str)| {
                let checksum = checksum.to_owned();
                (name.to_owned(), TableSum { rows, checksum })
            };
            entries.iter().map(entry).collect()
        };
        let one = sums(&[("a", 1, "7"), ("b", 2, "8")]);
        assert_eq!(difference(&one, &one), None);
        let told = difference(&one, &sums(&[("a", 1, "9"), ("b", 2, "8")]));
        assert!(told.is_some_and(|it| it.contains("table a differs")));
        let told = difference(&one, &sums(&[("a", 1, "7")]));
        assert!(told.is_some_and(|it| it.contains("source alone")));
    }
}
