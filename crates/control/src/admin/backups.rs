//! `openpeta admin backup …`

use jiff::Timestamp;
use openpeta_engine::{ChangedRows, LogQuery, LoggedTransaction};
use openpeta_rpc_api::ApiError;
use openpeta_store::{BackupSet, Reader};
use openpeta_types::{BackupId, BackupStatus, DbName, InstanceId, format_time};
use serde_json::{Value, json};

use super::{AdminChange, in_use};
use crate::backups::sets_in_use;
use crate::{Control, ControlError, LogArchiveFigures};

/// Rows of a list that names no limit.
const DEFAULT_LIMIT: u32 = 100;

impl Control {
    pub(super) fn backup_list(
        &self,
        instance_id: Option<InstanceId>,
        limit: Option<u32>,
    ) -> Result<Value, ControlError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let store = &self.parts.store;
        let sets = store.read(|reader| reader.backup_sets(instance_id.as_ref(), limit))?;
        Ok(sets.iter().map(|set| self.backup_row(set)).collect())
    }

    /// How far the archives of binary logs go.
    pub(super) fn backup_logs(&self) -> Value {
        let now = Timestamp::now();
        let row = |archive: LogArchiveFigures| {
            let age = archive.until.map(|until| now.duration_since(until));
            json!({
                "instance_id": archive.instance_id.as_str(),
                "node_id": archive.node_id.as_str(),
                "archived_until": archive.until.map(format_time),
                "age_seconds": age.map(|age| age.as_secs_f64().max(0.0)),
                "bytes": archive.bytes,
                "failure": archive.failure,
                "stored_until": archive.stored_until.map(format_time),
                "store_failure": archive.store_failure,
            })
        };
        self.parts.log_figures().into_iter().map(row).collect()
    }

    /// Transactions of a database in the archived log, up to now.
    pub(super) async fn backup_log_search(
        &self,
        id: &InstanceId,
        db_name: &DbName,
        query: LogQuery,
    ) -> Result<Value, ControlError> {
        let instance = self.parts.store.read(|reader| reader.instance(id))?;
        let instance = instance.ok_or_else(ApiError::instance_not_found)?;
        let mut nodes = self.parts.nodes_of(&instance.instance_id)?;
        nodes.retain(|node| self.parts.is_log_archived(&node.node_id));
        if nodes.is_empty() {
            let detail =
                "The binary log of the instance's node is not archived (EnableBinlogBackup).";
            return Err(ApiError::no_backup().with_detail(detail).into());
        }
        let (mut found, limit) = (Vec::new(), query.limit);
        for node in nodes {
            let node = &node.node_id;
            self.parts.archive_log(node, id).await;
            let archive = self.parts.log_archive(node);
            let query = query.clone();
            let its = self.parts.engine.search_log(&archive, db_name, query).await;
            found.extend(its.map_err(ControlError::unavailable)?);
        }
        // Within a node they are in the order of its log.
        found.sort_by_key(|transaction| transaction.at);
        found.truncate(limit);
        Ok(found.iter().map(logged_row).collect())
    }

    pub(super) fn backup_protect(
        &self,
        change: &AdminChange,
        backup_id: BackupId,
        is_protected: bool,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let set = existing(writer, backup_id)?;
            writer.protect_backup_set(backup_id, is_protected)?;
            change.record(writer, Some(set.set.account_id), Some(&set.set.instance_id))?;
            Ok(self.backup_row(&existing(writer, backup_id)?))
        })
    }

    /// Removes a set, also one that its policy would keep, and if asked those that go on from it.
    pub(super) async fn backup_delete(
        &self,
        change: &AdminChange,
        backup_id: BackupId,
        with_dependents: bool,
    ) -> Result<Value, ControlError> {
        let sets = self.parts.store.write(|writer| {
            let set = existing(writer, backup_id)?;
            let mut sets = writer.dependent_backups(backup_id)?;
            if let Some(first) = sets.first().filter(|_| !with_dependents) {
                let (first, count) = (first.backup_id, sets.len());
                let detail = match count {
                    1 => format!("Set {first} goes on from it. --with-dependents removes it as well."),
                    _ => format!("Set {first} and {} more go on from it. --with-dependents removes them as well.", count - 1),
                };
                return Err(in_use("BackupId", &detail));
            }
            sets.push(set);
            let used = sets_in_use(writer)?;
            for set in &sets {
                let refused = |what: &str| {
                    let whose = match set.backup_id == backup_id {
                        true => "The set".to_owned(),
                        false => format!("Set {}", set.backup_id),
                    };
                    Err(in_use("BackupId", &format!("{whose} is {what}.")))
                };
                match () {
                    () if set.is_protected => return refused("protected"),
                    () if set.status == BackupStatus::Progress => return refused("being taken"),
                    () if used.contains(&set.backup_id) => return refused("being restored"),
                    () => writer.delete_backup_set(set.backup_id)?,
                }
            }
            let set = &sets[sets.len() - 1].set;
            change.record(writer, Some(set.account_id), Some(&set.instance_id))?;
            Ok::<_, ControlError>(sets)
        })?;
        let row = self.backup_row(&sets[sets.len() - 1]);
        for set in &sets {
            let instance_id = &set.set.instance_id;
            self.parts
                .destroy_backup(instance_id, set.backup_id)
                .await?;
        }
        Ok(row)
    }

    fn backup_row(&self, set: &BackupSet) -> Value {
        let sets = &self.parts.remote_sets;
        let place = sets.place_of(&set.set.instance_id, set.backup_id);
        row(set, place.as_deref().unwrap_or("local"))
    }

    pub(super) fn backup_verify(
        &self,
        change: &AdminChange,
        backup_id: BackupId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let set = existing(writer, backup_id)?;
            let task = self.parts.verify_backup(writer, backup_id, change.now)?;
            change.record(writer, Some(set.set.account_id), Some(&set.set.instance_id))?;
            Ok(json!({
                "backup_id": backup_id.to_string(),
                "task_id": task.to_string(),
            }))
        })
    }
}

fn existing(reader: &Reader<'_>, backup_id: BackupId) -> Result<BackupSet, ControlError> {
    let set = reader.backup_set(backup_id)?;
    Ok(set.ok_or_else(ApiError::backup_not_found)?)
}

fn logged_row(transaction: &LoggedTransaction) -> Value {
    let of_table = |(table, rows): (&String, &ChangedRows)| {
        json!({
            "table": table,
            "inserted": rows.inserted,
            "updated": rows.updated,
            "deleted": rows.deleted,
            "more": rows.is_more,
        })
    };
    let tables: Vec<_> = transaction.tables.iter().map(of_table).collect();
    let changes = transaction.tables.iter().map(changes).collect::<Vec<_>>();
    json!({
        "gtid": transaction.gtid.to_string(),
        "time": format_time(transaction.at),
        "changes": changes.join(", "),
        "statement": transaction.statements.first(),
        "statements": transaction.statement_count,
        "bytes": transaction.bytes,
        "tables": tables,
        "first_statements": transaction.statements,
    })
}

/// A table with its rows: `orders +3 ~1 -2`.
fn changes((table, rows): (&String, &ChangedRows)) -> String {
    let mut text = table.clone();
    for (sign, count) in [
        ('+', rows.inserted),
        ('~', rows.updated),
        ('-', rows.deleted),
    ] {
        if count > 0 {
            text.push_str(&format!(" {sign}{count}"));
        }
    }
    if rows.is_more {
        text.push_str(" and more");
    }
    text
}

fn row(set: &BackupSet, place: &str) -> Value {
    let verification = set.verification.as_ref();
    json!({
        "backup_id": set.backup_id.to_string(),
        "instance_id": set.set.instance_id.as_str(),
        "account_id": set.set.account_id.to_string(),
        "db_name": set.set.db_name.as_str(),
        "status": set.status.as_str(),
        "mode": set.set.mode.as_str(),
        "method": set.set.method.as_str(),
        "type": set.set.backup_type.as_str(),
        "base_id": set.set.base_id.map(|base| base.to_string()),
        "note": set.note,
        "bytes": set.outcome.size_bytes,
        "started_at": format_time(set.set.started_at),
        "ended_at": set.outcome.ended_at.map(format_time),
        "failure": set.outcome.failure,
        "key_id": set.outcome.key_id,
        "stored_in": (set.status == BackupStatus::Success).then_some(place),
        "protected": set.is_protected,
        "verified_at": verification.map(|proof| format_time(proof.at)),
        "verify_failure": verification.and_then(|proof| proof.failure.as_deref()),
    })
}
