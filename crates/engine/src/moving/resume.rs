//! Where a move stands, on the node that partitions come to: another process goes on from there.

use std::collections::BTreeMap;

use openpeta_types::NodeId;
use serde::{Deserialize, Serialize};

use super::table::{Copied, Range};
use super::{Mover, MovingTable};
use crate::backup::Session;
use crate::engine::Engine;
use crate::error::Result;
use crate::quote;

/// The schema that it is noted in.
const SCHEMA: &str = "openpeta_moving";

/// What is noted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    count: u16,
    partitions: Vec<u16>,
    file: String,
    offset: u64,
    tables: BTreeMap<String, Copied>,
}

/// Makes the place where it is noted.
pub(super) async fn prepare(target: &mut Session) -> Result<()> {
    for statement in [
        format!("CREATE DATABASE IF NOT EXISTS {SCHEMA}"),
        format!(
            "CREATE TABLE IF NOT EXISTS {SCHEMA}.moves (source VARCHAR(64) NOT NULL, \
             db VARCHAR(64) NOT NULL, state LONGTEXT NOT NULL, PRIMARY KEY (source, db)) \
             ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        ),
    ] {
        target.run("prepare a move", statement.as_bytes()).await?;
    }
    Ok(())
}

impl Engine {
    /// Forgets on a node how far moves to it are.
    ///
    /// # Errors
    /// Those of connections.
    pub async fn forget_moves(
        &self,
        node: &NodeId,
        database: &openpeta_types::DbName,
    ) -> Result<()> {
        let mut session = self.session(node, database).await?;
        let drop = format!("DROP DATABASE IF EXISTS {SCHEMA}");
        session.run("forget moves", drop.as_bytes()).await?;
        session.close().await;
        Ok(())
    }
}

impl Mover {
    /// Goes on where a former process was; `false` if there is nothing to go on with.
    pub(super) async fn resume(&mut self) -> Result<bool> {
        let query = format!(
            "SELECT state FROM {SCHEMA}.moves WHERE source = {} AND db = {}",
            quote::string(self.plan.from.as_str()),
            quote::string(self.plan.database.as_str())
        );
        let rows: Vec<(String,)> = self.target.rows("read a move", &query).await?;
        let Some(state) = rows
            .first()
            .and_then(|(text,)| serde_json::from_str::<State>(text).ok())
        else {
            return Ok(false);
        };
        let logs: Vec<mysql_async::Row> = self
            .source
            .rows("list log files", "SHOW BINARY LOGS")
            .await?;
        let has_log = logs
            .iter()
            .any(|row| row.get::<String, _>(0).as_ref() == Some(&state.file));
        let is_same =
            state.count == self.plan.count.count() && state.partitions == self.plan.partitions;
        if !is_same || !has_log {
            return Ok(false);
        }
        self.log.move_to(state.file, state.offset);
        for table in &mut self.tables {
            table.copied = state.tables.get(&table.name).cloned().unwrap_or_default();
            let until = match &table.copied {
                Copied::Nothing => continue,
                Copied::Until(key) => Some(key.clone()),
                Copied::All => None,
            };
            table.ranges.push(Range {
                after: None,
                until,
                is_small: false,
            });
        }
        Ok(true)
    }

    /// Notes where it is, if all is brought that the log named so far.
    pub(super) async fn save(&mut self) -> Result<()> {
        if self.tables.iter().any(|table| !table.dirty.is_empty()) {
            return Ok(());
        }
        let (file, offset) = self.log.position();
        let of = |table: &MovingTable| (table.name.clone(), table.copied.clone());
        let state = State {
            count: self.plan.count.count(),
            partitions: self.plan.partitions.clone(),
            file: file.to_owned(),
            offset,
            tables: self.tables.iter().map(of).collect(),
        };
        let state = serde_json::to_string(&state).expect("names and numbers are JSON");
        let statement = format!(
            "REPLACE INTO {SCHEMA}.moves VALUES ({}, {}, {})",
            quote::string(self.plan.from.as_str()),
            quote::string(self.plan.database.as_str()),
            quote::string(&state)
        );
        self.target.run("note a move", statement.as_bytes()).await
    }
}
