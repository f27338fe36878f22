//! DeleteInstance (API document 7.2).

use jiff::Timestamp;
use openpeta_rpc_api::instances::DeleteInstanceRequest;
use openpeta_rpc_api::{Action, EmptyResponse};
use openpeta_store::{Instance, NodeState, Writer};
use openpeta_tasks::{NewTask, Tasks, Workflow};
use openpeta_types::{ObjectStatus, TaskId, TraceContext};

use crate::authorize::require_unlocked;
use crate::backups::cancel_backups;
use crate::parts::Parts;
use crate::recycle_bin::OnDelete;
use crate::workflows::delete_instance::{DeleteInstance, DeleteInstanceParams};
use crate::workflows::recycle_instance::{RecycleInstance, RecycleInstanceParams};
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
            let task = self.parts.release(
                writer,
                &instance,
                OnDelete::Recycle,
                (call.caller.now, call.caller.trace),
            )?;
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
        on_delete: OnDelete,
        (now, trace): (Timestamp, Option<TraceContext>),
    ) -> Result<TaskId, ControlError> {
        let id = &instance.instance_id;
        let last_sets = match on_delete {
            OnDelete::Recycle => self.begin_last_sets(writer, instance, None, now)?,
            OnDelete::Destroy => None,
        };
        for database in writer.databases(id)? {
            self.settle_usage(writer, id, &database.db_name, now)?;
            writer.set_database_status(id, &database.db_name, ObjectStatus::Delete)?;
        }
        writer.set_instance_status(id, ObjectStatus::Delete)?;
        cancel_backups(writer, id, None)?;
        for node in writer.nodes_of(id)? {
            writer.set_node_state(&node.node_id, NodeState::Destroying)?;
        }
        let instance_id = id.clone();
        match last_sets {
            Some(last_sets) => {
                let params = RecycleInstanceParams {
                    instance_id,
                    last_sets,
                };
                begin::<RecycleInstance>(writer, instance, params, trace)
            }
            None => {
                let params = DeleteInstanceParams { instance_id };
                begin::<DeleteInstance>(writer, instance, params, trace)
            }
        }
    }
}

/// Adds the task that makes an instance go.
fn begin<W: Workflow>(
    writer: &Writer<'_>,
    instance: &Instance,
    params: W::Params,
    trace: Option<TraceContext>,
) -> Result<TaskId, ControlError> {
    let task = NewTask::<W> {
        account_id: instance.account_id,
        instance_id: Some(instance.instance_id.clone()),
        db_name: None,
        action: Action::DeleteInstance.spec().name,
        params,
        trace,
    };
    Ok(Tasks::enqueue(writer, &task)?)
}
