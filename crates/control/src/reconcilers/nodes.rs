//! Nodes that should run do run: adopted after a restart of the service, restarted with
//! backoff after a crash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_engine::{EngineError, RunningNode};
use openpeta_store::{Instance, NewEvent, Node, NodeState};
use openpeta_types::{EventKind, NodeId, ObjectStatus};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ControlError;
use crate::parts::Parts;

/// Longest pause between two starts of a node that keeps failing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A node that ran this long has recovered: the next pause is short again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Failed starts in a row after which the instance is shown as INACTIVE.
const FAILURES_UNTIL_INACTIVE: u32 = 5;

/// One supervisor for each node that should run.
#[derive(Default)]
pub(crate) struct Supervisors {
    by_node: Mutex<HashMap<NodeId, JoinHandle<()>>>,
}

impl Supervisors {
    /// Gives every node that should run its supervisor. A supervisor ends by itself when its
    /// node should no longer run.
    pub(crate) async fn reconcile(self: Arc<Self>, parts: Arc<Parts>) -> Result<(), ControlError> {
        let nodes = parts.store.read(|reader| reader.nodes())?;
        let mut by_node = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
        by_node.retain(|_, supervisor| !supervisor.is_finished());
        for node in nodes
            .into_iter()
            .filter(|node| node.state == NodeState::Running)
        {
            by_node
                .entry(node.node_id.clone())
                .or_insert_with(|| tokio::spawn(supervise(Arc::clone(&parts), node.node_id)));
        }
        Ok(())
    }
}

impl Drop for Supervisors {
    fn drop(&mut self) {
        let by_node = self
            .by_node
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        by_node.values().for_each(JoinHandle::abort);
    }
}

/// Keeps one node running until the store no longer wants it to.
async fn supervise(parts: Arc<Parts>, node_id: NodeId) {
    let mut failures = 0;
    let mut has_crashed = false;
    loop {
        match wanted(&parts, &node_id) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(node = %node_id, context = error.context, "cannot read the store")
            }
        }
        let adopted = parts.engine.running(&node_id).ok().flatten().is_some();
        match parts.engine.start_node(&node_id).await {
            Ok(process) => {
                tracing::info!(node = %node_id, pid = process.pid, adopted, "node runs");
                note_running(&parts, &node_id, process, has_crashed);
                if let Err(error) = recovered(&parts, &node_id, adopted).await {
                    tracing::error!(node = %node_id, context = error.context, "node runs, but its instance is not as it should be");
                }
                let begun = Instant::now();
                if let Err(error) = parts.engine.wait_exit(&node_id).await {
                    tracing::error!(node = %node_id, %error, "cannot wait for the node");
                }
                has_crashed = note_end(&parts, &node_id, process, begun.elapsed());
                failures = if begun.elapsed() >= HEALTHY_AFTER {
                    0
                } else {
                    failures + 1
                };
            }
            Err(EngineError::NoSuchNode { .. }) => {
                // Nobody else makes it anew: an empty one would be taken for the old one.
                failures = FAILURES_UNTIL_INACTIVE;
                if let Err(error) = note_lost(&parts, &node_id) {
                    tracing::error!(node = %node_id, context = error.context, "cannot mark the instance INACTIVE");
                }
            }
            Err(error) => {
                failures += 1;
                tracing::error!(node = %node_id, failures, %error, "node does not start");
                if failures == FAILURES_UNTIL_INACTIVE {
                    let text = format!("node {node_id} failed to start five times in a row");
                    note(&parts, &node_id, EventKind::NodeFailing, text, |event| {
                        event
                    });
                }
                if failures >= FAILURES_UNTIL_INACTIVE
                    && let Err(error) = set_status(&parts, &node_id, ObjectStatus::Inactive)
                {
                    tracing::error!(node = %node_id, context = error.context, "cannot mark the instance INACTIVE");
                }
            }
        }
        match wanted(&parts, &node_id) {
            Ok(false) => return,
            _ => tokio::time::sleep(pause(failures)).await,
        }
    }
}

/// Tells of a process that runs, once for each, whoever started it.
fn note_running(parts: &Parts, node_id: &NodeId, process: RunningNode, has_crashed: bool) {
    let (kind, text) = match has_crashed {
        true => (EventKind::NodeRestarted, "runs again"),
        false => (EventKind::NodeStarted, "runs"),
    };
    let RunningNode { pid, start_time } = process;
    let text = format!("node {node_id} {text}, process {pid}");
    note(parts, node_id, kind, text, |event| {
        event
            .once(format!("node-runs:{node_id}:{pid}:{start_time}"))
            .with(&json!({ "node_id": node_id.as_str(), "pid": pid }))
    });
}

/// Tells of a process that ended; returns whether it should not have. One that ended since the
/// whole node goes is not told of: its instance is gone by then.
fn note_end(parts: &Parts, node_id: &NodeId, process: RunningNode, ran: Duration) -> bool {
    let RunningNode { pid, start_time } = process;
    let (kind, what, has_crashed) = match wanted(parts, node_id) {
        Ok(false) => (EventKind::NodeStopped, "was stopped", false),
        _ => (EventKind::NodeCrashed, "ended unasked", true),
    };
    let text = format!("node {node_id} {what}, process {pid}");
    let seconds = ran.as_secs();
    note(parts, node_id, kind, text, |event| {
        event
            .once(format!("node-ended:{node_id}:{pid}:{start_time}"))
            .with(&json!({ "node_id": node_id.as_str(), "pid": pid, "watched_seconds": seconds }))
    });
    has_crashed
}

fn note(
    parts: &Parts,
    node_id: &NodeId,
    kind: EventKind,
    text: String,
    more: impl FnOnce(NewEvent) -> NewEvent,
) {
    let node = parts.store.read(|reader| reader.node(node_id));
    let instance = node.ok().flatten().and_then(|node| node.instance_id);
    let event = NewEvent::new(Timestamp::now(), kind, text)
        .of(instance.as_ref())
        .with(&json!({ "node_id": node_id.as_str() }));
    parts.events.record(more(event));
}

/// Marks instances INACTIVE whose nodes' directories are not there, before anybody asks.
pub(super) fn note_all_lost(parts: &Parts) -> Result<(), ControlError> {
    for node in parts.store.read(|reader| reader.nodes())? {
        if node.state == NodeState::Running && !parts.engine.has_node(&node.node_id) {
            note_lost(parts, &node.node_id)?;
        }
    }
    Ok(())
}

/// Marks the instance of a node INACTIVE whose directory is not there, and tells of it once.
fn note_lost(parts: &Parts, node_id: &NodeId) -> Result<(), ControlError> {
    let Some(instance) = instance_of(parts, node_id)? else {
        return Ok(());
    };
    if instance.status != ObjectStatus::Active {
        return Ok(());
    }
    let id = &instance.instance_id;
    tracing::error!(node = %node_id, instance = %id, "the data directory of the node is not there: put it back, or have the instance recovered from its backups with `openpeta admin instance recover`");
    let text = format!("the data directory of node {node_id} is not there: {id} is INACTIVE");
    note(parts, node_id, EventKind::NodeLost, text, |event| event);
    set_status(parts, node_id, ObjectStatus::Inactive)
}

/// None before the first restart, then 1 s, 2 s, 4 s … up to the longest.
fn pause(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(1 << (n - 2).min(6)).min(LONGEST_PAUSE),
    }
}

fn wanted(parts: &Parts, node_id: &NodeId) -> Result<bool, ControlError> {
    let node = parts.store.read(|reader| reader.node(node_id))?;
    Ok(node.is_some_and(|node| node.state == NodeState::Running))
}

/// What must hold again after a (re)start: the restart is counted, the lock enforced, accounts
/// are there, and the instance is ACTIVE.
async fn recovered(parts: &Parts, node_id: &NodeId, adopted: bool) -> Result<(), ControlError> {
    if !adopted {
        parts.store.write(|writer| match writer.node(node_id)? {
            Some(node) => {
                writer.update_node(&Node {
                    restarts: node.restarts + 1,
                    ..node
                })?;
                Ok::<_, ControlError>(())
            }
            None => Ok(()),
        })?;
    }
    let node = parts.store.read(|reader| reader.node(node_id))?;
    let instance = instance_of(parts, node_id)?;
    if let (Some(node), Some(instance)) = (node, instance) {
        parts.restore_accounts_on(&node, &instance).await?;
        if instance.lock_mode.is_locked() {
            parts.enforce_lock(&instance.instance_id).await?;
        }
    }
    // Whichever node of the instance comes last finds the others.
    match all_run(parts, node_id)? {
        true => set_status(parts, node_id, ObjectStatus::Active),
        false => Ok(()),
    }
}

/// Whether all nodes run of the instance that a node serves.
fn all_run(parts: &Parts, node_id: &NodeId) -> Result<bool, ControlError> {
    let Some(instance) = instance_of(parts, node_id)? else {
        return Ok(true);
    };
    let nodes = parts.store.read(|reader| reader.serving_nodes(&instance))?;
    for node in nodes.iter().filter(|node| node.state == NodeState::Running) {
        let process = parts.engine.running(&node.node_id);
        if process.map_err(ControlError::unavailable)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Moves the node's instance between ACTIVE and INACTIVE; leaves any other status alone.
fn set_status(parts: &Parts, node_id: &NodeId, status: ObjectStatus) -> Result<(), ControlError> {
    let Some(instance) = instance_of(parts, node_id)? else {
        return Ok(());
    };
    let switchable = matches!(
        instance.status,
        ObjectStatus::Active | ObjectStatus::Inactive
    );
    if !switchable || instance.status == status {
        return Ok(());
    }
    parts.store.write(|writer| {
        let id = &instance.instance_id;
        // Another transaction may have come between.
        if writer
            .instance(id)?
            .is_some_and(|now| now.status == instance.status)
        {
            writer.set_instance_status(id, status)?;
            if status == ObjectStatus::Active {
                let text = format!("{id} is ACTIVE again: its node {node_id} runs");
                let kind = EventKind::NodeRecovered;
                writer.note_event(&NewEvent::new(Timestamp::now(), kind, text).of(Some(id)));
            }
        }
        Ok(())
    })
}

fn instance_of(parts: &Parts, node_id: &NodeId) -> Result<Option<Instance>, ControlError> {
    parts.store.read(|reader| {
        let node = reader.node(node_id)?;
        match node.and_then(|node| node.instance_id) {
            Some(instance_id) => Ok(reader.instance(&instance_id)?),
            None => Ok(None),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<_> = (0..12).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }
}
