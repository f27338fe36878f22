//! Has a server apply relay logs that were made for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use mysql_async::Row;
use openpeta_types::DbName;

use super::relay::RelayLogs;
use super::select::EventState;
use super::statement::Definer;
use crate::backup::{Progress, Session};
use crate::error::{AtPath, EngineError, Result};
use crate::quote;

/// Between two looks at how far the server is.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Bytes of log that are read ahead for each thread: the server's own 128 KiB are a few transactions.
const READ_AHEAD: u32 = 16 << 20;

/// Names the accounts that were made for a while.
const STAND_INS: &str = "stand-ins";

/// Threads that apply transactions: more than there are processors, since they wait for disks.
const MAX_THREADS: usize = 16;

/// Ends what a replay that was cut off left: the server may still be applying its relay logs, whatever
/// became of whoever wanted it, and would take those that are made now for its own and remove them.
pub(super) async fn end_former(session: &mut Session, dir: &Path) -> Result<()> {
    let action = "end a former replay";
    session.run(action, b"SET SESSION sql_log_bin=0").await?;
    session.run(action, b"STOP SLAVE").await?;
    // They would keep the database from being dropped.
    roll_back_prepared(session).await?;
    session.run(action, b"RESET SLAVE ALL").await?;
    drop_stand_ins(session, &dir.join(STAND_INS)).await
}

/// Applies the relay logs in a directory, and leaves nothing that tells of it but the content.
pub(super) async fn apply(
    session: &mut Session,
    database: &DbName,
    (logs, dir): (&RelayLogs, &Path),
    progress: Progress<'_>,
) -> Result<()> {
    // The node's own log begins with the content that it then has.
    let action = "begin to apply a binary log";
    session.run(action, b"SET SESSION sql_log_bin=0").await?;
    let before = event_states(session, database).await?;
    if logs.selected.groups > 0 {
        start(session, database).await?;
        let noted = dir.join(STAND_INS);
        make_stand_ins(session, database, &logs.selected.definers, &noted).await?;
        start_applying(session).await?;
        wait(session, logs, progress).await?;
        stop(session).await?;
        drop_stand_ins(session, &noted).await?;
    }
    if !has_database(session, database).await? {
        return Err(EngineError::NotReplayed {
            what: "the database did not exist at that time".to_owned(),
        });
    }
    set_event_states(session, database, logs, &before).await
}

/// Has the server begin with the first transaction, by several threads, which commit in the order
/// of the log. Nothing is synced on the way: a replay that was cut off begins anew.
async fn start(session: &mut Session, database: &DbName) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (2 * processors).min(MAX_THREADS);
    let tables = format!("{}.%", quote::grant_pattern(database.as_str()));
    let settings = format!(
        "SET GLOBAL gtid_slave_pos='', GLOBAL gtid_strict_mode=OFF, \
                    GLOBAL slave_parallel_threads={threads}, \
                    GLOBAL slave_parallel_max_queued={READ_AHEAD}, \
                    GLOBAL innodb_flush_log_at_trx_commit=0, GLOBAL sync_binlog=0, \
                    GLOBAL replicate_wild_do_table={}",
        quote::string(&tables)
    );
    for statement in [
        "STOP SLAVE",
        "RESET SLAVE ALL",
        // Neither positions nor transactions of its own stand against those of the source.
        "RESET MASTER",
        &settings,
        // Of the positions the server wants to know all; those of the source mean nothing.
        "CHANGE MASTER TO MASTER_HOST='archive', MASTER_USE_GTID=NO, \
             MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=4, \
             RELAY_LOG_FILE='relay.000001', RELAY_LOG_POS=4",
    ] {
        session
            .run("begin to apply a binary log", statement.as_bytes())
            .await?;
    }
    Ok(())
}

async fn start_applying(session: &mut Session) -> Result<()> {
    let action = "begin to apply a binary log";
    session.run(action, b"START SLAVE SQL_THREAD").await
}

/// Makes accounts that the node lacks and that objects run as, or will: the server looks at them
/// when a view is made that calls a function. Nobody can log in as one. They are noted in a file
/// first, by which they are dropped whatever comes in between.
async fn make_stand_ins(
    session: &mut Session,
    database: &DbName,
    definers: &BTreeSet<Definer>,
    noted: &Path,
) -> Result<()> {
    let action = "make accounts for a while";
    let database = quote::string(database.as_str());
    let present: Vec<String> = session
        .rows(
            action,
            &format!(
                "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA={database} UNION \
                 SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA={database} UNION \
                 SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA={database} UNION \
                 SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA={database}"
            ),
        )
        .await?;
    let present = present
        .iter()
        .filter_map(|definer| definer.rsplit_once('@'));
    let present = present.map(|(name, host)| (name.to_owned(), host.to_owned()));
    let accounts: Vec<Definer> = session
        .rows(action, "SELECT User, Host FROM mysql.global_priv")
        .await?;
    let mut wanted: BTreeSet<Definer> = present.chain(definers.iter().cloned()).collect();
    wanted.retain(|definer| !accounts.contains(definer));
    let stand_ins = wanted.iter().map(|(name, host)| match host.as_str() {
        "" => ("ROLE", quote::identifier(name), ""),
        host => ("USER", quote::account(name, host), " ACCOUNT LOCK"),
    });
    let stand_ins: Vec<_> = stand_ins.collect();
    note_stand_ins(noted, &stand_ins)?;
    for (kind, account, lock) in stand_ins {
        for statement in [
            format!("CREATE {kind} {account}{lock}"),
            format!("GRANT ALL ON *.* TO {account}"),
        ] {
            session.run(action, statement.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Writes the statements down that drop them: one behind the other, with a zero behind each, which
/// no name has.
fn note_stand_ins(noted: &Path, stand_ins: &[(&str, String, &str)]) -> Result<()> {
    let drops = stand_ins.iter();
    let drops = drops.map(|(kind, account, _)| format!("DROP {kind} IF EXISTS {account}\0"));
    let written = File::create(noted).and_then(|mut file| {
        file.write_all(drops.collect::<String>().as_bytes())?;
        file.sync_all()
    });
    written.at("write", noted)
}

async fn drop_stand_ins(session: &mut Session, noted: &Path) -> Result<()> {
    let drops = match fs::read_to_string(noted) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.at("read", noted)?,
    };
    for drop in drops.split_terminator('\0') {
        session
            .run("drop accounts made for a while", drop.as_bytes())
            .await?;
    }
    fs::remove_file(noted).at("remove", noted)
}

/// Waits until the last transaction of each domain is applied.
async fn wait(session: &mut Session, logs: &RelayLogs, progress: Progress<'_>) -> Result<()> {
    let action = "look how far a binary log is applied";
    let total: u64 = logs.files.iter().map(|(_, length)| length).sum();
    loop {
        let rows: Vec<Row> = session.rows(action, "SHOW SLAVE STATUS").await?;
        let status = Status::of(rows.first());
        if status.error != 0 {
            return Err(EngineError::NotReplayed {
                what: format!("error {}: {}", status.error, status.message),
            });
        }
        let gtids: Vec<Option<String>> = session
            .rows(action, "SELECT @@GLOBAL.gtid_slave_pos")
            .await?;
        let gtids = gtids.into_iter().next().flatten().unwrap_or_default();
        let applied: Vec<&str> = gtids.split(',').collect();
        let mut expected = logs.selected.gtids.values();
        if expected.all(|gtid| applied.contains(&gtid.as_str())) {
            return Ok(());
        }
        if !status.is_running {
            return Err(EngineError::NotReplayed {
                what: "the server stopped".to_owned(),
            });
        }
        progress(status.done(logs), total, "transactions");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What `SHOW SLAVE STATUS` tells.
#[derive(Default)]
struct Status {
    is_running: bool,
    error: u32,
    message: String,
    file: String,
    position: u64,
}

impl Status {
    fn of(row: Option<&Row>) -> Self {
        let Some(row) = row else {
            return Self::default();
        };
        let text = |column: &str| row.get::<String, _>(column).unwrap_or_default();
        Self {
            is_running: text("Slave_SQL_Running") == "Yes",
            error: text("Last_SQL_Errno").parse().unwrap_or_default(),
            message: text("Last_SQL_Error"),
            file: text("Relay_Log_File"),
            position: text("Relay_Log_Pos").parse().unwrap_or_default(),
        }
    }

    /// Bytes that were read of the relay logs.
    fn done(&self, logs: &RelayLogs) -> u64 {
        let before = logs.files.iter().take_while(|(name, _)| *name != self.file);
        before.map(|(_, length)| length).sum::<u64>() + self.position
    }
}

/// Stops applying and removes its traces: transactions that nobody ended, positions, settings,
/// and the log of what was applied, which is not how the new content came to be. All is on disk
/// then.
async fn stop(session: &mut Session) -> Result<()> {
    let action = "end applying a binary log";
    session.run(action, b"STOP SLAVE").await?;
    roll_back_prepared(session).await?;
    for statement in [
        "RESET SLAVE ALL",
        // Otherwise positions cannot be forgotten.
        "RESET MASTER",
        "SET GLOBAL gtid_slave_pos='', GLOBAL gtid_strict_mode=ON, \
                    GLOBAL slave_parallel_threads=0, GLOBAL replicate_wild_do_table='', \
                    GLOBAL slave_parallel_max_queued=DEFAULT, \
                    GLOBAL innodb_flush_log_at_trx_commit=1, GLOBAL sync_binlog=1",
        "FLUSH ENGINE LOGS",
    ] {
        session.run(action, statement.as_bytes()).await?;
    }
    Ok(())
}

async fn roll_back_prepared(session: &mut Session) -> Result<()> {
    let action = "roll back what nobody ended";
    let prepared: Vec<(i64, i64, i64, String)> =
        session.rows(action, "XA RECOVER FORMAT='SQL'").await?;
    for (.., id) in prepared {
        let statement = format!("XA ROLLBACK {id}");
        session.run(action, statement.as_bytes()).await?;
    }
    Ok(())
}

async fn has_database(session: &mut Session, database: &DbName) -> Result<bool> {
    let query = format!(
        "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME={}",
        quote::string(database.as_str())
    );
    let rows: Vec<u8> = session.rows("look for the database", &query).await?;
    Ok(!rows.is_empty())
}

/// The states of a database's events by name in lower case.
async fn event_states(
    session: &mut Session,
    database: &DbName,
) -> Result<BTreeMap<String, String>> {
    let query = format!(
        "SELECT LOWER(EVENT_NAME), STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA={}",
        quote::string(database.as_str())
    );
    let rows = session.rows("read events", &query).await?;
    Ok(rows.into_iter().collect())
}

/// Gives events the states that they had: the server disables those that it is told to make or
/// change while it applies a log. The scheduler does not run and reads them when it starts.
async fn set_event_states(
    session: &mut Session,
    database: &DbName,
    logs: &RelayLogs,
    before: &BTreeMap<String, String>,
) -> Result<()> {
    for (name, state) in &logs.selected.events {
        let is_enabled = match state {
            EventState::Known(is_enabled) => *is_enabled,
            EventState::As(name) => before.get(name).is_some_and(|state| state == "ENABLED"),
        };
        let state = if is_enabled { "ENABLED" } else { "DISABLED" };
        let statement = format!(
            "UPDATE mysql.event SET status='{state}', originator=@@GLOBAL.server_id \
             WHERE db={} AND name={} AND status='SLAVESIDE_DISABLED'",
            quote::string(database.as_str()),
            quote::string(name)
        );
        session.run("enable events", statement.as_bytes()).await?;
    }
    Ok(())
}
