//! What a restore out of the bin needs besides the set: everything that went with the database.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openpeta_engine::HeldByAccount;
use openpeta_store::{Account, BackupPolicy, Database, Instance, Reader, StoreError, Writer};
use openpeta_types::route::{AccountLimits, AccountLogin};
use openpeta_types::{
    AccountDescription, AccountName, AccountStatus, AccountType, BusinessUnit, ChargeType, DbName,
    InstanceId, InstanceName, NetworkType, NodeSettings, NodeSpec, PrivilegeSet, RetentionDays,
    Secret, Tag, VSwitchId, VpcId, WhitelistGroup,
};
use serde::{Deserialize, Serialize};

use crate::instances::NewInstance;
use crate::{ControlError, random};

/// A database and its instance as they were when the deletion was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecycledContent {
    instance_name: Option<String>,
    region_id: String,
    zone_id: String,
    network_type: NetworkType,
    vpc_id: Option<VpcId>,
    vswitch_id: Option<VSwitchId>,
    business_unit: Option<String>,
    charge_type: ChargeType,
    node_spec: NodeSpec,
    settings: NodeSettings,
    node_number: u32,
    whitelist: Vec<WhitelistGroup>,
    tags: Vec<Tag>,
    policy: Option<Policy>,
    accounts: Vec<RecycledAccount>,
}

/// A backup policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Policy {
    is_binlog_enabled: bool,
    period: String,
    window: String,
    retention: RetentionDays,
}

/// An account, and what it may do in the database.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RecycledAccount {
    pub(crate) name: AccountName,
    pub(crate) account_type: AccountType,
    description: Option<String>,
    native: [u8; 20],
    sha2: [u8; 32],
    max_connections: u32,
    max_queries_per_second: u32,
    /// What the API granted.
    pub(crate) privilege: Option<PrivilegeSet>,
    /// What the node said that it had, grants by SQL included, if the node could be asked.
    held: Option<HeldByAccount>,
}

impl std::fmt::Debug for RecycledAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecycledAccount({})", self.name.as_str())
    }
}

impl RecycledContent {
    /// Of a database and its instance as the store has them.
    pub(super) fn of(
        reader: &Reader<'_>,
        instance: &Instance,
        database: &Database,
    ) -> Result<Self, ControlError> {
        let (id, db_name) = (&instance.instance_id, &database.db_name);
        let policy = reader.backup_policy(id, db_name)?;
        Ok(Self {
            instance_name: instance.name.as_ref().map(|name| name.as_str().to_owned()),
            region_id: instance.region_id.clone(),
            zone_id: instance.zone_id.clone(),
            network_type: instance.network_type,
            vpc_id: instance.vpc_id.clone(),
            vswitch_id: instance.vswitch_id.clone(),
            business_unit: instance
                .business_unit
                .as_ref()
                .map(|unit| unit.as_str().to_owned()),
            charge_type: database.charge_type,
            node_spec: database.node_spec.clone(),
            settings: database.settings.clone(),
            node_number: database.node_number,
            whitelist: reader.whitelist_groups(id)?,
            tags: reader.tags(id)?,
            policy: policy.map(|policy| Policy {
                is_binlog_enabled: policy.is_binlog_enabled,
                period: policy.period.to_string(),
                window: policy.window.to_string(),
                retention: policy.retention,
            }),
            accounts: accounts(reader, id, db_name)?,
        })
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> &[RecycledAccount] {
        &self.accounts
    }

    /// With what the node says of accounts.
    pub(crate) fn with_held(&self, mut held: BTreeMap<AccountName, HeldByAccount>) -> Self {
        let mut content = self.clone();
        for account in &mut content.accounts {
            account.held = held.remove(&account.name);
        }
        content
    }

    /// What accounts had on the node, of those of which it is known.
    pub(crate) fn held(self) -> impl Iterator<Item = (AccountName, HeldByAccount)> {
        let known = |account: RecycledAccount| Some((account.name, account.held?));
        self.accounts.into_iter().filter_map(known)
    }

    /// For the operator, without what proves passwords.
    pub(crate) fn shown(&self) -> serde_json::Value {
        let account = |account: &RecycledAccount| {
            serde_json::json!({
                "name": account.name.as_str(),
                "type": account.account_type.as_str(),
                "privilege": account.privilege.map(|privilege| privilege.as_str()),
            })
        };
        serde_json::json!({
            "instance_name": self.instance_name,
            "region_id": self.region_id,
            "zone_id": self.zone_id,
            "network_type": self.network_type.as_str(),
            "vpc_id": self.vpc_id.as_ref().map(|id| id.as_str()),
            "vswitch_id": self.vswitch_id.as_ref().map(|id| id.as_str()),
            "business_unit": self.business_unit,
            "charge_type": self.charge_type.as_str(),
            "node_spec": self.node_spec.as_str(),
            "node_number": self.node_number,
            "whitelist": self.whitelist,
            "tags": self.tags,
            "accounts": self.accounts.iter().map(account).collect::<Vec<_>>(),
        })
    }

    /// As it is kept.
    pub(crate) fn to_text(&self) -> Secret {
        Secret::new(serde_json::to_string(self).expect("plain data"))
    }

    /// Reads what was kept.
    pub(crate) fn from_text(text: &Secret) -> Result<Self, ControlError> {
        serde_json::from_str(text.expose()).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            ControlError::internal(format!("what was kept cannot be read: {place}"))
        })
    }

    /// An instance like the one that there was.
    pub(super) fn new_instance(
        &self,
        name: Option<InstanceName>,
        is_classic: bool,
        source: &InstanceId,
        db_name: &DbName,
    ) -> NewInstance {
        let former = self.instance_name.as_deref();
        let network_type = match is_classic {
            true => NetworkType::Classic,
            false => self.network_type,
        };
        NewInstance {
            name: name.or_else(|| former.and_then(|name| InstanceName::parse(name).ok())),
            region_id: self.region_id.clone(),
            zone_id: self.zone_id.clone(),
            network_type,
            vpc_id: self.vpc_id.clone().filter(|_| !is_classic),
            vswitch_id: self.vswitch_id.clone().filter(|_| !is_classic),
            charge_type: self.charge_type,
            db_name: db_name.clone(),
            spec: self.node_spec.clone(),
            settings: self.settings.clone(),
            node_number: self.node_number,
            source_instance_id: Some(source.clone()),
            whitelist: self.whitelist.clone(),
            account: None,
        }
    }

    /// Gives a new instance what the order of one does not have.
    pub(super) fn furnish(
        &self,
        writer: &Writer<'_>,
        id: &InstanceId,
        db_name: &DbName,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        for tag in &self.tags {
            writer.put_tag(id, tag)?;
        }
        if let Some(policy) = self.policy.as_ref().and_then(|policy| policy.read(now)) {
            writer.put_backup_policy(id, db_name, &policy)?;
        }
        let unit = self.business_unit.as_deref();
        if let Some(unit) = unit.and_then(|unit| BusinessUnit::parse(unit).ok()) {
            let found = writer.instance(id)?;
            let instance = found.ok_or(StoreError::NotFound { table: "instances" })?;
            writer.update_instance(&Instance {
                business_unit: Some(unit),
                ..instance
            })?;
        }
        Ok(())
    }

    /// Gives a new instance the accounts; the task makes them on the node.
    pub(super) fn make_accounts(
        &self,
        writer: &Writer<'_>,
        id: &InstanceId,
        db_name: &DbName,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        for account in &self.accounts {
            let description = account.description.as_deref();
            writer.insert_account(&Account {
                instance_id: id.clone(),
                name: account.name.clone(),
                account_type: account.account_type,
                status: AccountStatus::Create,
                description: description.and_then(|text| AccountDescription::parse(text).ok()),
                login: AccountLogin {
                    native: account.native,
                    sha2: account.sha2,
                    // On each node another one.
                    backend_password: random::backend_password()?,
                },
                created_at: now,
            })?;
            if let Some(privilege) = account.privilege {
                writer.set_grant(id, &account.name, db_name, Some(privilege))?;
            }
            let limits = AccountLimits {
                connections: account.max_connections,
                queries_per_second: account.max_queries_per_second,
            };
            if limits != AccountLimits::default() {
                writer.put_account_limits(id, &account.name, limits)?;
            }
        }
        Ok(())
    }
}

impl Policy {
    /// As the store has it; for a time before it no backup is owed.
    fn read(&self, now: Timestamp) -> Option<BackupPolicy> {
        Some(BackupPolicy {
            is_binlog_enabled: self.is_binlog_enabled,
            period: self.period.parse().ok()?,
            window: self.window.parse().ok()?,
            retention: self.retention,
            effective_at: now,
        })
    }
}

fn accounts(
    reader: &Reader<'_>,
    id: &InstanceId,
    db_name: &DbName,
) -> Result<Vec<RecycledAccount>, ControlError> {
    let limits = reader.account_limits(id)?;
    let mut accounts = Vec::new();
    for account in reader.accounts(id)? {
        // One that is being made or dropped there is none of which anybody was told.
        if account.status != AccountStatus::Active {
            continue;
        }
        let mut grants = reader.grants(id, &account.name)?.into_iter();
        let grant = grants.find(|grant| grant.db_name == *db_name);
        let limits = limits.get(account.name.as_str()).copied();
        let limits = limits.unwrap_or_default();
        accounts.push(RecycledAccount {
            account_type: account.account_type,
            description: account.description.map(|text| text.as_str().to_owned()),
            native: account.login.native,
            sha2: account.login.sha2,
            max_connections: limits.connections,
            max_queries_per_second: limits.queries_per_second,
            privilege: grant.map(|grant| grant.privilege),
            held: None,
            name: account.name,
        });
    }
    Ok(accounts)
}
