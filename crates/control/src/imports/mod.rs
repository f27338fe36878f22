//! Imports of dumps into databases, and exports of databases: what the operator orders, and where
//! a dump comes from.

mod download;
mod live;
mod server;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openpeta_engine::ImportOptions;
use openpeta_rpc_api::ApiError;
use openpeta_store::{Database, Instance, Writer};
use openpeta_tasks::{NewTask, Tasks, Workflow};
use openpeta_types::{DbName, ExportForm, InstanceId, ObjectStatus, TaskId};

use crate::ControlError;
use crate::authorize::{require_active_database, require_unlocked};
use crate::instance_nodes::{is_spread, require_whole};
use crate::parts::Parts;
use crate::workflows::export_database::{ExportDatabase, ExportDatabaseParams};
use crate::workflows::import_database::{ImportDatabase, ImportDatabaseParams, is_import};
use crate::workflows::import_spread_database::ImportSpreadDatabase;
use crate::workflows::migrate_database::MigrateDatabase;

pub(crate) use download::download;
pub(crate) use live::{Snapshot, SourceLog};
pub(crate) use server::LiveDatabase;
use server::{SCHEME, check_options};

/// What the tasks are called where calls of the API are named.
const IMPORT: &str = "ImportDatabase";
const EXPORT: &str = "ExportDatabase";

/// An import that the operator orders.
pub(crate) struct ImportOrder {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// A path on the host, or a URL.
    pub(crate) from: String,
    /// Certificates to trust, in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// How to log in to a live server.
    pub(crate) defaults_file: Option<PathBuf>,
    /// The server is followed until the import is told to take its place.
    pub(crate) follows: bool,
    pub(crate) options: ImportOptions,
}

/// Where a dump comes from.
pub(crate) enum Origin {
    /// A path on the host.
    Path(PathBuf),
    /// A URL of http or https.
    Url,
    /// A live server, and the file that tells how to log in.
    Server(LiveDatabase, PathBuf),
}

impl Origin {
    /// What the operator named.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(from: &str, defaults_file: Option<&Path>) -> Result<Self, String> {
        match from.split_once("://") {
            None => Ok(Self::Path(from.into())),
            Some(("http" | "https", _)) => Ok(Self::Url),
            Some(_) if from.starts_with(SCHEME) => {
                let options = check_options(defaults_file.map(Path::to_owned))?;
                Ok(Self::Server(LiveDatabase::parse(from)?, options))
            }
            Some(_) => Err("It is neither a path nor a URL of http, https or mysql.".to_owned()),
        }
    }
}

impl Parts {
    /// Has a dump imported into a database.
    ///
    /// # Errors
    /// When the instance, database or account does not exist or is not ACTIVE, or the instance has an
    /// import under way.
    pub(crate) fn begin_import(
        &self,
        writer: &Writer<'_>,
        order: ImportOrder,
    ) -> Result<(TaskId, Instance), ControlError> {
        let id = &order.instance_id;
        let (instance, database) = usable(writer, id, &order.db_name)?;
        if order.follows {
            require_whole(&database, "an import that follows a server")?;
        }
        let over_nodes = is_spread(&database);
        require_unlocked(&instance)?;
        let running = writer.unfinished_tasks_of(id)?;
        if let Some(task) = running.iter().find(|task| is_import(task)) {
            let detail = format!("Task {} imports into the instance.", task.task_id);
            return Err(ApiError::instance_status().with_detail(&detail).into());
        }
        if let Some(definer) = &order.options.definer
            && !writer
                .accounts(id)?
                .iter()
                .any(|account| account.name.as_str() == definer)
        {
            let detail = format!("The instance has no account {definer}.");
            return Err(ApiError::invalid_parameter("definer")
                .with_detail(&detail)
                .into());
        }
        let params = ImportDatabaseParams {
            instance_id: id.clone(),
            db_name: order.db_name,
            from: order.from,
            ca_file: order.ca_file,
            defaults_file: order.defaults_file,
            options: ImportOptions {
                over_nodes,
                ..order.options
            },
        };
        let task = match (order.follows, over_nodes) {
            (true, _) => enqueue::<MigrateDatabase>(writer, &instance, params)?,
            (false, true) => enqueue::<ImportSpreadDatabase>(writer, &instance, params)?,
            (false, false) => enqueue::<ImportDatabase>(writer, &instance, params)?,
        };
        Ok((task, instance))
    }

    /// Has a database exported into a directory, which does not exist yet.
    ///
    /// # Errors
    /// When instance or database do not exist or are not ACTIVE, or there is something of that name.
    pub(crate) fn begin_export(
        &self,
        writer: &Writer<'_>,
        id: &InstanceId,
        db_name: DbName,
        (to, form): (PathBuf, ExportForm),
        now: Timestamp,
    ) -> Result<(TaskId, Instance), ControlError> {
        let (instance, _) = usable(writer, id, &db_name)?;
        check_target(&to)?;
        let task = NewTask::<ExportDatabase> {
            account_id: instance.account_id,
            instance_id: Some(id.clone()),
            db_name: Some(db_name.clone()),
            action: EXPORT,
            params: ExportDatabaseParams {
                instance_id: id.clone(),
                db_name,
                to,
                form,
                ordered_at: now,
            },
            trace: None,
        };
        Ok((Tasks::enqueue(writer, &task)?, instance))
    }
}

fn enqueue<W: Workflow<Params = ImportDatabaseParams>>(
    writer: &Writer<'_>,
    instance: &Instance,
    params: ImportDatabaseParams,
) -> Result<TaskId, ControlError> {
    let task = NewTask::<W> {
        account_id: instance.account_id,
        instance_id: Some(params.instance_id.clone()),
        db_name: Some(params.db_name.clone()),
        action: IMPORT,
        params,
        trace: None,
    };
    Ok(Tasks::enqueue(writer, &task)?)
}

/// The instance and the database, if they can be moved from or to.
pub(crate) fn usable(
    writer: &Writer<'_>,
    id: &InstanceId,
    db_name: &DbName,
) -> Result<(Instance, Database), ControlError> {
    let instance = writer.instance(id)?;
    let instance = instance.ok_or_else(ApiError::instance_not_found)?;
    if instance.status != ObjectStatus::Active {
        let detail = format!("The instance is {}.", instance.status);
        return Err(ApiError::instance_status().with_detail(&detail).into());
    }
    let database = require_active_database(writer, id, db_name)?;
    Ok((instance, database))
}

fn check_target(to: &Path) -> Result<(), ControlError> {
    let refused = |detail: &str| ApiError::invalid_parameter("to").with_detail(detail);
    let parent = to.parent().filter(|_| to.is_absolute());
    let Some(parent) = parent else {
        return Err(refused("It has to be an absolute path.").into());
    };
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(refused("There is something of that name.").into());
    }
    match parent.is_dir() {
        true => Ok(()),
        false => Err(refused("The directory above it does not exist.").into()),
    }
}
