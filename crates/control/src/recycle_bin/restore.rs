//! A deleted database comes back, in a new instance.

use jiff::Timestamp;
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{RecycledSet, Writer};
use openpeta_tasks::{NewTask, Tasks};
use openpeta_types::{BackupId, InstanceId, InstanceName, TaskId};

use super::RecycledContent;
use crate::call::Buyer;
use crate::workflows::restore_database::{RestoreDatabase, RestoreDatabaseParams};
use crate::{Control, ControlError};

/// How a deleted database is to come back.
#[derive(Debug)]
pub(crate) struct RestoreOrder {
    /// The set in the bin.
    pub(crate) backup_id: BackupId,
    /// With the accounts that its instance had, their passwords and grants.
    pub(crate) with_accounts: bool,
    /// The new instance's name; the former one's if there is none.
    pub(crate) name: Option<InstanceName>,
    /// Whether it is to be a Classic one whatever it was: its VPC may be gone.
    pub(crate) is_classic: bool,
}

/// What was ordered.
#[derive(Debug)]
pub(crate) struct OrderedRestore {
    pub(crate) set: RecycledSet,
    pub(crate) instance_id: InstanceId,
    pub(crate) task_id: TaskId,
}

impl Control {
    /// Orders an instance like the one that is gone, for the same tenant, and has the set loaded
    /// into it as RestoreDatabase does. The set stays in the bin.
    ///
    /// # Errors
    /// `InvalidBackupId.NotFound`, or those of an order.
    pub(crate) fn restore_recycled(
        &self,
        writer: &Writer<'_>,
        order: RestoreOrder,
        now: Timestamp,
    ) -> Result<OrderedRestore, ControlError> {
        let backup_id = order.backup_id;
        let set = writer.recycled_set(backup_id)?;
        let set = set.ok_or_else(ApiError::backup_not_found)?;
        let content = RecycledContent::from_text(&writer.recycled_content(backup_id)?)?;
        let action = Action::RestoreDatabase.name();
        let buyer = Buyer {
            account_id: set.account_id,
            action,
            now,
        };
        let (source, db_name) = (&set.instance_id, &set.db_name);
        let new = content.new_instance(order.name, order.is_classic, source, db_name);
        self.check_instance_order(writer, &buyer, new.charge_type, new.node_number)?;
        let placed = self.place_instance(writer, &buyer, new)?;
        let id = placed.params.instance_id.clone();
        let its = (source, backup_id, set.manifest_sha256.as_str());
        self.parts.place_partitions(writer, &id, db_name, its)?;
        content.furnish(writer, &id, db_name, now)?;
        if order.with_accounts {
            content.make_accounts(writer, &id, db_name, now)?;
        }
        let task_id = Tasks::enqueue(
            writer,
            &NewTask::<RestoreDatabase> {
                account_id: set.account_id,
                instance_id: Some(id.clone()),
                db_name: Some(db_name.clone()),
                action,
                params: RestoreDatabaseParams {
                    instance: placed.params,
                    db_name: db_name.clone(),
                    source_instance_id: source.clone(),
                    backup_id,
                    manifest_sha256: set.manifest_sha256.clone(),
                    until: None,
                    before: None,
                    through: None,
                    moment: None,
                    with_accounts: order.with_accounts,
                },
                trace: None,
            },
        )?;
        Ok(OrderedRestore {
            set,
            instance_id: id,
            task_id,
        })
    }
}
