//! CreateDatabase: one more database for an instance, and its worth added to the node.

use std::ops::Range;

use openpeta_rpc_api::ApiError;
use openpeta_rpc_api::databases::{CreateDatabaseRequest, CreateDatabaseResponse};
use openpeta_store::{Database, Instance, Reader, Writer};
use openpeta_types::{ChargeType, NodeId, NodeSettings, NodeSpec, ObjectStatus, OrderId};

use crate::authorize::require_unlocked;
use crate::billing::{Lot, Purchase, Sale};
use crate::instance_nodes::{NodeOrder, is_spread};
use crate::workflows::create_database::{CreateDatabase, CreateDatabaseParams};
use crate::workflows::create_spread_database::{CreateSpreadDatabase, CreateSpreadDatabaseParams};
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

impl Control {
    /// CreateDatabase: orders a database for an instance. Returns when the order is on disk; a
    /// task does the rest, while the instance stays ACTIVE.
    ///
    /// # Errors
    /// Those of the action's table; nothing is ordered then.
    pub async fn create_database(
        &self,
        call: &MutatingCall,
        request: &CreateDatabaseRequest,
    ) -> Result<CreateDatabaseResponse, ControlError> {
        let token = request.client_token.as_ref();
        let node = self.parts.store.read(|reader| {
            if idempotency::answered::<OrderId>(reader, call, token)?.is_some() {
                return Ok(None);
            }
            let id = &request.instance_id;
            let instance = self.active_instance(reader, &call.caller, call.action, id)?;
            Ok::<_, ControlError>(instance.node_id)
        })?;
        let is_on_node = self.is_on_node(node.as_ref(), request).await;
        let order_id = self.order_database(call, request, is_on_node)?;
        Ok(CreateDatabaseResponse { order_id })
    }

    /// Whether the node has a database of that name, which somebody made by SQL if the store
    /// does not have it. A node that cannot be asked now is asked by the task.
    async fn is_on_node(&self, node: Option<&NodeId>, request: &CreateDatabaseRequest) -> bool {
        let Some(node) = node else { return false };
        let Ok(mut sql) = self.parts.engine.sql(node).await else {
            return false;
        };
        let names = sql.databases().await.unwrap_or_default();
        sql.close().await;
        names.iter().any(|name| name == request.db_name.as_str())
    }

    /// Writes the order and the task that carries it out.
    pub(crate) fn order_database(
        &self,
        call: &MutatingCall,
        request: &CreateDatabaseRequest,
        is_on_node: bool,
    ) -> Result<OrderId, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if let Some(order_id) = idempotency::answered::<OrderId>(writer, call, token)? {
                audit::record(writer, call, Some(id), None)?;
                return Ok(order_id);
            }
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            let (spec, settings) = self.orderable_spec("NodeSpec", &request.node_spec)?;
            self.check_new_database(writer, request, &instance)?;
            let missing = missing_nodes(writer, request, &instance)?;
            let added = u32::try_from(missing.len()).map_err(ControlError::internal)?;
            self.check_nodes(writer, instance.charge_type, request.node_number, added)?;
            if is_on_node {
                let detail = "It was made by SQL.";
                return Err(ApiError::db_name_duplicate().with_detail(detail).into());
            }
            let order_id = self.place(writer, call, request, &instance, (spec, settings))?;
            idempotency::remember(writer, call, token, &order_id)?;
            Ok::<_, ControlError>(order_id)
        })
    }

    /// Whether the instance may have one more database, of that name.
    fn check_new_database(
        &self,
        reader: &Reader<'_>,
        request: &CreateDatabaseRequest,
        instance: &Instance,
    ) -> Result<(), ControlError> {
        let existing = reader.databases(&instance.instance_id)?;
        if existing
            .iter()
            .any(|database| database.db_name == request.db_name)
        {
            return Err(ApiError::db_name_duplicate().into());
        }
        let tenant = self.buyer(reader, instance.account_id)?;
        let quota = self.parts.config.quotas.databases_of(&tenant);
        if existing.len() >= quota as usize {
            return Err(ApiError::db_quota_exceeded().into());
        }
        Ok(())
    }

    /// Writes everything that the database consists of, and the task that makes it real.
    fn place(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        request: &CreateDatabaseRequest,
        instance: &Instance,
        (node_spec, settings): (NodeSpec, NodeSettings),
    ) -> Result<OrderId, ControlError> {
        let id = &instance.instance_id;
        let lot = Lot {
            node_spec: &node_spec,
            nodes: request.node_number,
        };
        let sale = match instance.charge_type {
            ChargeType::PostPaid => Sale::PostPaid(lot),
            ChargeType::PrePaid => Sale::PrePaidUntil {
                lot,
                expires_at: instance.expires_at,
            },
        };
        let order_id = self.parts.place_order(
            writer,
            &Purchase {
                account_id: instance.account_id,
                instance_id: id,
                db_name: Some(&request.db_name),
                action: call.action.spec().name,
                sale,
                now: call.caller.now,
            },
        )?;
        let database = Database {
            instance_id: id.clone(),
            db_name: request.db_name.clone(),
            node_spec,
            settings,
            node_number: request.node_number,
            charge_type: instance.charge_type,
            status: ObjectStatus::Create,
            created_at: call.caller.now,
            expires_at: instance.expires_at,
            source_instance_id: None,
        };
        writer.insert_database(&database)?;
        let params = CreateDatabaseParams {
            instance_id: id.clone(),
            db_name: request.db_name.clone(),
            client_token: request
                .client_token
                .as_ref()
                .map(|token| token.as_str().to_owned()),
        };
        let db_name = Some(request.db_name.clone());
        let task = if is_spread(&database) {
            let order = NodeOrder {
                instance,
                spec: &database.node_spec,
                settings: &database.settings,
                now: call.caller.now,
            };
            let missing = missing_nodes(writer, request, instance)?;
            let nodes = missing.map(|number| order.place(writer, number));
            let params = CreateSpreadDatabaseParams {
                database: params,
                nodes: nodes.collect::<Result<_, _>>()?,
            };
            self.enqueue::<CreateSpreadDatabase>(writer, call, id, db_name, params)?
        } else {
            self.enqueue::<CreateDatabase>(writer, call, id, db_name, params)?
        };
        audit::record(writer, call, Some(id), Some(task))?;
        Ok(order_id)
    }
}

/// The numbers of the nodes that the instance lacks for the new database.
///
/// # Errors
/// `OperationDenied.DBInstanceStatus` while it gets nodes or loses some for another one.
fn missing_nodes(
    reader: &Reader<'_>,
    request: &CreateDatabaseRequest,
    instance: &Instance,
) -> Result<Range<u16>, ControlError> {
    let wanted = u16::try_from(request.node_number).map_err(ControlError::internal)?;
    if wanted < 2 {
        return Ok(0..0);
    }
    let is_changing = |status| {
        use ObjectStatus::{Append, Create, Delete};
        matches!(status, Create | Delete | Append)
    };
    let mut others = reader.databases(&instance.instance_id)?.into_iter();
    if let Some(other) = others.find(|other| {
        is_spread(other) && is_changing(other.status) && other.db_name != request.db_name
    }) {
        let name = &other.db_name;
        let detail = format!(
            "Nodes are made or removed for database {name} ({}).",
            other.status
        );
        return Err(ApiError::instance_status().with_detail(&detail).into());
    }
    let there = reader.serving_nodes(instance)?.len();
    let there = u16::try_from(there).map_err(ControlError::internal)?;
    Ok(there..wanted.max(there))
}
