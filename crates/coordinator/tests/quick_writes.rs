//! Writes by key that go the short way: they answer, and keep out of the way of others, as all do.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use crate::common::{Busy, DATABASE, Pair, Seen, Turn, World, see};

/// However busy the machine is.
const SOON: Duration = Duration::from_secs(30);

async fn endow(pair: &mut Pair) {
    let plain =
        "CREATE TABLE t (k INT PRIMARY KEY, n INT NOT NULL, v VARCHAR(9), CHECK (n < 1000))";
    pair.both(&format!("{plain} DISTRIBUTE BY HASH(k)"), plain)
        .await;
    pair.same("INSERT INTO t VALUES (0, 0, 'a'), (1, 10, 'b'), (2, 20, 'c'), (3, 30, 'd')")
        .await;
}

async fn same_for_all(pair: &mut Pair, statement: &str) {
    for number in [0, 1, 2, 3, 1, 2, 1] {
        pair.same(&statement.replace('#', &number.to_string()))
            .await;
    }
}

/// Each as it is, with warnings, with errors.
const STATEMENTS: [&str; 8] = [
    "UPDATE t SET n = n + 1 WHERE k = #",
    "UPDATE t SET n = 5, v = 'x' WHERE k = # AND n > 11",
    "UPDATE IGNORE t SET v = 'much too long' WHERE k = #",
    "UPDATE t SET v = 'much too long' WHERE k = #",
    "UPDATE t SET n = 1000 WHERE k = #",
    "INSERT INTO t (k, n, v) VALUES (#, 7, 'new')",
    "INSERT INTO t VALUES (#, 7, 'much too long')",
    "DELETE FROM t WHERE k = # AND v <> 'new'",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_they_answer_is_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    endow(&mut pair).await;
    let select = "SELECT n, v FROM t WHERE k = #";
    for around in [
        ["", ""],
        ["START TRANSACTION", "COMMIT"],
        ["START TRANSACTION", "ROLLBACK"],
        ["SET autocommit = 0", "SET autocommit = 1"],
        ["START TRANSACTION READ ONLY", "COMMIT"],
        [
            "SET SESSION TRANSACTION READ ONLY",
            "SET SESSION TRANSACTION READ WRITE",
        ],
        ["LOCK TABLES t WRITE", "UNLOCK TABLES"],
        ["LOCK TABLES t READ", "UNLOCK TABLES"],
        ["SET timestamp = 5", "SET timestamp = DEFAULT"],
    ] {
        let [before, behind] = around;
        if !before.is_empty() {
            pair.same(before).await;
        }
        for statement in STATEMENTS {
            for number in [1, 2, 3, 0, 1] {
                let text = statement.replace('#', &number.to_string());
                let seen = pair.same(&text).await;
                // What one server says of a transaction that only reads, it says of nothing else.
                if !matches!(seen[..], [Seen::Done { .. }]) || number == 1 {
                    pair.same("SHOW WARNINGS").await;
                }
            }
            pair.same("SELECT LAST_INSERT_ID(), @@in_transaction").await;
        }
        same_for_all(&mut pair, &format!("{select} FOR UPDATE")).await;
        same_for_all(&mut pair, select).await;
        if !behind.is_empty() {
            pair.same(behind).await;
        }
        same_for_all(&mut pair, select).await;
        for k in 0..4 {
            pair.same(&format!("DELETE FROM t WHERE k = {k}")).await;
            pair.same(&format!("INSERT INTO t VALUES ({k}, 10, 'a')"))
                .await;
        }
    }
    // What is said of the next transaction concerns it alone.
    for next in ["READ ONLY", "ISOLATION LEVEL SERIALIZABLE"] {
        pair.same(&format!("SET TRANSACTION {next}")).await;
        pair.same("START TRANSACTION").await;
        same_for_all(&mut pair, STATEMENTS[0]).await;
        pair.same("COMMIT").await;
        same_for_all(&mut pair, STATEMENTS[0]).await;
    }
    world.same_rows("t").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_ones_answer_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    endow(&mut pair).await;
    for around in [
        ["", ""],
        ["START TRANSACTION", "COMMIT"],
        ["SET autocommit = 0", "SET autocommit = 1"],
        ["START TRANSACTION READ ONLY", "COMMIT"],
        ["LOCK TABLES t WRITE", "UNLOCK TABLES"],
        ["SET timestamp = 5", "SET timestamp = DEFAULT"],
    ] {
        let [before, behind] = around;
        for statement in STATEMENTS {
            let statement = statement.replace('#', "?");
            if !before.is_empty() {
                pair.same(before).await;
            }
            let ours = pair.ours.prep(statement.as_str()).await;
            let plain = pair.plain.prep(statement.as_str()).await;
            let (ours, plain) = match (ours, plain) {
                (Ok(ours), Ok(plain)) => (ours, plain),
                (ours, plain) => {
                    assert_eq!(ours.is_err(), plain.is_err(), "{statement}");
                    pair.same(behind).await;
                    continue;
                }
            };
            for key in [
                Value::from(1),
                Value::from(2),
                Value::from("3"),
                Value::from(0_i64),
                Value::from(1_u8),
                Value::from(-1),
                Value::NULL,
            ] {
                if key == Value::NULL && statement.starts_with("INSERT") {
                    continue;
                }
                let values = (key.clone(),);
                let ours = done(&mut pair.ours, &ours, values.clone()).await;
                let plain = done(&mut pair.plain, &plain, values).await;
                assert_eq!(ours, plain, "{statement} {key:?} {before}");
                pair.same("SHOW WARNINGS").await;
            }
            if !behind.is_empty() {
                pair.same(behind).await;
            }
            pair.same("DELETE FROM t WHERE k < 0").await;
            for k in 0..4 {
                pair.same(&format!("SELECT n, v FROM t WHERE k = {k}"))
                    .await;
                pair.same(&format!("DELETE FROM t WHERE k = {k}")).await;
                pair.same(&format!("INSERT INTO t VALUES ({k}, 10, 'a')"))
                    .await;
            }
        }
    }
    gives_rows(&mut pair).await;
    world.same_rows("t").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_by_key_are_passed_on_as_they_come() {
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE t (k INT PRIMARY KEY, v BIGINT NOT NULL) DISTRIBUTE BY HASH(k)",
        "INSERT INTO t SELECT seq, 0 FROM seq_0_to_29",
        // Each node is known to the session.
        "SELECT COUNT(*) FROM t",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let (coordinators, id) = (world.coordinators(), &world.route.instance_id);
    let short = || coordinators.short_writes(id, DATABASE);
    let statements = [
        "UPDATE t SET v = v + 1 WHERE k = ?",
        "DELETE FROM t WHERE k = ? AND v < 0",
        "INSERT INTO t (v, k) VALUES (7, ?)",
    ];
    for (way, begin, end) in [
        ("by itself", "", ""),
        ("in a transaction", "BEGIN", "ROLLBACK"),
    ] {
        for (number, statement) in statements.iter().enumerate() {
            for is_prepared in [false, true] {
                if !begin.is_empty() {
                    conn.query_drop(begin).await.expect(begin);
                }
                let prepared = conn.prep(*statement).await.expect("prepared");
                let mut before = 0;
                // Each node is part of it, and the statement known, once the first are through.
                for key in 0..20 {
                    if key == 10 {
                        before = short();
                    }
                    let key = if number == 2 { 100 + key } else { key };
                    if is_prepared {
                        conn.exec_drop(&prepared, (key,)).await.expect("written");
                    } else {
                        let text = statement.replace('?', &key.to_string());
                        conn.query_drop(&text).await.expect("written");
                    }
                }
                let until = Instant::now() + SOON;
                // A client has its answer before the write is counted.
                while short() < before + 10 && Instant::now() < until {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let counted = short() - before;
                let what = format!("{statement}, {way}, prepared {is_prepared}");
                // The one before may have been counted since.
                assert!((10..=11).contains(&counted), "{what}: {counted}");
                if !end.is_empty() {
                    conn.query_drop(end).await.expect(end);
                }
                conn.query_drop("DELETE FROM t WHERE k > 99 AND v > 0")
                    .await
                    .expect("written");
            }
        }
    }
}

/// What a client is told: rows changed, the id, the text, warnings.
async fn done(
    conn: &mut Conn,
    statement: &mysql_async::Statement,
    values: (Value,),
) -> Result<(u64, Option<u64>, String, u16), String> {
    match conn.exec_iter(statement, values).await {
        Ok(result) => {
            let info = result.info().into_owned();
            let told = (
                result.affected_rows(),
                result.last_insert_id(),
                info,
                result.warnings(),
            );
            result
                .drop_result()
                .await
                .map_err(|error| error.to_string())?;
            Ok(told)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Prepared ones that give rows: they lock them, or have written them.
async fn gives_rows(pair: &mut Pair) {
    let locks = "SELECT k, n FROM t WHERE k = ? FOR UPDATE";
    let deletes = "DELETE FROM t WHERE k = ? RETURNING k, n";
    for begin in ["", "START TRANSACTION"] {
        for statement in [locks, deletes] {
            let ours = pair.ours.prep(statement).await.expect("prepared");
            let plain = pair.plain.prep(statement).await.expect("prepared");
            if !begin.is_empty() {
                pair.same(begin).await;
            }
            for key in [1, 2, 3, 1, 2, 3] {
                let rows: Vec<(i32, i32)> = pair.ours.exec(&ours, (key,)).await.expect("read");
                let wanted: Vec<(i32, i32)> = pair.plain.exec(&plain, (key,)).await.expect("read");
                assert_eq!(rows, wanted, "{statement} {key}");
            }
            if !begin.is_empty() {
                pair.same("ROLLBACK").await;
            }
        }
        for k in 1..4 {
            pair.same(&format!("DELETE FROM t WHERE k = {k}")).await;
            pair.same(&format!("INSERT INTO t VALUES ({k}, 10, 'a')"))
                .await;
        }
    }
}

/// Writes by key, by texts and prepared, until it is told to stop; counts what was acknowledged.
async fn write(mut conn: Conn, turn: Turn) -> Vec<Seen> {
    let statement = conn.prep("UPDATE t SET v = v + 1 WHERE k = ?").await;
    let statement = statement.expect("prepared");
    for number in (0..3).cycle() {
        if turn.is_over() {
            break;
        }
        let text = format!("UPDATE t SET v = v + 1 WHERE k = {number}");
        let seen = see(&mut conn, &text).await;
        if !matches!(seen[..], [Seen::Done { affected: 1, .. }]) {
            return seen;
        }
        turn.count();
        match conn.exec_drop(&statement, (number,)).await {
            Ok(()) if conn.affected_rows() == 1 => {}
            done => return vec![Seen::Failed(0, format!("{done:?}"))],
        }
        turn.count();
    }
    Vec::new()
}

/// Ends them: all that was acknowledged is there, once.
async fn stop(writers: Busy, conn: &mut Conn) {
    assert_eq!(writers.stop().await, sum(conn).await);
}

async fn sum(conn: &mut Conn) -> u64 {
    let asked = "SELECT CAST(SUM(v) AS UNSIGNED) FROM t";
    let sum: Option<u64> = conn.query_first(asked).await.expect("read");
    sum.expect("a row")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_a_table_that_is_locked_defined_or_held() {
    let world = World::new().await;
    let mut conn = world.client().await;
    let writers = Busy::start(&world, &mut conn, write).await;
    for round in 0..3 {
        writers.until_done(20).await;
        // Whoever keeps others from writing sees the same each time.
        conn.query_drop("LOCK TABLES t READ").await.expect("locked");
        let first = sum(&mut conn).await;
        for _ in 0..5 {
            assert_eq!(sum(&mut conn).await, first, "somebody has written");
        }
        conn.query_drop("UNLOCK TABLES").await.expect("unlocked");
        writers.until_done(20).await;
        for statement in [
            format!("ALTER TABLE t ADD COLUMN c{round} INT DEFAULT 1"),
            format!("ALTER TABLE t MODIFY v BIGINT NOT NULL COMMENT '{round}'"),
        ] {
            conn.query_drop(&statement).await.expect(&statement);
        }
        writers.until_done(20).await;
        conn.query_drop("LOCK TABLES t WRITE")
            .await
            .expect("locked");
        let first = sum(&mut conn).await;
        assert_eq!(sum(&mut conn).await, first, "somebody has written");
        conn.query_drop("UNLOCK TABLES").await.expect("unlocked");
        writers.until_done(20).await;
        let mut nodes = Vec::new();
        for number in 0..world.nodes.len() {
            nodes.push(world.node(number).await);
        }
        let work = async {
            let mut seen = [0; 2];
            for sum in &mut seen {
                for node in &mut nodes {
                    let asked = "SELECT CAST(COALESCE(SUM(v), 0) AS UNSIGNED) FROM shop.t";
                    let its: Option<u64> = node.query_first(asked).await.expect("read");
                    *sum += its.expect("a row");
                }
            }
            seen
        };
        let id = &world.route.instance_id;
        let held = world.coordinators().hold(id, SOON, false, work).await;
        let [before, behind] = held.expect("it was held");
        assert_eq!(before, behind, "somebody has written");
    }
    writers.until_done(20).await;
    stop(writers, &mut conn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_follow_a_table_that_gets_another_distribution() {
    let world = World::new().await;
    let mut conn = world.client().await;
    let writers = Busy::start(&world, &mut conn, write).await;
    for (from, to) in [
        ("HASH(k)", "SINGLE"),
        ("SINGLE", "HASH(k)"),
        ("HASH(k)", "SINGLE"),
        ("SINGLE", "HASH(k)"),
    ] {
        writers.until_done(20).await;
        let statement = format!("ALTER TABLE t DISTRIBUTE BY {to}");
        let done = conn.query_drop(&statement).await;
        assert!(done.is_ok(), "from {from} to {to}: {done:?}");
    }
    writers.until_done(20).await;
    stop(writers, &mut conn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_for_rows_that_others_have_locked_and_are_killed_there() {
    let world = World::new().await;
    let (mut conn, mut other) = (world.client().await, world.client().await);
    for statement in [
        "CREATE TABLE t (k INT PRIMARY KEY, v BIGINT NOT NULL) DISTRIBUTE BY HASH(k)",
        "INSERT INTO t VALUES (0, 0), (1, 0), (2, 0)",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let update = "UPDATE t SET v = v + 1 WHERE k = 1";
    for _ in 0..3 {
        conn.query_drop(update).await.expect(update);
    }
    other.query_drop("BEGIN").await.expect("begun");
    other.query_drop(update).await.expect(update);
    let number: Option<u32> = conn
        .query_first("SELECT CONNECTION_ID()")
        .await
        .expect("read");
    let number = number.expect("a number");
    let waiting = tokio::spawn(async move {
        let seen = see(&mut conn, update).await;
        (conn, seen)
    });
    let end = Instant::now() + SOON;
    let waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE t%'";
    while world
        .node(1)
        .await
        .query_first::<u64, _>(waits)
        .await
        .expect("read")
        != Some(1)
    {
        assert!(Instant::now() < end, "it does not wait");
    }
    let kill = format!("KILL QUERY {number}");
    other.query_drop(&kill).await.expect("killed");
    let (mut conn, seen) = waiting.await.expect("it ends");
    assert!(matches!(seen[..], [Seen::Failed(1317, _)]), "{seen:?}");
    other.query_drop("COMMIT").await.expect("committed");
    let seen = see(&mut conn, update).await;
    assert!(
        matches!(seen[..], [Seen::Done { affected: 1, .. }]),
        "{seen:?}"
    );
    assert_eq!(sum(&mut conn).await, 5);
}
