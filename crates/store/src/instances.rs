//! Instances.

use jiff::Timestamp;
use openpeta_types::{
    AccountId, BusinessUnit, ChargeType, InstanceId, InstanceName, LockMode, NetworkType, NodeId,
    ObjectStatus, VSwitchId, VpcId,
};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "instances";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "i.instance_id, i.account_id, i.name, i.region_id, i.zone_id, i.network_type, i.vpc_id, \
         i.vswitch_id, i.charge_type, i.status, i.lock_mode, i.lock_reason, i.node_id, \
         i.created_at, i.expires_at, i.release_at, i.business_unit"
    };
}

/// An instance: what owns databases, endpoints, accounts and whitelists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub instance_id: InstanceId,
    /// The tenant that it belongs to.
    pub account_id: AccountId,
    /// Its display name.
    pub name: Option<InstanceName>,
    /// Its region.
    pub region_id: String,
    /// Its zone.
    pub zone_id: String,
    /// Its network type.
    pub network_type: NetworkType,
    /// Its VPC, for network type VPC.
    pub vpc_id: Option<VpcId>,
    /// Its VSwitch, for network type VPC.
    pub vswitch_id: Option<VSwitchId>,
    /// Billing mode that it was ordered with.
    pub charge_type: ChargeType,
    /// Its status.
    pub status: ObjectStatus,
    /// Whether and why it refuses changes.
    pub lock_mode: LockMode,
    /// Why, in words, for whoever asks.
    pub lock_reason: Option<String>,
    /// The node that serves its unsharded databases.
    pub node_id: Option<NodeId>,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it is released with its data, while it is locked because it expired.
    pub release_at: Option<Timestamp>,
    /// The business unit that it belongs to.
    pub business_unit: Option<BusinessUnit>,
}

pub(crate) fn read(columns: &mut Columns<'_, '_>) -> Result<Instance, StoreError> {
    Ok(Instance {
        instance_id: columns.get()?,
        account_id: columns.get()?,
        name: columns.get()?,
        region_id: columns.get()?,
        zone_id: columns.get()?,
        network_type: columns.get()?,
        vpc_id: columns.get()?,
        vswitch_id: columns.get()?,
        charge_type: columns.get()?,
        status: columns.get()?,
        lock_mode: columns.get()?,
        lock_reason: columns.get()?,
        node_id: columns.get()?,
        created_at: columns.get()?,
        expires_at: columns.get()?,
        release_at: columns.get()?,
        business_unit: columns.get()?,
    })
}

impl Reader<'_> {
    /// The instance of that id, whoever owns it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn instance(&self, instance_id: &InstanceId) -> Result<Option<Instance>, StoreError> {
        self.one(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM instances i WHERE i.instance_id = ?"
            ),
            [P(instance_id)],
            read,
        )
    }

    /// Every instance of every tenant, oldest first; for reconcilers.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        self.all(
            TABLE,
            concat!("SELECT ", columns!(), " FROM instances i ORDER BY i.seq"),
            [],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds an instance, the newest of its tenant. Its node may be added later in the
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, or tenant, VPC or VSwitch do not exist.
    pub fn insert_instance(&self, instance: &Instance) -> Result<(), StoreError> {
        self.touch_instance(&instance.instance_id);
        self.execute(
            "INSERT INTO instances (instance_id, account_id, name, region_id, zone_id,
                network_type, vpc_id, vswitch_id, charge_type, status, lock_mode, lock_reason,
                node_id, created_at, expires_at, release_at, business_unit)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&instance.instance_id),
                P(&instance.account_id),
                P(&instance.name),
                P(&instance.region_id),
                P(&instance.zone_id),
                P(&instance.network_type),
                P(&instance.vpc_id),
                P(&instance.vswitch_id),
                P(&instance.charge_type),
                P(&instance.status),
                P(&instance.lock_mode),
                P(&instance.lock_reason),
                P(&instance.node_id),
                P(&instance.created_at),
                P(&instance.expires_at),
                P(&instance.release_at),
                P(&instance.business_unit),
            ],
        )?;
        Ok(())
    }

    /// Replaces everything of an instance but id, tenant and creation time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when VPC or VSwitch do not exist.
    pub fn update_instance(&self, instance: &Instance) -> Result<(), StoreError> {
        self.touch_instance(&instance.instance_id);
        let reason = instance.lock_reason.as_deref();
        self.note_lock(&instance.instance_id, instance.lock_mode, reason)?;
        self.change(
            TABLE,
            "UPDATE instances SET name = ?2, region_id = ?3, zone_id = ?4, network_type = ?5,
                vpc_id = ?6, vswitch_id = ?7, charge_type = ?8, status = ?9, lock_mode = ?10,
                lock_reason = ?11, node_id = ?12, expires_at = ?13, release_at = ?14,
                business_unit = ?15
             WHERE instance_id = ?1",
            params![
                P(&instance.instance_id),
                P(&instance.name),
                P(&instance.region_id),
                P(&instance.zone_id),
                P(&instance.network_type),
                P(&instance.vpc_id),
                P(&instance.vswitch_id),
                P(&instance.charge_type),
                P(&instance.status),
                P(&instance.lock_mode),
                P(&instance.lock_reason),
                P(&instance.node_id),
                P(&instance.expires_at),
                P(&instance.release_at),
                P(&instance.business_unit),
            ],
        )
    }

    /// Sets the status of an instance.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_instance_status(
        &self,
        instance_id: &InstanceId,
        status: ObjectStatus,
    ) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.change(
            TABLE,
            "UPDATE instances SET status = ?2 WHERE instance_id = ?1",
            params![P(instance_id), P(&status)],
        )
    }

    /// Sets or takes away the lock of an instance, with the reason in words. A lock that is set
    /// like this leads to no release.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_instance_lock(
        &self,
        instance_id: &InstanceId,
        lock_mode: LockMode,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        self.note_lock(instance_id, lock_mode, reason)?;
        self.change(
            TABLE,
            "UPDATE instances SET lock_mode = ?2, lock_reason = ?3, release_at = NULL
             WHERE instance_id = ?1",
            params![P(instance_id), P(&lock_mode), reason],
        )
    }

    /// Removes an instance with its databases, endpoints, accounts, grants and whitelist.
    /// Its nodes must be gone by the end of the transaction, else the commit gives
    /// [`StoreError::Conflict`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_instance(&self, instance_id: &InstanceId) -> Result<(), StoreError> {
        self.touch_instance(instance_id);
        for topic in [Topic::Endpoints, Topic::Accounts, Topic::Whitelists] {
            self.touch(topic);
        }
        self.change(
            TABLE,
            "DELETE FROM instances WHERE instance_id = ?",
            [P(instance_id)],
        )
    }

    /// Notes that the row, or what listings show of it, changed.
    pub(crate) fn touch_instance(&self, instance_id: &InstanceId) {
        self.touch(Topic::Instances);
        self.touched
            .borrow_mut()
            .instances
            .insert(instance_id.clone());
    }
}
