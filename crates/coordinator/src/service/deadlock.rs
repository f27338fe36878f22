//! Deadlocks between nodes, of which each node sees a part: who waits for whom is read from the nodes, and
//! put together by which connection is whose.
//!
//! Nodes are read one after another, so what is read was not true at one moment. It is read twice. A wait
//! that both readings tell, of the same transactions and since the same time, has lasted from the one to the
//! other, so all of a circle of such waits were there when the second reading began; and a circle does not
//! end by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Instance;
use super::sessions::{Connection, Running};
use crate::node::{NodeError, Reply};
use crate::topology::Topology;

/// How often it is looked whether sessions wait; who waits for less is not minded.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two readings: the server tells the same again to whoever asks within 0.1 s.
const BETWEEN: Duration = Duration::from_millis(150);
/// After a reading that has found no circle.
const LONG_PAUSE: Duration = Duration::from_secs(1);

const QUESTION: &str = "SELECT r.trx_mysql_thread_id, b.trx_mysql_thread_id, r.trx_id, b.trx_id, r.trx_wait_started \
     FROM information_schema.INNODB_LOCK_WAITS w \
     JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id \
     JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id";

/// Looks for deadlocks, for ever.
pub(super) async fn watch(instance: Arc<Instance>) {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = PAUSE;
        // One of a circle may have begun to wait just now.
        if instance.sessions().waiting(PAUSE).is_empty()
            || instance.sessions().waiting(Duration::ZERO).len() < 2
        {
            continue;
        }
        if !look(&instance).await {
            pause = LONG_PAUSE;
        }
    }
}

/// A wait as a node tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    waits: Connection,
    /// For whom.
    holds: Connection,
    /// Which transactions these are, and since when the one waits.
    told: [Vec<u8>; 3],
}

/// Ends a deadlock, if there is one; tells whether there was.
async fn look(instance: &Instance) -> bool {
    let first = waits(instance).await;
    let sessions = instance.sessions().waiting(Duration::ZERO);
    if circle(&edges(&first, &sessions)).is_none() {
        return false;
    }
    tokio::time::sleep(BETWEEN).await;
    let second = waits(instance).await;
    let both: BTreeSet<Wait> = first.intersection(&second).cloned().collect();
    let sessions = instance.sessions().waiting(Duration::ZERO);
    let Some(circle) = circle(&edges(&both, &sessions)) else {
        return false;
    };
    let of_circle = sessions.iter().filter(|it| circle.contains(&it.home()));
    let numbered = of_circle.filter_map(|it| Some((it.transaction()?, it)));
    // The one that has begun last has most likely done the least.
    let Some((transaction, victim)) = numbered.max_by_key(|(number, _)| *number) else {
        return false;
    };
    if victim.choose(transaction) {
        tracing::info!(instance = %instance.id(), session = victim.home(), of = circle.len(), "a deadlock between nodes is ended");
        instance.interrupt(victim, victim.connections()).await;
    }
    true
}

/// All that nodes tell; of one that does not answer, nothing.
async fn waits(instance: &Instance) -> BTreeSet<Wait> {
    let mut all = BTreeSet::new();
    for node in Topology::HOME..instance.topology().len() {
        match tokio::time::timeout(PATIENCE, waits_on(instance, node)).await {
            Ok(Ok(waits)) => all.extend(waits),
            Ok(Err(error)) => {
                tracing::debug!(node, %error, "a node does not tell who waits there");
            }
            Err(_) => tracing::debug!(node, "a node does not tell in time who waits there"),
        }
    }
    all
}

async fn waits_on(instance: &Instance, node: u16) -> Result<Vec<Wait>, NodeError> {
    let mut connection = instance.connect(node).await?;
    let reply = connection.query(QUESTION).await?;
    connection.quit().await;
    let Reply::Rows(rows) = reply else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for row in rows.texts()? {
        let [Some(waits), Some(holds), of_waits, of_holds, since] = &row[..] else {
            continue;
        };
        let thread = |text: &[u8]| String::from_utf8_lossy(text).parse::<u32>().ok();
        if let (Some(waits), Some(holds)) = (thread(waits), thread(holds)) {
            all.push(Wait {
                waits: (node, waits),
                holds: (node, holds),
                told: [of_waits, of_holds, since].map(|it| it.clone().unwrap_or_default()),
            });
        }
    }
    Ok(all)
}

/// Which session waits for which others.
type Edges = BTreeMap<u32, BTreeSet<u32>>;

fn edges(waits: &BTreeSet<Wait>, sessions: &[Arc<Running>]) -> Edges {
    let mut whose: HashMap<Connection, u32> = HashMap::new();
    for session in sessions {
        for connection in session.connections() {
            whose.insert(connection, session.home());
        }
    }
    let mut edges = Edges::new();
    for wait in waits {
        // Who is not known, or waits for nothing itself, is part of no circle.
        if let (Some(waits), Some(holds)) = (whose.get(&wait.waits), whose.get(&wait.holds)) {
            edges.entry(*waits).or_default().insert(*holds);
        }
    }
    edges
}

/// Sessions that wait for each other in a circle, if there are some.
fn circle(edges: &Edges) -> Option<Vec<u32>> {
    let mut done = BTreeSet::new();
    for first in edges.keys() {
        let mut path = Vec::new();
        if let Some(circle) = follow(edges, *first, &mut path, &mut done) {
            return Some(circle);
        }
    }
    None
}

fn follow(
    edges: &Edges,
    session: u32,
    path: &mut Vec<u32>,
    done: &mut BTreeSet<u32>,
) -> Option<Vec<u32>> {
    if let Some(at) = path.iter().position(|it| *it == session) {
        return Some(path[at..].to_vec());
    }
    if !done.insert(session) {
        return None;
    }
    path.push(session);
    for next in edges.get(&session).into_iter().flatten() {
        let found = follow(edges, *next, path, done);
        if found.is_some() {
            return found;
        }
    }
    path.pop();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(edges: &[(u32, u32)]) -> Option<Vec<u32>> {
        let mut all = Edges::new();
        for (waits, holds) in edges {
            all.entry(*waits).or_default().insert(*holds);
        }
        circle(&all)
    }

    #[test]
    fn only_circles_are_deadlocks() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[(1, 2), (2, 3), (1, 3), (4, 3)]), None);
        assert_eq!(found(&[(1, 2), (2, 1)]), Some(vec![1, 2]));
        // Who waits for one of them is not one of them.
        assert_eq!(found(&[(1, 2), (2, 3), (3, 2)]), Some(vec![2, 3]));
        assert_eq!(
            found(&[(1, 5), (5, 6), (1, 2), (2, 3), (3, 4), (4, 1), (4, 6)]),
            Some(vec![1, 2, 3, 4])
        );
        // Seen before, by a way that leads nowhere.
        assert_eq!(found(&[(1, 2), (3, 2), (3, 4), (4, 3)]), Some(vec![3, 4]));
    }
}
