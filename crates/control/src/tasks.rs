//! Tasks of an instance (API document 7.6 and 7.7).

use jiff::Timestamp;
use openpeta_rpc_api::instances::{
    DescribeTaskStatusRequest, DescribeTaskStatusResponse, DescribeTasksRequest,
    DescribeTasksResponse, TaskItem,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Reader, Task, TaskFilter};
use openpeta_types::{InstanceId, TaskStatus};

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeTasks: the tasks of an instance that were begun in a time window.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub fn describe_tasks(
        &self,
        caller: &Caller,
        request: &DescribeTasksRequest,
    ) -> Result<DescribeTasksResponse, ControlError> {
        let id = &request.instance_id;
        let offset = u64::from(request.page_number - 1) * u64::from(request.page_size);
        let (total, tasks) = self.parts.store.read(|reader| {
            self.tasks_readable(reader, caller, Action::DescribeTasks, id)?;
            let filter = TaskFilter {
                account_id: Some(caller.account_id),
                instance_id: Some(id.clone()),
                action: request.task_action.clone(),
                statuses: Some(&request.statuses),
                from: Some(request.start_time),
                to: Some(request.end_time),
            };
            Ok::<_, ControlError>(reader.task_page(&filter, offset, request.page_size)?)
        })?;
        Ok(DescribeTasksResponse {
            instance_id: id.clone(),
            start_time: request.start_time,
            end_time: request.end_time,
            page_number: request.page_number,
            page_size: request.page_size,
            total_records: u32::try_from(total).unwrap_or(u32::MAX),
            tasks: tasks
                .into_iter()
                .map(|task| item(task, caller.now))
                .collect(),
        })
    }

    /// DescribeTaskStatus: one task of an instance.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidTaskId.NotFound`, `Forbidden.RAM`.
    pub fn describe_task_status(
        &self,
        caller: &Caller,
        request: &DescribeTaskStatusRequest,
    ) -> Result<DescribeTaskStatusResponse, ControlError> {
        let id = &request.instance_id;
        let task = self.parts.store.read(|reader| {
            self.tasks_readable(reader, caller, Action::DescribeTaskStatus, id)?;
            let of_instance = |task: &Task| task.instance_id.as_ref() == Some(id);
            let task = reader.task(request.task_id)?.filter(of_instance);
            task.ok_or_else(|| ControlError::from(ApiError::task_not_found()))
        })?;
        Ok(DescribeTaskStatusResponse {
            task_id: task.task_id,
            message: task.message,
            begin_time: task.begin_at,
            finish_time: task.finish_at,
            status: task.status,
        })
    }
}

impl Control {
    /// Whether the caller may read the tasks of an instance. Of an order that failed the
    /// instance is gone, but its tasks still tell why.
    fn tasks_readable(
        &self,
        reader: &Reader<'_>,
        caller: &Caller,
        action: Action,
        id: &InstanceId,
    ) -> Result<(), ControlError> {
        let failed_order = |order: Action| TaskFilter {
            account_id: Some(caller.account_id),
            instance_id: Some(id.clone()),
            action: Some(order.name().to_owned()),
            statuses: Some(&[TaskStatus::Failed, TaskStatus::Cancelled]),
            ..TaskFilter::default()
        };
        match self.instance(reader, caller, action, id) {
            Ok(_) => Ok(()),
            Err(error) if error.api == ApiError::instance_not_found() => {
                for order in [Action::CreateInstance, Action::RestoreDatabase] {
                    if reader.task_page(&failed_order(order), 0, 1)?.0 > 0 {
                        let permission = self.permission(caller, action)?;
                        return permission.check("*", id.as_str());
                    }
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

fn item(task: Task, now: Timestamp) -> TaskItem {
    // A guess that the clock has refuted is none.
    let is_open = |end: &Timestamp| task.finish_at.is_some() || *end > now;
    TaskItem {
        task_id: task.task_id,
        begin_time: task.begin_at,
        finish_time: task.finish_at,
        expected_finish_time: task.expected_finish_at.filter(is_open),
        status: task.status,
        task_action: task.action,
        progress: Some(task.progress),
        db_name: task.db_name,
        progress_info: task.message.or(task.current_step),
    }
}
