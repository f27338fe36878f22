//! Dropping a database that is in use. The drop waits for locks of sessions that may never give
//! way, so these are ended.

use std::time::Duration;

use openpeta_types::{DbName, NodeId};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::Engine;
use crate::error::Result;
use crate::sql::NodeSql;

/// What transactions get to end by themselves once the drop waits for them.
const GRACE: Duration = Duration::from_secs(2);

/// Time between two looks for sessions in the way. A lock that is gone uncovers the next one.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long the server may take for the drop: many large tables, and the rolling back of what
/// ended sessions had changed.
const LIMIT: Duration = Duration::from_secs(600);

impl Engine {
    /// Drops a database with everything granted on it, so that a new one of the same name does
    /// not inherit. One that does not exist is no error. Sessions that hold locks in it are ended
    /// when they do not give way within seconds; others go on. Tables of other databases that
    /// refer to its tables by foreign keys do not hold it either.
    ///
    /// # Errors
    /// Those of administration connections; calling again goes on.
    pub async fn drop_database(&self, node: &NodeId, database: &DbName) -> Result<()> {
        let mut dropping = self.sql_with_limit(node, LIMIT).await?;
        let mut watching = self.sql(node).await?;
        // Whoever may not use it makes no new one of that name behind the drop.
        dropping.revoke_on(database).await?;
        drop_in_use(&mut dropping, &mut watching, database).await?;
        dropping.forget_database(database).await?;
        dropping.close().await;
        watching.close().await;
        Ok(())
    }
}

async fn drop_in_use(
    dropping: &mut NodeSql,
    watching: &mut NodeSql,
    database: &DbName,
) -> Result<()> {
    let itself = dropping.connection_id().await?;
    let dropped = dropping.drop_regardless(database, LIMIT);
    tokio::pin!(dropped);
    let mut looks = interval_at(Instant::now() + GRACE, LOOK_AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // While the drop waits nobody gets new locks on what it waits for.
            result = &mut dropped => return result,
            _ = looks.tick() => watching.end_sessions_in(database, itself).await?,
        }
    }
}
