//! The metadata store's file, as it is when no service has it open.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

/// What an instance consists of: after the last one is gone these tables are empty.
const TABLES_OF_INSTANCES: [&str; 9] = [
    "instances",
    "databases",
    "nodes",
    "endpoints",
    "accounts",
    "grants",
    "whitelist_groups",
    "backup_policies",
    "backup_sets",
];

/// Tables that still have rows of instances, and tasks that have not ended, in words.
pub(crate) fn leftover_rows(data_dir: &Path) -> Vec<String> {
    let path = data_dir.join("store.sqlite3");
    let store = Connection::open(&path).expect("the store can be opened");
    let count = |what: &str| -> i64 {
        let query = format!("SELECT count(*) FROM {what}");
        store
            .query_row(&query, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    };
    let unfinished = "tasks WHERE phase <> 'done'";
    TABLES_OF_INSTANCES
        .into_iter()
        .chain([unfinished])
        .map(|what| (what, count(what)))
        .filter(|(_, rows)| *rows > 0)
        .map(|(what, rows)| format!("{rows} rows in {what}"))
        .collect()
}

/// Runs statements on the store.
pub(crate) fn edit_store(data_dir: &Path, statements: &str) {
    let store = Connection::open(data_dir.join("store.sqlite3")).expect("the store can be opened");
    store
        .execute_batch(statements)
        .expect("statements that fit the schema");
}

/// All rows of all tables. Not the file's bytes: whoever opens it may move what the log beside it
/// holds.
pub(crate) fn content(data_dir: &Path) -> Vec<String> {
    let store = Connection::open(data_dir.join("store.sqlite3")).expect("the store can be opened");
    let rows = |query: &str| -> Vec<String> {
        let mut statement = store.prepare(query).expect("a right query");
        let columns = statement.column_count();
        let row = |row: &Row<'_>| {
            let values = (0..columns).map(|column| row.get::<_, Value>(column));
            Ok(format!("{:?}", values.collect::<Result<Vec<_>, _>>()?))
        };
        let rows = statement.query_map([], row).expect("a right query");
        rows.map(|row| row.expect("readable")).collect()
    };
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let mut statement = store.prepare(tables).expect("a right query");
    let names = statement.query_map([], |row| row.get::<_, String>(0));
    let names = names
        .expect("a right query")
        .map(|name| name.expect("a text"));
    let table = |name: String| rows(&format!("SELECT '{name}', * FROM \"{name}\" ORDER BY 2"));
    names.flat_map(table).collect()
}
