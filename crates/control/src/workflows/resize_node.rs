//! Nodes get the sizes that their databases add up to.

use openpeta_engine::Applied;
use openpeta_store::{Database, Node, Writer};
use openpeta_tasks::StepError;
use openpeta_types::{InstanceId, NodeId, NodeSettings};

use super::{FAILED_INSIDE, engine_error, stop_node};
use crate::instance_nodes::is_on;
use crate::node_size::{is_counted, node_settings};
use crate::parts::Parts;

/// Gives an instance's nodes what those of their databases need that are `wanted`; that may set
/// right what a database needs. Tasks of an instance run one after the other, and nobody else
/// does this. May be repeated.
pub(super) async fn resize_node(
    parts: &Parts,
    instance_id: &InstanceId,
    wanted: impl Fn(&mut Database) -> bool,
) -> Result<(), StepError> {
    let nodes = parts
        .store
        .write(|writer| count(writer, instance_id, wanted))?;
    for node in nodes {
        apply_settings(parts, &node.node_id, &node.settings).await?;
    }
    // The gateway admits as many connections as there are now.
    Ok(parts.publish(instance_id)?)
}

/// Writes what an instance's nodes should have, as its databases are now. What an operator changed
/// between a task's steps and its end counts.
pub(super) fn recount(writer: &Writer<'_>, instance_id: &InstanceId) -> Result<(), StepError> {
    count(writer, instance_id, |database| is_counted(database)).map(drop)
}

fn count(
    writer: &Writer<'_>,
    instance_id: &InstanceId,
    wanted: impl Fn(&mut Database) -> bool,
) -> Result<Vec<Node>, StepError> {
    let gone = || StepError::permanent(FAILED_INSIDE, "the instance or its node is gone");
    let instance = writer.instance(instance_id)?.ok_or_else(gone)?;
    let mut nodes = writer.serving_nodes(&instance)?;
    if nodes.first().is_none_or(|home| home.number != 0) {
        return Err(gone());
    }
    let mut databases = writer.databases(instance_id)?;
    databases.retain_mut(|database| wanted(database));
    // One that is left without any is about to go.
    let is_used = |node: &Node| {
        node.number == 0
            || databases
                .iter()
                .any(|database| is_on(database, node.number))
    };
    nodes.retain(is_used);
    for node in &mut nodes {
        let there = databases
            .iter()
            .filter(|database| is_on(database, node.number));
        node.settings = node_settings(there.map(|database| &database.settings));
        writer.update_node(node)?;
    }
    Ok(nodes)
}

/// Makes a node have these settings, by a restart if the server cannot do without.
pub(super) async fn apply_settings(
    parts: &Parts,
    node_id: &NodeId,
    settings: &NodeSettings,
) -> Result<(), StepError> {
    let applied = parts.engine.apply_settings(node_id, settings).await;
    if applied.map_err(engine_error)? == Applied::AfterRestart {
        tracing::warn!(node = %node_id, "restarting the node: the server cannot change its sizes while it runs");
        stop_node(parts, node_id).await?;
        let started = parts.engine.start_node(node_id).await;
        started.map_err(engine_error)?;
    }
    Ok(())
}
