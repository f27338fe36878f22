//! Triggers of distributed tables: those that look at their row alone run where the row is.

use std::io::Write;
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use openpeta_engine::{EngineError, PartitionMove};
use openpeta_sql_route::Partitions;
use openpeta_types::DbName;

use crate::common::{DATABASE, PASSWORD, Pair, Seen, USER, World, see};

async fn tables(pair: &mut Pair) {
    for (body, clause) in [
        (
            "orders (id INT PRIMARY KEY, amount DECIMAL(10,2), note VARCHAR(40) NOT NULL, grade CHAR(1), \
             changes INT NOT NULL DEFAULT 0)",
            "DISTRIBUTE BY HASH(id)",
        ),
        (
            "entry (nr INT PRIMARY KEY AUTO_INCREMENT, n INT, twice INT)",
            "DISTRIBUTE BY HASH(nr)",
        ),
        (
            "kinds (k INT PRIMARY KEY, label VARCHAR(20))",
            "DISTRIBUTE BY BROADCAST",
        ),
        ("single (a INT PRIMARY KEY, b INT)", ""),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
}

/// What a node has of triggers.
async fn told(conn: &mut Conn) -> Vec<String> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER, TRIGGER_NAME, \
             ACTION_STATEMENT, DEFINER, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION \
             FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop' ORDER BY 1, 2, 3, 4",
        )
        .await
        .expect("told");
    let row = |row: Row| format!("{:?}", row.unwrap());
    rows.into_iter().map(row).collect()
}

/// All nodes have the same triggers; these.
async fn of_nodes(world: &World) -> Vec<String> {
    let own = told(&mut world.node(0).await).await;
    let distributed = |it: &&String| !it.contains("single");
    let own: Vec<_> = own.iter().filter(distributed).cloned().collect();
    for node in 1..world.nodes.len() {
        assert_eq!(told(&mut world.node(node).await).await, own, "node {node}");
    }
    own
}

const GRADES: &str = "CREATE TRIGGER graded BEFORE INSERT ON orders FOR EACH ROW \
    BEGIN \
      DECLARE much INT DEFAULT 100; \
      IF NEW.amount IS NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no amount', MYSQL_ERRNO = 5001; END IF; \
      SET NEW.note = COALESCE(NEW.note, CONCAT('für ', NEW.id)), \
          NEW.grade = CASE WHEN NEW.amount > much THEN 'A' ELSE 'B' END; \
    END";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_do_what_they_do_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    for statement in [
        GRADES,
        "CREATE TRIGGER counted BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = OLD.changes + 1",
        "CREATE TRIGGER counted_more BEFORE UPDATE ON orders FOR EACH ROW FOLLOWS counted SET NEW.changes = NEW.changes * 2",
        "CREATE TRIGGER kept BEFORE DELETE ON orders FOR EACH ROW \
         IF OLD.grade = 'A' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'grade A is kept'; END IF",
        "CREATE DEFINER = CURRENT_USER TRIGGER shop.doubled BEFORE UPDATE ON entry FOR EACH ROW SET NEW.twice = 2 * NEW.n",
        "CREATE TRIGGER numbered AFTER INSERT ON entry FOR EACH ROW \
         IF NEW.nr < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'negative'; END IF",
        "CREATE TRIGGER labelled BEFORE INSERT ON kinds FOR EACH ROW SET NEW.label = UPPER(NEW.label)",
        "CREATE TRIGGER whole BEFORE INSERT ON single FOR EACH ROW SET NEW.b = NEW.a + @@auto_increment_increment",
        "CREATE TRIGGER IF NOT EXISTS counted BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = 7",
        "SHOW WARNINGS",
        "CREATE TRIGGER counted BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = 7",
        "CREATE TRIGGER other BEFORE UPDATE ON orders FOR EACH ROW SET NEW.nothing = 7",
        // Rows of all nodes at once.
        "INSERT INTO orders (id, amount, note) VALUES (1, 10, 'a'), (2, 200, 'b'), (3, 300.50, ''), (4, 1, 'd'), (5, 5, 'e'), (6, 6, 'f')",
        "INSERT INTO orders (id, amount, note) VALUES (7, 7, NULL)",
        "INSERT INTO orders (id, amount, note) VALUES (8, 1000, 'x'), (9, NULL, 'y'), (10, 1, 'z')",
        "INSERT IGNORE INTO orders (id, amount, note) VALUES (1, 1, 'again'), (11, 500, 'new')",
        "INSERT INTO orders (id, amount, note) VALUES (1, 11, 'again'), (12, 12, 'new') ON DUPLICATE KEY UPDATE amount = VALUES(amount)",
        "REPLACE INTO orders (id, amount, note) VALUES (4, 44, 'replaced'), (13, 13, 'm')",
        "REPLACE INTO orders (id, amount, note) VALUES (2, 1, 'kept')",
        "UPDATE orders SET note = CONCAT(note, '!')",
        "UPDATE orders SET amount = 400 WHERE id = 5",
        "DELETE FROM orders WHERE id IN (4, 5)",
        "DELETE FROM orders",
        "DELETE FROM orders WHERE id = 2",
        "BEGIN",
        "UPDATE orders SET note = 'undone'",
        "SELECT COUNT(*), SUM(changes) FROM orders",
        "ROLLBACK",
        "SELECT * FROM orders ORDER BY id",
        "INSERT INTO entry (n) VALUES (1), (2), (3), (4)",
        "INSERT INTO entry (nr, n) VALUES (-1, 1)",
        "UPDATE entry SET n = n + 10",
        "INSERT INTO entry (n) SELECT n FROM entry ORDER BY nr",
        "SELECT n, twice FROM entry ORDER BY nr",
        "INSERT INTO kinds VALUES (1, 'one'), (2, 'two')",
        "SELECT * FROM kinds ORDER BY k",
        "INSERT INTO single (a) VALUES (1)",
        "SELECT * FROM single",
    ] {
        pair.same(statement).await;
    }
    for conn in [&mut pair.ours, &mut pair.plain] {
        let insert = "INSERT INTO orders (id, amount, note) VALUES (?, ?, ?)";
        for id in 100..110 {
            conn.exec_drop(insert, (id, id * 3 % 200, "prepared"))
                .await
                .expect(insert);
        }
        let update = "UPDATE orders SET note = ? WHERE id = ?";
        conn.exec_drop(update, ("once", 100)).await.expect(update);
    }
    for table in ["orders", "entry", "single"] {
        if table != "single" {
            world.same_rows(table).await;
        }
    }
    let plain = world.plain().await;
    assert_eq!(told(&mut pair.ours).await, told(&mut { plain }).await);
    assert_eq!(of_nodes(&world).await.len(), 7);
    refused(&mut pair).await;
    redefined(&world, &mut pair).await;
}

async fn refused(pair: &mut Pair) {
    for statement in [
        "CREATE TRIGGER x AFTER INSERT ON orders FOR EACH ROW INSERT INTO single VALUES (NEW.id, 1)",
        "CREATE TRIGGER x BEFORE INSERT ON orders FOR EACH ROW SET NEW.id = 1",
        "CREATE TRIGGER x BEFORE INSERT ON entry FOR EACH ROW SET NEW.n = NEW.nr",
        "CREATE TRIGGER x BEFORE INSERT ON kinds FOR EACH ROW SET NEW.label = UUID()",
        // They come before rows are whole.
        "INSERT INTO orders (id, amount, note) SELECT id + 1000, amount, note FROM orders",
        "INSERT INTO kinds SELECT 3, 'x'",
        "INSERT INTO orders (id, amount, note) VALUES (ABS(77), 1, 'x')",
        "ALTER TABLE orders DISTRIBUTE BY BROADCAST",
        "ALTER TABLE kinds DISTRIBUTE BY SINGLE",
        "CREATE EVENT soon ON SCHEDULE AT NOW() DO DROP TRIGGER graded",
    ] {
        pair.refused(statement, "trigger").await;
    }
    // Nor are they dropped past us.
    for statement in [
        "EXECUTE IMMEDIATE 'DROP TRIGGER graded'",
        "PREPARE p FROM 'drop trigger if exists graded'",
    ] {
        pair.refused(statement, "dynamic-sql").await;
    }
    let create = "CREATE PROCEDURE dropping() DROP TRIGGER graded";
    pair.same(create).await;
    pair.refused("CALL dropping()", "routine").await;
    pair.same("DROP PROCEDURE dropping").await;
}

/// They go with their tables, and in the order in which they were made.
async fn redefined(world: &World, pair: &mut Pair) {
    for statement in [
        "DROP TRIGGER kept",
        "DROP TRIGGER kept",
        "DROP TRIGGER IF EXISTS kept",
        "DELETE FROM orders WHERE id = 2",
        "CREATE OR REPLACE TRIGGER counted BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = OLD.changes + 100",
        "ALTER TABLE orders ADD COLUMN x INT, ADD INDEX (note)",
        "UPDATE orders SET x = 1",
        "RENAME TABLE orders TO sales",
        "UPDATE sales SET x = 2 WHERE id > 5",
        "DROP TRIGGER shop.counted_more",
        "UPDATE sales SET x = 3",
        // A variable is of the collation that the database has then.
        "ALTER DATABASE shop COLLATE utf8mb4_bin",
        "CREATE TRIGGER compared BEFORE UPDATE ON sales FOR EACH ROW \
         BEGIN DECLARE v VARCHAR(9) DEFAULT 'A'; SET NEW.x = IF(v = 'a', 1, 2); END",
        "UPDATE sales SET x = 3",
        "SELECT * FROM sales ORDER BY id",
        "TRUNCATE entry",
        "DROP TABLE entry",
        "DROP TRIGGER numbered",
    ] {
        pair.same(statement).await;
    }
    world.same_rows("sales").await;
    assert_eq!(of_nodes(world).await.len(), 4);
    for options in [&["--single-transaction"][..], &[]] {
        let dump = dumped(world, options);
        pair.same("DROP TABLE sales, kinds").await;
        loaded(world, &world.coordinator_socket(), &dump);
        let plain = world
            .engine
            .socket_path(&world.plain)
            .expect("short enough");
        // The clause is ours alone.
        let dump = String::from_utf8(dump).expect("text");
        let dump = dump
            .replace(" DISTRIBUTE BY HASH(`id`)", "")
            .replace(" DISTRIBUTE BY BROADCAST", "");
        loaded(world, &plain, dump.as_bytes());
        assert_eq!(of_nodes(world).await.len(), 4);
        pair.same("UPDATE sales SET x = 4").await;
        pair.same("SELECT * FROM sales ORDER BY id").await;
        world.same_rows("sales").await;
        assert_eq!(told(&mut pair.ours).await, told(&mut pair.plain).await);
    }
    cannot_move(world).await;
}

fn command(program: &str, socket: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--no-defaults")
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--user={USER}"))
        .arg(format!("--password={PASSWORD}"));
    command
}

fn dumped(world: &World, options: &[&str]) -> Vec<u8> {
    let mut command = command("mariadb-dump", &world.coordinator_socket());
    let output = command.args(["--no-tablespaces"]).args(options);
    let output = output.args([DATABASE, "sales", "kinds"]).output();
    let output = output.expect("it is installed");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    output.stdout
}

fn loaded(_world: &World, socket: &std::path::Path, dump: &[u8]) {
    let mut command = command("mariadb", socket);
    let command = command.arg(DATABASE).stdin(Stdio::piped());
    let mut loading = command.stderr(Stdio::piped()).spawn().expect("started");
    let mut input = loading.stdin.take().expect("piped");
    input.write_all(dump).expect("it takes the dump");
    drop(input);
    let output = loading.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
}

/// Rows that are brought to another node would pass them once more.
async fn cannot_move(world: &World) {
    let plan = PartitionMove {
        database: DbName::parse(DATABASE).expect("a name"),
        from: world.nodes[0].clone(),
        to: world.nodes[1].clone(),
        count: Partitions::new(std::num::NonZeroU16::new(24).expect("not 0")),
        partitions: vec![0],
        broadcast: false,
    };
    let begun = world.engine.begin_move(plan).await;
    let is_refused =
        matches!(&begun, Err(EngineError::NotMoved { what }) if what.contains("triggers"));
    assert!(is_refused, "{:?}", begun.err());
}

/// Whoever is cut off in the midst of a definition leaves it to the next statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_is_cut_off_is_on_all_nodes_or_on_none() {
    let mut world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    let first = "CREATE TRIGGER first BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = 1";
    pair.same(first).await;
    pair.same("INSERT INTO orders (id, amount, note) VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')")
        .await;
    drop(pair);
    let steps = [
        ("trigger-written", &[None, Some(0), Some(1)][..]),
        ("trigger-home", &[None, Some(1), Some(2)]),
        ("trigger-1-0", &[None, Some(1)]),
        ("trigger-1-1", &[None, Some(1)]),
        ("trigger-1-2", &[None, Some(1)]),
        ("trigger-1-3", &[None, Some(2)]),
        ("trigger-2-1", &[None, Some(2)]),
        ("trigger-2-3", &[None, Some(2), Some(0)]),
    ];
    let mut number = 0;
    for (step, nodes) in steps {
        for node in nodes {
            number += 1;
            cut_off(&mut world, step, *node, number).await;
        }
    }
}

async fn cut_off(world: &mut World, step: &'static str, node: Option<usize>, number: usize) {
    let what = format!("{step}, node {node:?}");
    let before = of_nodes(world).await;
    let define = match number % 2 {
        0 => "DROP TRIGGER next".to_owned(),
        _ => format!(
            "CREATE TRIGGER next BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = NEW.changes + {number}"
        ),
    };
    let done = world.cut_off(step, node, define).await;
    // Where it was done with that node, nobody notices.
    assert!(!done || node == Some(0) && step == "trigger-2-3", "{what}");
    // Whatever is said next waits until all is as it shall be.
    let mut conn = world.client().await;
    let seen = see(&mut conn, "UPDATE orders SET changes = 0").await;
    assert!(matches!(seen[..], [Seen::Done { .. }]), "{what}: {seen:?}");
    let after = of_nodes(world).await;
    let is_done = after != before;
    // Home does it first, whatever becomes of others.
    let had_begun = step != "trigger-written" || node == Some(1);
    assert!(is_done == had_begun, "{what}: {after:?}");
    let values: Vec<i32> = conn
        .query("SELECT DISTINCT changes FROM orders")
        .await
        .expect("read");
    assert_eq!(values.len(), 1, "{what}: {values:?}");
    if !is_done {
        // The same once more, for the next ones.
        let define = match number % 2 {
            0 => "DROP TRIGGER next".to_owned(),
            _ => "CREATE TRIGGER next BEFORE UPDATE ON orders FOR EACH ROW SET NEW.changes = NEW.changes + 1".to_owned(),
        };
        conn.query_drop(define).await.expect("defined");
    }
}
