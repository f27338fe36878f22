//! Restores for the sake of proof: now and then by themselves, or when the operator asks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::ApiError;
use openpeta_store::{BackupSet, Node, NodeState, Writer};
use openpeta_tasks::{NewTask, Tasks};
use openpeta_types::{BackupId, BackupStatus, TaskId};

use crate::parts::Parts;
use crate::workflows::verify_backup::{VerifyBackup, VerifyBackupParams, is_verification};
use crate::{ControlError, random, reconcilers};

/// What the task is called where calls of the API are named.
const ACTION: &str = "VerifyDatabaseBackup";

impl Parts {
    /// Has a set proven if it is time to: the one whose last proof is oldest. `None` when it is
    /// not, or there is no set, or one is being proven.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn begin_due_verification(
        &self,
        every: Duration,
        now: Timestamp,
    ) -> Result<Option<TaskId>, ControlError> {
        let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
        let is_due = |last: Timestamp| now.duration_since(last) >= every;
        let last = self.store.read(|reader| reader.last_verification())?;
        if every.is_zero() || !last.is_some_and(is_due) {
            return Ok(None);
        }
        self.store.write(|writer| {
            let running = writer.unfinished_tasks()?;
            let set = writer.least_proven_backup()?;
            match set.filter(|_| !running.iter().any(is_verification)) {
                Some(set) => self.begin_verification(writer, &set, now).map(Some),
                None => Ok(None),
            }
        })
    }

    /// Has a set proven.
    ///
    /// # Errors
    /// `InvalidBackupId.NotFound`, `OperationDenied.BackupStatus`,
    /// `OperationDenied.BackupJobExists` when a set is being proven: there is room for one.
    pub(crate) fn verify_backup(
        &self,
        writer: &Writer<'_>,
        backup_id: BackupId,
        now: Timestamp,
    ) -> Result<TaskId, ControlError> {
        let set = writer.backup_set(backup_id)?;
        let set = set.ok_or_else(ApiError::backup_not_found)?;
        if let Some(task) = writer
            .unfinished_tasks()?
            .iter()
            .find(|it| is_verification(it))
        {
            let detail = format!("Task {} proves a set.", task.task_id);
            return Err(ApiError::backup_job_exists().with_detail(&detail).into());
        }
        self.begin_verification(writer, &set, now)
    }

    fn begin_verification(
        &self,
        writer: &Writer<'_>,
        set: &BackupSet,
        now: Timestamp,
    ) -> Result<TaskId, ControlError> {
        let Some(manifest_sha256) = set.outcome.manifest_sha256.clone() else {
            let detail = format!("The set is {}.", set.status);
            return Err(ApiError::backup_status().with_detail(&detail).into());
        };
        debug_assert_eq!(set.status, BackupStatus::Success);
        let mut nodes = Vec::new();
        for _ in 0..set.set.node_number.max(1) {
            let node = Node {
                node_id: random::node_id()?,
                instance_id: None,
                number: 0,
                node_spec: None,
                settings: reconcilers::spare_settings(self)?,
                state: NodeState::Scratch,
                restarts: 0,
                created_at: now,
            };
            writer.insert_node(&node)?;
            nodes.push(node.node_id);
        }
        let node_id = nodes.remove(0);
        let (instance_id, db_name) = (&set.set.instance_id, &set.set.db_name);
        let task = NewTask::<VerifyBackup> {
            account_id: set.set.account_id,
            instance_id: Some(instance_id.clone()),
            db_name: Some(db_name.clone()),
            action: ACTION,
            params: VerifyBackupParams {
                instance_id: instance_id.clone(),
                db_name: db_name.clone(),
                backup_id: set.backup_id,
                manifest_sha256,
                node_id,
                further: nodes,
            },
            trace: None,
        };
        Ok(Tasks::enqueue(writer, &task)?)
    }
}
