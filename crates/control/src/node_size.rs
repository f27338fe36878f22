//! What a node gets: the sum of what its databases were ordered with.

use openpeta_store::Database;
use openpeta_types::{NodeSettings, ObjectStatus};

/// The settings of a node that serves these databases. They share its buffer pool, connections
/// and disk; the redo log is the largest of theirs, since it need not grow with their number.
pub(crate) fn node_settings<'a>(
    databases: impl IntoIterator<Item = &'a NodeSettings>,
) -> NodeSettings {
    let nothing = NodeSettings {
        buffer_pool_bytes: 0,
        redo_log_bytes: 0,
        max_connections: 0,
        disk_quota_bytes: 0,
    };
    databases
        .into_iter()
        .fold(nothing, |sum, settings| NodeSettings {
            buffer_pool_bytes: sum
                .buffer_pool_bytes
                .saturating_add(settings.buffer_pool_bytes),
            redo_log_bytes: sum.redo_log_bytes.max(settings.redo_log_bytes),
            max_connections: sum.max_connections.saturating_add(settings.max_connections),
            disk_quota_bytes: sum
                .disk_quota_bytes
                .saturating_add(settings.disk_quota_bytes),
        })
}

/// Whether a node has a database's worth. One that is only being made gets it from its own task,
/// one that is being dropped keeps it until its data is gone.
pub(crate) fn is_counted(database: &Database) -> bool {
    database.status != ObjectStatus::Create
}

/// Gives databases shares of a new quota in proportion to those that they had.
pub(crate) fn spread_disk_quota(databases: &mut [Database], quota: u64) {
    let counts = |database: &Database| is_counted(database);
    // An instance that is being made has nothing but databases that are.
    let is_new = !databases.iter().any(counts);
    let mut sharing: Vec<&mut NodeSettings> = databases
        .iter_mut()
        .filter(|database| is_new || counts(database))
        .map(|database| &mut database.settings)
        .collect();
    let had = sharing
        .iter()
        .map(|share| u128::from(share.disk_quota_bytes));
    let had = had.sum::<u128>().max(1);
    let mut left = quota;
    for share in &mut sharing {
        let part = u128::from(share.disk_quota_bytes) * u128::from(quota) / had;
        share.disk_quota_bytes = u64::try_from(part).unwrap_or(quota);
        left -= share.disk_quota_bytes;
    }
    if let Some(first) = sharing.first_mut() {
        first.disk_quota_bytes += left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pool: u64, redo: u64, connections: u32, disk: u64) -> NodeSettings {
        NodeSettings {
            buffer_pool_bytes: pool,
            redo_log_bytes: redo,
            max_connections: connections,
            disk_quota_bytes: disk,
        }
    }

    #[test]
    fn sizes_add_up_and_the_largest_redo_log_serves_all() {
        let (a, b) = (settings(1, 8, 3, 4), settings(10, 2, 30, 40));
        assert_eq!(node_settings([&a]), a);
        assert_eq!(node_settings([&a, &b]), settings(11, 8, 33, 44));
        let huge = settings(u64::MAX, 1, u32::MAX, u64::MAX);
        let sum = node_settings([&huge, &a]);
        assert_eq!(sum, settings(u64::MAX, 8, u32::MAX, u64::MAX));
    }
}
