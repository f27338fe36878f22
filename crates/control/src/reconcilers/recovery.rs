//! A host that was restored gets what its bucket has.

use std::sync::Arc;

use crate::ControlError;
use crate::parts::Parts;

/// One round.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    parts.fetch_lost_if_due().await;
    Ok(())
}
