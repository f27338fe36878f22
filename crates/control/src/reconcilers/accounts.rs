//! Accounts on the nodes are those of the store and log in as the gateway expects: what a user
//! changed by `SET PASSWORD` or `DROP USER` is put right.

use std::sync::Arc;

use openpeta_types::ObjectStatus;

use crate::ControlError;
use crate::parts::Parts;

/// Looks at every instance that clients use. A node that cannot be asked now is asked again in
/// the next round.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    for instance in parts.store.read(|reader| reader.instances())? {
        if instance.status != ObjectStatus::Active {
            continue;
        }
        if let Err(error) = parts.restore_accounts(&instance).await {
            tracing::warn!(instance = %instance.instance_id, context = error.context, "accounts could not be checked");
        }
    }
    Ok(())
}
