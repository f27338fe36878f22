//! Tables that get another distribution, with what is in them; cut off at each step, they are whole as they
//! were or as they shall be.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_coordinator::Coordinators;
use tokio::task::JoinHandle;

use crate::common::{PASSWORD, Seen, USER, World, see, try_connect};

/// Every type and what is odd about its values.
const COLUMNS: &str = "id BIGINT NOT NULL AUTO_INCREMENT, owner INT NOT NULL, name VARCHAR(30) NOT NULL DEFAULT '', \
     latin CHAR(9) CHARACTER SET latin1, price DECIMAL(20,6), f FLOAT, d DOUBLE, raw VARBINARY(40), big BLOB, \
     kind ENUM('a','ö','c'), flags SET('x','y'), bits BIT(9), day DATE, at DATETIME(3), stamp TIMESTAMP(6) NULL, \
     year YEAR, padded INT(8) ZEROFILL, place POINT, data JSON, twice INT AS (owner * 2) STORED, \
     hid INT INVISIBLE DEFAULT 7, PRIMARY KEY (id, owner), KEY by_name (name), CHECK (owner >= 0)";
const ROWS: &str = "INSERT INTO t (owner, name, latin, price, f, d, raw, big, kind, flags, bits, day, at, stamp, year, padded, place, data) \
     SELECT seq MOD 17, CONCAT('n''ä\\\\\n', seq), 'grün', seq / 7, seq / 3, 1e300 / seq, UNHEX(SHA1(seq)), \
     IF(seq MOD 5, NULL, REPEAT(CHAR(seq MOD 256), 300)), 1 + seq MOD 3, seq MOD 4, seq, '2024-02-29', \
     '2026-01-02 03:04:05.678', '2026-07-08 09:10:11.121314', 1999, seq, POINT(seq, 1), JSON_OBJECT('n', seq) FROM seq_1_to_300";

async fn run(conn: &mut Conn, statement: &str) {
    let done = conn.query_drop(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// What a client sees of the table: number and checksum of its rows in an order, and of each value.
async fn content(conn: &mut Conn) -> Vec<(u64, String)> {
    conn.query(
        "SELECT id, SHA2(CONCAT_WS('|', owner, HEX(name), HEX(latin), price, CAST(f AS DOUBLE), d, HEX(raw), HEX(big), \
         kind, flags, bits + 0, day, at, stamp, year, padded, HEX(place), data, twice, hid), 256) FROM t ORDER BY id",
    )
    .await
    .expect("read")
}

async fn clause(conn: &mut Conn) -> String {
    let shown: Option<(String, String)> = conn
        .query_first("SHOW CREATE TABLE t")
        .await
        .expect("shown");
    let shown = shown.expect("a row").1;
    match shown.find(" DISTRIBUTE") {
        Some(at) => shown[at + 1..].to_owned(),
        None => "SINGLE".to_owned(),
    }
}

/// What there is on each node: nothing but the table where it shall be.
async fn only_where_it_belongs(world: &World, clause: &str) {
    for node in 0..3 {
        let mut conn = world.node(node).await;
        let tables: Vec<String> = conn
            .query("SHOW TABLES WHERE Tables_in_shop <> 'side'")
            .await
            .expect("shown");
        match node == 0 || clause != "SINGLE" {
            true => assert_eq!(tables, ["t"], "node {node}, {clause}"),
            false => assert!(tables.is_empty(), "node {node}, {clause}: {tables:?}"),
        }
        if clause.contains("HASH") {
            let count: Option<u64> = conn
                .query_first("SELECT COUNT(*) FROM t")
                .await
                .expect("counted");
            assert!(count.expect("a row") > 0, "node {node} has none");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_get_another_distribution() {
    let mut world = World::new().await;
    {
        let mut conn = world.client().await;
        for statement in [
            &*format!("CREATE TABLE t ({COLUMNS}) COMMENT 'kept'"),
            ROWS,
            "DELETE FROM t WHERE id > 290",
            "CREATE TABLE side (id INT PRIMARY KEY)",
        ] {
            run(&mut conn, statement).await;
        }
        from_each_to_each(&world, &mut conn).await;
        refused(&mut conn).await;
        sessions_that_used_it(&world).await;
    }
    cut_off(&mut world).await;
}

async fn from_each_to_each(world: &World, conn: &mut Conn) {
    let before = content(conn).await;
    assert_eq!(before.len(), 290);
    let mut greatest = 300;
    for (to, shown) in [
        ("DISTRIBUTE BY HASH(id)", "DISTRIBUTE BY HASH(`id`)"),
        ("DISTRIBUTE BY BROADCAST", "DISTRIBUTE BY BROADCAST"),
        ("DISTRIBUTE BY HASH(owner)", "DISTRIBUTE BY HASH(`owner`)"),
        ("DISTRIBUTE_KEY(id)", "DISTRIBUTE BY HASH(`id`)"),
        ("DISTRIBUTE BY SINGLE", "SINGLE"),
        ("DISTRIBUTE BY BROADCAST", "DISTRIBUTE BY BROADCAST"),
        ("DISTRIBUTE BY SINGLE", "SINGLE"),
        ("DISTRIBUTE BY HASH(owner)", "DISTRIBUTE BY HASH(`owner`)"),
        ("DISTRIBUTE BY HASH(owner)", "DISTRIBUTE BY HASH(`owner`)"),
    ] {
        let is_same = clause(conn).await == shown;
        let seen = see(conn, &format!("ALTER TABLE t {to}")).await;
        let copied = if is_same { 0 } else { 290 };
        assert!(
            matches!(&seen[..], [Seen::Done { affected, .. }] if *affected == copied),
            "{to}: {seen:?}"
        );
        assert_eq!(clause(conn).await, shown);
        only_where_it_belongs(world, shown).await;
        assert_eq!(content(conn).await, before, "{to}");
        // Ids are not given twice, nor from the beginning.
        run(conn, "INSERT INTO t (owner) VALUES (1)").await;
        let id: Option<u64> = conn
            .query_first("SELECT LAST_INSERT_ID()")
            .await
            .expect("read");
        let id = id.expect("a row");
        assert!(id > greatest, "{to}: {id} after {greatest}");
        greatest = id;
        run(conn, &format!("DELETE FROM t WHERE id = {id}")).await;
        // What keeps rows apart and finds them is there as well.
        let broken = see(conn, "INSERT INTO t (owner) VALUES (-1)").await;
        assert!(
            matches!(&broken[..], [Seen::Failed(4025, _)]),
            "{to}: {broken:?}"
        );
        let twice = see(conn, "INSERT INTO t (id, owner) VALUES (1, 1)").await;
        assert!(
            matches!(&twice[..], [Seen::Failed(1062, _)]),
            "{to}: {twice:?}"
        );
    }
    run(conn, "ALTER TABLE t DISTRIBUTE BY SINGLE").await;
    assert_eq!(content(conn).await, before);
}

async fn refused(conn: &mut Conn) {
    for (statement, code) in [
        ("ALTER TABLE t DISTRIBUTE BY HASH(name)", "key-unique"),
        ("ALTER TABLE t DISTRIBUTE BY HASH(price)", "key-column"),
        ("ALTER TABLE t DISTRIBUTE BY HASH(nothing)", "key-column"),
        ("ALTER TABLE t DISTRIBUTE BY LIST(id)", "distribute-clause"),
        (
            "ALTER TABLE t DISTRIBUTE BY HASH(id), ADD COLUMN more INT",
            "distribute-clause",
        ),
        (
            "ALTER TABLE whole.t DISTRIBUTE BY HASH(id)",
            "database-not-spread",
        ),
    ] {
        let seen = see(conn, statement).await;
        let is_it = matches!(&seen[..], [Seen::Failed(1235, message)] if message.starts_with(&format!("OpenPeta: {code}: ")));
        assert!(is_it, "{statement}: {seen:?}");
    }
    for (made, gone, code) in [
        (
            "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.f = 1",
            "DROP TRIGGER tr",
            "trigger",
        ),
        (
            "CREATE TRIGGER tr AFTER INSERT ON side FOR EACH ROW DELETE FROM t",
            "DROP TRIGGER tr",
            "trigger",
        ),
        (
            "CREATE PROCEDURE p() SELECT COUNT(*) FROM t",
            "DROP PROCEDURE p",
            "routine",
        ),
        (
            "CREATE TABLE child (t BIGINT, o INT, FOREIGN KEY (t, o) REFERENCES t (id, owner))",
            "DROP TABLE child",
            "foreign-key",
        ),
        (
            "CREATE TEMPORARY TABLE t (a INT)",
            "DROP TEMPORARY TABLE t",
            "temporary-name",
        ),
    ] {
        run(conn, made).await;
        let seen = see(conn, "ALTER TABLE t DISTRIBUTE BY HASH(id)").await;
        let is_it = matches!(&seen[..], [Seen::Failed(1235, message)] if message.starts_with(&format!("OpenPeta: {code}: ")));
        assert!(is_it, "{made}: {seen:?}");
        run(conn, gone).await;
    }
    let seen = see(conn, "ALTER TABLE nothing DISTRIBUTE BY HASH(id)").await;
    assert!(matches!(&seen[..], [Seen::Failed(1146, _)]), "{seen:?}");
    assert_eq!(clause(conn).await, "SINGLE");
}

/// Who has used it when it was whole uses it as it is: views, prepared statements, transactions.
async fn sessions_that_used_it(world: &World) {
    for node in 0..3 {
        let mut admin = world.node(node).await;
        run(
            &mut admin,
            "CREATE USER reader@'%' IDENTIFIED BY 'of a reader'",
        )
        .await;
        run(
            &mut admin,
            "GRANT SELECT, INSERT, CREATE, DROP ON shop.* TO reader@'%'",
        )
        .await;
    }
    let socket = world.coordinator_socket();
    let reader = try_connect(&socket, "reader", "of a reader", |it| it).await;
    let mut reader = reader.expect("let in");
    let seen = see(&mut reader, "ALTER TABLE t DISTRIBUTE BY HASH(id)").await;
    assert!(matches!(&seen[..], [Seen::Failed(1142, _)]), "{seen:?}");
    let mut conn = world.client().await;
    let mut other = world.client().await;
    run(&mut conn, "CREATE VIEW seen AS SELECT id, owner FROM t").await;
    run(&mut other, "PREPARE p FROM 'SELECT COUNT(*) FROM t'").await;
    let prepared = other
        .prep("SELECT COUNT(*) FROM t WHERE owner < ?")
        .await
        .expect("prepared");
    let all: Option<u64> = other.exec_first(&prepared, (100,)).await.expect("read");
    assert_eq!(all, Some(290));
    // A transaction that has used it is waited for.
    run(&mut other, "BEGIN").await;
    run(&mut other, "UPDATE t SET hid = 8 WHERE id = 1").await;
    let change = tokio::spawn(async move {
        run(&mut conn, "ALTER TABLE t DISTRIBUTE BY HASH(id)").await;
        conn
    });
    tokio::time::timeout(Duration::from_millis(50), async {
        while !change.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect_err("it waits");
    run(&mut other, "COMMIT").await;
    let mut conn = change.await.expect("it ends");
    assert_eq!(clause(&mut conn).await, "DISTRIBUTE BY HASH(`id`)");
    for question in [
        "SELECT COUNT(*) FROM t",
        "SELECT COUNT(*) FROM seen",
        "SELECT 289 + COUNT(*) FROM t WHERE hid = 8",
    ] {
        let count: Option<u64> = other.query_first(question).await.expect(question);
        assert_eq!(count, Some(290), "{question}");
    }
    let all: Option<u64> = other.exec_first(&prepared, (100,)).await.expect("read");
    assert_eq!(all, Some(290));
    // Home would count its own rows alone.
    let seen = see(&mut other, "EXECUTE p").await;
    assert!(
        matches!(&seen[..], [Seen::Failed(1235, message)] if message.contains("dynamic-sql")),
        "{seen:?}"
    );
    run(&mut conn, "DROP VIEW seen").await;
    run(&mut conn, "UPDATE t SET hid = 7 WHERE id = 1").await;
    run(&mut conn, "ALTER TABLE t DISTRIBUTE BY SINGLE").await;
}

/// At each step the process ends, or a node does: what is there then is the old table or the new one.
async fn cut_off(world: &mut World) {
    let mut conn = world.client().await;
    let before = content(&mut conn).await;
    drop(conn);
    let mut is = "SINGLE".to_owned();
    for (step, is_decided, first) in [
        ("put-aside", false, None),
        ("made", false, None),
        ("copied", false, None),
        ("compared", false, None),
        ("made", false, Some("DISTRIBUTE BY HASH(`owner`)")),
        ("copied", false, None),
        ("decided", true, None),
        ("one-node", true, None),
    ] {
        if let Some(first) = first {
            let mut conn = world.client().await;
            run(&mut conn, &format!("ALTER TABLE t {first}")).await;
            is = first.to_owned();
        }
        for node in [None, Some(1)] {
            for to in [
                "DISTRIBUTE BY HASH(`id`)",
                "DISTRIBUTE BY BROADCAST",
                "SINGLE",
            ] {
                // One of them is what it is already, and only a whole one is put aside.
                if to == is
                    || step == "put-aside" && is != "SINGLE"
                    || node.is_some() && to == "SINGLE"
                {
                    continue;
                }
                let alter = match to {
                    "SINGLE" => "ALTER TABLE t DISTRIBUTE BY SINGLE".to_owned(),
                    clause => format!("ALTER TABLE t {clause}"),
                };
                let what = format!("{step}, node {node:?}, from {is} to {to}");
                let done = world.cut_off(step, node, alter).await;
                // Where that node was done with, nobody notices.
                assert!(!done || node.is_some() && step == "one-node", "{what}");
                // What a node keeps from its end is decided all the same.
                if is_decided || step == "compared" && node.is_some() {
                    is = to.to_owned();
                }
                let mut conn = world.client().await;
                assert_eq!(content(&mut conn).await, before, "{what}");
                assert_eq!(clause(&mut conn).await, is, "{what}");
                only_where_it_belongs(world, &is).await;
            }
        }
    }
}

/// A client that has read all of the table, and what it found.
type Reader = JoinHandle<(Conn, Vec<(u64, String)>)>;

/// Another process of the service, as after a hand-over, and a client of it that reads the table.
fn another(world: &World, number: usize) -> (Coordinators, Reader) {
    let (new, socket) = world.another(number);
    let reader = tokio::spawn(async move {
        let conn = try_connect(&socket, USER, PASSWORD, |it| it).await;
        let mut conn = conn.expect("let in");
        let found = content(&mut conn).await;
        (conn, found)
    });
    (new, reader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_begins_in_the_midst_knows_what_the_table_becomes() {
    let mut world = World::new().await;
    let mut conn = world.client().await;
    let create = format!("CREATE TABLE t ({COLUMNS}) DISTRIBUTE BY HASH(owner)");
    run(&mut conn, &create).await;
    run(&mut conn, ROWS).await;
    let before = content(&mut conn).await;
    drop(conn);
    for (number, (step, to, is_killed)) in [
        ("decided", "HASH(id)", false),
        ("one-node", "BROADCAST", false),
        ("decided", "HASH(id)", true),
        ("one-node", "SINGLE", true),
    ]
    .into_iter()
    .enumerate()
    {
        let stops = world.coordinators().stops(&world.route.instance_id);
        let stops = stops.expect("served");
        stops.set(step);
        let mut conn = world.client().await;
        let alter = format!("ALTER TABLE t DISTRIBUTE BY {to}");
        let change = tokio::spawn(async move { conn.query_drop(alter).await });
        stops.reached().await;
        let (new, reader) = another(&world, number);
        tokio::time::timeout(Duration::from_millis(300), async {
            while !reader.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect_err("it waits");
        match is_killed {
            true => {
                world.close();
                assert!(change.await.expect("it ends").is_err(), "{step}");
            }
            false => {
                stops.let_go();
                change.await.expect("it ends").expect("done");
            }
        }
        let (mut theirs, found) = reader.await.expect("it ends");
        assert_eq!(found, before, "{step}, {to}");
        if is_killed {
            world.open();
        }
        // What one of them writes is where the other looks for it.
        let mut ours = world.client().await;
        for id in 1001..1017 {
            let writer = if id % 2 == 0 { &mut ours } else { &mut theirs };
            run(
                writer,
                &format!("INSERT INTO t (id, owner) VALUES ({id}, {})", id % 5),
            )
            .await;
        }
        for reader in [&mut ours, &mut theirs] {
            for id in 1001..1017 {
                let question = format!("SELECT id FROM t WHERE id = {id} AND owner = {}", id % 5);
                let found: Vec<u64> = reader.query(&question).await.expect("read");
                assert_eq!(found, [id], "{step}, {to}");
            }
            let shown = clause(reader).await.replace('`', "");
            assert!(shown.ends_with(to), "{shown} instead of {to}");
        }
        run(&mut ours, "DELETE FROM t WHERE id > 1000").await;
        // As long as both are there, nothing of that kind begins.
        let other = "ALTER TABLE t DISTRIBUTE BY HASH(owner)";
        for conn in [&mut ours, &mut theirs] {
            let seen = see(conn, other).await;
            assert!(
                matches!(&seen[..], [Seen::Failed(1235, why)] if why.contains("hand-over")),
                "{seen:?}"
            );
        }
        theirs.disconnect().await.expect("gone");
        drop(new);
        only_where_it_belongs(&world, if to == "SINGLE" { to } else { "HASH" }).await;
        // What is left of it ends in its own time.
        while let [Seen::Failed(1235, why)] =
            &see(&mut ours, "ALTER TABLE t DISTRIBUTE BY SINGLE").await[..]
        {
            assert!(why.contains("hand-over"), "{why}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        run(&mut ours, "ALTER TABLE t DISTRIBUTE BY HASH(owner)").await;
        assert_eq!(content(&mut ours).await, before);
    }
}
