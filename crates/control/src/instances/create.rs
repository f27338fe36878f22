//! CreateInstance (API document 7.1): checks the order, writes everything that the instance
//! consists of in one transaction, and leaves the rest to a workflow.

use jiff::Timestamp;
use openpeta_mysql_wire::auth;
use openpeta_rpc_api::Action;
use openpeta_rpc_api::instances::{
    CreateInstanceRequest, CreateInstanceResponse, NetworkPlacement,
};
use openpeta_store::Writer;
use openpeta_types::route::AccountLogin;
use openpeta_types::{DEFAULT_GROUP, InstanceId, OrderId, Password, WhitelistGroup};
use serde::{Deserialize, Serialize};

use super::NewInstance;
use crate::workflows::create_instance::CreateInstance;
use crate::{Control, ControlError, MutatingCall, audit, idempotency, random};

/// What a repeated call is answered.
#[derive(Serialize, Deserialize)]
struct Answer {
    instance_id: InstanceId,
    order_id: OrderId,
    connection_string: String,
    port: u16,
    end_time: Timestamp,
}

impl Control {
    /// CreateInstance: orders an instance with its first database and first account. Returns
    /// when the order is on disk; a task does the rest.
    ///
    /// # Errors
    /// Those of the action's table, in its order; nothing is ordered then.
    pub fn create_instance(
        &self,
        call: &MutatingCall,
        request: &CreateInstanceRequest,
    ) -> Result<CreateInstanceResponse, ControlError> {
        self.check_any_instance(&call.caller, Action::CreateInstance, &request.region_id)?;
        let login = account_login(&request.account_password)?;
        let answer = self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if let Some(answer) = idempotency::answered::<Answer>(writer, call, token)? {
                audit::record(writer, call, Some(&answer.instance_id), None)?;
                return Ok::<_, ControlError>(answer);
            }
            let answer = self.place_creation(writer, call, request, login)?;
            idempotency::remember(writer, call, token, &answer)?;
            Ok(answer)
        })?;
        self.parts.wake_reconcilers();
        Ok(CreateInstanceResponse {
            instance_id: answer.instance_id,
            order_id: answer.order_id,
            connection_string: Some(answer.connection_string),
            port: Some(answer.port),
            instance_name: request.instance_name.clone(),
            end_time: Some(answer.end_time),
        })
    }

    /// Writes everything that the instance consists of, and the task that makes it real.
    fn place_creation(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        request: &CreateInstanceRequest,
        login: AccountLogin,
    ) -> Result<Answer, ControlError> {
        let (spec, settings) = self.orderable_spec("NodeSpec", &request.node_spec)?;
        let (charge_type, node_number) = (request.charge_type, request.node_number);
        self.check_instance_order(writer, &call.buyer(), charge_type, node_number)?;
        let (vpc_id, vswitch_id) = match &request.network {
            NetworkPlacement::Classic => (None, None),
            NetworkPlacement::Vpc { vpc_id, vswitch_id } => {
                (Some(vpc_id.clone()), Some(vswitch_id.clone()))
            }
        };
        let whitelist = WhitelistGroup {
            name: DEFAULT_GROUP.to_owned(),
            attribute: String::new(),
            entries: request.security_ip_list.clone(),
        };
        let placed = self.place_instance(
            writer,
            &call.buyer(),
            NewInstance {
                name: request.instance_name.clone(),
                region_id: request.region_id.clone(),
                zone_id: request.zone_id.clone(),
                network_type: request.network.network_type(),
                vpc_id,
                vswitch_id,
                charge_type: request.charge_type,
                db_name: request.db_name.clone(),
                spec,
                settings,
                node_number: request.node_number,
                source_instance_id: None,
                whitelist: vec![whitelist],
                account: Some((request.account_name.clone(), login)),
            },
        )?;
        let id = &placed.params.instance_id;
        let task = self.enqueue::<CreateInstance>(writer, call, id, None, placed.params.clone())?;
        audit::record(writer, call, Some(id), Some(task))?;
        Ok(Answer {
            instance_id: id.clone(),
            order_id: placed.order_id,
            connection_string: placed.endpoint.connection_string,
            port: placed.endpoint.port,
            end_time: placed.expires_at,
        })
    }
}

/// Verifiers of a password, and a password for the node.
pub(crate) fn account_login(password: &Password) -> Result<AccountLogin, ControlError> {
    Ok(AccountLogin {
        native: auth::native::verifier(password.expose().as_bytes()),
        sha2: auth::sha2::verifier(password.expose().as_bytes()),
        backend_password: random::backend_password()?,
    })
}
