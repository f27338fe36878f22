//! Rows of partitions that a node does not have any more are removed, a few at a time.

use std::time::Duration;

use openpeta_sql_route::Partitions;
use openpeta_types::{DbName, NodeId};

use super::table::Range;
use super::{LOCKED, PartitionMove};
use crate::engine::Engine;
use crate::error::Result;

/// Rows that are looked at for each transaction.
const ROWS: u64 = 500;

impl Engine {
    /// Removes the rows of all partitions but those that a node keeps, while it is used; tells how many
    /// there were. `pause` is asked after each few how long to wait, and may end it with an error.
    ///
    /// # Errors
    /// Those of connections, and of `pause`.
    pub async fn clean_partitions(
        &self,
        node: &NodeId,
        database: &DbName,
        (count, kept): (Partitions, &[u16]),
        pause: &(dyn Fn(Duration) -> Result<Duration> + Sync),
    ) -> Result<u64> {
        let plan = PartitionMove {
            database: database.clone(),
            from: node.clone(),
            to: node.clone(),
            count,
            partitions: kept.to_vec(),
            broadcast: false,
        };
        let tables = self.moving_tables(&plan).await?;
        let mut session = self.session(node, database).await?;
        let action = "remove rows that have moved";
        session
            .run(
                action,
                b"SET SESSION tx_isolation='READ-COMMITTED', innodb_lock_wait_timeout=1",
            )
            .await?;
        let mut removed = 0;
        for table in &tables {
            let mut range = Range::whole();
            loop {
                range.until = table.boundary(&mut session, &range, ROWS).await?;
                let condition = table.in_range(&range);
                let delete = format!("DELETE FROM {}", table.staying(&condition));
                let begun = std::time::Instant::now();
                match session.run(action, delete.as_bytes()).await {
                    Ok(()) => {
                        let rows: Vec<(i64,)> = session.rows(action, "SELECT ROW_COUNT()").await?;
                        removed += rows.first().map_or(0, |row| row.0.max(0).unsigned_abs());
                        let Some(until) = range.until.take() else {
                            break;
                        };
                        range.after = Some(until);
                    }
                    Err(error) if error.server_code().is_some_and(|it| LOCKED.contains(&it)) => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(pause(begun.elapsed())?).await;
            }
        }
        session.close().await;
        Ok(removed)
    }
}
