//! `openpeta admin control-plane …`, `openpeta admin recovery …`, `openpeta admin instance recover`

use std::path::PathBuf;

use openpeta_rpc_api::ApiError;
use openpeta_store::{Instance, Reader};
use openpeta_types::{BackupId, DbName, InstanceId, ObjectStatus, format_time};
use serde_json::{Value, json};

use super::protocol::ReplayedLog;
use super::{AdminChange, in_use};
use crate::control_plane::RecoveryOrder;
use crate::{Control, ControlError};

impl Control {
    pub(super) async fn control_plane_backup(
        &self,
        change: &AdminChange,
        file: Option<PathBuf>,
    ) -> Result<Value, ControlError> {
        let is_usual = file.is_none();
        let taken = self.parts.back_up_control_plane(file, change.now).await?;
        if is_usual {
            self.parts.store_control_planes().await;
        }
        self.parts
            .store
            .write(|writer| change.record(writer, None, None))?;
        Ok(json!({
            "file": taken.path,
            "bytes": taken.bytes,
            "taken_at": format_time(taken.manifest.taken_at),
            "instances": taken.manifest.instances.len(),
        }))
    }

    pub(super) async fn instance_recover(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        backup_ids: &[BackupId],
        log: ReplayedLog,
        without: &[DbName],
    ) -> Result<Value, ControlError> {
        if self.parts.is_recovering() {
            // Somebody may just have put them there.
            self.parts.adopt_sets()?;
        }
        if log != ReplayedLog::Nothing {
            // What the bucket has of the log counts, also where the host was not restored.
            let lost = self.parts.store.read(|reader| match reader.instance(id)? {
                Some(instance) if self.parts.is_lost(reader, &instance)? => {
                    Ok::<_, ControlError>(reader.serving_nodes(&instance)?)
                }
                _ => Ok(Vec::new()),
            })?;
            for node in lost {
                // Of one that is there yet, all that it has written counts.
                let is_there = self.parts.engine.has_node(&node.node_id);
                if is_there && self.parts.is_log_archived(&node.node_id) {
                    self.parts.archive_log(&node.node_id, id).await;
                }
                self.parts.fetch_log(&node.node_id).await;
            }
        }
        self.parts.store.write(|writer| {
            let order = RecoveryOrder {
                instance_id: id,
                backup_ids,
                log,
                without,
            };
            let (task, instance) = self.parts.begin_recovery(writer, &order, change.now)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            Ok(json!({
                "instance_id": id.as_str(),
                "task_id": task.to_string(),
            }))
        })
    }

    pub(super) fn recovery_status(&self) -> Result<Value, ControlError> {
        let recovery = self.parts.recovery()?;
        if recovery.is_some() {
            self.parts.adopt_sets()?;
        }
        let unknown = self.parts.unknown_sets()?.into_iter().map(|(instance, set)| {
            json!({ "instance_id": instance.as_str(), "backup_id": set.to_string() })
        });
        let databases = self.parts.store.read(|reader| {
            let mut rows = Vec::new();
            for instance in reader.instances()? {
                rows.extend(self.recovery_rows(reader, &instance)?);
            }
            Ok::<_, ControlError>(rows)
        })?;
        Ok(json!({
            "recovering": recovery.is_some(),
            "backup_taken_at": recovery.as_ref().map(|it| format_time(it.taken_at)),
            "restored_at": recovery.as_ref().map(|it| format_time(it.restored_at)),
            "bucket": self.fetched_from_bucket(),
            "databases": databases,
            "unknown_sets": unknown.collect::<Vec<_>>(),
        }))
    }

    /// How far a restored host has what its bucket has.
    fn fetched_from_bucket(&self) -> Option<String> {
        if !self.parts.is_recovering() || !self.parts.remote_sets.is_used() {
            return None;
        }
        Some(match self.parts.fetched() {
            None => "being fetched".to_owned(),
            Some(Ok(())) => "fetched".to_owned(),
            Some(Err(error)) => format!("failed, is tried again: {error}"),
        })
    }

    /// A row for each database of an instance.
    fn recovery_rows(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
    ) -> Result<Vec<Value>, ControlError> {
        let id = &instance.instance_id;
        let data = match self.parts.is_lost(reader, instance)? {
            true => "lost",
            false => "there",
        };
        let mut rows = Vec::new();
        for database in reader.databases(id)? {
            let newest = self.parts.newest_set(reader, id, &database.db_name)?;
            rows.push(json!({
                "instance_id": id.as_str(),
                "db_name": database.db_name.as_str(),
                "status": instance.status.as_str(),
                "data": data,
                "newest_set": newest.as_ref().map(|(set, _)| set.backup_id.to_string()),
                "of": newest.as_ref().map(|(_, manifest)| format_time(manifest.taken_at)),
                "log_goes_on": newest.is_some_and(|(_, manifest)| self.parts.log_goes_on(&manifest)),
            }));
        }
        Ok(rows)
    }

    pub(super) fn recovery_finish(
        &self,
        change: &AdminChange,
        force: bool,
    ) -> Result<Value, ControlError> {
        if !self.parts.is_recovering() {
            let detail = "This is no control plane that was restored.";
            return Err(ApiError::invalid_parameter("recovery")
                .with_detail(detail)
                .into());
        }
        self.parts.adopt_sets()?;
        let lost = self.parts.store.read(|reader| {
            for instance in reader.instances()? {
                if instance.status != ObjectStatus::Delete
                    && self.parts.is_lost(reader, &instance)?
                {
                    return Ok::<_, ControlError>(Some(instance));
                }
            }
            Ok(None)
        })?;
        if let Some(lost) = lost.filter(|_| !force) {
            let id = &lost.instance_id;
            let detail = format!(
                "The data of {id} is lost. Have it recovered (admin instance recover), or delete it (admin instance delete)."
            );
            return Err(in_use("recovery", &detail));
        }
        let aside = self.parts.put_unknown_sets_aside()?;
        self.parts
            .store
            .write(|writer| change.record(writer, None, None))?;
        self.parts.end_recovery()?;
        Ok(json!({ "sets_put_aside": aside }))
    }
}
