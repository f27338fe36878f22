//! DeleteInstance (API document 7.2).

use jiff::Timestamp;
use openpeta_rpc_api::instances::DeleteInstanceRequest;
use openpeta_rpc_api::{Action, EmptyResponse};
use openpeta_store::{Instance, NodeState, Writer};
use openpeta_tasks::{NewTask, Tasks};
use openpeta_types::{ObjectStatus, TaskId, TraceContext};

use crate::authorize::require_unlocked;
use crate::backups::cancel_backups;
use crate::parts::Parts;
use crate::workflows::delete_instance::{DeleteInstance, DeleteInstanceParams};
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

impl Control {
    /// DeleteInstance: releases an instance and destroys its data. Returns when the decision is
    /// on disk; from then on it cannot be taken back.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `OperationDenied.LockMode`, `IdempotentParameterMismatch`, `Forbidden.RAM`.
    pub fn delete_instance(
        &self,
        call: &MutatingCall,
        request: &DeleteInstanceRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<()>(writer, call, token)?.is_some() {
                return audit::record(writer, call, Some(id), None);
            }
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            let task = self
                .parts
                .release(writer, &instance, call.caller.now, call.caller.trace)?;
            idempotency::remember(writer, call, token, &())?;
            audit::record(writer, call, Some(id), Some(task))
        })?;
        Ok(EmptyResponse)
    }
}

impl Parts {
    /// Writes that an instance goes, and the task that makes it go.
    pub(crate) fn release(
        &self,
        writer: &Writer<'_>,
        instance: &Instance,
        now: Timestamp,
        trace: Option<TraceContext>,
    ) -> Result<TaskId, ControlError> {
        let id = &instance.instance_id;
        for database in writer.databases(id)? {
            self.settle_usage(writer, id, &database.db_name, now)?;
            writer.set_database_status(id, &database.db_name, ObjectStatus::Delete)?;
        }
        writer.set_instance_status(id, ObjectStatus::Delete)?;
        cancel_backups(writer, id, None)?;
        for node in writer.nodes_of(id)? {
            writer.set_node_state(&node.node_id, NodeState::Destroying)?;
        }
        let task = NewTask::<DeleteInstance> {
            account_id: instance.account_id,
            instance_id: Some(id.clone()),
            db_name: None,
            action: Action::DeleteInstance.spec().name,
            params: DeleteInstanceParams {
                instance_id: id.clone(),
            },
            trace,
        };
        Ok(Tasks::enqueue(writer, &task)?)
    }
}
