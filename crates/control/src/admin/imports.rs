//! `openpeta admin import …`, `openpeta admin export …`

use std::path::PathBuf;

use openpeta_engine::{ImportOptions, ImportSource, Manifest};
use openpeta_rpc_api::ApiError;
use openpeta_store::Task;
use openpeta_types::{DbName, ExportForm, InstanceId, TaskId};
use serde_json::{Value, json};

use super::AdminChange;
use super::tasks;
use crate::imports::{ImportOrder, Origin};
use crate::workflows::export_database::exported_by;
use crate::workflows::import_database::imported_by;
use crate::workflows::migrate_database::is_migration;
use crate::{Control, ControlError};

/// Where an import comes from.
pub(super) struct ImportOrigin {
    pub(super) from: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) defaults_file: Option<PathBuf>,
    /// The server is followed.
    pub(super) follows: bool,
}

impl Control {
    pub(super) async fn import_start(
        &self,
        change: &AdminChange,
        (instance_id, db_name): (InstanceId, DbName),
        ImportOrigin {
            from,
            ca_file,
            defaults_file,
            follows,
        }: ImportOrigin,
        options: ImportOptions,
    ) -> Result<Value, ControlError> {
        let origin = Origin::of(&from, defaults_file.as_deref());
        let origin =
            origin.map_err(|what| ApiError::invalid_parameter("from").with_detail(&what))?;
        match (&origin, follows) {
            (Origin::Server(source, file), true) => {
                let version = self.parts.engine.server_version();
                let obstacle = source.obstacle(file, version).await;
                let refused = |what: &str| ApiError::invalid_parameter("from").with_detail(what);
                if let Some(what) = obstacle.map_err(|what| refused(&what))? {
                    return Err(refused(&format!("The source cannot be followed: {what}.")).into());
                }
            }
            (_, true) => {
                let what = "Only a live server (mysql://…) can be followed.";
                return Err(ApiError::invalid_parameter("follow")
                    .with_detail(what)
                    .into());
            }
            (_, false) => {}
        }
        if let Origin::Path(path) = origin {
            // Told at once rather than by a task that fails.
            let database = options.source_database.clone();
            let opened = tokio::task::spawn_blocking(move || match ImportSource::is_copy(&path)? {
                true => Ok(()),
                false => ImportSource::path(&path, database.as_deref()).map(drop),
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
                follows,
                options: options.clone(),
            };
            let (task, instance) = self.parts.begin_import(writer, order)?;
            change.record(writer, Some(instance.account_id), Some(&instance_id))?;
            Ok(begun(task))
        })
    }

    /// Has an import that follows a server take its place as soon as both have the same.
    pub(super) fn import_cut_over(
        &self,
        change: &AdminChange,
        task_id: TaskId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let task = writer.task(task_id)?.ok_or_else(ApiError::task_not_found)?;
            if !is_migration(&task) || task.finish_at.is_some() {
                let what = "It is no import that follows a server.";
                return Err(ApiError::invalid_parameter("task_id")
                    .with_detail(what)
                    .into());
            }
            writer.ask_cut_over(task_id, change.now)?;
            change.record(writer, Some(task.account_id), task.instance_id.as_ref())?;
            Ok(begun(task_id))
        })
    }

    pub(super) fn export_start(
        &self,
        change: &AdminChange,
        (instance_id, db_name): (InstanceId, DbName),
        to: PathBuf,
        form: ExportForm,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let (db_name, to) = (db_name.clone(), to.clone());
            let (task, instance) =
                self.parts
                    .begin_export(writer, &instance_id, db_name, (to, form), change.now)?;
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
        let cut_over = self.parts.store.read(|reader| reader.cut_over(task_id))?;
        if let Some(cut_over) = cut_over {
            shown["cut_over_at"] = openpeta_types::format_time(cut_over.asked_at).into();
            shown["cut_over_refused"] = cut_over.refused.into();
        }
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
            for (name, value) in told(&exported) {
                shown[name] = value;
            }
        }
        Ok(shown)
    }
}

/// What is told of an export.
pub(crate) fn told(exported: &Manifest) -> [(&'static str, Value); 4] {
    let tables = exported.tables.iter().map(
        |(name, table)| json!({ "table": name, "rows": table.rows, "checksum": table.checksum }),
    );
    [
        ("tables", tables.collect()),
        ("bytes", exported.dump.bytes.into()),
        ("files", exported.files.len().max(1).into()),
        (
            "taken_at",
            openpeta_types::format_time(exported.taken_at).into(),
        ),
    ]
}

fn begun(task: TaskId) -> Value {
    json!({ "task_id": task.to_string() })
}
