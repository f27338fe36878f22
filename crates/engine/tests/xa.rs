//! Transactions over real nodes that are killed, by a coordinator that is killed as well: money is
//! moved between accounts on two nodes, and none comes or goes.
//!
//! `OPENPETA_XA_KILLS` says how often something is killed, `OPENPETA_SEED` makes the order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{ADMIN_PASSWORD, Bed, SETTINGS, client, db, kill, node};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_types::NodeId;
use openpeta_xa::{
    Action, Branch, Commit, DecisionLog, Failure, Fate, Node, Outcome, Step, TransactionId, fate,
};
use tokio::sync::mpsc;

const COORDINATOR: u64 = 0xB0B;
const ACCOUNTS: u64 = 20;
const EACH: i64 = 1000;
const WORKERS: u64 = 6;

/// One life of the coordinator: the log, and which of its transactions are not over.
struct Coordinator {
    log: DecisionLog,
    live: Mutex<BTreeSet<TransactionId>>,
}

impl Coordinator {
    fn open(directory: &Path) -> Arc<Self> {
        let log = DecisionLog::open(directory, COORDINATOR).expect("the log opens");
        let live = Mutex::default();
        Arc::new(Self { log, live })
    }

    /// Carries out a commit over these connections; they are closed when they are of no use.
    async fn commit(
        self: &Arc<Self>,
        id: TransactionId,
        mut branches: Vec<(Node, Conn)>,
    ) -> Outcome {
        let parts: Vec<_> = branches
            .iter()
            .map(|&(node, _)| Branch { node, wrote: true })
            .collect();
        let (mut commit, mut actions) = Commit::begin(&parts);
        loop {
            let mut next = Vec::new();
            for action in actions {
                match action {
                    Action::Ask(node, step) => {
                        let of_node = branches.iter_mut().find(|(its, _)| *its == node);
                        let (_, conn) = of_node.expect("a branch of ours");
                        next.extend(commit.answered(node, ask(conn, &id, node, step).await));
                    }
                    Action::Decide(nodes) => {
                        let (sender, mut told) = mpsc::unbounded_channel();
                        let done = move |result: Result<(), _>| {
                            // A coordinator that was killed does not listen any more.
                            let _ = sender.send(result.is_ok());
                        };
                        self.log.decide(id, &nodes, Box::new(done));
                        next.extend(commit.decided(told.recv().await.expect("an answer")));
                    }
                    Action::Finish(outcome) => {
                        if outcome == (Outcome::Committed { pending: vec![] }) {
                            self.log.end(id);
                        }
                        return outcome;
                    }
                }
            }
            actions = next;
        }
    }
}

async fn ask(conn: &mut Conn, id: &TransactionId, node: Node, step: Step) -> Result<(), Failure> {
    let xid = id.xid(node);
    let statements = match step {
        Step::CommitOnePhase => vec![
            format!("XA END {xid}"),
            format!("XA COMMIT {xid} ONE PHASE"),
        ],
        Step::Prepare => vec![format!("XA END {xid}"), format!("XA PREPARE {xid}")],
        Step::Commit => vec![format!("XA COMMIT {xid}")],
        Step::RollBackPrepared => vec![format!("XA ROLLBACK {xid}")],
        Step::RollBack => {
            // It may have ended, or must not any more.
            let _ = conn.query_drop(format!("XA END {xid}")).await;
            vec![format!("XA ROLLBACK {xid}")]
        }
    };
    for statement in statements {
        match conn.query_drop(statement).await {
            Ok(()) => {}
            Err(mysql_async::Error::Server(_)) => return Err(Failure::Refused),
            Err(_) => return Err(Failure::Lost),
        }
    }
    Ok(())
}

/// Moves an amount between two accounts of two nodes. `None` if it was not even tried to the end.
async fn transfer(
    coordinator: &Arc<Coordinator>,
    sockets: &[PathBuf],
    random: &mut Random,
) -> Option<(TransactionId, Outcome)> {
    let from = random.below(3) as u16;
    let to = (from + 1 + random.below(2) as u16) % 3;
    let amount = 1 + random.below(9) as i64;
    let id = coordinator.log.next_id();
    let mut branches = Vec::new();
    for (node, sign) in [(from, -1), (to, 1)] {
        let socket = &sockets[usize::from(node)];
        let mut conn = client(socket, "openpeta_admin", ADMIN_PASSWORD)
            .await
            .ok()?;
        let account = random.below(ACCOUNTS);
        let xid = id.xid(Node(node));
        for statement in [
            "SET innodb_lock_wait_timeout = 1".to_owned(),
            format!("XA START {xid}"),
            format!(
                "UPDATE bank.account SET money = money + {} WHERE id = {account}",
                sign * amount
            ),
            format!("INSERT INTO bank.ledger VALUES ('{id}')"),
        ] {
            conn.query_drop(statement).await.ok()?;
        }
        branches.push((Node(node), conn));
    }
    coordinator.live.lock().expect("no panic").insert(id);
    let outcome = coordinator.commit(id, branches).await;
    coordinator.live.lock().expect("no panic").remove(&id);
    Some((id, outcome))
}

/// Ends what is prepared on a node and looked after by nobody. Tells whether nothing is left of it, and
/// which transactions still have a branch there.
async fn recover(coordinator: &Coordinator, socket: &Path) -> Option<BTreeSet<TransactionId>> {
    let mut conn = client(socket, "openpeta_admin", ADMIN_PASSWORD)
        .await
        .ok()?;
    let listed: Vec<(i64, i64, i64, Vec<u8>)> = conn.query("XA RECOVER").await.ok()?;
    let mut left = BTreeSet::new();
    for (format, gtrid, _, data) in listed {
        let Some((id, node)) = TransactionId::from_recover(format, gtrid, &data) else {
            continue;
        };
        let decisions = coordinator.log.decisions();
        let is_live = |id: &TransactionId| coordinator.live.lock().expect("no panic").contains(id);
        let verb = match fate(&id, COORDINATOR, &decisions, is_live) {
            Fate::Commit => "COMMIT",
            Fate::Rollback => "ROLLBACK",
            Fate::Leave => {
                left.insert(id);
                continue;
            }
        };
        // The server may not have noticed yet that the branch's own connection has ended.
        if conn
            .query_drop(format!("XA {verb} {}", id.xid(node)))
            .await
            .is_err()
        {
            left.insert(id);
        }
    }
    let _ = conn.disconnect().await;
    Some(left)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_neither_comes_nor_goes() {
    let bed = Bed::new().await;
    let nodes = ["nd-one", "nd-two", "nd-three"].map(node);
    for node in &nodes {
        set_up(&bed, node).await;
    }
    let sockets = nodes
        .each_ref()
        .map(|it| bed.engine.socket_path(it).expect("short enough"));
    let mut random = Random(setting("OPENPETA_SEED", 7));
    let mut acknowledged = BTreeSet::new();
    let mut coordinator = Coordinator::open(bed.dir.path());
    for _ in 0..setting("OPENPETA_XA_KILLS", 3) {
        let (sender, mut done) = mpsc::unbounded_channel();
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (coordinator, sockets) = (Arc::clone(&coordinator), sockets.clone());
                let (mut random, sender) = (Random(random.below(u64::MAX)), sender.clone());
                tokio::spawn(async move {
                    while !sender.is_closed() {
                        let done = transfer(&coordinator, &sockets, &mut random).await;
                        let _ = sender.send(done);
                    }
                })
            })
            .collect();
        drop(sender);
        let mut take = async |count| {
            for _ in 0..count {
                if let Some((id, Outcome::Committed { .. })) =
                    done.recv().await.expect("they go on")
                {
                    acknowledged.insert(id);
                }
            }
        };
        take(20 + random.below(60)).await;
        let victim = random.below(4) as usize;
        if let Some(node) = nodes.get(victim) {
            let process = bed.engine.running(node).expect("look").expect("it runs");
            let ended = bed.engine.wait_exit(node);
            kill("KILL", process.pid);
            ended.await.expect("the exit is noticed");
            take(10).await;
            bed.engine.start_node(node).await.expect("it comes back");
            for socket in &sockets {
                recover(&coordinator, socket).await;
            }
            take(10).await;
        }
        // The coordinator is killed in the midst of everything, with its connections.
        workers.iter().for_each(tokio::task::JoinHandle::abort);
        for worker in workers {
            let _ = worker.await;
        }
        while let Ok(Some((id, Outcome::Committed { .. }))) = done.try_recv() {
            acknowledged.insert(id);
        }
        let Ok(former) = Arc::try_unwrap(coordinator).map(drop) else {
            panic!("somebody still has the coordinator");
        };
        let () = former;
        coordinator = Coordinator::open(bed.dir.path());
    }
    settle(&coordinator, &sockets).await;
    check(&sockets, &acknowledged).await;
}

async fn set_up(bed: &Bed, node: &NodeId) {
    bed.engine
        .create_node(node, &SETTINGS)
        .await
        .expect("create");
    bed.engine.start_node(node).await.expect("start");
    let mut sql = bed.engine.sql(node).await.expect("connect");
    sql.create_database(&db("bank")).await.expect("create");
    let socket = bed.engine.socket_path(node).expect("short enough");
    let mut conn = client(&socket, "openpeta_admin", ADMIN_PASSWORD)
        .await
        .expect("in");
    let rows = format!("INSERT INTO bank.account SELECT seq - 1, {EACH} FROM seq_1_to_{ACCOUNTS}");
    for statement in [
        "USE bank",
        "CREATE TABLE bank.account (id INT PRIMARY KEY, money BIGINT NOT NULL)",
        "CREATE TABLE bank.ledger (id VARCHAR(64) PRIMARY KEY)",
        &rows,
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
}

/// Everything that is in doubt is settled, soon after all nodes are there.
async fn settle(coordinator: &Coordinator, sockets: &[PathBuf]) {
    let end = Instant::now() + Duration::from_secs(30);
    for socket in sockets {
        while !recover(coordinator, socket)
            .await
            .is_some_and(|left| left.is_empty())
        {
            assert!(Instant::now() < end, "something stays in doubt");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn check(sockets: &[PathBuf], acknowledged: &BTreeSet<TransactionId>) {
    let mut money = 0;
    let mut ledgers = std::collections::BTreeMap::<String, u32>::new();
    for socket in sockets {
        let mut conn = client(socket, "openpeta_admin", ADMIN_PASSWORD)
            .await
            .expect("in");
        let sum = conn
            .query_first::<i64, _>("SELECT SUM(money) FROM bank.account")
            .await;
        money += sum.expect("read").expect("a row");
        let ids: Vec<String> = conn
            .query("SELECT id FROM bank.ledger")
            .await
            .expect("read");
        for id in ids {
            *ledgers.entry(id).or_default() += 1;
        }
    }
    assert_eq!(money, 3 * ACCOUNTS as i64 * EACH);
    assert!(!acknowledged.is_empty());
    let torn: Vec<_> = ledgers.iter().filter(|(_, count)| **count != 2).collect();
    assert!(torn.is_empty(), "committed in part: {torn:?}");
    for id in acknowledged {
        assert!(
            ledgers.contains_key(&id.to_string()),
            "{id} was acknowledged and is lost"
        );
    }
}
