//! `openpeta admin instance …`

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use openpeta_rpc_api::ApiError;
use openpeta_store::{Database, Endpoint, Instance, Reader, Writer};
use openpeta_types::{ChargeType, InstanceId, LockMode, ObjectStatus, format_time};
use serde_json::{Value, json};

use super::AdminChange;
use super::protocol::StatisticsOf;
use crate::billing::{Lot, Purchase, Sale};
use crate::instance_nodes::is_on;
use crate::node_size::{node_settings, spread_disk_quota};
use crate::recycle_bin::OnDelete;
use crate::{Control, ControlError};

/// Name of renewals among the orders.
const RENEWAL: &str = "admin:instance-renew";

impl Control {
    pub(super) fn instance_list(&self) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            let instances = reader.instances()?;
            instances
                .iter()
                .map(|instance| row(reader, instance))
                .collect()
        })
    }

    /// What the gateway has seen of an instance; nothing if it is not open to clients.
    pub(super) fn instance_statistics(
        &self,
        id: &InstanceId,
        of: StatisticsOf,
    ) -> Result<Value, ControlError> {
        let instance = self.parts.store.read(|reader| reader.instance(id))?;
        instance.ok_or_else(ApiError::instance_not_found)?;
        let seen = self.parts.gateway.statistics(id).unwrap_or_default();
        let rows = match of {
            StatisticsOf::Databases => serde_json::to_value(seen.databases),
            StatisticsOf::Digests => serde_json::to_value(seen.digests),
            StatisticsOf::Sessions => serde_json::to_value(seen.sessions),
        };
        rows.map_err(ControlError::internal)
    }

    pub(super) async fn instance_lock(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        reason: &str,
    ) -> Result<Value, ControlError> {
        self.change_lock(change, id, LockMode::ManualLock, Some(reason))
            .await
    }

    pub(super) async fn instance_unlock(
        &self,
        change: &AdminChange,
        id: &InstanceId,
    ) -> Result<Value, ControlError> {
        self.change_lock(change, id, LockMode::Unlock, None).await
    }

    pub(super) fn instance_delete(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        on_delete: OnDelete,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            if !matches!(
                instance.status,
                ObjectStatus::Active | ObjectStatus::Inactive
            ) {
                return Err(ApiError::instance_status().into());
            }
            self.parts
                .release(writer, &instance, on_delete, (change.now, None))?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            let status = ObjectStatus::Delete;
            row(writer, &Instance { status, ..instance })
        })
    }

    /// Keeps what a restore in place has replaced until somebody deletes it.
    pub(super) fn instance_keep(
        &self,
        change: &AdminChange,
        id: &InstanceId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            writer.keep_replaced_content(id)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            row(writer, &instance)
        })
    }

    pub(super) async fn instance_renew(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        months: u32,
    ) -> Result<Value, ControlError> {
        if !(1..=120).contains(&months) {
            return Err(ApiError::invalid_parameter("months").into());
        }
        let instance = self.parts.store.write(|writer| {
            let mut instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            if instance.charge_type != ChargeType::PrePaid {
                let detail = "Only PrePaid instances expire.";
                return Err(ControlError::from(
                    ApiError::instance_type().with_detail(detail),
                ));
            }
            let from = instance.expires_at.max(change.now);
            instance.expires_at = months_later(from, months)?;
            if instance.lock_mode == LockMode::LockByExpiration {
                instance.lock_mode = LockMode::Unlock;
                instance.lock_reason = None;
                instance.release_at = None;
            }
            writer.update_instance(&instance)?;
            for mut database in writer.databases(id)? {
                self.order_renewal(writer, &instance, &database, months, change.now)?;
                database.expires_at = instance.expires_at;
                writer.update_database(&database)?;
            }
            change.record(writer, Some(instance.account_id), Some(id))?;
            Ok(instance)
        })?;
        self.parts.enforce_lock(id).await?;
        self.parts.store.read(|reader| row(reader, &instance))
    }

    fn order_renewal(
        &self,
        writer: &Writer<'_>,
        instance: &Instance,
        database: &Database,
        months: u32,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let lot = Lot {
            node_spec: &database.node_spec,
            nodes: database.node_number,
        };
        let purchase = Purchase {
            account_id: instance.account_id,
            instance_id: &instance.instance_id,
            db_name: Some(&database.db_name),
            action: RENEWAL,
            sale: Sale::Renewal { lot, months },
            now,
        };
        self.parts.place_order(writer, &purchase).map(drop)
    }

    pub(super) fn instance_disk_quota(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        disk_quota_bytes: u64,
    ) -> Result<Value, ControlError> {
        let row = self.parts.store.write(|writer| {
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            let mut databases = writer.databases(id)?;
            spread_disk_quota(&mut databases, disk_quota_bytes);
            for database in &databases {
                writer.update_database(database)?;
            }
            for mut node in writer.nodes_of(id)? {
                // Further nodes have a part of the databases.
                let there = databases.iter().filter(|its| is_on(its, node.number));
                node.settings.disk_quota_bytes = match node.number {
                    0 => disk_quota_bytes,
                    _ => node_settings(there.map(|its| &its.settings)).disk_quota_bytes,
                };
                writer.update_node(&node)?;
            }
            change.record(writer, Some(instance.account_id), Some(id))?;
            row(writer, &instance)
        })?;
        self.parts.wake_reconcilers();
        Ok(row)
    }

    async fn change_lock(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        mode: LockMode,
        reason: Option<&str>,
    ) -> Result<Value, ControlError> {
        let instance = self.parts.store.write(|writer| {
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            if instance.status == ObjectStatus::Delete {
                return Err(ControlError::from(ApiError::instance_status()));
            }
            writer.set_instance_lock(id, mode, reason)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            Ok(Instance {
                lock_mode: mode,
                lock_reason: reason.map(str::to_owned),
                release_at: None,
                ..instance
            })
        })?;
        self.parts.enforce_lock(id).await?;
        self.parts.store.read(|reader| row(reader, &instance))
    }
}

/// The same day and time, so many months later.
fn months_later(from: Timestamp, months: u32) -> Result<Timestamp, ControlError> {
    TimeZone::UTC
        .to_datetime(from)
        .checked_add(i64::from(months).months())
        .and_then(|later| TimeZone::UTC.to_timestamp(later))
        .map_err(|_| ApiError::invalid_parameter("months").into())
}

fn row(reader: &Reader<'_>, instance: &Instance) -> Result<Value, ControlError> {
    let endpoint = |endpoint: &Endpoint| format!("{}:{}", endpoint.address, endpoint.port);
    let endpoints = reader.endpoints_of(&instance.instance_id)?;
    let replaced = reader.replaced_content(&instance.instance_id)?;
    let release_at = replaced.as_ref().map(|it| it.release_at);
    // Whichever comes first.
    let release_at = release_at.into_iter().chain(instance.release_at).min();
    Ok(json!({
        "instance_id": instance.instance_id.as_str(),
        "account_id": instance.account_id.to_string(),
        "status": instance.status.as_str(),
        "lock_mode": instance.lock_mode.as_str(),
        "lock_reason": instance.lock_reason,
        "business_unit": instance.business_unit.as_ref().map(|unit| unit.as_str()),
        "charge_type": instance.charge_type.as_str(),
        "node_id": instance.node_id.as_ref().map(|id| id.as_str()),
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "created_at": format_time(instance.created_at),
        "expires_at": format_time(instance.expires_at),
        "release_at": release_at.map(format_time),
        "replaced_in": replaced.as_ref().map(|it| it.served_by.as_str()),
    }))
}
