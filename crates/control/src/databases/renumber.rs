//! ModifyDatabaseNodesNumber.

use openpeta_rpc_api::databases::ModifyDatabaseNodesNumberRequest;
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::{Database, Instance, Writer};
use openpeta_types::{ObjectStatus, TaskId};

use super::spread_in_change;
use crate::billing::{Lot, Purchase, Sale};
use crate::instance_nodes::{NodeOrder, OrderedNode, first_placement, is_spread};
use crate::placement::replaced;
use crate::workflows::change_nodes_number::{ChangeNodesNumber, ChangeNodesNumberParams};
use crate::workflows::spread_database::SpreadDatabase;
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

impl Control {
    /// ModifyDatabaseNodesNumber: orders more nodes for a database, or fewer, but never one alone. Returns
    /// when the order is on disk; a task moves partitions while the database is in use. For
    /// the number that the database has nothing is to be done.
    ///
    /// # Errors
    /// Those of the action's table; nothing is ordered then.
    pub fn modify_database_nodes_number(
        &self,
        call: &MutatingCall,
        request: &ModifyDatabaseNodesNumberRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<()>(writer, call, token)?.is_some() {
                return audit::record(writer, call, Some(id), None);
            }
            let (instance, database) =
                self.active_database(writer, &call.caller, call.action, id, name)?;
            let mut task = None;
            if request.node_number != database.node_number {
                self.buyer(writer, instance.account_id)?;
                task = Some(self.place_nodes(writer, call, request, &instance, database)?);
            }
            idempotency::remember(writer, call, token, &())?;
            audit::record(writer, call, Some(id), task)
        })?;
        Ok(EmptyResponse)
    }

    /// Writes the order and the task that carries it out.
    fn place_nodes(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        request: &ModifyDatabaseNodesNumberRequest,
        instance: &Instance,
        database: Database,
    ) -> Result<TaskId, ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        let (from, to) = (database.node_number, request.node_number);
        let refused = |detail: String| {
            let error = ApiError::value_not_supported("NodeNumber");
            ControlError::from(error.with_detail(&detail))
        };
        if to < 2 {
            return Err(refused(format!(
                "Database {name} has {from} nodes; one that is spread stays so."
            )));
        }
        let before = match is_spread(&database) {
            true => writer.partitions(id)?.remove(name).unwrap_or_default(),
            // All of the partitions that it will have are on its only node.
            false => vec![0; first_placement(to).len()],
        };
        let number = u16::try_from(to).map_err(ControlError::internal)?;
        let after = match is_spread(&database) {
            true => replaced(&before, number),
            false => Some(first_placement(to)),
        };
        let after = after.ok_or_else(|| {
            refused(format!(
                "Database {name} has {} partitions, and each node must have one.",
                before.len()
            ))
        })?;
        if let Some(other) = spread_in_change(writer, id, name)? {
            let detail = format!(
                "Nodes are made or removed for database {} ({}).",
                other.db_name, other.status
            );
            return Err(ApiError::instance_status().with_detail(&detail).into());
        }
        let there = writer.serving_nodes(instance)?.len();
        let there = u16::try_from(there).map_err(ControlError::internal)?;
        // None when it gets fewer.
        let missing = there..number.max(there);
        let added = u32::try_from(missing.len()).map_err(ControlError::internal)?;
        self.check_nodes(writer, database.charge_type, to, added)?;
        let lot = |nodes| Lot {
            node_spec: &database.node_spec,
            nodes,
        };
        self.parts.place_order(
            writer,
            &Purchase {
                account_id: instance.account_id,
                instance_id: id,
                db_name: Some(name),
                action: call.action.spec().name,
                sale: Sale::Resize {
                    from: lot(from),
                    to: lot(to),
                    charge_type: database.charge_type,
                    expires_at: database.expires_at,
                },
                now: call.caller.now,
            },
        )?;
        let order = NodeOrder {
            instance,
            spec: &database.node_spec,
            settings: &database.settings,
            now: call.caller.now,
        };
        let nodes = missing.map(|number| order.place(writer, number));
        let nodes: Vec<OrderedNode> = nodes.collect::<Result<_, _>>()?;
        // From here on it is on all of them, until those that it leaves are left: accounts and sizes follow.
        self.parts.settle_usage(writer, id, name, call.caller.now)?;
        writer.update_database(&Database {
            node_number: from.max(to),
            status: ObjectStatus::Append,
            ..database
        })?;
        let token = request.client_token.as_ref();
        let params = ChangeNodesNumberParams {
            instance_id: id.clone(),
            db_name: name.clone(),
            from,
            to,
            nodes,
            before,
            after,
            client_token: token.map(|token| token.as_str().to_owned()),
        };
        let name = Some(name.clone());
        match from {
            1 => self.enqueue::<SpreadDatabase>(writer, call, id, name, params),
            _ => self.enqueue::<ChangeNodesNumber>(writer, call, id, name, params),
        }
    }
}
