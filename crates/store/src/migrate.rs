//! Brings the schema up to date: numbered SQL files, each applied once and in order.
//!
//! Rule for new files: expand first (add columns with defaults, add tables), contract in a
//! later release, so that the previous version can still be started on the store meanwhile.
//! `schema.sql` beside the files is the whole schema as they leave it; a test compares.

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::StoreError;
use crate::column::P;

/// One step of the schema.
pub(crate) struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// All steps; the first has number 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "initial",
        sql: include_str!("../migrations/0001_initial.sql"),
    },
    Migration {
        name: "whole-api",
        sql: include_str!("../migrations/0002_whole_api.sql"),
    },
    Migration {
        name: "limits",
        sql: include_str!("../migrations/0003_limits.sql"),
    },
    Migration {
        name: "backup-schedule",
        sql: include_str!("../migrations/0004_backup_schedule.sql"),
    },
    Migration {
        name: "events-and-alerts",
        sql: include_str!("../migrations/0005_events_and_alerts.sql"),
    },
    Migration {
        name: "task-counts",
        sql: include_str!("../migrations/0006_task_counts.sql"),
    },
    Migration {
        name: "backup-keys",
        sql: include_str!("../migrations/0007_backup_keys.sql"),
    },
    Migration {
        name: "recycle-bin",
        sql: include_str!("../migrations/0008_recycle_bin.sql"),
    },
    Migration {
        name: "backup-bases",
        sql: include_str!("../migrations/0009_backup_bases.sql"),
    },
    Migration {
        name: "replaced-content",
        sql: include_str!("../migrations/0010_replaced_content.sql"),
    },
    Migration {
        name: "cut-overs",
        sql: include_str!("../migrations/0011_cut_overs.sql"),
    },
    Migration {
        name: "backup-notes",
        sql: include_str!("../migrations/0012_backup_notes.sql"),
    },
    Migration {
        name: "instance-nodes",
        sql: include_str!("../migrations/0013_instance_nodes.sql"),
    },
    Migration {
        name: "moving-partitions",
        sql: include_str!("../migrations/0014_moving_partitions.sql"),
    },
];

/// Applies what is missing of `migrations`, each step in a transaction of its own.
pub(crate) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
            number      INTEGER PRIMARY KEY,
            name        TEXT    NOT NULL,
            checksum    BLOB    NOT NULL,
            applied_at  INTEGER NOT NULL
        ) STRICT",
    )?;
    let applied = applied(connection)?;
    if applied.len() > migrations.len() {
        return Err(StoreError::NewerSchema {
            found: number(applied.len()),
            known: number(migrations.len()),
        });
    }
    for (index, migration) in migrations.iter().enumerate() {
        let checksum = digest(&SHA256, migration.sql.as_bytes());
        if let Some(recorded) = applied.get(index) {
            if recorded != checksum.as_ref() {
                return Err(StoreError::MigrationChanged {
                    number: number(index + 1),
                });
            }
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
            params![
                number(index + 1),
                migration.name,
                checksum.as_ref(),
                P(&Timestamp::now())
            ],
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// Checksums of the applied steps, in order.
fn applied(connection: &Connection) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut statement = connection.prepare("SELECT checksum FROM migrations ORDER BY number")?;
    let checksums = statement.query_map([], |row| row.get(0))?;
    Ok(checksums.collect::<Result<_, _>>()?)
}

/// Steps are counted from 1 and never many.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("migrations are few")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every table, trigger and index, as SQLite keeps its text.
    fn dump(connection: &Connection) -> String {
        let mut statement = connection
            .prepare(
                "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence'
                 ORDER BY type = 'trigger', type DESC, name",
            )
            .unwrap();
        let texts = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        texts.map(|text| text.unwrap() + ";\n").collect()
    }

    /// Run with `OPENPETA_UPDATE=1` to write the file anew after a migration was added.
    #[test]
    fn stepping_through_all_migrations_gives_the_recorded_schema() {
        let mut connection = Connection::open_in_memory().unwrap();
        for count in 0..=MIGRATIONS.len() {
            migrate(&mut connection, &MIGRATIONS[..count]).unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.sql");
        if std::env::var_os("OPENPETA_UPDATE").is_some() {
            std::fs::write(path, dump(&connection)).unwrap();
        }
        assert_eq!(dump(&connection), std::fs::read_to_string(path).unwrap());

        let mut recorded = Connection::open_in_memory().unwrap();
        recorded
            .execute_batch(&std::fs::read_to_string(path).unwrap())
            .unwrap();
        assert_eq!(dump(&recorded), dump(&connection));
        // What is recorded is a schema that this version takes for empty, not for another one.
        migrate(&mut recorded, &[]).unwrap();
    }

    #[test]
    fn databases_of_the_first_release_are_worth_what_their_node_has() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = OFF;
                 INSERT INTO nodes VALUES ('nd-1', 'pd-1', NULL, '{\"it\":\"has\"}', 'running', 0, 0);
                 INSERT INTO databases VALUES
                     ('pd-1', 'shop', 'petadata.s2.large', 1, 'PostPaid', 'ACTIVE', 0, 0, NULL);",
            )
            .unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let query = "SELECT settings FROM databases";
        let settings: String = connection.query_row(query, [], |row| row.get(0)).unwrap();
        assert_eq!(settings, "{\"it\":\"has\"}");
    }

    #[test]
    fn tasks_of_earlier_releases_are_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..5]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO tasks (account_id, action, workflow, params_sealed, status, phase, progress,
                                    cancel_requested, begin_at)
                 VALUES (1, 'a', 'w', x'', '2', 'done', 100, 0, 0), (1, 'a', 'w', x'', '2', 'done', 100, 0, 0),
                        (1, 'a', 'w', x'', '3', 'forward', 10, 0, 0);",
            )
            .unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let counts = "SELECT group_concat(status || phase || tasks) FROM task_counts";
        let counts: String = connection.query_row(counts, [], |row| row.get(0)).unwrap();
        assert_eq!(counts, "2done2,3forward1");
    }

    #[test]
    fn applied_steps_are_not_applied_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
    }

    #[test]
    fn a_newer_schema_and_a_changed_step_are_refused() {
        let steps = [
            Migration {
                name: "one",
                sql: "CREATE TABLE a (x)",
            },
            Migration {
                name: "two",
                sql: "CREATE TABLE b (x)",
            },
        ];
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &steps).unwrap();
        assert!(matches!(
            migrate(&mut connection, &steps[..1]),
            Err(StoreError::NewerSchema { found: 2, known: 1 })
        ));
        let changed = [Migration {
            name: "one",
            sql: "CREATE TABLE c (x)",
        }];
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &steps[..1]).unwrap();
        assert!(matches!(
            migrate(&mut connection, &changed),
            Err(StoreError::MigrationChanged { number: 1 })
        ));
    }

    #[test]
    fn a_failing_step_leaves_nothing_of_itself() {
        let steps = [Migration {
            name: "one",
            sql: "CREATE TABLE a (x); CREATE TABLE a (x);",
        }];
        let mut connection = Connection::open_in_memory().unwrap();
        assert!(migrate(&mut connection, &steps).is_err());
        assert!(!dump(&connection).contains("TABLE a"));
    }
}
