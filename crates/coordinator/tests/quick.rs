//! Reads by key that come again and again, and what is not as usual about some of them: nobody can tell
//! them from those that are planned each time, and they wait for whom those wait for.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use crate::common::{Busy, DATABASE, PASSWORD, Pair, Seen, Turn, USER, World, see, try_connect};

/// However busy the machine is.
const SOON: Duration = Duration::from_secs(30);

async fn same_for_all(pair: &mut Pair, statement: &str) {
    for number in [0, 1, 2, 3, 1, 2, 1] {
        pair.same(&statement.replace('#', &number.to_string()))
            .await;
    }
}

async fn endow(pair: &mut Pair) {
    let plain = "CREATE TABLE t (id INT, k INT, v VARCHAR(3000), PRIMARY KEY (id, k), KEY (k))";
    pair.both(&format!("{plain} DISTRIBUTE BY HASH(k)"), plain)
        .await;
    for k in 0..4 {
        let rows = "SELECT seq, #, REPEAT('v', seq) FROM seq_1_to_300".replace('#', &k.to_string());
        pair.same(&format!("INSERT INTO t {rows}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_they_answer_is_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    endow(&mut pair).await;
    // Few rows, none, many, and more than come at once.
    same_for_all(&mut pair, "SELECT id, v FROM t WHERE k = # AND id = 7").await;
    same_for_all(&mut pair, "SELECT id, v FROM t WHERE k = # AND id = 0").await;
    same_for_all(&mut pair, "SELECT id FROM t WHERE k = # ORDER BY id").await;
    same_for_all(&mut pair, "SELECT * FROM t WHERE k = # ORDER BY id").await;
    // Errors before the first row and behind it, and warnings.
    for statement in [
        "SELECT nothing FROM t WHERE k = #",
        "SELECT id, 18446744073709551614 + id + k * 0 FROM t WHERE k = # ORDER BY id",
        "SELECT CAST(v AS INT) FROM t WHERE k = # AND id = 3",
        "SELECT 1 FROM t WHERE k = # AND id = 3",
    ] {
        for number in [1, 2, 1, 2] {
            pair.same(&statement.replace('#', &number.to_string()))
                .await;
            pair.same("SHOW WARNINGS").await;
        }
    }
    // Within transactions of all kinds.
    let select = "SELECT id, v FROM t WHERE k = # AND id = 7";
    pair.same("START TRANSACTION").await;
    same_for_all(&mut pair, select).await;
    pair.same("UPDATE t SET v = 'changed' WHERE k = 2 AND id = 7")
        .await;
    same_for_all(&mut pair, select).await;
    pair.same("ROLLBACK").await;
    same_for_all(&mut pair, select).await;
    pair.same("SET autocommit = 0").await;
    same_for_all(&mut pair, select).await;
    pair.same("SELECT @@in_transaction").await;
    pair.same("COMMIT").await;
    pair.same("SET autocommit = 1").await;
    pair.same("LOCK TABLES t READ").await;
    same_for_all(&mut pair, select).await;
    pair.same("UNLOCK TABLES").await;
    pair.same("SET timestamp = 5").await;
    same_for_all(&mut pair, select).await;
    pair.same("SELECT NOW(), v FROM t WHERE k = 1 AND id = 1")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_ones_answer_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    endow(&mut pair).await;
    for statement in [
        "SELECT id, v FROM t WHERE k = ? AND id = ?",
        "SELECT id, v FROM t WHERE ? = k AND id < ? ORDER BY id",
        "SELECT CAST(v AS INT) FROM t WHERE k = ? AND id = ?",
        "SELECT id, 18446744073709551614 + id FROM t WHERE k = ? AND id <> ? ORDER BY id",
    ] {
        let ours = pair.ours.prep(statement).await.expect("prepared");
        let plain = pair.plain.prep(statement).await.expect("prepared");
        for round in 0..3 {
            for number in [0_i64, 1, 2, 3, -1, 1] {
                let key = match round {
                    // As other types.
                    1 => Value::from(number.to_string()),
                    2 if number == 1 => Value::NULL,
                    _ => Value::from(number),
                };
                let values = (key, 300 - 7 * number);
                let ours = pair
                    .ours
                    .exec::<mysql_async::Row, _, _>(&ours, values.clone());
                let ours = told(ours.await);
                let plain = pair.plain.exec::<mysql_async::Row, _, _>(&plain, values);
                assert_eq!(ours, told(plain.await), "{statement} {number}");
                pair.same("SHOW WARNINGS").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_keys_like_numbers() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    let plain = "CREATE TABLE words (w VARCHAR(8) PRIMARY KEY, v INT NOT NULL)";
    pair.both(&format!("{plain} DISTRIBUTE BY HASH(w)"), plain)
        .await;
    let words = ["a", "it''s", "back\\\\slash", "Ärger", "zero", "", "12"];
    for (number, word) in words.iter().enumerate() {
        pair.same(&format!("INSERT INTO words VALUES ('{word}', {number})"))
            .await;
    }
    let statement = "SELECT w, v FROM words WHERE w = ?";
    for mode in ["", "NO_BACKSLASH_ESCAPES"] {
        pair.same(&format!("SET sql_mode = '{mode}'")).await;
        let ours = pair.ours.prep(statement).await.expect("prepared");
        let plain = pair.plain.prep(statement).await.expect("prepared");
        for _ in 0..2 {
            for word in [
                "a",
                "A",
                "it's",
                "back\\slash",
                "ärger",
                "zero ",
                "",
                "12",
                "much too long",
                "\0",
            ] {
                let found = pair.ours.exec::<mysql_async::Row, _, _>(&ours, (word,));
                let found = told(found.await);
                let wanted = pair.plain.exec::<mysql_async::Row, _, _>(&plain, (word,));
                assert_eq!(found, told(wanted.await), "{word:?}");
            }
            for number in [12, 13] {
                let found = pair.ours.exec::<mysql_async::Row, _, _>(&ours, (number,));
                let found = told(found.await);
                let wanted = pair.plain.exec::<mysql_async::Row, _, _>(&plain, (number,));
                assert_eq!(found, told(wanted.await), "{number:?}");
            }
        }
    }
}

/// Waits until so many reads went the short way since `before`, and no more.
async fn assert_short(world: &World, before: u64, more: u64, what: &str) {
    let (coordinators, id) = (world.coordinators(), &world.route.instance_id);
    let short = || coordinators.short_reads(id, DATABASE) - before;
    let end = Instant::now() + SOON;
    // A client has its answer before the read is counted.
    while short() < more && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(short(), more, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_by_key_are_passed_on_as_they_come() {
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE t (k INT PRIMARY KEY, v BIGINT NOT NULL) DISTRIBUTE BY HASH(k)",
        "INSERT INTO t SELECT seq, 10 * seq FROM seq_0_to_29",
        // Each node is known to the session, and the statement.
        "SELECT COUNT(*) FROM t",
        "SELECT v FROM t WHERE k = 0",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let short = || {
        let id = &world.route.instance_id;
        world.coordinators().short_reads(id, DATABASE)
    };
    let prepared = conn.prep("SELECT v FROM t WHERE k = ?").await;
    let prepared = prepared.expect("prepared");
    for k in 0..30 {
        let found: Option<u64> = conn.exec_first(&prepared, (k,)).await.expect("read");
        assert_eq!(found, Some(10 * k));
    }
    for way in ["by itself", "in a transaction"] {
        if way != "by itself" {
            conn.query_drop("BEGIN").await.expect("begun");
            // Each node is part of it from here on.
            for k in 0..30 {
                let read = format!("SELECT v FROM t WHERE k = {k}");
                conn.query_drop(&read).await.expect("read");
            }
        }
        // What was asked before is counted by now or never: nothing of it went another way.
        let mut before = short();
        while before != {
            tokio::time::sleep(Duration::from_millis(20)).await;
            short()
        } {
            before = short();
        }
        for k in 0..30 {
            let found: Option<u64> = conn
                .query_first(format!("SELECT v FROM t WHERE k = {k}"))
                .await
                .expect("read");
            assert_eq!(found, Some(10 * k));
        }
        assert_short(&world, before, 30, way).await;
        for k in 0..30 {
            let found: Option<u64> = conn.exec_first(&prepared, (k,)).await.expect("read");
            assert_eq!(found, Some(10 * k));
        }
        assert_short(&world, before, 60, way).await;
        // Others do not.
        for statement in [
            "SELECT v FROM t WHERE k = 1 FOR UPDATE",
            "SELECT v FROM t WHERE k IN (1, 2)",
            "SELECT COUNT(*) FROM t",
            "UPDATE t SET v = v WHERE k = 1",
        ] {
            conn.query_drop(statement).await.expect(statement);
        }
        conn.query_drop("COMMIT").await.expect("committed");
        assert_short(&world, before, 60, way).await;
    }
}

fn told(rows: mysql_async::Result<Vec<mysql_async::Row>>) -> Result<Vec<Vec<Value>>, String> {
    match rows {
        Ok(rows) => Ok(rows.into_iter().map(mysql_async::Row::unwrap).collect()),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads by key until it is told to stop; counts.
async fn read(mut conn: Conn, turn: Turn) -> Vec<Seen> {
    let statement = conn.prep("SELECT v FROM t WHERE k = ?").await;
    let statement = statement.expect("prepared");
    let mut odd = Vec::new();
    for number in (0..3).cycle() {
        if turn.is_over() {
            return odd;
        }
        let text = format!("SELECT v FROM t WHERE k = {number}");
        let seen = see(&mut conn, &text).await;
        if !matches!(&seen[..], [Seen::Rows(_, rows)] if rows.len() == 1) {
            odd.extend(seen);
        }
        let found = conn.exec::<u64, _, _>(&statement, (number,)).await;
        if found.as_ref().map(Vec::len).unwrap_or(0) != 1 {
            odd.push(Seen::Failed(0, format!("{found:?}")));
        }
        turn.count();
    }
    odd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_see_a_table_before_or_after_its_definition() {
    let world = World::new().await;
    let mut conn = world.client().await;
    let readers = Busy::start(&world, &mut conn, read).await;
    for round in 0..4 {
        readers.until_done(10).await;
        for statement in [
            format!("ALTER TABLE t ADD COLUMN c{round} INT DEFAULT 1"),
            format!("ALTER TABLE t MODIFY v BIGINT NOT NULL COMMENT '{round}'"),
        ] {
            conn.query_drop(&statement).await.expect(&statement);
        }
    }
    readers.until_done(10).await;
    readers.stop().await;
    conn.query_drop("DROP TABLE t").await.expect("dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_while_partitions_are_held_and_are_waited_for() {
    let world = World::new().await;
    let mut conn = world.client().await;
    let readers = Busy::start(&world, &mut conn, read).await;
    let (coordinators, id) = (world.coordinators(), &world.route.instance_id);
    for _ in 0..3 {
        readers.until_done(20).await;
        let work = async {
            // What was under way has been answered, at the most.
            let before = readers.done();
            tokio::time::sleep(Duration::from_millis(50)).await;
            readers.done() - before
        };
        let held = coordinators.hold(id, SOON, false, work).await;
        let read = held.expect("it was held");
        assert!(read <= 3, "{read} were carried out meanwhile");
    }
    readers.until_done(20).await;
    readers.stop().await;
    // One that is under way is waited for.
    let slow = "SELECT v, SLEEP(0.001 * v) FROM t WHERE k = #";
    for number in [0, 1] {
        let text = slow.replace('#', &number.to_string());
        conn.query_drop(&text).await.expect("read");
    }
    conn.query_drop("UPDATE t SET v = 3000 WHERE k = 2")
        .await
        .expect("updated");
    let mut watcher = world.client().await;
    let reading = tokio::spawn(async move {
        let seen = see(&mut conn, &slow.replace('#', "2")).await;
        (conn, seen)
    });
    let end = Instant::now() + SOON;
    while !sleeps(&world).await {
        assert!(Instant::now() < end, "it does not run");
    }
    let short = Duration::from_millis(100);
    let held = coordinators.hold(id, short, true, async {}).await;
    assert!(held.is_err(), "it was not waited for");
    let home: u32 = watcher
        .query_first(format!(
            "SELECT id FROM information_schema.processlist WHERE db = '{DATABASE}' AND id <> CONNECTION_ID()"
        ))
        .await
        .expect("read")
        .expect("the session");
    watcher
        .query_drop(format!("KILL QUERY {home}"))
        .await
        .expect("killed");
    let (mut conn, seen) = reading.await.expect("it ends");
    // `SLEEP` is over when it is killed, which may be an error or not.
    let is_over = match &seen[..] {
        [Seen::Failed(code, _)] => *code == 1317,
        [Seen::Rows(_, rows)] => rows.len() == 1,
        _ => false,
    };
    assert!(is_over, "{seen:?}");
    let held = coordinators.hold(id, SOON, false, async { 5 }).await;
    assert!(matches!(held, Ok(5)));
    assert_eq!(see(&mut conn, &slow.replace('#', "1")).await.len(), 1);
}

/// Whether a statement sleeps on some node.
async fn sleeps(world: &World) -> bool {
    for node in 0..world.nodes.len() {
        let asked = "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'";
        let found: mysql_async::Result<Option<u32>> =
            world.node(node).await.query_first(asked).await;
        if found.expect("read").is_some() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_answered_once_when_its_node_is_lost() {
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE t (k INT PRIMARY KEY, v BIGINT NOT NULL) DISTRIBUTE BY HASH(k)",
        "INSERT INTO t VALUES (0, 0), (1, 10), (2, 20)",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    // On a loop, and behind a socket of its own.
    lose(&world, conn).await;
    let socket = world.coordinator_socket();
    let conn = try_connect(&socket, USER, PASSWORD, |it| it).await;
    lose(&world, conn.expect("let in")).await;
}

async fn lose(world: &World, mut conn: Conn) {
    let select = "SELECT v FROM t WHERE k = 1";
    let prepared = conn.prep("SELECT v FROM t WHERE k = ?").await;
    let prepared = prepared.expect("prepared");
    for round in 0..2 {
        for _ in 0..2 {
            let seen = see(&mut conn, select).await;
            assert!(matches!(&seen[..], [Seen::Rows(..)]), "{seen:?}");
            let found: Option<u64> = conn.exec_first(&prepared, (1,)).await.expect("read");
            assert_eq!(found, Some(10));
        }
        world.kill_node(1).await;
        let code = match round {
            0 => match &see(&mut conn, select).await[..] {
                [Seen::Failed(code, _)] => *code,
                other => panic!("{other:?}"),
            },
            _ => match conn.exec_first::<u64, _, _>(&prepared, (1,)).await {
                Err(mysql_async::Error::Server(error)) => error.code,
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(code, 1429);
        // What comes next is answered for itself.
        let seen = see(&mut conn, "SELECT 7").await;
        assert!(
            matches!(&seen[..], [Seen::Rows(names, _)] if names[0] == "7"),
            "{seen:?}"
        );
        let seen = see(&mut conn, "SELECT v FROM t WHERE k = 0").await;
        assert!(matches!(&seen[..], [Seen::Rows(..)]), "{seen:?}");
        world.start_node(1).await;
    }
}
