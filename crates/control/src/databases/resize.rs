//! ModifyDatabaseNodesSpec.

use openpeta_rpc_api::EmptyResponse;
use openpeta_rpc_api::databases::ModifyDatabaseNodesSpecRequest;
use openpeta_store::{Database, Instance, Writer};
use openpeta_types::{NodeSettings, NodeSpec, ObjectStatus, TaskId};

use super::room::Measured;
use crate::billing::{Lot, Purchase, Sale};
use crate::workflows::resize_database::{ResizeDatabase, ResizeDatabaseParams};
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

impl Control {
    /// ModifyDatabaseNodesSpec: orders other nodes for a database. Returns when the order is on
    /// disk; a task does the rest while the database is in use. For the spec that the database
    /// has nothing is to be done.
    ///
    /// # Errors
    /// Those of the action's table; nothing is ordered then.
    pub async fn modify_database_nodes_spec(
        &self,
        call: &MutatingCall,
        request: &ModifyDatabaseNodesSpecRequest,
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
        self.order_spec(call, request, measured.as_ref())?;
        Ok(EmptyResponse)
    }

    /// Writes the order and the task that carries it out.
    pub(crate) fn order_spec(
        &self,
        call: &MutatingCall,
        request: &ModifyDatabaseNodesSpecRequest,
        measured: Option<&Measured>,
    ) -> Result<(), ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<()>(writer, call, token)?.is_some() {
                return audit::record(writer, call, Some(id), None);
            }
            let (instance, database) =
                self.active_database(writer, &call.caller, call.action, id, name)?;
            let new = &request.new_node_spec;
            let (spec, settings) = self.orderable_spec("NewNodeSpec", new)?;
            let mut task = None;
            if spec != database.node_spec {
                self.buyer(writer, instance.account_id)?;
                if let Some(measured) = measured {
                    measured.check_room(writer, id, |database| {
                        if database.db_name == *name {
                            database.settings = settings.clone();
                        }
                        true
                    })?;
                }
                let wanted = (spec, settings);
                task =
                    Some(self.place_resize(writer, call, request, &instance, &database, wanted)?);
            }
            idempotency::remember(writer, call, token, &())?;
            audit::record(writer, call, Some(id), task)
        })
    }

    fn place_resize(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        request: &ModifyDatabaseNodesSpecRequest,
        instance: &Instance,
        database: &Database,
        (node_spec, settings): (NodeSpec, NodeSettings),
    ) -> Result<TaskId, ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        let nodes = database.node_number;
        let lot = |node_spec| Lot { node_spec, nodes };
        self.parts.place_order(
            writer,
            &Purchase {
                account_id: instance.account_id,
                instance_id: id,
                db_name: Some(name),
                action: call.action.spec().name,
                sale: Sale::Resize {
                    from: lot(&database.node_spec),
                    to: lot(&node_spec),
                    charge_type: database.charge_type,
                    expires_at: database.expires_at,
                },
                now: call.caller.now,
            },
        )?;
        writer.set_database_status(id, name, ObjectStatus::Modify)?;
        let token = request.client_token.as_ref();
        let params = ResizeDatabaseParams {
            instance_id: id.clone(),
            db_name: name.clone(),
            node_spec,
            settings,
            client_token: token.map(|token| token.as_str().to_owned()),
        };
        self.enqueue::<ResizeDatabase>(writer, call, id, Some(name.clone()), params)
    }
}
