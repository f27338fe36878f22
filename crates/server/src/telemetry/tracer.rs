//! Spans of calls, tasks and steps. What is in them is named here, one by one: nothing that a client
//! wrote but names that the service knows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_control::{StepOutcome, StepRun, TaskObserver};
use openpeta_rpc_api::Action;
use openpeta_store::Task;
use openpeta_types::{AccountId, RequestId, SamplingRatio, TaskStatus, TraceContext};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};
use tokio::sync::mpsc;

use super::encode::{nanos, number, text};
use super::exporter::Counts;

/// Makes spans and queues them; never waits.
pub(crate) struct Tracer {
    pub(super) ratio: SamplingRatio,
    pub(super) spans: mpsc::Sender<Span>,
    pub(super) counts: Arc<Counts>,
}

/// A call that was answered.
pub(crate) struct CallSpan {
    pub(crate) request_id: RequestId,
    /// Where the caller is in a trace of its own; only of one whose signature is right.
    pub(crate) caller: Option<TraceContext>,
    pub(crate) action: Option<Action>,
    pub(crate) account_id: Option<AccountId>,
    pub(crate) method: &'static str,
    pub(crate) is_secure: bool,
    pub(crate) client: IpAddr,
    pub(crate) http_status: u16,
    pub(crate) elapsed: Duration,
}

impl Tracer {
    /// The place of a call in its trace.
    pub(crate) fn context(
        &self,
        request_id: RequestId,
        caller: Option<TraceContext>,
    ) -> TraceContext {
        TraceContext::of_call(request_id, caller, self.ratio)
    }

    /// Tells of a call. The code is OK or the error's.
    pub(crate) fn call(&self, its: &CallSpan, code: &str) {
        let context = self.context(its.request_id, its.caller);
        if !context.is_sampled() {
            return;
        }
        let now = Timestamp::now();
        let mut attributes = vec![
            text("openpeta.request_id", its.request_id.to_string()),
            text("openpeta.code", code),
            text("http.request.method", its.method),
            number("http.response.status_code", its.http_status.into()),
            text("url.scheme", if its.is_secure { "https" } else { "http" }),
            text("client.address", its.client.to_string()),
        ];
        if let Some(action) = its.action {
            attributes.push(text("openpeta.action", action.name()));
        }
        if let Some(account) = its.account_id {
            attributes.push(text("openpeta.account_id", account.to_string()));
        }
        if its.http_status >= 400 {
            attributes.push(text("error.type", code));
        }
        let elapsed = SignedDuration::try_from(its.elapsed).unwrap_or(SignedDuration::MAX);
        self.record(Span {
            name: its.action.map_or("call", |action| action.name()).to_owned(),
            kind: SpanKind::Server as i32,
            start_time_unix_nano: nanos(now.checked_sub(elapsed).unwrap_or(now)),
            end_time_unix_nano: nanos(now),
            // Whoever calls wrongly makes no error of this service's.
            status: status(its.http_status >= 500),
            ..span(context, its.caller, its.caller.is_some(), attributes)
        });
    }

    /// The place of a task, and that of what asked for it.
    fn task_context(&self, task: &Task) -> (TraceContext, Option<TraceContext>) {
        let id = task.task_id.number().cast_unsigned();
        match task.trace {
            Some(call) => (call.child(&[id]), Some(call)),
            None => {
                let begun = task.begin_at.as_microsecond().cast_unsigned();
                (TraceContext::root(&[id, begun], self.ratio), None)
            }
        }
    }

    fn record(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.drop_some(1);
        }
    }
}

impl TaskObserver for Tracer {
    fn step_ran(&self, run: &StepRun<'_>) {
        let (task, _) = self.task_context(run.task);
        if !task.is_sampled() {
            return;
        }
        let now = Timestamp::now();
        let numbers = [run.index as u64, run.attempt.into(), run.is_undo.into()];
        let mut attributes = task_attributes(run.task);
        attributes.extend([
            text("openpeta.step", run.step),
            number("openpeta.attempt", run.attempt.into()),
            text("openpeta.outcome", run.outcome.as_str()),
        ]);
        let has_failed = !matches!(run.outcome, StepOutcome::Done | StepOutcome::Interrupted);
        if has_failed {
            attributes.push(text("error.type", run.outcome.as_str()));
        }
        let undo = if run.is_undo { "undo " } else { "" };
        self.record(Span {
            name: format!("{undo}{}", run.step),
            kind: SpanKind::Internal as i32,
            start_time_unix_nano: nanos(run.began.min(now)),
            end_time_unix_nano: nanos(now),
            status: status(has_failed),
            ..span(task.child(&numbers), Some(task), false, attributes)
        });
    }

    fn task_ended(&self, task: &Task) {
        let (context, parent) = self.task_context(task);
        if !context.is_sampled() {
            return;
        }
        let outcome = match task.status {
            TaskStatus::Succeeded => "succeeded",
            TaskStatus::Cancelled => "cancelled",
            _ => "failed",
        };
        let mut attributes = task_attributes(task);
        attributes.push(text("openpeta.outcome", outcome));
        let has_failed = outcome == "failed";
        if has_failed {
            attributes.push(text("error.type", outcome));
        }
        let ended = task.finish_at.unwrap_or(task.begin_at);
        self.record(Span {
            name: task.workflow.clone(),
            kind: SpanKind::Internal as i32,
            start_time_unix_nano: nanos(task.begin_at),
            end_time_unix_nano: nanos(ended.max(task.begin_at)),
            status: status(has_failed),
            ..span(context, parent, false, attributes)
        });
    }
}

fn task_attributes(task: &Task) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("openpeta.task_id", task.task_id.to_string()),
        text("openpeta.workflow", &*task.workflow),
        text("openpeta.action", &*task.action),
        text("openpeta.account_id", task.account_id.to_string()),
    ];
    if let Some(instance) = &task.instance_id {
        attributes.push(text("openpeta.instance_id", instance.as_str()));
    }
    attributes
}

fn span(
    context: TraceContext,
    parent: Option<TraceContext>,
    is_remote: bool,
    attributes: Vec<KeyValue>,
) -> Span {
    let sampled = u32::from(context.is_sampled());
    let remote = match is_remote {
        true => SpanFlags::ContextIsRemoteMask as u32,
        false => 0,
    };
    Span {
        trace_id: context.trace_id().to_vec(),
        span_id: context.span_id().to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span_id().to_vec()),
        flags: sampled | SpanFlags::ContextHasIsRemoteMask as u32 | remote,
        attributes,
        ..Span::default()
    }
}

fn status(is_error: bool) -> Option<Status> {
    is_error.then(|| Status {
        code: StatusCode::Error as i32,
        ..Status::default()
    })
}
