//! The moment whose content is taken, and whether tables still are what they were then.

use jiff::Timestamp;
use openpeta_types::DbName;

use super::manifest::BinlogPosition;
use super::schema::{self, Schema, definition_of_table};
use super::session::Session;
use crate::error::{EngineError, Result};
use crate::quote;

/// How often the schema is read again when it changed while the moment was fixed.
const SCHEMA_ATTEMPTS: u32 = 5;

/// MariaDB's codes for a table that is not what it was when the transaction began.
const CHANGED: [u16; 3] = [
    1146, // no such table
    1412, // its definition changed
    1054, // no such column
];

/// The moment whose content is taken.
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) server_version: String,
    pub(super) binlog: BinlogPosition,
}

/// Begins the transaction at a moment at which the schema is the one returned.
pub(super) async fn fix_moment(
    session: &mut Session,
    database: &DbName,
) -> Result<(Schema, Moment)> {
    let mut before = Schema::read(session, database).await?;
    let mut changed = String::new();
    for _ in 0..SCHEMA_ATTEMPTS {
        let moment = begin(session).await?;
        let after = Schema::read(session, database).await?;
        release(session).await?;
        match before.difference(&after) {
            None => return Ok((after, moment)),
            Some(object) => changed = object,
        }
        session.run("end a transaction", b"ROLLBACK").await?;
        before = after;
    }
    Err(EngineError::SchemaChanged { object: changed })
}

/// Begins a transaction that sees this moment to its end.
pub(super) async fn begin(session: &mut Session) -> Result<Moment> {
    prepare(session).await?;
    start(session).await?;
    started(session).await
}

/// Makes transactions see the moment at which they begin.
pub(super) async fn prepare(session: &mut Session) -> Result<()> {
    let action = "begin a transaction";
    let level = b"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    session.run(action, level).await?;
    // A temporary table, by which some definitions are read, would bring the savepoint and the end of the
    // transaction into the log.
    session.run(action, b"SET SESSION sql_log_bin = 0").await
}

/// Begins a transaction, at once.
pub(super) async fn start(session: &mut Session) -> Result<()> {
    // In one that is told to be read-only no temporary table can be made, which definitions are read by.
    let begin = b"START TRANSACTION WITH CONSISTENT SNAPSHOT";
    session.run("begin a transaction", begin).await
}

/// Which moment a transaction sees that was begun just now.
pub(super) async fn started(session: &mut Session) -> Result<Moment> {
    let moment = moment(session).await?;
    // Reading definitions must not keep others from changing them from here on.
    session.run("set a savepoint", b"SAVEPOINT moment").await?;
    Ok(moment)
}

/// Makes sure that tables which were read are those that the schema was read of, then lets go of
/// them.
pub(super) async fn check_unchanged(
    session: &mut Session,
    database: &DbName,
    schema: &Schema,
    names: &[&str],
) -> Result<()> {
    let ids = schema::table_ids(session, database).await?;
    for &name in names {
        let table = &schema.tables[name];
        let create = schema::show_create(session, "TABLE", name)
            .await
            .map_err(|error| changed(error, name))?;
        let same_ids = ids.get(name).map_or(&[][..], Vec::as_slice) == table.ids;
        if !same_ids || definition_of_table(&create) != definition_of_table(&table.shown) {
            return Err(EngineError::SchemaChanged {
                object: format!("table {name}"),
            });
        }
    }
    release(session).await
}

/// Lets go of the definitions that were read since the savepoint.
pub(super) async fn release(session: &mut Session) -> Result<()> {
    let statement = b"ROLLBACK TO SAVEPOINT moment";
    session.run("return to a savepoint", statement).await
}

/// Where in the log the moment is that a transaction sees; without its GTID.
pub(super) async fn position(session: &mut Session) -> Result<BinlogPosition> {
    let query = "SHOW STATUS LIKE 'binlog_snapshot_%'";
    let rows: Vec<(String, String)> = session.rows("read the binlog position", query).await?;
    let mut file = String::new();
    let mut position = 0;
    for (name, value) in rows {
        match name.to_ascii_lowercase().as_str() {
            "binlog_snapshot_file" => file = value,
            "binlog_snapshot_position" => position = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    Ok(BinlogPosition {
        node: String::new(),
        file,
        position,
        gtid: String::new(),
    })
}

async fn moment(session: &mut Session) -> Result<Moment> {
    let binlog = position(session).await?;
    let (file, position) = (&binlog.file, binlog.position);
    let query = format!(
        "SELECT VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), \
                COALESCE(BINLOG_GTID_POS({}, {position}), '')",
        quote::string(file)
    );
    let rows: Vec<(String, i64, String)> = session.rows("read the binlog position", &query).await?;
    let (server_version, micros, gtid) = rows.into_iter().next().unwrap_or_default();
    Ok(Moment {
        at: Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH),
        server_version,
        binlog: BinlogPosition { gtid, ..binlog },
    })
}

/// An error that says that a table changed is told as such.
pub(super) fn changed(error: EngineError, table: &str) -> EngineError {
    match error.server_code() {
        Some(code) if CHANGED.contains(&code) => EngineError::SchemaChanged {
            object: format!("table {table}"),
        },
        _ => error,
    }
}
