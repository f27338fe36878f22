//! Binary logs are archived as they are written, and archives hold what restores need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ControlError;
use crate::parts::Parts;

/// Rounds between two looks for what can go.
const ROUNDS: u64 = 60;

/// How many rounds there were.
#[derive(Default)]
pub(super) struct BinaryLogs(AtomicU64);

impl BinaryLogs {
    /// One round.
    pub(super) async fn reconcile(self: Arc<Self>, parts: Arc<Parts>) -> Result<(), ControlError> {
        parts.archive_logs().await?;
        if self
            .0
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(ROUNDS)
            && !parts.is_recovering()
        {
            parts.tidy_log_archives().await?;
        }
        Ok(())
    }
}

/// One round of noting moments of databases over nodes.
pub(super) async fn note_moments(parts: Arc<Parts>) -> Result<(), ControlError> {
    parts.note_moments().await
}

/// One round of bringing archives to the bucket.
pub(super) async fn ship(parts: Arc<Parts>) -> Result<(), ControlError> {
    parts.ship_logs().await;
    Ok(())
}
