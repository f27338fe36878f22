//! Statements over nodes that are ended from outside: by `KILL`, and because of a deadlock that no node
//! sees by itself.

use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinHandle;

use crate::common::{Seen, World, see};

/// Long before `innodb_lock_wait_timeout`, which is 50 s.
const SOON: Duration = Duration::from_secs(10);

async fn endow(world: &World) {
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE account (id INT PRIMARY KEY, money INT NOT NULL) DISTRIBUTE BY HASH(id)",
        "INSERT INTO account VALUES (0, 100), (1, 100), (2, 100), (3, 100), (4, 100), (5, 100)",
        "CREATE TABLE single (id INT PRIMARY KEY, money INT NOT NULL)",
        "INSERT INTO single VALUES (1, 100)",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
}

async fn id_of(conn: &mut Conn) -> u32 {
    let id = conn.query_first("SELECT CONNECTION_ID()").await;
    id.expect("read").expect("a row")
}

async fn done(conn: &mut Conn, statement: &str) {
    conn.query_drop(statement).await.expect(statement);
}

/// Runs a statement that waits; with the session, when it is over.
fn start(mut conn: Conn, statement: &'static str) -> JoinHandle<(Conn, Vec<Seen>)> {
    tokio::spawn(async move {
        let seen = see(&mut conn, statement).await;
        (conn, seen)
    })
}

/// How many wait for locks on a node.
async fn waiting_on(world: &World, node: usize) -> u64 {
    let waiting =
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'";
    let mut conn = world.node(node).await;
    conn.query_first(waiting).await.expect("read").unwrap_or(0)
}

async fn until_waiting(world: &World, node: usize, count: u64, what: &str) {
    let end = Instant::now() + SOON;
    loop {
        let found = waiting_on(world, node).await;
        if found == count {
            return;
        }
        assert!(
            Instant::now() < end,
            "{count} should wait on node {node}, not {found}: {what}"
        );
        // The server tells the same again to whoever asks within 0.1 s.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// Waits until a node was asked so many times from now on who waits there.
async fn until_looked(world: &World, node: usize, times: u64) {
    let mut conn = world.node(node).await;
    done(&mut conn, "SET GLOBAL log_output = 'TABLE'").await;
    done(&mut conn, "SET GLOBAL general_log = ON").await;
    let asked = "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE 'SELECT r.trx_mysql_thread_id%'";
    // It is looked again after a second.
    let end = Instant::now() + 3 * SOON;
    while conn.query_first::<u64, _>(asked).await.expect("a count") < Some(times) {
        assert!(Instant::now() < end, "nobody looks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    done(&mut conn, "SET GLOBAL general_log = OFF").await;
}

async fn soon<T>(what: &str, work: JoinHandle<T>) -> T {
    let done = tokio::time::timeout(SOON, work).await;
    done.unwrap_or_else(|_| panic!("{what} takes too long"))
        .expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_killed_ends_on_all_nodes() {
    let world = World::new().await;
    endow(&world).await;
    let mut killer = world.client().await;
    let mut blocker = world.client().await;
    done(&mut blocker, "BEGIN").await;
    done(&mut blocker, "UPDATE account SET money = 0 WHERE id = 1").await;
    for statement in [
        "UPDATE account SET money = 7 WHERE id = 4 OR id = 1",
        "UPDATE account SET money = 7 WHERE id = 1",
        "UPDATE account SET money = money + 1",
        "SELECT * FROM account FOR UPDATE",
        "SELECT * FROM account WHERE id = 1 FOR UPDATE",
        "INSERT INTO account SELECT id, money FROM single",
    ] {
        let mut conn = world.client().await;
        let id = id_of(&mut conn).await;
        done(&mut conn, "BEGIN").await;
        done(&mut conn, "UPDATE account SET money = 50 WHERE id = 2").await;
        until_waiting(&world, 1, 0, "nobody").await;
        let running = start(conn, statement);
        until_waiting(&world, 1, 1, statement).await;
        done(&mut killer, &format!("KILL QUERY {id}")).await;
        let (mut conn, seen) = soon(statement, running).await;
        assert!(
            matches!(seen[..], [Seen::Failed(1317, _)]),
            "{statement}: {seen:?}"
        );
        until_waiting(&world, 1, 0, statement).await;
        // The statement alone is undone; the session and its transaction go on.
        let own = see(
            &mut conn,
            "SELECT money FROM account WHERE id IN (2, 5) ORDER BY id",
        )
        .await;
        let expected = [vec!["50".into()], vec!["100".into()]];
        assert!(
            matches!(&own[..], [Seen::Rows(_, rows)] if rows[..] == expected),
            "{statement}: {own:?}"
        );
        done(&mut conn, "ROLLBACK").await;
        done(&mut conn, "BEGIN").await;
        done(&mut conn, "UPDATE account SET money = 50 WHERE id = 2").await;
        // The whole session, and its transaction with it.
        until_waiting(&world, 1, 0, "nobody").await;
        let running = start(conn, statement);
        until_waiting(&world, 1, 1, statement).await;
        done(&mut killer, &format!("KILL {id}")).await;
        let ended = tokio::time::timeout(SOON, running).await;
        assert!(ended.is_ok(), "{statement} goes on");
        let read = "SELECT money FROM account WHERE id = 2 FOR UPDATE";
        let locked = tokio::time::timeout(SOON, killer.query_first::<u32, _>(read)).await;
        assert_eq!(locked.expect("free").expect("read"), Some(100));
    }
    // One that does nothing is ended at once; another's is not ended by whoever may not.
    let mut conn = world.client().await;
    let id = id_of(&mut conn).await;
    let seen = see(&mut killer, "KILL QUERY 4000000").await;
    assert!(matches!(seen[..], [Seen::Failed(1094, _)]), "{seen:?}");
    done(&mut killer, &format!("KILL QUERY {id}")).await;
    done(&mut conn, "SELECT SUM(money) FROM account").await;
    done(&mut killer, &format!("KILL CONNECTION {id}")).await;
    assert!(conn.query_drop("SELECT 1").await.is_err());
    done(&mut blocker, "ROLLBACK").await;
    // Who waits for a table that somebody has locked is ended as well.
    done(&mut blocker, "LOCK TABLES account WRITE").await;
    let mut conn = world.client().await;
    let id = id_of(&mut conn).await;
    let running = start(conn, "SELECT SUM(money) FROM account");
    tokio::time::sleep(Duration::from_millis(100)).await;
    done(&mut killer, &format!("KILL QUERY {id}")).await;
    let (_, seen) = soon("the wait", running).await;
    assert!(matches!(seen[..], [Seen::Failed(1317, _)]), "{seen:?}");
}

/// Lets sessions do one thing each, then another in a circle: exactly one of them is told of a deadlock,
/// and its transaction is undone everywhere.
async fn circle(world: &World, steps: &[(&'static str, &'static str)]) {
    let mut waiting = Vec::new();
    for (first, _) in steps {
        let mut conn = world.client().await;
        done(&mut conn, "BEGIN").await;
        done(&mut conn, first).await;
        waiting.push(conn);
    }
    let began = Instant::now();
    let running: Vec<_> = waiting
        .into_iter()
        .zip(steps)
        .map(|(conn, (_, second))| start(conn, second))
        .collect();
    let (mut victims, mut survivors) = (0, 0);
    // Each waits for the next one, so those behind the victim get on when those before have ended.
    let mut left: Vec<_> = running;
    while !left.is_empty() {
        let (ended, _, rest) = futures_select(left).await;
        left = rest;
        let (mut conn, seen) = ended;
        match &seen[..] {
            [Seen::Failed(1213, message)] => {
                assert_eq!(
                    message,
                    "Deadlock found when trying to get lock; try restarting transaction"
                );
                victims += 1;
                // Nothing is left of its transaction, and the session goes on.
                done(&mut conn, "SELECT 1").await;
                done(&mut conn, "COMMIT").await;
            }
            [Seen::Failed(..)] => panic!("{steps:?}: {seen:?}"),
            _ => {
                survivors += 1;
                done(&mut conn, "COMMIT").await;
            }
        }
        assert!(
            began.elapsed() < SOON,
            "{steps:?} took {:?}",
            began.elapsed()
        );
    }
    assert_eq!((victims, survivors), (1, steps.len() - 1), "{steps:?}");
}

/// The first of several that is over.
async fn futures_select<T>(mut all: Vec<JoinHandle<T>>) -> (T, usize, Vec<JoinHandle<T>>) {
    let end = Instant::now() + SOON;
    loop {
        if let Some(at) = all.iter().position(JoinHandle::is_finished) {
            let done = all.swap_remove(at);
            return (done.await.expect("it does not panic"), at, all);
        }
        assert!(Instant::now() < end, "nobody gets on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlocks_between_nodes_end_with_one_victim() {
    let world = World::new().await;
    endow(&world).await;
    let add = |id: u8| match id {
        0 => "UPDATE account SET money = money + 1 WHERE id = 0",
        1 => "UPDATE account SET money = money + 1 WHERE id = 1",
        _ => "UPDATE account SET money = money + 1 WHERE id = 2",
    };
    // Two other nodes; home and another one; three in a ring.
    circle(&world, &[(add(1), add(2)), (add(2), add(1))]).await;
    circle(&world, &[(add(0), add(2)), (add(2), add(0))]).await;
    circle(
        &world,
        &[(add(0), add(1)), (add(1), add(2)), (add(2), add(0))],
    )
    .await;
    // A table that is home's alone.
    let single = "UPDATE single SET money = money + 1";
    circle(&world, &[(single, add(1)), (add(1), single)]).await;
    // Statements that run on several nodes, and reads that lock.
    let all = "UPDATE account SET money = money + 1";
    circle(&world, &[(add(1), all), (add(2), all)]).await;
    let locks = "SELECT * FROM account WHERE money > 0 FOR UPDATE";
    circle(&world, &[(add(1), locks), (add(2), locks)]).await;
    // Each circle has one victim, whose changes are on no node.
    let mut conn = world.client().await;
    let rows: Vec<(u32, u32)> = conn
        .query("SELECT id, money FROM account ORDER BY id")
        .await
        .expect("read");
    // Of each of the first five circles one session, or two of the ring, has added on two nodes.
    let sum: u32 = rows.iter().map(|(_, money)| money).sum();
    let single: Option<u32> = conn
        .query_first("SELECT money FROM single")
        .await
        .expect("read");
    // 2 + 2 + 4, then one on each side, then 1 + 6, then 1.
    let added = 2 + 2 + 4 + 1 + 7 + 1;
    assert_eq!((sum, single), (600 + added, Some(101)), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_waits_is_nobodys_victim() {
    let world = World::new().await;
    endow(&world).await;
    let mut holder = world.client().await;
    done(&mut holder, "BEGIN").await;
    done(
        &mut holder,
        "UPDATE account SET money = 1 WHERE id IN (1, 2)",
    )
    .await;
    let mut waiting = Vec::new();
    for first in [
        "UPDATE account SET money = 2 WHERE id = 3",
        "UPDATE account SET money = 2 WHERE id = 4",
        "UPDATE account SET money = 2 WHERE id = 5",
    ] {
        let mut conn = world.client().await;
        done(&mut conn, "BEGIN").await;
        done(&mut conn, first).await;
        waiting.push(start(conn, "UPDATE account SET money = 3 WHERE id = 1"));
    }
    until_waiting(&world, 1, 3, "three").await;
    until_looked(&world, 1, 4).await;
    assert!(waiting.iter().all(|it| !it.is_finished()));
    done(&mut holder, "COMMIT").await;
    let mut left = waiting;
    while !left.is_empty() {
        let ((mut conn, seen), _, rest) = futures_select(left).await;
        left = rest;
        assert!(
            matches!(
                seen[..],
                [Seen::Done { affected: 1, .. } | Seen::Done { affected: 0, .. }]
            ),
            "{seen:?}"
        );
        done(&mut conn, "COMMIT").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_the_same_row_of_a_broadcast_table_waits_for_who_came_before() {
    const EACH: i64 = 60;
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE b (id INT PRIMARY KEY, v INT NOT NULL) DISTRIBUTE BY BROADCAST",
        "INSERT INTO b VALUES (1, 0), (2, 0)",
    ] {
        done(&mut conn, statement).await;
    }
    let mut writers = Vec::new();
    for _ in 0..4 {
        let mut conn = world.client().await;
        writers.push(tokio::spawn(async move {
            for _ in 0..EACH {
                conn.query_drop("UPDATE b SET v = v + 1 WHERE id = 1")
                    .await?;
                conn.query_drop("INSERT INTO b VALUES (2, 1) ON DUPLICATE KEY UPDATE v = v + 1")
                    .await?;
            }
            Ok::<_, mysql_async::Error>(())
        }));
    }
    for writer in writers {
        writer
            .await
            .expect("no panic")
            .expect("nobody is in a deadlock");
    }
    for node in 0..3 {
        let rows: Vec<i64> = world
            .node(node)
            .await
            .query("SELECT v FROM b ORDER BY id")
            .await
            .expect("read");
        assert_eq!(rows, [4 * EACH, 4 * EACH], "node {node}");
    }
}
