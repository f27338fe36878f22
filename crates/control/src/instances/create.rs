//! CreateInstance (API document 7.1): checks the order, writes everything that the instance
//! consists of in one transaction, and leaves the rest to a workflow.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use openpeta_mysql_wire::auth;
use openpeta_rpc_api::instances::{
    CreateInstanceRequest, CreateInstanceResponse, NetworkPlacement,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Account, Database, Endpoint, Instance, Node, NodeState, Reader, Writer};
use openpeta_types::route::AccountLogin;
use openpeta_types::{
    AccountStatus, AccountType, ChargeType, DEFAULT_GROUP, InstanceId, LockMode, NodeSettings,
    NodeSpec, ObjectStatus, OrderId, POSTPAID_EXPIRY, Password, PrivilegeSet, WhitelistGroup,
};
use serde::{Deserialize, Serialize};

use crate::billing::{Lot, Purchase, Sale};
use crate::node_size::node_settings;
use crate::workflows::create_instance::{CreateInstance, CreateInstanceParams};
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
            let (spec, settings) =
                self.orderable_spec("NodeSpec", &request.node_spec, request.node_number)?;
            self.check_order(writer, call)?;
            let order = Order {
                control: self,
                call,
                request,
                spec,
                settings,
            };
            let answer = order.place(writer, login)?;
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

    /// Whether the tenant may order one more, and the host can carry it.
    fn check_order(&self, reader: &Reader<'_>, call: &MutatingCall) -> Result<(), ControlError> {
        let quotas = &self.parts.config.quotas;
        let tenant = self.buyer(reader, call.caller.account_id)?;
        let quota = u64::from(quotas.instances_of(&tenant));
        if reader.instance_count(tenant.account_id)? >= quota {
            return Err(ApiError::instance_quota_exceeded().into());
        }
        let serving = reader
            .nodes()?
            .into_iter()
            .filter(|node| node.instance_id.is_some());
        if serving.count() >= self.parts.config.nodes.capacity as usize {
            return Err(ApiError::sold_out().into());
        }
        Ok(())
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

/// An order that passed all checks.
struct Order<'a> {
    control: &'a Control,
    call: &'a MutatingCall,
    request: &'a CreateInstanceRequest,
    spec: NodeSpec,
    settings: NodeSettings,
}

impl Order<'_> {
    /// Writes everything that the instance consists of, and the task that makes it real.
    fn place(&self, writer: &Writer<'_>, login: AccountLogin) -> Result<Answer, ControlError> {
        let instance = self.instance()?;
        // Checks the VPC, which the instance's row refers to.
        let endpoint = self.endpoint(writer, &instance)?;
        let spare = self.node(writer, &instance)?;
        let (node, is_spare) = (spare.node, spare.is_spare);
        let instance = Instance {
            node_id: Some(node.node_id.clone()),
            ..instance
        };
        writer.insert_instance(&instance)?;
        if is_spare {
            writer.update_node(&node)?
        } else {
            writer.insert_node(&node)?
        }
        writer.insert_database(&self.database(&instance))?;
        self.insert_account(writer, &instance, login)?;
        writer.put_whitelist_group(&instance.instance_id, &self.whitelist_group())?;
        writer.insert_endpoint(&endpoint)?;
        let order_id = self.control.parts.place_order(
            writer,
            &Purchase {
                account_id: instance.account_id,
                instance_id: &instance.instance_id,
                db_name: Some(&self.request.db_name),
                action: Action::CreateInstance.name(),
                sale: self.sale(),
                now: instance.created_at,
            },
        )?;
        let params = CreateInstanceParams {
            instance_id: instance.instance_id.clone(),
            node_id: node.node_id,
            is_spare,
        };
        let task = self.control.enqueue::<CreateInstance>(
            writer,
            self.call,
            &instance.instance_id,
            None,
            params,
        )?;
        audit::record(writer, self.call, Some(&instance.instance_id), Some(task))?;
        Ok(Answer {
            instance_id: instance.instance_id,
            order_id,
            connection_string: endpoint.connection_string,
            port: endpoint.port,
            end_time: instance.expires_at,
        })
    }

    fn instance(&self) -> Result<Instance, ControlError> {
        let (vpc_id, vswitch_id) = match &self.request.network {
            NetworkPlacement::Classic => (None, None),
            NetworkPlacement::Vpc { vpc_id, vswitch_id } => {
                (Some(vpc_id.clone()), Some(vswitch_id.clone()))
            }
        };
        let now = self.call.caller.now;
        Ok(Instance {
            instance_id: random::instance_id()?,
            account_id: self.call.caller.account_id,
            name: self.request.instance_name.clone(),
            region_id: self.request.region_id.clone(),
            zone_id: self.request.zone_id.clone(),
            network_type: self.request.network.network_type(),
            vpc_id,
            vswitch_id,
            charge_type: self.request.charge_type,
            status: ObjectStatus::Create,
            lock_mode: LockMode::Unlock,
            lock_reason: None,
            node_id: None,
            created_at: now,
            expires_at: expiry(self.request.charge_type, now)?,
            release_at: None,
            business_unit: None,
        })
    }

    fn sale(&self) -> Sale<'_> {
        let lot = Lot {
            node_spec: &self.spec,
            nodes: self.request.node_number,
        };
        match self.request.charge_type {
            ChargeType::PostPaid => Sale::PostPaid(lot),
            ChargeType::PrePaid => Sale::PrePaid {
                lot,
                months: PREPAID_MONTHS,
            },
        }
    }

    /// A started spare node if there is one, else a new one.
    fn node(&self, reader: &Reader<'_>, instance: &Instance) -> Result<ChosenNode, ControlError> {
        let ready = |node: &Node| node.state == NodeState::Running;
        let spare = reader.spare_nodes()?.into_iter().find(ready);
        let is_spare = spare.is_some();
        let node_id = match spare {
            Some(spare) => spare.node_id,
            None => random::node_id()?,
        };
        let node = Node {
            node_id,
            instance_id: Some(instance.instance_id.clone()),
            node_spec: Some(self.spec.clone()),
            settings: node_settings([&self.settings]),
            state: NodeState::Creating,
            restarts: 0,
            created_at: instance.created_at,
        };
        Ok(ChosenNode { node, is_spare })
    }

    fn database(&self, instance: &Instance) -> Database {
        Database {
            instance_id: instance.instance_id.clone(),
            db_name: self.request.db_name.clone(),
            node_spec: self.spec.clone(),
            settings: self.settings.clone(),
            node_number: self.request.node_number,
            charge_type: self.request.charge_type,
            status: ObjectStatus::Create,
            created_at: instance.created_at,
            expires_at: instance.expires_at,
            source_instance_id: None,
        }
    }

    /// The first account may read and write the first database.
    fn insert_account(
        &self,
        writer: &Writer<'_>,
        instance: &Instance,
        login: AccountLogin,
    ) -> Result<(), ControlError> {
        let name = &self.request.account_name;
        writer.insert_account(&Account {
            instance_id: instance.instance_id.clone(),
            name: name.clone(),
            account_type: AccountType::Normal,
            status: AccountStatus::Create,
            description: None,
            login,
            created_at: instance.created_at,
        })?;
        let granted = Some(PrivilegeSet::ReadWrite);
        writer.set_grant(&instance.instance_id, name, &self.request.db_name, granted)?;
        Ok(())
    }

    fn whitelist_group(&self) -> WhitelistGroup {
        WhitelistGroup {
            name: DEFAULT_GROUP.to_owned(),
            attribute: String::new(),
            entries: self.request.security_ip_list.clone(),
        }
    }

    fn endpoint(&self, reader: &Reader<'_>, instance: &Instance) -> Result<Endpoint, ControlError> {
        match (&instance.vpc_id, &instance.vswitch_id) {
            (Some(vpc_id), Some(vswitch_id)) => self
                .control
                .parts
                .vpc_endpoint(reader, instance, vpc_id, vswitch_id),
            _ => self.control.parts.classic_endpoint(reader, instance),
        }
    }
}

/// The node that an order gets.
struct ChosenNode {
    node: Node,
    is_spare: bool,
}

/// Months that PrePaid instances are ordered for; the API has no parameter for it.
const PREPAID_MONTHS: u32 = 12;

/// PrePaid instances live for a year, PostPaid ones for good.
fn expiry(charge_type: ChargeType, now: Timestamp) -> Result<Timestamp, ControlError> {
    match charge_type {
        ChargeType::PostPaid => Ok(POSTPAID_EXPIRY),
        ChargeType::PrePaid => TimeZone::UTC
            .to_datetime(now)
            .checked_add(i64::from(PREPAID_MONTHS).months())
            .and_then(|expiry| TimeZone::UTC.to_timestamp(expiry))
            .map_err(ControlError::internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepaid_instances_live_for_a_calendar_year() {
        let now: Timestamp = "2028-02-29T12:00:00Z".parse().expect("time");
        let end = expiry(ChargeType::PrePaid, now).expect("in range");
        assert_eq!(end.to_string(), "2029-02-28T12:00:00Z");
        assert_eq!(
            expiry(ChargeType::PostPaid, now).expect("constant"),
            POSTPAID_EXPIRY
        );
    }
}
