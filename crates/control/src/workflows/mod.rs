//! The workflows behind the longer actions. Each file reads top-down: the parameters, the list
//! of steps, what each step does and how it is undone.
//!
//! A step may be repeated at any time: it looks at the store for what should be and makes it
//! so. What a workflow decides (ids, ports, passwords) was decided before it began.

pub(crate) mod account_privileges;
mod added_nodes;
pub(crate) mod change_nodes_number;
pub(crate) mod change_table;
pub(crate) mod create_account;
pub(crate) mod create_database;
pub(crate) mod create_database_backup;
pub(crate) mod create_instance;
pub(crate) mod create_spread_database;
pub(crate) mod delete_account;
pub(crate) mod delete_database;
pub(crate) mod delete_instance;
pub(crate) mod delete_spread_database;
pub(crate) mod export_database;
pub(crate) mod final_backup;
pub(crate) mod grant_account_privilege;
pub(crate) mod import_database;
pub(crate) mod import_spread_database;
mod loading;
mod meter;
pub(crate) mod migrate_database;
pub(crate) mod move_partitions;
mod moving;
pub(crate) mod new_instance;
mod opening;
pub(crate) mod public_connection;
pub(crate) mod recover_instance;
pub(crate) mod recycle_database;
pub(crate) mod recycle_instance;
pub(crate) mod recycle_spread_database;
pub(crate) mod resize_database;
mod resize_node;
pub(crate) mod restore_database;
pub(crate) mod revoke_account_privilege;
pub(crate) mod spread_database;
pub(crate) mod switch_backup_database;
pub(crate) mod switch_net_type;
#[cfg(test)]
mod tests;
pub(crate) mod verify_backup;

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;

use openpeta_engine::{EngineError, NodeSql};
use openpeta_store::{Instance, Node};
use openpeta_tasks::{StepError, Workflows};
use openpeta_types::{DbName, InstanceId, NodeId};

use crate::ControlError;
use crate::instance_nodes::is_on;
use crate::parts::Parts;

/// What a client is told of a failure that is not its doing.
const FAILED_INSIDE: &str = "The operation failed; the operator has been told why.";

/// All workflows there are.
pub(crate) fn all(parts: &Arc<Parts>) -> Workflows {
    Workflows::new()
        .with(create_instance::CreateInstance(Arc::clone(parts)))
        .with(delete_instance::DeleteInstance(Arc::clone(parts)))
        .with(create_database::CreateDatabase(Arc::clone(parts)))
        .with(create_spread_database::CreateSpreadDatabase(Arc::clone(
            parts,
        )))
        .with(delete_spread_database::DeleteSpreadDatabase(Arc::clone(
            parts,
        )))
        .with(change_nodes_number::ChangeNodesNumber(Arc::clone(parts)))
        .with(spread_database::SpreadDatabase(Arc::clone(parts)))
        .with(move_partitions::MovePartitions(Arc::clone(parts)))
        .with(resize_database::ResizeDatabase(Arc::clone(parts)))
        .with(delete_database::DeleteDatabase(Arc::clone(parts)))
        .with(recycle_instance::RecycleInstance(Arc::clone(parts)))
        .with(recycle_database::RecycleDatabase(Arc::clone(parts)))
        .with(recycle_spread_database::RecycleSpreadDatabase(Arc::clone(
            parts,
        )))
        .with(create_account::CreateAccount(Arc::clone(parts)))
        .with(create_database_backup::CreateDatabaseBackup(Arc::clone(
            parts,
        )))
        .with(restore_database::RestoreDatabase(Arc::clone(parts)))
        .with(recover_instance::RecoverInstance(Arc::clone(parts)))
        .with(verify_backup::VerifyBackup(Arc::clone(parts)))
        .with(switch_backup_database::SwitchBackupDatabase(Arc::clone(
            parts,
        )))
        .with(delete_account::DeleteAccount(Arc::clone(parts)))
        .with(grant_account_privilege::GrantAccountPrivilege(Arc::clone(
            parts,
        )))
        .with(revoke_account_privilege::RevokeAccountPrivilege(
            Arc::clone(parts),
        ))
        .with(switch_net_type::SwitchNetType(Arc::clone(parts)))
        .with(public_connection::AllocatePublicConnection(Arc::clone(
            parts,
        )))
        .with(public_connection::ReleasePublicConnection(Arc::clone(
            parts,
        )))
        .with(change_table::ChangeTable(Arc::clone(parts)))
        .with(import_database::ImportDatabase(Arc::clone(parts)))
        .with(import_spread_database::ImportSpreadDatabase(Arc::clone(
            parts,
        )))
        .with(migrate_database::MigrateDatabase(Arc::clone(parts)))
        .with(export_database::ExportDatabase(Arc::clone(parts)))
}

/// The instance that a task is about.
///
/// # Errors
/// A permanent one when it is gone.
fn instance(parts: &Parts, id: &InstanceId) -> Result<Instance, StepError> {
    let found = parts.store.read(|reader| reader.instance(id))?;
    found.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the instance is gone"))
}

/// The node of an instance.
fn node_of(parts: &Parts, id: &InstanceId) -> Result<NodeId, StepError> {
    let node = instance(parts, id)?.node_id;
    node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the instance has no node"))
}

/// An administration connection to the node of an instance.
async fn sql_of(parts: &Parts, id: &InstanceId) -> Result<NodeSql, StepError> {
    let node = node_of(parts, id)?;
    parts.engine.sql(&node).await.map_err(engine_error)
}

/// The nodes that a database of an instance is on, by number.
fn nodes_with(parts: &Parts, id: &InstanceId, db_name: &DbName) -> Result<Vec<Node>, StepError> {
    let mut nodes = parts.nodes_of(id)?;
    let database = parts.store.read(|reader| reader.database(id, db_name))?;
    nodes.retain(|node| {
        node.number == 0
            || database
                .as_ref()
                .is_some_and(|database| is_on(database, node.number))
    });
    Ok(nodes)
}

/// An administration connection to a node.
async fn sql_on(parts: &Parts, node: &Node) -> Result<NodeSql, StepError> {
    let sql = parts.engine.sql(&node.node_id).await;
    sql.map_err(engine_error)
}

/// Stops a node, by force if need be.
async fn stop_node(parts: &Parts, node_id: &NodeId) -> Result<(), StepError> {
    let deadline = parts.config.nodes.stop_timeout();
    let stopped = parts.engine.stop_node(node_id, deadline).await;
    stopped.map(drop).map_err(engine_error)
}

impl From<ControlError> for StepError {
    fn from(error: ControlError) -> Self {
        let cause = error.context.unwrap_or_else(|| error.api.to_string());
        if error.api.retryable {
            Self::transient(cause)
        } else {
            Self::permanent(error.api.message, cause)
        }
    }
}

/// What the engine cannot do now it may be able to do later, unless something is not there.
pub(crate) fn engine_error(error: EngineError) -> StepError {
    match error {
        EngineError::Io { ref source, .. } if is_full(source) => {
            StepError::permanent("The host has no disk space left.", error)
        }
        EngineError::SchemaChanged { ref object } => {
            let message = format!(
                "Definitions kept changing while the backup was taken, last of all: {object}."
            );
            StepError::permanent(message, error)
        }
        EngineError::UnknownColumnType {
            ref table,
            ref column,
            ..
        } => {
            let message =
                format!("Column {column} of table {table} has a type that backups do not know.");
            StepError::permanent(message, error)
        }
        EngineError::NotText { .. } | EngineError::Untold { .. } => {
            StepError::permanent("A definition in the database is not readable.", error)
        }
        EngineError::NotImported { ref what } => {
            let message = format!("It could not be imported: {what}.");
            StepError::permanent(message, error)
        }
        EngineError::NotEmpty { ref object } => {
            let message = format!("The database is not empty, or is gone: it has {object}.");
            StepError::refused(message, error)
        }
        EngineError::UnsupportedEngine {
            ref table,
            ref engine,
        } => {
            let message = format!(
                "Table {table} has the engine {engine}, whose files cannot be copied: a logical backup can be taken."
            );
            StepError::permanent(message, error)
        }
        EngineError::NoRoom { .. } => {
            StepError::permanent("The host has no disk space left.", error)
        }
        EngineError::NoKey { ref key_id, .. } => {
            let message = format!(
                "The backup is encrypted with the key {key_id}, which the service does not have."
            );
            StepError::permanent(message, error)
        }
        EngineError::NotMoved { ref what } => {
            let message = format!("Partitions cannot be moved: {what}.");
            StepError::permanent(message, error)
        }
        EngineError::DamagedLog { ref path, .. } => {
            let message = format!("The archived binary log is damaged: {}.", file_name(path));
            StepError::permanent(message, error)
        }
        EngineError::LogGap { .. } => {
            StepError::permanent("The archived binary log is not complete.", error)
        }
        EngineError::NoSuchTransaction { ref gtid } => {
            let message = format!("The archived binary log does not have transaction {gtid}.");
            StepError::permanent(message, error)
        }
        EngineError::NotReplayed { ref what } => {
            let message = format!("The binary log could not be applied: {what}.");
            StepError::permanent(message, error)
        }
        EngineError::DamagedSet { ref path, .. } => {
            let message = format!("The backup set is damaged: {}.", file_name(path));
            StepError::permanent(message, error)
        }
        EngineError::RestoreDiffers { ref what } => {
            let message = format!("What was restored differs from the backup set in {what}.");
            StepError::permanent(message, error)
        }
        EngineError::NotLoaded {
            ref what,
            ref source,
        } if source.server_code().is_some() => {
            let message = format!("The backup set could not be loaded: {what}.");
            StepError::permanent(message, error)
        }
        EngineError::BinaryMissing { .. }
        | EngineError::UnsupportedServer { .. }
        | EngineError::UnknownUser { .. }
        | EngineError::NodeUserNeeded
        | EngineError::CannotSwitchUser { .. }
        | EngineError::InvalidPath { .. }
        | EngineError::SocketPathTooLong { .. }
        | EngineError::Unreachable { .. }
        | EngineError::NoSuchNode { .. }
        | EngineError::InternalAccount { .. } => StepError::permanent(FAILED_INSIDE, error),
        _ => StepError::transient(error),
    }
}

/// The file that is at fault: whoever may not see where it lies may know which one it is.
fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Whether a write failed for want of room, which no retry within seconds brings back.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::StorageFull | Kind::QuotaExceeded | Kind::ReadOnlyFilesystem
    )
}
