//! Settles what is in doubt on the nodes: prepared branches that nobody looks after.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use openpeta_xa::{Fate, Node, TransactionId};

use super::Instance;
use crate::node::{NodeConnection, NodeError, Reply};

/// How often nodes are asked when nothing special has happened.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are asked as long as something is in doubt.
const SHORT_PAUSE: Duration = Duration::from_millis(200);

/// Looks after an instance, for ever.
pub(super) async fn look_after(instance: Arc<Instance>) {
    loop {
        let pause = match settle(&instance).await {
            true => PAUSE,
            false => SHORT_PAUSE,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = instance.doubt().raised() => {}
        }
    }
}

/// Brings all that was begun on the nodes to its end, however long it takes: nobody begins anything
/// meanwhile.
pub(super) async fn settle_all(instance: &Instance) {
    while !(instance.finish_definitions().await.is_ok()
        && settle(instance).await
        && is_nothing_prepared(instance).await)
    {
        tokio::time::sleep(SHORT_PAUSE).await;
    }
}

/// Whether no node lists a branch of ours, whoever looks after it.
async fn is_nothing_prepared(instance: &Instance) -> bool {
    for node in 0..instance.topology().len() {
        let Ok(mut connection) = instance.connect(node).await else {
            return false;
        };
        let found = listed(&mut connection).await;
        connection.quit().await;
        if !found.is_ok_and(|found| found.is_empty()) {
            return false;
        }
    }
    true
}

/// Settles what can be settled; tells whether nothing is left in doubt.
async fn settle(instance: &Instance) -> bool {
    // What was decided before the nodes are asked, and is listed by none of them, is over.
    let decided = instance.life().decided();
    let mut listed: Vec<TransactionId> = Vec::new();
    let mut all_reached = true;
    for node in 0..instance.topology().len() {
        let count = instance.doubt().count();
        let settled = tokio::time::timeout(PATIENCE, settle_node(instance, node)).await;
        // A node that hangs must not keep the others from being settled.
        let settled = settled.unwrap_or_else(|_| Err(NodeError::Lost(ErrorKind::TimedOut.into())));
        match settled {
            Ok(left) => {
                if left.is_empty() {
                    instance.doubt().settle(node, count);
                }
                listed.extend(left);
            }
            Err(error) => {
                tracing::debug!(node, %error, "a node cannot be asked what is in doubt");
                all_reached = false;
            }
        }
    }
    if all_reached {
        for (id, _) in decided {
            if !listed.contains(&id) {
                instance.life().log.end(id);
            }
        }
    }
    all_reached && listed.is_empty()
}

/// Settles the branches of a node; those that are left in doubt.
async fn settle_node(instance: &Instance, node: u16) -> Result<Vec<TransactionId>, NodeError> {
    let mut connection = instance.connect(node).await?;
    let mut left = Vec::new();
    let all = listed(&mut connection).await?;
    let own = instance.life().log.coordinator();
    let mut former = instance.former();
    let is_known = |id: &TransactionId| {
        let mut known = former.iter().map(|former| former.coordinator());
        id.coordinator == own || known.any(|it| it == id.coordinator)
    };
    if !all.iter().all(|(id, _)| is_known(id)) {
        instance.look_for_former();
        former = instance.former();
    }
    for (id, of) in all {
        let fates = former.iter().map(|former| former.fate(&id));
        let fate = fates
            .chain([instance.life().fate(&id)])
            .find(|fate| *fate != Fate::Leave);
        let verb = match fate {
            Some(Fate::Commit) => "COMMIT",
            Some(Fate::Rollback) => "ROLLBACK",
            _ => continue,
        };
        let reply = connection
            .query(format!("XA {verb} {}", id.xid(of)))
            .await?;
        if let Reply::Err(error) = reply {
            // The server may not have noticed yet that the branch's own connection has ended.
            tracing::debug!(node, %id, code = error.code, "a branch is still in doubt");
            left.push(id);
        } else {
            tracing::info!(node, %id, verb, "a branch that was in doubt is settled");
        }
    }
    connection.quit().await;
    Ok(left)
}

/// The branches of ours that are prepared on a node.
pub(super) async fn listed(
    connection: &mut NodeConnection,
) -> Result<Vec<(TransactionId, Node)>, NodeError> {
    let Reply::Rows(rows) = connection.query("XA RECOVER").await? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for row in rows.texts()? {
        let [Some(format), Some(length), _, Some(data)] = &row[..] else {
            continue;
        };
        let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<i64>().unwrap_or(-1);
        found.extend(TransactionId::from_recover(
            number(format),
            number(length),
            data,
        ));
    }
    Ok(found)
}
