//! DeleteDatabase (API document 8.1).

use openpeta_rpc_api::databases::DeleteDatabaseRequest;
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::{Reader, Writer};
use openpeta_types::{DbName, InstanceId, ObjectStatus, TaskId};

use super::room::Measured;
use crate::backups::cancel_backups;
use crate::instance_nodes::is_spread;
use crate::workflows::delete_database::{DeleteDatabase, DeleteDatabaseParams};
use crate::workflows::delete_spread_database::DeleteSpreadDatabase;
use crate::workflows::recycle_database::{RecycleDatabase, RecycleDatabaseParams};
use crate::workflows::recycle_spread_database::RecycleSpreadDatabase;
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

impl Control {
    /// DeleteDatabase: drops a database and its data. Returns when the decision is on disk; from
    /// then on it cannot be taken back.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn delete_database(
        &self,
        call: &MutatingCall,
        request: &DeleteDatabaseRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let token = request.client_token.as_ref();
        let answered = self
            .parts
            .store
            .read(|reader| idempotency::answered::<()>(reader, call, token))?;
        let measured = match answered {
            None => self.measured(call, &request.instance_id).await?,
            Some(()) => None,
        };
        self.drop_database(call, request, measured.as_ref())?;
        Ok(EmptyResponse)
    }

    /// Writes that the database goes, and the task that makes it go.
    pub(crate) fn drop_database(
        &self,
        call: &MutatingCall,
        request: &DeleteDatabaseRequest,
        measured: Option<&Measured>,
    ) -> Result<(), ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<()>(writer, call, token)?.is_some() {
                return audit::record(writer, call, Some(id), None);
            }
            self.active_database(writer, &call.caller, call.action, id, name)?;
            require_sibling(writer, id, name)?;
            if let Some(measured) = measured {
                measured.check_room(writer, id, |database| database.db_name != *name)?;
            }
            let task = self.release_database(writer, call, id, name)?;
            idempotency::remember(writer, call, token, &())?;
            audit::record(writer, call, Some(id), Some(task))
        })
    }

    fn release_database(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        id: &InstanceId,
        name: &DbName,
    ) -> Result<TaskId, ControlError> {
        let (now, instance) = (call.caller.now, writer.instance(id)?);
        let database = writer.database(id, name)?;
        let is_spread = database.is_some_and(|database| is_spread(&database));
        let instance = instance.ok_or_else(ApiError::instance_not_found)?;
        let last_sets = self
            .parts
            .begin_last_sets(writer, &instance, Some(name), now)?;
        self.parts.settle_usage(writer, id, name, now)?;
        writer.set_database_status(id, name, ObjectStatus::Delete)?;
        cancel_backups(writer, id, Some(name))?;
        // An account that is made again meanwhile gets nothing on it any more.
        for account in writer.accounts(id)? {
            writer.set_grant(id, &account.name, name, None)?;
        }
        let (instance_id, db_name) = (id.clone(), name.clone());
        let of_database = Some(name.clone());
        match last_sets {
            Some(last_sets) => {
                let params = RecycleDatabaseParams {
                    instance_id,
                    db_name,
                    last_sets,
                };
                match is_spread {
                    true => {
                        self.enqueue::<RecycleSpreadDatabase>(writer, call, id, of_database, params)
                    }
                    false => self.enqueue::<RecycleDatabase>(writer, call, id, of_database, params),
                }
            }
            None => {
                let params = DeleteDatabaseParams {
                    instance_id,
                    db_name,
                };
                match is_spread {
                    true => {
                        self.enqueue::<DeleteSpreadDatabase>(writer, call, id, of_database, params)
                    }
                    false => self.enqueue::<DeleteDatabase>(writer, call, id, of_database, params),
                }
            }
        }
    }
}

/// An instance keeps one database at least. One that is still being made may come to nothing.
fn require_sibling(
    reader: &Reader<'_>,
    id: &InstanceId,
    name: &DbName,
) -> Result<(), ControlError> {
    let mut siblings = reader.databases(id)?;
    siblings.retain(|database| database.db_name != *name);
    let stays = |status| !matches!(status, ObjectStatus::Create | ObjectStatus::Delete);
    if siblings.iter().any(|database| stays(database.status)) {
        return Ok(());
    }
    let detail = if siblings.is_empty() {
        "It is the only database of the instance."
    } else {
        "The other databases of the instance are being made or deleted."
    };
    Err(ApiError::no_database().with_detail(detail).into())
}
