//! `--wait`: follows the task that a call started until it ends, and shows its progress.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::{Action, Section};
use openpeta_types::{ObjectStatus, TaskStatus, format_time};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::failure::Failure;
use crate::invocation::{Invocation, Parameters};
use crate::ordered_json::Node;
use crate::progress::Progress;

/// Time between two looks at the task.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// What the service answers about an instance that is no more.
const NOT_FOUND: &str = "InvalidDBInstanceId.NotFound";
/// The fields of answers that name the instance whose task it is, in order of preference.
const ANSWER_FIELDS: &[&str] = &["InstanceId", "NewInstanceId"];

/// What is needed to tell a call's own task from older ones; made before the call.
pub struct Watch {
    action: String,
    shows_endpoints: bool,
    instance_id: Option<String>,
    known_tasks: HashSet<String>,
    timeout: Duration,
}

/// How the task ended.
pub struct Outcome {
    action: String,
    instance_id: String,
    /// Whether the endpoints may be what the caller waited for.
    shows_endpoints: bool,
    /// The answer of DescribeInstanceInfo; `None` once the instance is gone.
    instance: Option<Answer>,
}

/// One look at the service.
enum Look {
    /// Still at work.
    Working,
    /// The task and the instance are done.
    Done(Outcome),
    /// The service does not answer; it may be restarting.
    Away(Failure),
}

impl Watch {
    /// Notes which tasks there are already.
    ///
    /// # Errors
    /// When the action starts no task, or the service cannot be asked.
    pub fn prepare(client: &Client, call: &Invocation, timeout: Duration) -> Result<Self, Failure> {
        let Some(spec) = call.spec.filter(|spec| spec.creates_task) else {
            return Err(Failure::Usage(format!(
                "--wait: {} starts no task",
                call.action
            )));
        };
        let instance_id = spec
            .instance_parameter()
            .and_then(|parameter| call.parameters.of(parameter))
            .map(str::to_owned);
        let mut watch = Self {
            action: call.action.clone(),
            shows_endpoints: spec.section == Section::Instances
                || spec.action == Action::RestoreDatabase,
            instance_id,
            known_tasks: HashSet::new(),
            timeout,
        };
        if let Some(instance_id) = &watch.instance_id {
            let tasks = match watch.tasks(client, instance_id) {
                // The call itself will tell what is wrong with the instance.
                Err(Failure::Api { .. }) => Vec::new(),
                other => other?,
            };
            watch.known_tasks = tasks
                .iter()
                .filter_map(|task| Some(task.text("TaskId")?.to_owned()))
                .collect();
        }
        Ok(watch)
    }

    /// Follows the task of the call that `answer` answers.
    ///
    /// # Errors
    /// [`Failure::TaskFailed`] with the step and the reason, [`Failure::WaitTimeout`], or what
    /// the service answered.
    pub fn run(self, client: &Client, answer: &Answer) -> Result<Outcome, Failure> {
        let instance_id = ANSWER_FIELDS
            .iter()
            .find_map(|name| answer.node.text(name))
            .map(str::to_owned)
            .or_else(|| self.instance_id.clone())
            .ok_or_else(|| {
                Failure::local(
                    "NothingToWaitFor",
                    "the answer names no instance to wait for",
                )
            })?;
        let deadline = Instant::now() + self.timeout;
        let mut progress = Progress::start(&format!("{} {instance_id}", self.action));
        loop {
            let away = match self.look(client, &instance_id, &mut progress)? {
                Look::Done(outcome) => {
                    progress.finish();
                    return Ok(outcome);
                }
                Look::Working => None,
                Look::Away(failure) => Some(failure),
            };
            if Instant::now() + POLL_INTERVAL > deadline {
                return Err(away.unwrap_or_else(|| {
                    Failure::WaitTimeout(format!(
                        "{} of {instance_id} is not done after {} s; it goes on. See \
                         `openpeta describe-tasks --instance-id {instance_id}`",
                        self.action,
                        self.timeout.as_secs()
                    ))
                }));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn look(
        &self,
        client: &Client,
        instance_id: &str,
        progress: &mut Progress,
    ) -> Result<Look, Failure> {
        let tasks = match self.tasks(client, instance_id) {
            Ok(tasks) => tasks,
            Err(failure) => return self.look_at_failure(failure, instance_id, progress),
        };
        let task = tasks
            .into_iter()
            .filter(|task| {
                task.text("TaskId")
                    .is_some_and(|id| !self.known_tasks.contains(id))
            })
            .max_by_key(|task| task.text("TaskId").and_then(|id| id.parse::<u64>().ok()));
        if let Some(task) = &task {
            progress.show(task.text("Progress"), task.text("ProgressInfo"));
            match task.text("Status").and_then(TaskStatus::parse) {
                Some(TaskStatus::Pending | TaskStatus::Running) | None => return Ok(Look::Working),
                Some(TaskStatus::Succeeded) => {}
                Some(status) => return Err(self.failed(client, instance_id, task, status)),
            }
        }
        match ask(
            client,
            "DescribeInstanceInfo",
            &[("InstanceId", instance_id)],
        ) {
            Ok(instance) => {
                let active =
                    instance.node.text("InstanceStatus") == Some(ObjectStatus::Active.as_str());
                if !active || self.action == "DeleteInstance" {
                    return Ok(Look::Working);
                }
                Ok(Look::Done(Outcome {
                    action: self.action.clone(),
                    shows_endpoints: self.shows_endpoints,
                    instance_id: instance_id.to_owned(),
                    instance: Some(instance),
                }))
            }
            Err(failure) => self.look_at_failure(failure, instance_id, progress),
        }
    }

    /// What it means that the service did not tell about the instance.
    fn look_at_failure(
        &self,
        failure: Failure,
        instance_id: &str,
        progress: &Progress,
    ) -> Result<Look, Failure> {
        match failure {
            failure if is_passing(&failure) => Ok(Look::Away(failure)),
            failure if failure.api_code() != Some(NOT_FOUND) => Err(failure),
            _ if self.action == "DeleteInstance" => Ok(Look::Done(Outcome {
                action: self.action.clone(),
                shows_endpoints: self.shows_endpoints,
                instance_id: instance_id.to_owned(),
                instance: None,
            })),
            _ => {
                let heard = progress
                    .last_heard()
                    .map_or_else(String::new, |heard| format!(": {heard}"));
                Err(Failure::TaskFailed(format!(
                    "{} of {instance_id} failed and was undone{heard}. The operator finds the \
                     steps with `openpeta admin task list --instance-id {instance_id}`",
                    self.action
                )))
            }
        }
    }

    /// The failure of a task, with the step it stood at and the reason the service gives.
    fn failed(
        &self,
        client: &Client,
        instance_id: &str,
        task: &Node,
        status: TaskStatus,
    ) -> Failure {
        let task_id = task.text("TaskId").unwrap_or_default();
        let word = match status {
            TaskStatus::Closed => "was closed by the operator",
            TaskStatus::Cancelled => "was cancelled",
            _ => "failed",
        };
        let mut text = format!("{} of {instance_id} {word} (task {task_id})", self.action);
        let step = task.text("ProgressInfo").unwrap_or_default();
        let message = ask(
            client,
            "DescribeTaskStatus",
            &[("InstanceId", instance_id), ("TaskId", task_id)],
        )
        .ok()
        .and_then(|answer| Some(answer.node.text("Message")?.to_owned()))
        .unwrap_or_default();
        for part in [step, message.as_str()] {
            if !part.is_empty() && !text.contains(part) {
                text.push_str(": ");
                text.push_str(part);
            }
        }
        Failure::TaskFailed(text)
    }

    /// The tasks of the action on the instance, of any status, of about now.
    fn tasks(&self, client: &Client, instance_id: &str) -> Result<Vec<Node>, Failure> {
        // A day either side, so that no clock has to be right.
        let day = SignedDuration::from_hours(24);
        let now = Timestamp::now();
        let answer = ask(
            client,
            "DescribeTasks",
            &[
                ("InstanceId", instance_id),
                ("TaskAction", &self.action),
                ("TaskStatus", "0,1,2,3,4,5"),
                ("StartTime", &format_time(now - day)),
                ("EndTime", &format_time(now + day)),
                ("PageNumbers", "1"),
                ("MaxRecordsPerPage", "1000"),
            ],
        )?;
        Ok(answer.node.list("Tasks").to_vec())
    }
}

impl Outcome {
    /// What is now, in words.
    pub fn to_text(&self) -> String {
        let id = &self.instance_id;
        let Some(instance) = &self.instance else {
            return format!("{id} is gone");
        };
        if !self.shows_endpoints {
            return format!("{} of {id} is done", self.action);
        }
        let mut text = format!("{id} is ACTIVE");
        for endpoint in instance.node.list("NetworkInfoItems") {
            let part = |name| endpoint.text(name).unwrap_or("?");
            text.push_str(&format!(
                "\n{} endpoint  {}:{}",
                part("NetworkType"),
                part("ConnectionString"),
                part("Port")
            ));
        }
        text.push_str(&format!("\nConnect with  openpeta connect {id}"));
        text
    }

    /// The answer to the call, with a member `Wait`: the instance as it is now, `null`
    /// when it is gone.
    pub fn to_json(&self, answer: &str) -> String {
        let read = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_default() };
        let mut document = read(answer);
        let instance = self.instance.as_ref().map(|instance| read(&instance.text));
        let wait = serde_json::json!({
            "InstanceId": self.instance_id,
            "Instance": instance,
        });
        if let Some(members) = document.as_object_mut() {
            members.insert("Wait".to_owned(), wait);
        }
        document.to_string()
    }
}

/// Whether the service may well answer a moment later: it restarts, or it is busy.
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) | Failure::ConnectionLost(_) => true,
        Failure::Api { code, .. } => {
            code.starts_with("Throttling") || code.starts_with("ServiceUnavailable")
        }
        _ => false,
    }
}

/// Calls an action with these parameters.
///
/// # Errors
/// As [`Client::call`].
pub fn ask(client: &Client, action: &str, parameters: &[(&str, &str)]) -> Result<Answer, Failure> {
    let mut own = Parameters::default();
    for (name, value) in parameters {
        own.set(*name, *value);
    }
    client.call(&Invocation::new(action, own))
}
