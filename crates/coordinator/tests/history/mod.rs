//! Appends to lists on several nodes, by sessions at once, while nodes and the service are killed: what they
//! saw is judged by [`checker`].
//!
//! `OPENPETA_TRANSACTIONS` says how many, `OPENPETA_LONG_CHECKS` makes it 20,000; `OPENPETA_SEED` makes the order
//! of what is done and killed.

mod bad;
mod checker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::common::{PASSWORD, USER, World, try_connect};
use crate::reads_support::random::Random;
use checker::{End, Op, Transaction, View};

const SESSIONS: u64 = 6;
/// Lists that are in use at once; how many transactions use them.
const LISTS: u64 = 10;
const OF_LISTS: u64 = 300;

/// A value that grows by each append, in each of the kinds of tables.
const TABLES: [(&str, &str); 3] = [
    ("spread", " DISTRIBUTE BY HASH(k)"),
    ("everywhere", " DISTRIBUTE BY BROADCAST"),
    ("whole_at_home", ""),
];

fn table_of(key: u64) -> &'static str {
    match key % LISTS {
        0..7 => TABLES[0].0,
        7..9 => TABLES[1].0,
        _ => TABLES[2].0,
    }
}

struct Shared {
    socket: PathBuf,
    clock: AtomicU64,
    values: AtomicU64,
    /// How often somebody has begun something, or tried to connect.
    attempts: AtomicU64,
    stop: AtomicBool,
    history: Mutex<Vec<Transaction>>,
}

impl Shared {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn done(&self) -> usize {
        self.history.lock().expect("nobody panics").len()
    }

    async fn connect(&self) -> mysql_async::Result<Conn> {
        let mut conn = try_connect(&self.socket, USER, PASSWORD, |it| it).await?;
        conn.query_drop("SET innodb_lock_wait_timeout = 1").await?;
        Ok(conn)
    }

    /// Runs transactions until it is told to stop.
    async fn work(self: Arc<Self>, mut random: Random) {
        let mut conn = None;
        while !self.stop.load(Ordering::Relaxed) {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let Some(connected) = &mut conn else {
                conn = self.connect().await.ok();
                tokio::task::yield_now().await;
                continue;
            };
            let (mut transaction, is_lost) = self.transaction(connected, &mut random).await;
            if is_lost {
                conn = None;
            }
            transaction.ended = self.now();
            self.history
                .lock()
                .expect("nobody panics")
                .push(transaction);
        }
    }

    fn key(&self, random: &mut Random) -> u64 {
        let round = self.values.load(Ordering::Relaxed) / OF_LISTS;
        round * LISTS + random.below(LISTS)
    }

    /// One transaction, and whether the connection is lost.
    async fn transaction(&self, conn: &mut Conn, random: &mut Random) -> (Transaction, bool) {
        let kind = random.below(10);
        let view = match kind {
            0 | 1 => View::Committed,
            2 | 3 => View::OfNode,
            _ => View::Moment,
        };
        let began = self.now();
        let mut transaction = Transaction {
            ops: Vec::new(),
            view,
            end: End::Failed,
            told: format!("kind {kind}"),
            began,
            ended: began,
        };
        let done = match kind {
            8 => self.read_at_once(conn, random, &mut transaction).await,
            9 => self.append_at_once(conn, random, &mut transaction).await,
            _ => {
                let level = match view {
                    View::Committed => "READ COMMITTED",
                    _ => "REPEATABLE READ",
                };
                let begin = match view {
                    View::Moment => "START TRANSACTION WITH CONSISTENT SNAPSHOT",
                    _ => "BEGIN",
                };
                let only_reads = view == View::Moment && random.chance(50);
                self.statements(conn, random, &mut transaction, [level, begin], only_reads)
                    .await
            }
        };
        match done {
            Ok(()) => transaction.end = End::Acknowledged,
            Err(mysql_async::Error::Server(error)) => {
                transaction.end = End::Failed;
                transaction.told = format!("{}: {error}", transaction.told);
                let undone = conn.query_drop("ROLLBACK").await;
                return (transaction, undone.is_err());
            }
            Err(error) => {
                transaction.told = format!("{}: {error}", transaction.told);
                return (transaction, true);
            }
        }
        (transaction, false)
    }

    /// A transaction of several statements. Unless its end is asked for, it fails when the connection is lost.
    async fn statements(
        &self,
        conn: &mut Conn,
        random: &mut Random,
        transaction: &mut Transaction,
        [level, begin]: [&str; 2],
        only_reads: bool,
    ) -> mysql_async::Result<()> {
        conn.query_drop(format!("SET TRANSACTION ISOLATION LEVEL {level}"))
            .await?;
        conn.query_drop(begin).await?;
        for _ in 0..1 + random.below(5) {
            let key = self.key(random);
            if !only_reads && random.chance(50) {
                let value = self.values.fetch_add(1, Ordering::Relaxed);
                // It may be there whatever is answered.
                transaction.ops.push(Op::Append(key, value));
                conn.query_drop(append(&[(key, value)])).await?;
            } else {
                let read: Option<String> = conn
                    .query_first(format!("SELECT v FROM {} WHERE k = {key}", table_of(key)))
                    .await?;
                transaction.ops.push(Op::Read(key, values(read)));
            }
        }
        if random.chance(8) {
            conn.query_drop("ROLLBACK").await?;
            return Err(mysql_async::Error::Server(mysql_async::ServerError {
                code: 0,
                message: "undone as it was wanted".into(),
                state: "HY000".into(),
            }));
        }
        transaction.end = End::Unknown;
        conn.query_drop("COMMIT").await
    }

    /// Lists on several nodes by one statement, outside of a transaction.
    async fn read_at_once(
        &self,
        conn: &mut Conn,
        random: &mut Random,
        transaction: &mut Transaction,
    ) -> mysql_async::Result<()> {
        let first = self.key(random) / LISTS * LISTS;
        let rows: Vec<(u64, String)> = conn
            .query(format!(
                "SELECT k, v FROM spread WHERE k >= {first} AND k < {}",
                first + LISTS
            ))
            .await?;
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        for key in (first..first + LISTS).filter(|key| table_of(*key) == "spread") {
            transaction
                .ops
                .push(Op::Read(key, values(rows.get(&key).cloned())));
        }
        Ok(())
    }

    /// To lists on several nodes by one statement, outside of a transaction.
    async fn append_at_once(
        &self,
        conn: &mut Conn,
        random: &mut Random,
        transaction: &mut Transaction,
    ) -> mysql_async::Result<()> {
        let mut appends = BTreeMap::new();
        for _ in 0..3 {
            let key = self.key(random);
            if table_of(key) == "spread" {
                appends.insert(key, self.values.fetch_add(1, Ordering::Relaxed));
            }
        }
        let appends: Vec<_> = appends.into_iter().collect();
        if appends.is_empty() {
            return Ok(());
        }
        transaction.ops = appends
            .iter()
            .map(|(key, value)| Op::Append(*key, *value))
            .collect();
        transaction.end = End::Unknown;
        conn.query_drop(append(&appends)).await
    }
}

fn append(values: &[(u64, u64)]) -> String {
    let rows: Vec<_> = values
        .iter()
        .map(|(key, value)| format!("({key}, '{value},')"))
        .collect();
    format!(
        "INSERT INTO {} (k, v) VALUES {} ON DUPLICATE KEY UPDATE v = CONCAT(v, VALUES(v))",
        table_of(values[0].0),
        rows.join(", ")
    )
}

fn values(read: Option<String>) -> Vec<u64> {
    let read = read.unwrap_or_default();
    let values = read.split(',').filter(|it| !it.is_empty());
    values.map(|it| it.parse().expect("a value")).collect()
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_see_what_is_promised() {
    let long = std::env::var_os("OPENPETA_LONG_CHECKS").is_some();
    let count =
        setting("OPENPETA_TRANSACTIONS").unwrap_or(if long { 20_000 } else { 1_200 }) as usize;
    let mut random = Random::new(setting("OPENPETA_SEED").unwrap_or(5));
    let mut world = World::new().await;
    let mut conn = world.client().await;
    for (table, clause) in TABLES {
        let create =
            format!("CREATE TABLE {table} (k INT PRIMARY KEY, v MEDIUMTEXT NOT NULL){clause}");
        conn.query_drop(create).await.expect("made");
    }
    let shared = Arc::new(Shared {
        socket: world.coordinator_socket(),
        clock: AtomicU64::new(0),
        values: AtomicU64::new(1),
        attempts: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        history: Mutex::default(),
    });
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..SESSIONS {
        let of_session = Random::new(random.below(u64::MAX >> 12));
        workers.spawn(Arc::clone(&shared).work(of_session));
    }
    // Between two kills there is a time in which nothing is.
    let (mut kills, between) = (0, (count / 10).min(400));
    let mut next = between;
    while shared.done() < count {
        if shared.done() >= next {
            kill_something(&mut world, &shared, &mut random).await;
            kills += 1;
            next = shared.done() + between;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.expect("no worker panics");
    }
    crate::bank::settled(&world).await;
    let lists = in_the_end(&world).await;
    let history = std::mem::take(&mut *shared.history.lock().expect("nobody panics"));
    let of = |end| history.iter().filter(|it| it.end == end).count();
    eprintln!(
        "{} transactions acknowledged, {} failed, {} unknown; {kills} kills; {} lists",
        of(End::Acknowledged),
        of(End::Failed),
        of(End::Unknown),
        lists.len()
    );
    assert!(of(End::Acknowledged) * 4 > count, "many are carried out");
    let found = checker::check(&history, &lists);
    for found in found.iter().take(10) {
        eprintln!("{:?}: {}", found.anomaly, found.what);
    }
    assert!(found.is_empty(), "{} anomalies", found.len());
}

/// Kills a node, or the service, in the midst of all, and has it come back.
async fn kill_something(world: &mut World, shared: &Shared, random: &mut Random) {
    match random.below(4) as usize {
        3 => {
            world.close();
            world.open();
        }
        node => {
            world.kill_node(node).await;
            // What goes on without it: nothing, if it is home.
            let before = shared.attempts.load(Ordering::Relaxed);
            while shared.attempts.load(Ordering::Relaxed) < before + 10 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            world.start_node(node).await;
        }
    }
}

/// All lists.
async fn in_the_end(world: &World) -> BTreeMap<u64, Vec<u64>> {
    let mut conn = world.client().await;
    let mut lists = BTreeMap::new();
    for (table, _) in TABLES {
        let rows: Vec<(u64, String)> = conn
            .query(format!("SELECT k, v FROM {table}"))
            .await
            .expect("read");
        lists.extend(
            rows.into_iter()
                .map(|(key, list)| (key, values(Some(list)))),
        );
    }
    lists
}
