//! A few started, empty nodes stand ready, so that an order need not wait for one.

use std::sync::Arc;

use openpeta_store::{Node, NodeState, Writer};
use openpeta_types::NodeSettings;

use crate::parts::Parts;
use crate::{ControlError, random};

/// Makes missing spare nodes, finishes half-made ones, removes those too many.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let wanted = parts.config.nodes.spare as usize;
    let mut spares = parts.store.read(|reader| reader.spare_nodes())?;
    while spares.len() < wanted {
        spares.push(plan(&parts)?);
    }
    for surplus in spares.split_off(wanted) {
        remove(&parts, &surplus).await?;
    }
    for spare in spares
        .iter()
        .filter(|spare| spare.state == NodeState::Creating)
    {
        finish(&parts, spare).await?;
    }
    Ok(())
}

/// Notes a new spare node in the store before anything of it exists.
fn plan(parts: &Parts) -> Result<Node, ControlError> {
    let node = Node {
        node_id: random::node_id()?,
        instance_id: None,
        number: 0,
        node_spec: None,
        settings: settings(parts)?,
        state: NodeState::Creating,
        restarts: 0,
        created_at: jiff::Timestamp::now(),
    };
    parts.store.write(|writer| writer.insert_node(&node))?;
    Ok(node)
}

/// Makes the node real; an order may take it once its state is Running.
async fn finish(parts: &Parts, spare: &Node) -> Result<(), ControlError> {
    let engine = &parts.engine;
    engine
        .create_node(&spare.node_id, &spare.settings)
        .await
        .map_err(ControlError::unavailable)?;
    engine
        .start_node(&spare.node_id)
        .await
        .map_err(ControlError::unavailable)?;
    parts.store.write(|writer| {
        if is_spare(writer, spare)? {
            writer.set_node_state(&spare.node_id, NodeState::Running)?;
        }
        Ok::<_, ControlError>(())
    })?;
    parts.wake_reconcilers();
    Ok(())
}

async fn remove(parts: &Parts, spare: &Node) -> Result<(), ControlError> {
    let removable = parts.store.write(|writer| {
        let removable = is_spare(writer, spare)?;
        if removable {
            writer.set_node_state(&spare.node_id, NodeState::Destroying)?;
        }
        Ok::<_, ControlError>(removable)
    })?;
    if removable {
        let destroyed = parts.engine.destroy_node(&spare.node_id).await;
        destroyed.map_err(ControlError::unavailable)?;
        parts
            .store
            .write(|writer| writer.delete_node(&spare.node_id))?;
    }
    Ok(())
}

/// Whether no order has taken it in the meantime.
fn is_spare(writer: &Writer<'_>, spare: &Node) -> Result<bool, ControlError> {
    let node = writer.node(&spare.node_id)?;
    Ok(node.is_some_and(|node| node.instance_id.is_none()))
}

/// Settings of spare nodes: the configured ones, else those of the spec that sells best.
pub(crate) fn settings(parts: &Parts) -> Result<NodeSettings, ControlError> {
    if let Some(settings) = &parts.config.nodes.spare_settings {
        return Ok(settings.clone());
    }
    let specs = &parts.config.node_specs;
    let usual = specs
        .find("petadata.s2.xlarge")
        .or_else(|| specs.iter().next());
    let (_, settings) =
        usual.ok_or_else(|| ControlError::internal("no node specs are on offer"))?;
    Ok(settings.clone())
}
