//! `openpeta admin import …`, `openpeta admin export …`

use std::path::PathBuf;

use openpeta_engine::{ImportOptions, ImportSource};
use openpeta_rpc_api::ApiError;
use openpeta_store::Task;
use openpeta_types::{DbName, InstanceId, TaskId};
use serde_json::{Value, json};

use super::AdminChange;
use super::tasks;
use crate::imports::{ImportOrder, Origin};
use crate::workflows::export_database::exported_by;
use crate::workflows::import_database::imported_by;
use crate::{Control, ControlError};

impl Control {
    pub(super) async fn import_start(
        &self,
        change: &AdminChange,
        (instance_id, db_name): (InstanceId, DbName),
        (from, ca_file, defaults_file): (String, Option<PathBuf>, Option<PathBuf>),
        options: ImportOptions,
    ) -> Result<Value, ControlError> {
        let origin = Origin::of(&from, defaults_file.as_deref());
        let origin =
            origin.map_err(|what| ApiError::invalid_parameter("from").with_detail(&what))?;
        if let Origin::Path(path) = origin {
            // Told at once rather than by a task that fails.
            let database = options.source_database.clone();
            let opened = tokio::task::spawn_blocking(move || {
                ImportSource::path(&path, database.as_deref()).map(drop)
            });
            let opened = opened.await.map_err(ControlError::internal)?;
            opened.map_err(|error| {
                ApiError::invalid_parameter("from").with_detail(&error.to_string())
            })?;
        }
        self.parts.store.write(|writer| {
            let order = ImportOrder {
                instance_id: instance_id.clone(),
                db_name: db_name.clone(),
                from: from.clone(),
                ca_file: ca_file.clone(),
                defaults_file: defaults_file.clone(),
                options: options.clone(),
            };
            let (task, instance) = self.parts.begin_import(writer, order)?;
            change.record(writer, Some(instance.account_id), Some(&instance_id))?;
            Ok(begun(task))
        })
    }

    pub(super) fn export_start(
        &self,
        change: &AdminChange,
        (instance_id, db_name): (InstanceId, DbName),
        to: PathBuf,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let (db_name, to) = (db_name.clone(), to.clone());
            let (task, instance) =
                self.parts
                    .begin_export(writer, &instance_id, db_name, to, change.now)?;
            change.record(writer, Some(instance.account_id), Some(&instance_id))?;
            Ok(begun(task))
        })
    }

    /// An import or export: its task, and what it has moved.
    pub(super) fn import_show(&self, task_id: TaskId) -> Result<Value, ControlError> {
        let (task, steps) = self.parts.store.read(|reader| {
            let task = reader.task(task_id)?.ok_or_else(ApiError::task_not_found)?;
            Ok::<(Task, _), ControlError>((task, reader.task_steps(task_id)?))
        })?;
        let mut shown = tasks::row(&task);
        if let Some(imported) = imported_by(&steps) {
            let tables = imported.tables.iter().map(|(name, table)| {
                json!({
                    "table": name,
                    "rows": table.rows,
                    "checksum": table.checksum,
                    "compared_with": table.compared_with,
                })
            });
            shown["tables"] = tables.collect();
            shown["views"] = imported.views.into();
            shown["routines"] = imported.routines.into();
            shown["triggers"] = imported.triggers.into();
            shown["events"] = imported.events.into();
            shown["sequences"] = imported.sequences.into();
            shown["notes"] = imported.notes.into();
        } else if let Some(exported) = exported_by(&steps) {
            let tables = exported.tables.iter().map(|(name, table)| {
                json!({ "table": name, "rows": table.rows, "checksum": table.checksum })
            });
            shown["tables"] = tables.collect();
            shown["bytes"] = exported.dump.bytes.into();
            shown["taken_at"] = openpeta_types::format_time(exported.taken_at).into();
        }
        Ok(shown)
    }
}

fn begun(task: TaskId) -> Value {
    json!({ "task_id": task.to_string() })
}
