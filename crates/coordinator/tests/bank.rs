//! Money is moved between accounts on several nodes while nodes, and the coordinator, are killed: none
//! comes or goes, nobody ever sees half of a transfer, and nothing stays in doubt.
//!
//! `OPENPETA_BANK_KILLS` says how often something is killed, `OPENPETA_SEED` makes the order.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use openpeta_coordinator::Coordinators;
use openpeta_types::InstanceId;
use openpeta_types::route::InstanceRoute;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::common::{ADMIN, ADMIN_PASSWORD, DATABASE, PASSWORD, USER, WHOLE, World, try_connect};

const ACCOUNTS: u64 = 30;
const EACH: i64 = 1000;
const WRITERS: u64 = 4;
const READERS: u64 = 2;
/// How long an instance stands still at most.
const STILL: Duration = Duration::from_millis(500);

/// What happened to a transfer, or what a reader saw.
enum Event {
    Acknowledged(u64),
    Refused,
    Sum(i64),
}

struct Bank {
    socket: PathBuf,
    next: AtomicU64,
    stop: AtomicBool,
    events: mpsc::UnboundedSender<Event>,
}

impl Bank {
    /// Has writers at work; who else is, is the caller's to add. What happens is told.
    fn open(
        world: &World,
        random: &mut Random,
    ) -> (Arc<Self>, JoinSet<()>, mpsc::UnboundedReceiver<Event>) {
        let (sender, events) = mpsc::unbounded_channel();
        let bank = Arc::new(Self {
            socket: world.coordinator_socket(),
            next: AtomicU64::new(1),
            stop: AtomicBool::new(false),
            events: sender,
        });
        let mut workers = JoinSet::new();
        for _ in 0..WRITERS {
            workers.spawn(Arc::clone(&bank).write(Random(random.below(u64::MAX))));
        }
        (bank, workers, events)
    }

    async fn connect(&self) -> mysql_async::Result<Conn> {
        let mut conn = try_connect(&self.socket, USER, PASSWORD, |it| it).await?;
        conn.query_drop("SET innodb_lock_wait_timeout = 1").await?;
        Ok(conn)
    }

    /// Moves money until it is told to stop.
    async fn write(self: Arc<Self>, mut random: Random) {
        let mut conn = None;
        while !self.stop.load(Ordering::Relaxed) {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let done = match &mut conn {
                Some(conn) => transfer(conn, id, &mut random).await,
                None => match self.connect().await {
                    Ok(connected) => {
                        conn = Some(connected);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(()) => {
                    let _ = self.events.send(Event::Acknowledged(id));
                    continue;
                }
                Err(mysql_async::Error::Server(_)) if conn.is_some() => {
                    let rolled_back = match &mut conn {
                        Some(conn) => conn.query_drop("ROLLBACK").await.is_ok(),
                        None => false,
                    };
                    if !rolled_back {
                        conn = None;
                    }
                }
                Err(_) => conn = None,
            }
            let _ = self.events.send(Event::Refused);
            tokio::task::yield_now().await;
        }
    }

    /// Sums up until it is told to stop.
    async fn read(self: Arc<Self>) {
        let mut conn = None;
        while !self.stop.load(Ordering::Relaxed) {
            let Some(connected) = &mut conn else {
                conn = self.connect().await.ok();
                tokio::task::yield_now().await;
                continue;
            };
            let sum = connected
                .query_first("SELECT SUM(money) FROM account")
                .await;
            match sum {
                Ok(Some(sum)) => {
                    let _ = self.events.send(Event::Sum(sum));
                }
                Ok(None) => panic!("a sum is a row"),
                Err(mysql_async::Error::Server(_)) => {}
                Err(_) => conn = None,
            }
        }
    }
}

/// A transfer: within a transaction of several statements, or by one statement over nodes.
async fn transfer(conn: &mut Conn, id: u64, random: &mut Random) -> mysql_async::Result<()> {
    let from = random.below(ACCOUNTS);
    let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
    let amount = 1 + random.below(9);
    let rows: Vec<_> = (0..3)
        .map(|part| format!("({id}, {part}, {from}, {to}, {amount})"))
        .collect();
    let ledger = format!("INSERT INTO ledger VALUES {}", rows.join(", "));
    if random.below(4) < 1 {
        conn.query_drop(format!(
            "UPDATE account SET money = money + IF(id = {from}, -{amount}, {amount}) \
             WHERE id IN ({from}, {to})"
        ))
        .await?;
        return conn.query_drop(ledger).await;
    }
    for statement in [
        "BEGIN".to_owned(),
        format!("UPDATE account SET money = money - {amount} WHERE id = {from}"),
        ledger,
        format!("UPDATE account SET money = money + {amount} WHERE id = {to}"),
        "COMMIT".to_owned(),
    ] {
        conn.query_drop(statement).await?;
    }
    Ok(())
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
async fn money_is_moved_whole_or_not_at_all() {
    let mut world = World::new().await;
    endow(&world).await;
    let mut random = Random(setting("OPENPETA_SEED", 7));
    let (bank, mut workers, mut events) = Bank::open(&world, &mut random);
    for _ in 0..READERS {
        workers.spawn(Arc::clone(&bank).read());
    }
    let mut acknowledged = BTreeSet::new();
    let mut sums = 0_u64;
    let mut take = async |count: u64| {
        let mut taken = 0;
        while taken < count {
            match events.recv().await.expect("they go on") {
                Event::Acknowledged(id) => {
                    acknowledged.insert(id);
                    taken += 1;
                }
                Event::Refused => taken += 1,
                Event::Sum(sum) => {
                    sums += 1;
                    assert_eq!(
                        sum,
                        ACCOUNTS as i64 * EACH,
                        "a reader saw half of a transfer"
                    );
                }
            }
        }
    };
    let kills = setting("OPENPETA_BANK_KILLS", 4);
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        take(10 + random.below(30)).await;
        // The short run has one of each kind.
        let what = if kills > 4 { random.below(6) } else { kill + 1 };
        match what as usize {
            3 => {
                world.close();
                world.open();
            }
            // All at once.
            4 => {
                world.close();
                for node in 0..3 {
                    world.kill_node(node).await;
                }
                for node in 0..3 {
                    world.start_node(node).await;
                }
                world.open();
            }
            // The service and a node.
            5 => {
                let node = random.below(3) as usize;
                world.kill_node(node).await;
                world.close();
                world.open();
                take(3).await;
                world.start_node(node).await;
            }
            node => {
                world.kill_node(node).await;
                take(3).await;
                world.start_node(node).await;
            }
        }
        take(5).await;
        longest = longest.max(settled(&world).await);
    }
    take(20).await;
    bank.stop.store(true, Ordering::Relaxed);
    while workers.join_next().await.is_some_and(|ended| ended.is_ok()) {}
    while let Ok(event) = events.try_recv() {
        if let Event::Acknowledged(id) = event {
            acknowledged.insert(id);
        }
    }
    eprintln!(
        "{kills} kills; {} transfers acknowledged, {sums} sums; nothing in doubt after {longest:?} at most",
        acknowledged.len()
    );
    check(&world, &acknowledged, sums).await;
}

/// Gives each account its money.
async fn endow(world: &World) {
    let mut conn = world.client().await;
    let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {EACH})")).collect();
    for statement in [
        "CREATE TABLE account (id INT PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)",
        "CREATE TABLE ledger (id BIGINT, part INT, source INT, target INT, amount INT, \
         PRIMARY KEY (id, part)) DISTRIBUTE BY HASH(part)",
        &format!("INSERT INTO account VALUES {}", rows.join(", ")),
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
}

/// Soon after all nodes are there, nothing is in doubt any more that was in doubt before.
pub async fn settled(world: &World) -> Duration {
    let begun = Instant::now();
    let end = Instant::now() + Duration::from_secs(30);
    let mut before: Option<BTreeSet<Vec<u8>>> = None;
    loop {
        let mut now = BTreeSet::new();
        for node in 0..3 {
            let rows: Vec<(i64, i64, i64, Vec<u8>)> = world
                .node(node)
                .await
                .query("XA RECOVER")
                .await
                .expect("listed");
            now.extend(rows.into_iter().map(|row| row.3));
        }
        let left = match &before {
            None => now.clone(),
            Some(before) => before.intersection(&now).cloned().collect(),
        };
        if left.is_empty() {
            return begun.elapsed();
        }
        assert!(Instant::now() < end, "something stays in doubt: {left:?}");
        before = Some(left);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check(world: &World, acknowledged: &BTreeSet<u64>, sums: u64) {
    settled(world).await;
    let mut conn = world.client().await;
    let sum: Option<(i64, u64)> = conn
        .query_first("SELECT SUM(money), COUNT(*) FROM account")
        .await
        .expect("read");
    assert_eq!(sum, Some((ACCOUNTS as i64 * EACH, ACCOUNTS)));
    let torn: Vec<(u64, u64)> = conn
        .query("SELECT id, COUNT(*) FROM ledger GROUP BY id HAVING COUNT(*) <> 3")
        .await
        .expect("read");
    assert!(torn.is_empty(), "committed in part: {torn:?}");
    let entered: Vec<u64> = conn
        .query("SELECT DISTINCT id FROM ledger")
        .await
        .expect("read");
    let entered: BTreeSet<u64> = entered.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&entered).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(
        !acknowledged.is_empty() && sums > 0,
        "{} {sums}",
        acknowledged.len()
    );
}

/// What is begun on each node while all stands still is of one moment, whatever is killed around it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_are_begun_at_a_standstill_are_of_one_moment() {
    let mut world = World::new().await;
    endow(&world).await;
    let mut random = Random(setting("OPENPETA_SEED", 11));
    let (bank, mut workers, mut events) = Bank::open(&world, &mut random);
    workers.spawn(Arc::clone(&bank).define());
    let mut longest = Duration::ZERO;
    let mut acknowledged = BTreeSet::new();
    let mut seen_before = 0;
    for round in 0..setting("OPENPETA_STANDSTILLS", 25) {
        // Something happens between two of them.
        let mut taken = 0;
        while taken < 5 {
            if let Event::Acknowledged(id) = events.recv().await.expect("they go on") {
                acknowledged.insert(id);
                taken += 1;
            }
        }
        if round % 6 == 5 {
            let node = random.below(3) as usize;
            let (_, ()) = tokio::join!(look(&world, &mut longest), world.kill_node(node));
            world.start_node(node).await;
        }
        if round % 8 == 7 {
            world.close();
            world.open();
        }
        let end = Instant::now() + Duration::from_secs(60);
        let seen = loop {
            if let Some(seen) = look(&world, &mut longest).await {
                break seen;
            }
            assert!(Instant::now() < end, "it does not come to a standstill");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let lost: Vec<_> = acknowledged.difference(&seen).collect();
        assert!(
            lost.is_empty(),
            "acknowledged before and not seen: {lost:?}"
        );
        assert!(seen.len() >= seen_before);
        seen_before = seen.len();
    }
    assert!(longest < STILL, "it stood still for {longest:?}");
    bank.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended.expect("no worker panics");
    }
}

impl Bank {
    /// Redefines a table again and again.
    async fn define(self: Arc<Self>) {
        let mut conn = None;
        while !self.stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let Some(connected) = &mut conn else {
                conn = self.connect().await.ok();
                continue;
            };
            for statement in [
                "CREATE TABLE IF NOT EXISTS passing (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
                "DROP TABLE passing",
            ] {
                if let Err(error) = connected.query_drop(statement).await
                    && !matches!(error, mysql_async::Error::Server(_))
                {
                    conn = None;
                    break;
                }
            }
        }
    }
}

/// Begins a snapshot on each node at a standstill, if it comes to one, and looks into them: which
/// transfers are there.
async fn look(world: &World, longest: &mut Duration) -> Option<BTreeSet<u64>> {
    let mut nodes = Vec::new();
    for node in 0..3 {
        let socket = world.engine.socket_path(&world.nodes[node]).ok()?;
        nodes.push(
            try_connect(&socket, ADMIN, ADMIN_PASSWORD, |it| it)
                .await
                .ok()?,
        );
    }
    let mut tables = Vec::new();
    let begin = async {
        let begun = Instant::now();
        for node in &mut nodes {
            // As slow as it may be.
            tokio::time::sleep(Duration::from_millis(3)).await;
            node.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                .await?;
            tables.push(node.query::<String, _>("SHOW TABLES").await?);
        }
        Ok::<_, mysql_async::Error>(begun.elapsed())
    };
    let coordinators = world.coordinators();
    let stood = coordinators.stand_still(&world.route.instance_id, DATABASE, STILL, begin);
    *longest = stood.await.ok()?.ok()?.max(*longest);
    assert!(
        tables.iter().all(|of_node| *of_node == tables[0]),
        "a definition is half done: {tables:?}"
    );
    let (mut sum, mut parts) = (0, std::collections::BTreeMap::new());
    for node in &mut nodes {
        let money: Option<Option<i64>> = node
            .query_first("SELECT SUM(money) FROM account")
            .await
            .ok()?;
        sum += money.flatten().unwrap_or_default();
        let entered: Vec<u64> = node.query("SELECT id FROM ledger").await.ok()?;
        for id in entered {
            *parts.entry(id).or_insert(0) += 1;
        }
    }
    assert_eq!(
        sum,
        ACCOUNTS as i64 * EACH,
        "a snapshot has half of a transfer"
    );
    let torn: Vec<_> = parts.iter().filter(|(_, count)| **count != 3).collect();
    assert!(torn.is_empty(), "a snapshot has a part of {torn:?}");
    Some(parts.into_keys().collect())
}

/// Definitions are of no concern to a database that is whole on one node: those who look at it do not wait
/// for one, however long it takes, while they do for a database with distributed tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_one_node_stands_still_while_others_are_defined() {
    let world = World::new().await;
    endow(&world).await;
    // Keeps the definition from going on.
    let mut reader = world.node(2).await;
    for statement in ["BEGIN", "SELECT * FROM account LIMIT 1"] {
        reader.query_drop(statement).await.expect(statement);
    }
    let mut definer = world.client().await;
    let define = "ALTER TABLE account ADD COLUMN note INT";
    let defining = tokio::spawn(async move { definer.query_drop(define).await });
    let stands = async |database| {
        let id = &world.route.instance_id;
        let stood = world
            .coordinators()
            .stand_still(id, database, STILL, async {});
        stood.await.map_err(|error| error.to_string())
    };
    let end = Instant::now() + Duration::from_secs(60);
    while stands(DATABASE).await != Err("tables are being defined".to_owned()) {
        assert!(Instant::now() < end, "no definition is under way");
    }
    let end = Instant::now() + Duration::from_secs(60);
    while let Err(error) = stands(WHOLE).await {
        // On a loaded machine.
        assert!(error.starts_with("it took longer"), "{error}");
        assert!(Instant::now() < end, "{error}");
    }
    assert!(!defining.is_finished());
    reader.query_drop("ROLLBACK").await.expect("ended");
    defining.await.expect("no panic").expect("defined");
}

/// Nodes that are left have nothing half done, be it in the midst of transfers or after a kill, and serve
/// another instance from then on, which knows nothing of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_left_can_serve_another_instance() {
    let mut world = World::new().await;
    endow(&world).await;
    let mut random = Random(setting("OPENPETA_SEED", 13));
    let (bank, mut workers, mut events) = Bank::open(&world, &mut random);
    workers.spawn(Arc::clone(&bank).read());
    workers.spawn(Arc::clone(&bank).define());
    let (mut acknowledged, mut sums) = (BTreeSet::new(), 0_u64);
    for round in 0..setting("OPENPETA_LEFT", 6) {
        // Transfers and a sum of this round: of what was there before much may be under way.
        while events
            .try_recv()
            .map(|event| note(event, &mut acknowledged, &mut sums))
            .is_ok()
        {}
        let (enough, summed) = (acknowledged.len() + 20, sums + 1);
        while acknowledged.len() < enough || sums < summed {
            let event = events.recv().await.expect("they go on");
            note(event, &mut acknowledged, &mut sums);
        }
        let is_killed = round % 2 == 1;
        if is_killed {
            world.close();
        }
        let dead = Coordinators::open(world.config.clone()).expect("open");
        let coordinators = match is_killed {
            true => &dead,
            false => world.coordinators(),
        };
        let left = coordinators.leave(&world.route, Duration::from_secs(60));
        left.await.expect("all comes to its end");
        for number in 0..3 {
            let mut node = world.node(number).await;
            let prepared: Vec<Row> = node.query("XA RECOVER").await.expect("listed");
            assert!(prepared.is_empty(), "node {number}: {prepared:?}");
        }
        let of_instance = world
            .config
            .directory
            .join(world.route.instance_id.as_str());
        assert!(!of_instance.exists(), "something is remembered");
        world.close();
        let mut route = InstanceRoute::clone(&world.route);
        let name = format!("pd-k9zd5az6k3f1r{round}");
        route.instance_id = InstanceId::parse(&name).expect("an id");
        world.route = Arc::new(route);
        world.open();
    }
    bank.stop.store(true, Ordering::Relaxed);
    while workers.join_next().await.is_some_and(|ended| ended.is_ok()) {}
    while let Ok(event) = events.try_recv() {
        note(event, &mut acknowledged, &mut sums);
    }
    check(&world, &acknowledged, sums).await;
}

fn note(event: Event, acknowledged: &mut BTreeSet<u64>, sums: &mut u64) {
    match event {
        Event::Acknowledged(id) => drop(acknowledged.insert(id)),
        Event::Refused => {}
        Event::Sum(sum) => {
            *sums += 1;
            let all = ACCOUNTS as i64 * EACH;
            assert_eq!(sum, all, "a reader saw half of a transfer");
        }
    }
}
