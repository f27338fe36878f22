//! The audit trail: one row for every changing call, whether it was carried out or refused.

use openpeta_store::{AuditEntry, Writer};
use openpeta_types::{InstanceId, TaskId};

use crate::{Control, ControlError, MutatingCall};

/// Outcome of a call that was carried out.
const OK: &str = "OK";
/// Part of the codes of calls that were refused for a quota.
const QUOTA: &str = "QuotaExceeded";

/// Writes the row of a call that is carried out, in the transaction of its change.
pub(crate) fn record(
    writer: &Writer<'_>,
    call: &MutatingCall,
    instance: Option<&InstanceId>,
    task: Option<TaskId>,
) -> Result<(), ControlError> {
    writer.insert_audit(&entry(call, instance, task, OK))?;
    Ok(())
}

impl Control {
    /// Writes the row of a changing call that was refused. `instance` is the one it named.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub fn audit_refusal(
        &self,
        call: &MutatingCall,
        instance: Option<&InstanceId>,
        code: &str,
    ) -> Result<(), ControlError> {
        if code.contains(QUOTA) {
            let (tenant, action) = (call.caller.account_id, call.action.spec().name);
            self.parts.events.quota_refused(tenant, action, code);
        }
        self.parts.store.write(|writer| {
            writer.insert_audit(&entry(call, instance, None, code))?;
            Ok(())
        })
    }
}

fn entry(
    call: &MutatingCall,
    instance: Option<&InstanceId>,
    task_id: Option<TaskId>,
    outcome: &str,
) -> AuditEntry {
    let caller = &call.caller;
    AuditEntry {
        at: caller.now,
        account_id: Some(caller.account_id),
        ram_user: caller.ram_user.clone(),
        access_key_id: Some(caller.access_key_id.as_str().to_owned()),
        action: call.action.spec().name.to_owned(),
        instance_id: instance.cloned(),
        source_ip: Some(caller.source_ip),
        user_agent: Some(caller.user_agent.clone()),
        request_id: caller.request_id.to_string(),
        parameters: call.parameters.clone(),
        outcome: outcome.to_owned(),
        task_id,
    }
}
