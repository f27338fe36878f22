//! Who uses a distributed table, and who redefines it: the nodes know that each for itself only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// How long somebody waits for somebody else's table.
const PATIENCE: Duration = Duration::from_secs(50);

type Name = (String, String);

/// A lock for each table, by database and name.
#[derive(Debug, Default)]
pub struct TableLocks(Mutex<HashMap<Name, Arc<RwLock<()>>>>);

/// A table is not redefined as long as this is held.
pub type Used = OwnedRwLockReadGuard<()>;
/// A table is not used as long as this is held.
pub type Redefined = OwnedRwLockWriteGuard<()>;

impl TableLocks {
    /// Uses a table.
    ///
    /// # Errors
    /// When somebody redefines it for too long.
    pub async fn use_table(&self, name: &Name) -> Result<Used, ErrPacket> {
        let lock = self.of(name).read_owned();
        tokio::time::timeout(PATIENCE, lock)
            .await
            .map_err(|_| timeout())
    }

    /// Redefines tables, in an order that is the same for all.
    ///
    /// # Errors
    /// When somebody uses one for too long.
    pub async fn redefine(&self, names: &[Name]) -> Result<Vec<Redefined>, ErrPacket> {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        let mut held = Vec::new();
        for name in names {
            let lock = self.of(&name).write_owned();
            held.push(
                tokio::time::timeout(PATIENCE, lock)
                    .await
                    .map_err(|_| timeout())?,
            );
        }
        Ok(held)
    }

    fn of(&self, name: &Name) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name.clone()).or_default())
    }
}

fn timeout() -> ErrPacket {
    ErrPacket::new(
        1205,
        b"HY000",
        "Lock wait timeout exceeded; try restarting transaction",
    )
}
