//! Disk quota: an instance that has used its space up is locked for writes, and unlocked when
//! there is space again.

use std::sync::Arc;

use jiff::Timestamp;
use openpeta_engine::EngineError;
use openpeta_store::{Instance, NewEvent, Node, NodeState};
use openpeta_types::{EventKind, LockMode, ObjectStatus};
use serde_json::json;

use crate::ControlError;
use crate::parts::Parts;

/// A lock is lifted when usage falls below this share of the quota, in percent.
const UNLOCK_BELOW_PERCENT: u64 = 95;

/// Space is short from this share of the quota on, in percent.
const LOW_FROM_PERCENT: u128 = 85;
/// Space that was short is not any more below this share.
const OK_BELOW_PERCENT: u128 = 80;

/// Binary logs smaller than this are not worth purging.
const BINLOG_KEPT_BYTES: u64 = 1 << 20;

/// Measures every node that serves an instance. Of several, the fullest one counts: what it cannot
/// take makes statements fail that others could carry out.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    for instance in parts.store.read(|reader| reader.instances())? {
        if instance.status != ObjectStatus::Active {
            continue;
        }
        let mut nodes = parts.store.read(|reader| reader.serving_nodes(&instance))?;
        nodes.retain(|node| node.state == NodeState::Running);
        if let Some((node, used)) = fullest(&parts, nodes).await {
            note_space(&parts, &node, &instance, used)?;
            apply(&parts, &node, instance, used).await?;
        }
    }
    Ok(())
}

/// The node that has least of its quota left, and what it uses; `None` unless all can be measured.
async fn fullest(parts: &Parts, nodes: Vec<Node>) -> Option<(Node, u64)> {
    let mut fullest: Option<(Node, u64)> = None;
    for node in nodes {
        let used = match measure(parts, &node).await {
            Ok(used) => used,
            Err(error) => {
                tracing::warn!(node = %node.node_id, %error, "cannot measure disk space");
                return None;
            }
        };
        let share = |node: &Node, used: u64| {
            u128::from(used) * 1_000_000 / u128::from(node.settings.disk_quota_bytes.max(1))
        };
        if fullest
            .as_ref()
            .is_none_or(|(other, most)| share(&node, used) > share(other, *most))
        {
            fullest = Some((node, used));
        }
    }
    fullest
}

/// What a node uses, in bytes. Binary logs go before a lock has to come.
async fn measure(parts: &Parts, node: &Node) -> Result<u64, EngineError> {
    let engine = &parts.engine;
    let usage = engine.disk(&node.node_id).await?.usage;
    let quota = node.settings.disk_quota_bytes;
    if usage.total_bytes() < quota || usage.binlog_bytes <= BINLOG_KEPT_BYTES {
        return Ok(usage.total_bytes());
    }
    let mut sql = engine.sql(&node.node_id).await?;
    if let Some(current) = sql.rotate_binlogs().await? {
        // What is archived must be archived to its end.
        let logged = parts.store.read(|reader| reader.logged_nodes());
        let logged = logged.unwrap_or_default();
        let archived = logged.iter().find(|(id, _)| *id == node.node_id);
        let may_go = match archived {
            Some((id, instance_id)) => parts.archive_log(id, instance_id).await,
            None => true,
        };
        if may_go {
            sql.purge_binlogs_to(&current).await?;
        }
    }
    sql.close().await;
    Ok(engine.disk(&node.node_id).await?.usage.total_bytes())
}

/// Tells when space becomes short, and when it no longer is; what was told last is in the store.
fn note_space(
    parts: &Parts,
    node: &Node,
    instance: &Instance,
    used: u64,
) -> Result<(), ControlError> {
    let quota = node.settings.disk_quota_bytes;
    let percent = u128::from(used) * 100 / u128::from(quota.max(1));
    if (OK_BELOW_PERCENT..LOW_FROM_PERCENT).contains(&percent) {
        return Ok(());
    }
    let id = &instance.instance_id;
    let kinds = [EventKind::DiskSpaceLow, EventKind::DiskSpaceOk];
    let last = parts.store.read(|reader| reader.last_event(id, kinds))?;
    let was_low = last.is_some_and(|last| last.event.kind == EventKind::DiskSpaceLow);
    let is_low = percent >= LOW_FROM_PERCENT;
    if is_low != was_low {
        let kind = kinds[usize::from(!is_low)];
        let text = format!("{id} uses {percent} % of its disk quota of {quota} bytes");
        let details = json!({ "used_bytes": used, "quota_bytes": quota });
        let event = NewEvent::new(Timestamp::now(), kind, text).of(Some(id));
        // At once, so that the next look finds it.
        let event = event.with(&details);
        parts.store.write(|writer| writer.insert_event(&event))?;
    }
    Ok(())
}

/// Locks or unlocks by what was measured; a lock for another reason stays.
async fn apply(
    parts: &Parts,
    node: &Node,
    instance: Instance,
    used: u64,
) -> Result<(), ControlError> {
    let quota = node.settings.disk_quota_bytes;
    let (mode, reason) = match instance.lock_mode {
        LockMode::Unlock if used >= quota => {
            let reason = format!("disk quota of {quota} bytes reached ({used} bytes used)");
            (LockMode::LockByDiskQuota, Some(reason))
        }
        LockMode::LockByDiskQuota if used < quota / 100 * UNLOCK_BELOW_PERCENT => {
            (LockMode::Unlock, None)
        }
        _ => return Ok(()),
    };
    let id = &instance.instance_id;
    let changed = parts.store.write(|writer| {
        let unchanged = writer
            .instance(id)?
            .filter(|now| now.lock_mode == instance.lock_mode);
        if unchanged.is_some() {
            writer.set_instance_lock(id, mode, reason.as_deref())?;
        }
        Ok::<_, ControlError>(unchanged)
    })?;
    if changed.is_none() {
        return Ok(());
    }
    tracing::warn!(instance = %id, lock = %mode, reason, used, "disk quota");
    parts.enforce_lock(id).await
}
