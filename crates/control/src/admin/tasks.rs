//! `openpeta admin task …`

use jiff::Timestamp;
use openpeta_rpc_api::ApiError;
use openpeta_store::{Task, TaskFilter, TaskStep, Writer};
use openpeta_tasks::Tasks;
use openpeta_types::{InstanceId, TaskId, TaskStatus, format_time};
use serde_json::{Value, json};

use super::AdminChange;
use crate::{Control, ControlError};

/// Rows of a list that names no limit.
const DEFAULT_LIMIT: u32 = 100;

impl Control {
    pub(super) fn task_list(
        &self,
        instance_id: Option<InstanceId>,
        status: Option<TaskStatus>,
        limit: Option<u32>,
    ) -> Result<Value, ControlError> {
        let statuses = status.map(|status| [status]);
        let filter = TaskFilter {
            instance_id,
            statuses: statuses.as_ref().map(<[_; 1]>::as_slice),
            ..TaskFilter::default()
        };
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let (_, tasks) = self
            .parts
            .store
            .read(|reader| reader.task_page(&filter, 0, limit))?;
        Ok(tasks.iter().map(row).collect())
    }

    pub(super) fn task_show(&self, task_id: TaskId) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            let task = reader.task(task_id)?.ok_or_else(ApiError::task_not_found)?;
            let steps = reader.task_steps(task_id)?;
            let mut shown = row(&task);
            shown["steps"] = steps.iter().map(step).collect();
            Ok(shown)
        })
    }

    pub(super) fn task_retry(
        &self,
        change: &AdminChange,
        task_id: TaskId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            Tasks::retry_in(writer, task_id)?;
            record(writer, change, task_id)
        })
    }

    pub(super) fn task_cancel(
        &self,
        change: &AdminChange,
        task_id: TaskId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            self.tasks().cancel_in(writer, task_id)?;
            record(writer, change, task_id)
        })
    }
}

/// Writes the audit row of a change of a task; returns the task as it is now.
fn record(
    writer: &Writer<'_>,
    change: &AdminChange,
    task_id: TaskId,
) -> Result<Value, ControlError> {
    let task = writer.task(task_id)?.ok_or_else(ApiError::task_not_found)?;
    change.record(writer, Some(task.account_id), task.instance_id.as_ref())?;
    Ok(row(&task))
}

pub(super) fn row(task: &Task) -> Value {
    json!({
        "task_id": task.task_id.to_string(),
        "account_id": task.account_id.to_string(),
        "instance_id": task.instance_id.as_ref().map(|id| id.as_str()),
        "db_name": task.db_name.as_ref().map(|name| name.as_str()),
        "action": task.action,
        "status": task.status.as_str(),
        "phase": task.phase.as_str(),
        "stuck": task.is_stuck(),
        "progress": task.progress,
        "current_step": task.current_step,
        "message": task.message,
        "cause": task.cause,
        "begin_at": format_time(task.begin_at),
        "finish_at": time(task.finish_at),
    })
}

fn step(step: &TaskStep) -> Value {
    json!({
        "name": step.name,
        "state": step.state.as_str(),
        "attempts": step.attempts,
        "error": step.error,
        "started_at": time(step.started_at),
        "finished_at": time(step.finished_at),
    })
}

fn time(time: Option<Timestamp>) -> Option<String> {
    time.map(format_time)
}
