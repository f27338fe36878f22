//! The control plane is backed up now and then.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ControlError;
use crate::parts::Parts;

/// One round.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let now = Timestamp::now();
    parts.back_up_control_plane_if_due(now).await.map(drop)
}
