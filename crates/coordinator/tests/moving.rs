//! Partitions move to another node while sessions write and read: nobody notices but by a short wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_coordinator::HoldError;
use openpeta_engine::{Mover, PartitionMove};
use openpeta_sql_route::Partitions;
use openpeta_types::DbName;
use openpeta_types::route::InstanceRoute;

use crate::common::{DATABASE, PASSWORD, USER, World, try_connect};

const ACCOUNTS: u64 = 300;
const EACH: i64 = 100;
/// Where partitions are at first: nothing is on node 2.
const BEFORE: [u16; 6] = [0, 1, 0, 1, 0, 1];
/// Where they are in the end.
const AFTER: [u16; 6] = [0, 1, 0, 2, 2, 1];

fn count() -> Partitions {
    Partitions::new(std::num::NonZeroU16::new(6).expect("not 0"))
}

fn placed(world: &World, nodes: &[u16], foreign: &[u16], moving: bool) -> Arc<InstanceRoute> {
    let mut route = (*world.route).clone();
    let sharding = route.sharding.as_mut().expect("spread");
    sharding.databases = BTreeMap::from([(DATABASE.to_owned(), nodes.to_vec())]);
    sharding.foreign = BTreeMap::from([(DATABASE.to_owned(), foreign.to_vec())]);
    sharding.moving = moving.then(|| DATABASE.to_owned()).into_iter().collect();
    Arc::new(route)
}

fn publish(world: &World, route: &Arc<InstanceRoute>) {
    world.coordinators().publish(route).expect("served");
}

async fn run(conn: &mut Conn, statement: &str) {
    let done = conn.query_drop(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn world() -> World {
    let mut world = World::new().await;
    world.route = placed(&world, &BEFORE, &[], false);
    publish(&world, &world.route.clone());
    let mut conn = world.client().await;
    let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {EACH})")).collect();
    for statement in [
        "CREATE TABLE account (id INT PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)",
        "CREATE TABLE entry (id INT, nr INT AUTO_INCREMENT, amount INT, PRIMARY KEY (nr, id)) \
         DISTRIBUTE BY HASH(id)",
        "CREATE TABLE rate (id INT PRIMARY KEY, t VARCHAR(9)) DISTRIBUTE BY BROADCAST",
        &format!("INSERT INTO account VALUES {}", rows.join(", ")),
        "INSERT INTO entry (id, amount) SELECT id, 1 FROM account",
        "INSERT INTO rate VALUES (1, 'one'), (2, 'two')",
    ] {
        run(&mut conn, statement).await;
    }
    world
}

async fn movers(world: &World) -> Vec<Mover> {
    let database = DbName::parse(DATABASE).expect("a name");
    let (engine, nodes) = (&world.engine, &world.nodes);
    engine
        .define_partitions(&database, &nodes[0], &nodes[2])
        .await
        .expect("defined");
    let mut movers = Vec::new();
    for from in 0..2_u16 {
        let moves = |it: &u16| BEFORE[usize::from(*it)] == from && AFTER[usize::from(*it)] == 2;
        let plan = PartitionMove {
            database: database.clone(),
            from: nodes[usize::from(from)].clone(),
            to: nodes[2].clone(),
            count: count(),
            partitions: (0..6).filter(moves).collect(),
            broadcast: from == 0,
        };
        movers.push(engine.begin_move(plan).await.expect("begun"));
    }
    movers
}

/// Copies, and comes near.
async fn follow(movers: &mut [Mover]) {
    for mover in movers.iter_mut() {
        while mover.copy().await.expect("copied") {}
    }
    while !near(movers).await {}
}

async fn near(movers: &mut [Mover]) -> bool {
    let mut is_near = true;
    for mover in movers {
        is_near &= mover.approach().await.expect("it goes on").is_small();
    }
    is_near
}

async fn switch(world: &World, movers: &mut [Mover], called: bool) -> Result<Duration, HoldError> {
    let route = placed(world, &AFTER, &[0, 1], false);
    let id = &world.route.instance_id;
    let work = async {
        let begun = Instant::now();
        for mover in movers {
            mover.finish().await.expect("the same");
        }
        publish(world, &route);
        begun.elapsed()
    };
    let patience = Duration::from_millis(500);
    world.coordinators().hold(id, patience, called, work).await
}

struct Load {
    stop: AtomicBool,
    transfers: AtomicU64,
    sums: AtomicU64,
    longest: AtomicU64,
}

impl Load {
    /// Moves money between accounts, locking them in an order that is the same for all.
    async fn write(self: Arc<Self>, mut conn: Conn, mut seed: u64) {
        while !self.stop.load(Ordering::Relaxed) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (a, b) = (seed >> 33, seed >> 13);
            let (a, b) = (a % ACCOUNTS, b % ACCOUNTS);
            let (low, high) = (a.min(b), a.max(b));
            if low == high {
                continue;
            }
            let begun = Instant::now();
            for statement in [
                "BEGIN".to_owned(),
                format!("UPDATE account SET money = money - 3 WHERE id = {low}"),
                format!("UPDATE account SET money = money + 3 WHERE id = {high}"),
                format!("INSERT INTO entry (id, amount) VALUES ({low}, -3), ({high}, 3)"),
                "COMMIT".to_owned(),
            ] {
                run(&mut conn, &statement).await;
            }
            self.transfers.fetch_add(1, Ordering::Relaxed);
            let took = u64::try_from(begun.elapsed().as_millis()).expect("short");
            self.longest.fetch_max(took, Ordering::Relaxed);
        }
    }

    async fn read(self: Arc<Self>, mut conn: Conn) {
        while !self.stop.load(Ordering::Relaxed) {
            let sum: Option<(i64, u64)> = conn
                .query_first("SELECT SUM(money), COUNT(*) FROM account")
                .await
                .expect("read");
            assert_eq!(sum, Some((ACCOUNTS as i64 * EACH, ACCOUNTS)));
            self.sums.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn more(&self, transfers: u64, sums: u64) {
        let (t, s) = (
            self.transfers.load(Ordering::Relaxed) + transfers,
            self.sums.load(Ordering::Relaxed) + sums,
        );
        let end = Instant::now() + Duration::from_secs(60);
        while self.transfers.load(Ordering::Relaxed) < t || self.sums.load(Ordering::Relaxed) < s {
            assert!(Instant::now() < end, "nothing goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_partitions_move() {
    let world = world().await;
    let load = Arc::new(Load {
        stop: AtomicBool::new(false),
        transfers: AtomicU64::new(0),
        sums: AtomicU64::new(0),
        longest: AtomicU64::new(0),
    });
    let mut sessions = tokio::task::JoinSet::new();
    for seed in 0..3 {
        sessions.spawn(Arc::clone(&load).write(world.client().await, seed * 77));
    }
    sessions.spawn(Arc::clone(&load).read(world.client().await));
    load.more(5, 2).await;
    let mut movers = movers(&world).await;
    follow(&mut movers).await;
    load.more(10, 2).await;
    let mut held = None;
    for _ in 0..100 {
        while !near(&mut movers).await {}
        match switch(&world, &mut movers, false).await {
            Ok(pause) => {
                held = Some(pause);
                break;
            }
            Err(HoldError::Used | HoldError::InDoubt) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let held = held.expect("it was held once");
    load.more(10, 3).await;
    // Rows that are left where they were do not count, and go.
    let database = DbName::parse(DATABASE).expect("a name");
    for node in 0..2_u16 {
        let kept: Vec<u16> = (0..6)
            .filter(|it| AFTER[usize::from(*it)] == node)
            .collect();
        let removed = world
            .engine
            .clean_partitions(
                &world.nodes[usize::from(node)],
                &database,
                (count(), &kept),
                &|_| Ok(Duration::ZERO),
            )
            .await;
        assert!(removed.expect("removed") > 0);
    }
    publish(&world, &placed(&world, &AFTER, &[], false));
    load.more(10, 3).await;
    load.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = sessions.join_next().await {
        ended.expect("no statement fails, and no sum is another");
    }
    println!(
        "{} transfers, {} sums, held for {held:?}, the longest transfer took {} ms",
        load.transfers.load(Ordering::Relaxed),
        load.sums.load(Ordering::Relaxed),
        load.longest.load(Ordering::Relaxed)
    );
    let mut conn = world.client().await;
    let found: Option<(i64, u64, u64)> = conn
        .query_first("SELECT SUM(amount), COUNT(*), COUNT(DISTINCT nr) FROM entry")
        .await
        .expect("read");
    let transfers = load.transfers.load(Ordering::Relaxed);
    let entries = ACCOUNTS + 2 * transfers;
    assert_eq!(found, Some((ACCOUNTS as i64, entries, entries)));
    let mut two = world.node(2).await;
    let moved: Option<(u64, u64)> = two
        .query_first("SELECT (SELECT COUNT(*) FROM account), (SELECT COUNT(*) FROM rate)")
        .await
        .expect("read");
    assert_eq!(moved, Some((100, 2)));
}

/// What reads and writes find and tell while nodes have rows that are another node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_another_nodes_do_not_count() {
    let world = world().await;
    let mut movers = movers(&world).await;
    follow(&mut movers).await;
    switch(&world, &mut movers, false)
        .await
        .expect("nobody is there");
    let mut conn = world.client().await;
    let mut old = world.node(0).await;
    // Were one of these read, the numbers below would be others.
    run(
        &mut old,
        "UPDATE account SET money = 7777 WHERE ABS(id MOD 6) = 4",
    )
    .await;
    for (query, expected) in [
        ("SELECT COUNT(*) FROM account", 300),
        (
            "SELECT SUM(money) FROM account a WHERE a.id > 5 OR a.id = 4",
            29_500,
        ),
        ("SELECT COUNT(*) FROM account JOIN entry USING (id)", 300),
        (
            "SELECT COUNT(*) FROM account a LEFT JOIN entry e ON e.id = a.id",
            300,
        ),
        (
            "SELECT COUNT(*) FROM account WHERE id IN (SELECT id FROM entry WHERE amount = 1)",
            300,
        ),
        (
            "WITH w AS (SELECT id, money FROM account) SELECT SUM(money) FROM w",
            30_000,
        ),
        ("SELECT SUM(money) FROM account WHERE id IN (3, 4, 5)", 300),
        (
            "SELECT money FROM account ORDER BY money DESC, id LIMIT 1",
            100,
        ),
        (
            "SELECT COUNT(*) FROM (SELECT money, COUNT(*) FROM account GROUP BY money) d",
            1,
        ),
        ("SELECT COUNT(*) FROM account, rate WHERE rate.id = 1", 300),
        ("SELECT money FROM account WHERE id = 4", 100),
    ] {
        let found: Option<i64> = conn.query_first(query).await.expect(query);
        assert_eq!(found, Some(expected), "{query}");
        let found: Option<i64> = conn.exec_first(query, ()).await.expect(query);
        assert_eq!(found, Some(expected), "prepared: {query}");
    }
    // A checksum cannot leave them out.
    let sum = conn.query_drop("CHECKSUM TABLE account").await;
    let sum = sum.expect_err("refused").to_string();
    assert!(sum.contains("OpenPeta: moving: "), "{sum}");
    run(&mut conn, "CHECKSUM TABLE rate").await;
    for (statement, affected) in [
        ("UPDATE account SET money = money + 1", 300),
        (
            "UPDATE account AS a SET a.money = money + 1 WHERE id < 6 OR id = 9 -- the end",
            7,
        ),
        ("DELETE FROM entry WHERE id < 12 OR amount = 5", 12),
        ("UPDATE account SET money = money - 1 WHERE id IN (3, 4)", 2),
        ("DELETE FROM entry", 288),
    ] {
        let mut result = conn.query_iter(statement).await.expect(statement);
        let found = result.affected_rows();
        while result
            .collect::<mysql_async::Row>()
            .await
            .expect("read")
            .pop()
            .is_some()
        {}
        drop(result);
        assert_eq!(found, affected, "{statement}");
    }
    let sum: Option<i64> = conn
        .query_first("SELECT SUM(money) FROM account")
        .await
        .expect("read");
    assert_eq!(sum, Some(30_000 + 300 + 7 - 2));
    // In a transaction home's rows are read over the session's own connection.
    run(&mut conn, "BEGIN").await;
    run(&mut conn, "UPDATE account SET money = 0 WHERE id = 4").await;
    let sum: Option<i64> = conn
        .query_first("SELECT SUM(money) FROM account WHERE id BETWEEN 3 AND 5")
        .await
        .expect("read");
    assert_eq!(sum, Some(203));
    run(&mut conn, "ROLLBACK").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_are_in_the_way_end() {
    let world = world().await;
    let mut movers = movers(&world).await;
    follow(&mut movers).await;
    let mut idle = world.client().await;
    let mut other = world.client().await;
    for conn in [&mut idle, &mut other] {
        run(conn, "BEGIN").await;
    }
    run(&mut idle, "UPDATE account SET money = 5 WHERE id = 4").await;
    run(&mut other, "UPDATE account SET money = 5 WHERE id = 5").await;
    let error = switch(&world, &mut movers, false).await;
    let error = error.expect_err("it is in use");
    assert!(matches!(error, HoldError::Used), "{error}");
    // They go on.
    run(&mut other, "UPDATE account SET money = 6 WHERE id = 6").await;
    switch(&world, &mut movers, true).await.expect("they end");
    let error = idle.query_drop("COMMIT").await.expect_err("it is undone");
    let mysql_async::Error::Server(error) = error else {
        panic!("{error}");
    };
    assert_eq!((error.code, error.state.as_str()), (1213, "40001"));
    assert!(error.message.contains("moved"), "{}", error.message);
    run(&mut other, "ROLLBACK").await;
    for conn in [&mut idle, &mut other] {
        let sum: Option<i64> = conn
            .query_first("SELECT SUM(money) FROM account")
            .await
            .expect("they go on");
        assert_eq!(sum, Some(ACCOUNTS as i64 * EACH));
        run(conn, "UPDATE account SET money = money + 0 WHERE id = 4").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_stay_as_they_are_while_partitions_move() {
    let world = world().await;
    publish(&world, &placed(&world, &BEFORE, &[], true));
    let id = &world.route.instance_id;
    assert!(!world.coordinators().is_defining(id).await.expect("served"));
    let mut conn = try_connect(&world.coordinator_socket(), USER, PASSWORD, |it| it)
        .await
        .expect("let in");
    for statement in [
        "ALTER TABLE account ADD COLUMN c INT",
        "CREATE TABLE t (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
        "TRUNCATE TABLE account",
    ] {
        let error = conn.query_drop(statement).await.expect_err(statement);
        assert!(error.to_string().contains("OpenPeta: moving"), "{error}");
    }
    run(&mut conn, "CREATE TABLE single (id INT PRIMARY KEY)").await;
    publish(&world, &placed(&world, &BEFORE, &[], false));
    run(&mut conn, "ALTER TABLE account ADD COLUMN c INT").await;
}
