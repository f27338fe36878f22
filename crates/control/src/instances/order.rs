//! What an order of an instance leads to, whoever makes it: checks of what the tenant may have,
//! and the rows of everything that the instance consists of.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use openpeta_rpc_api::ApiError;
use openpeta_store::{Account, Database, Endpoint, Instance, Reader, Writer};
use openpeta_types::route::AccountLogin;
use openpeta_types::{
    AccountName, AccountStatus, AccountType, ChargeType, DbName, InstanceId, InstanceName,
    LockMode, NetworkType, NodeSettings, NodeSpec, ObjectStatus, OrderId, POSTPAID_EXPIRY,
    PrivilegeSet, VSwitchId, VpcId, WhitelistGroup,
};

use crate::billing::{Lot, Purchase, Sale};
use crate::call::Buyer;
use crate::instance_nodes::{NodeOrder, OrderedNode, first_placement};
use crate::node_size::node_settings;
use crate::workflows::new_instance::NewInstanceParams;
use crate::{Control, ControlError, random};

/// An instance with one database, as it is ordered.
pub(crate) struct NewInstance {
    pub(crate) name: Option<InstanceName>,
    pub(crate) region_id: String,
    pub(crate) zone_id: String,
    pub(crate) network_type: NetworkType,
    pub(crate) vpc_id: Option<VpcId>,
    pub(crate) vswitch_id: Option<VSwitchId>,
    pub(crate) charge_type: ChargeType,
    pub(crate) db_name: DbName,
    pub(crate) spec: NodeSpec,
    pub(crate) settings: NodeSettings,
    pub(crate) node_number: u32,
    /// Where the content of the database comes from.
    pub(crate) source_instance_id: Option<InstanceId>,
    pub(crate) whitelist: Vec<WhitelistGroup>,
    /// The first account, which may read and write the database.
    pub(crate) account: Option<(AccountName, AccountLogin)>,
}

/// An ordered instance.
pub(crate) struct PlacedInstance {
    /// What the workflow that makes it real needs to know.
    pub(crate) params: NewInstanceParams,
    pub(crate) order_id: OrderId,
    pub(crate) endpoint: Endpoint,
    pub(crate) expires_at: Timestamp,
}

impl Control {
    /// Whether the tenant may order one more instance, with so many nodes, and the host can carry
    /// it.
    ///
    /// # Errors
    /// `Forbidden.Authentication`, `InsufficientBalance`, `QuotaExceeded.CreateInstance`,
    /// `InvalidNodeNumber.ValueNotSupported`, `OperationDenied`.
    pub(crate) fn check_instance_order(
        &self,
        reader: &Reader<'_>,
        buyer: &Buyer,
        charge_type: ChargeType,
        node_number: u32,
    ) -> Result<(), ControlError> {
        let quotas = &self.parts.config.quotas;
        let tenant = self.buyer(reader, buyer.account_id)?;
        let quota = u64::from(quotas.instances_of(&tenant));
        if reader.instance_count(tenant.account_id)? >= quota {
            return Err(ApiError::instance_quota_exceeded().into());
        }
        self.check_nodes(reader, charge_type, node_number, node_number)
    }

    /// Writes everything that an instance consists of, which has passed all checks but those of
    /// its network, and the order. The task that makes it real is the caller's to add.
    ///
    /// # Errors
    /// Those of the network; `InsufficientBalance`.
    pub(crate) fn place_instance(
        &self,
        writer: &Writer<'_>,
        buyer: &Buyer,
        new: NewInstance,
    ) -> Result<PlacedInstance, ControlError> {
        let instance = new.instance(buyer)?;
        // Checks the VPC, which the instance's row refers to.
        let endpoint = self.default_endpoint(writer, &instance)?;
        let (home, further) = new.place_nodes(writer, &instance)?;
        let instance = Instance {
            node_id: Some(home.node_id.clone()),
            ..instance
        };
        let id = &instance.instance_id;
        writer.insert_instance(&instance)?;
        writer.insert_database(&new.database(&instance))?;
        if new.node_number > 1 {
            let placement = first_placement(new.node_number);
            writer.put_partitions(id, &new.db_name, &placement)?;
        }
        new.insert_account(writer, &instance)?;
        for group in &new.whitelist {
            writer.put_whitelist_group(id, group)?;
        }
        writer.insert_endpoint(&endpoint)?;
        let order_id = self.parts.place_order(
            writer,
            &Purchase {
                account_id: instance.account_id,
                instance_id: id,
                db_name: Some(&new.db_name),
                action: buyer.action,
                sale: new.sale(),
                now: instance.created_at,
            },
        )?;
        Ok(PlacedInstance {
            params: NewInstanceParams {
                instance_id: id.clone(),
                node_id: home.node_id,
                is_spare: home.is_spare,
                further,
            },
            order_id,
            endpoint,
            expires_at: instance.expires_at,
        })
    }

    fn default_endpoint(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
    ) -> Result<Endpoint, ControlError> {
        match (&instance.vpc_id, &instance.vswitch_id) {
            (Some(vpc_id), Some(vswitch_id)) => self
                .parts
                .vpc_endpoint(reader, instance, vpc_id, vswitch_id),
            _ => self.parts.classic_endpoint(reader, instance),
        }
    }
}

impl NewInstance {
    fn instance(&self, buyer: &Buyer) -> Result<Instance, ControlError> {
        let now = buyer.now;
        Ok(Instance {
            instance_id: random::instance_id()?,
            account_id: buyer.account_id,
            name: self.name.clone(),
            region_id: self.region_id.clone(),
            zone_id: self.zone_id.clone(),
            network_type: self.network_type,
            vpc_id: self.vpc_id.clone(),
            vswitch_id: self.vswitch_id.clone(),
            charge_type: self.charge_type,
            status: ObjectStatus::Create,
            lock_mode: LockMode::Unlock,
            lock_reason: None,
            node_id: None,
            created_at: now,
            expires_at: expiry(self.charge_type, now)?,
            release_at: None,
            business_unit: None,
        })
    }

    fn sale(&self) -> Sale<'_> {
        let lot = Lot {
            node_spec: &self.spec,
            nodes: self.node_number,
        };
        match self.charge_type {
            ChargeType::PostPaid => Sale::PostPaid(lot),
            ChargeType::PrePaid => Sale::PrePaid {
                lot,
                months: PREPAID_MONTHS,
            },
        }
    }

    /// Writes the nodes: the one that has every database, and further ones.
    fn place_nodes(
        &self,
        writer: &Writer<'_>,
        instance: &Instance,
    ) -> Result<(OrderedNode, Vec<OrderedNode>), ControlError> {
        let order = NodeOrder {
            instance,
            spec: &self.spec,
            settings: &node_settings([&self.settings]),
            now: instance.created_at,
        };
        let home = order.place(writer, 0)?;
        let mut further = Vec::new();
        for number in 1..u16::try_from(self.node_number).map_err(ControlError::internal)? {
            further.push(order.place(writer, number)?);
        }
        Ok((home, further))
    }

    fn database(&self, instance: &Instance) -> Database {
        Database {
            instance_id: instance.instance_id.clone(),
            db_name: self.db_name.clone(),
            node_spec: self.spec.clone(),
            settings: self.settings.clone(),
            node_number: self.node_number,
            charge_type: self.charge_type,
            status: ObjectStatus::Create,
            created_at: instance.created_at,
            expires_at: instance.expires_at,
            source_instance_id: self.source_instance_id.clone(),
        }
    }

    fn insert_account(&self, writer: &Writer<'_>, instance: &Instance) -> Result<(), ControlError> {
        let Some((name, login)) = &self.account else {
            return Ok(());
        };
        writer.insert_account(&Account {
            instance_id: instance.instance_id.clone(),
            name: name.clone(),
            account_type: AccountType::Normal,
            status: AccountStatus::Create,
            description: None,
            login: login.clone(),
            created_at: instance.created_at,
        })?;
        let granted = Some(PrivilegeSet::ReadWrite);
        writer.set_grant(&instance.instance_id, name, &self.db_name, granted)?;
        Ok(())
    }
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
