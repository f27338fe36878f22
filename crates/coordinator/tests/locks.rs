//! `LOCK TABLES` and `START TRANSACTION WITH CONSISTENT SNAPSHOT` over nodes, by themselves and as
//! mariadb-dump uses them.

use std::future::Future;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::common::{DATABASE, PASSWORD, Pair, Seen, USER, World, see, try_connect};

const ACCOUNTS: i64 = 30;

async fn tables(pair: &mut Pair) {
    for (body, clause) in [
        (
            "orders (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(40), big BLOB, KEY (note)) \
             DEFAULT CHARSET=utf8mb4",
            "DISTRIBUTE BY HASH(id)",
        ),
        (
            "account (id INT PRIMARY KEY, money INT NOT NULL)",
            "DISTRIBUTE BY HASH(id)",
        ),
        (
            "kinds (k INT PRIMARY KEY, label VARCHAR(20))",
            "DISTRIBUTE BY BROADCAST",
        ),
        ("single (a INT PRIMARY KEY)", ""),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
    let accounts: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, 100)")).collect();
    for statement in [
        "CREATE VIEW rich AS SELECT id, money FROM account WHERE money > 100",
        "INSERT INTO orders (id, note, big) VALUES (1, 'ä''\\\\\\n', x'00ff0a275c'), (2, NULL, ''), (3, '', NULL), (40, 'x', 'y')",
        &format!("INSERT INTO account VALUES {}", accounts.join(", ")),
        "INSERT INTO kinds VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO single VALUES (7), (8)",
    ] {
        let seen = pair.same(statement).await;
        assert!(!matches!(seen[..], [Seen::Failed(..)]), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_locked_on_all_nodes() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    what_a_session_may_do(&mut pair).await;
    what_others_wait_for(&world).await;
    world.same_rows("account").await;
    world.same_rows("orders").await;
}

async fn what_a_session_may_do(pair: &mut Pair) {
    for statement in [
        "LOCK TABLES account READ /*!32311 LOCAL */, single READ, rich READ",
        "SELECT COUNT(*), SUM(money) FROM account",
        "SELECT money FROM account WHERE id = 4",
        "SELECT COUNT(*) FROM rich",
        "SELECT * FROM single ORDER BY a",
        "UPDATE account SET money = 1",
        "UPDATE account SET money = 1 WHERE id = 1",
        "INSERT INTO account VALUES (1000, 1)",
        "TRUNCATE TABLE account",
        "SELECT COUNT(*) FROM orders",
        "INSERT INTO orders (id) VALUES (9)",
        "INSERT INTO single VALUES (9)",
        "SELECT COUNT(*) FROM kinds",
        "UNLOCK TABLES",
        "UPDATE account SET money = 101 WHERE id = 1",
        "LOCK TABLES account WRITE, orders WRITE",
        "UPDATE account SET money = money + 1 WHERE id IN (1, 2, 3)",
        "/*!40000 ALTER TABLE account DISABLE KEYS */",
        "INSERT INTO orders (note) VALUES ('a'), ('b'), ('c')",
        "SELECT LAST_INSERT_ID()",
        "SELECT id, money FROM account WHERE money <> 100 ORDER BY id",
        "SELECT COUNT(*) FROM orders JOIN account ON account.id = orders.id",
        "DELETE FROM orders WHERE note = 'b'",
        "ALTER TABLE orders ADD COLUMN more INT",
        "SELECT COUNT(more) FROM orders",
        "LOCK TABLES nowhere READ",
        "UPDATE account SET money = 102 WHERE id = 1",
        "LOCK TABLES account READ",
        "START TRANSACTION",
        "UPDATE account SET money = 103 WHERE id = 1",
        "ROLLBACK",
        "LOCK TABLE account READ, kinds READ",
        "SET autocommit = 0",
        "SELECT SUM(money) FROM account",
        "COMMIT",
        "LOCK TABLE account WRITE",
        "UPDATE account SET money = 104 WHERE id < 4",
        "ROLLBACK",
        "UPDATE account SET money = 105 WHERE id < 3",
        "UNLOCK TABLES",
        "ROLLBACK",
        "SET autocommit = 1",
        "SELECT id, money FROM account WHERE money <> 100 ORDER BY id",
    ] {
        pair.same(statement).await;
    }
    pair.refused("LOCK TABLES account WRITE, single READ", "lock-mixed")
        .await;
}

/// Whether something is not over after a while that is long enough for what does not wait.
async fn waits<F: Future + Unpin>(work: &mut F) -> bool {
    let while_ = Duration::from_millis(300);
    tokio::time::timeout(while_, work).await.is_err()
}

/// Starts a statement of a session.
fn start(mut conn: Conn, statement: &'static str) -> tokio::task::JoinHandle<(Conn, Vec<Seen>)> {
    tokio::spawn(async move {
        let seen = see(&mut conn, statement).await;
        (conn, seen)
    })
}

async fn what_others_wait_for(world: &World) {
    let mut locker = world.client().await;
    let (mut other, mut plain) = (world.client().await, world.plain().await);
    let changes = "UPDATE account SET money = money + 1";
    // READ: others read, and wait to write.
    see(&mut locker, "LOCK TABLES account READ").await;
    assert_eq!(
        see(&mut other, "SELECT COUNT(*) FROM account").await,
        see(&mut plain, "SELECT COUNT(*) FROM account").await
    );
    see(&mut other, "SELECT * FROM account WHERE id = 5").await;
    let mut change = start(other, changes);
    assert!(waits(&mut change).await, "READ keeps nobody from writing");
    see(&mut locker, "UNLOCK TABLES").await;
    let (mut other, seen) = change.await.expect("it goes on");
    assert_eq!(seen, see(&mut plain, changes).await);
    // WRITE: others wait to read, by whichever way; the end of the session lets them.
    for read in [
        "SELECT COUNT(*) FROM account",
        "SELECT id FROM account WHERE id = 5",
    ] {
        see(&mut locker, "LOCK TABLES account WRITE, orders WRITE").await;
        let mut reads = start(other, read);
        assert!(waits(&mut reads).await, "{read}");
        drop(std::mem::replace(&mut locker, world.client().await));
        let (conn, seen) = reads.await.expect("it goes on");
        assert_eq!(seen, see(&mut plain, read).await);
        other = conn;
    }
    // Who locks waits for transactions, which may go on to other tables meanwhile.
    for statement in ["BEGIN", changes] {
        assert_eq!(
            see(&mut other, statement).await,
            see(&mut plain, statement).await
        );
    }
    let mut locks = start(locker, "LOCK TABLES account READ, orders WRITE");
    assert!(waits(&mut locks).await, "a transaction has the table");
    for statement in ["UPDATE orders SET note = 'later'", "COMMIT"] {
        assert_eq!(
            see(&mut other, statement).await,
            see(&mut plain, statement).await
        );
    }
    let (_, seen) = locks.await.expect("it goes on");
    assert!(matches!(seen[..], [Seen::Done { .. }]), "{seen:?}");
}

async fn pays(conn: &mut Conn, from: i64, to: i64) {
    for statement in [
        "BEGIN".to_owned(),
        format!("UPDATE account SET money = money - 1 WHERE id = {from}"),
        format!("UPDATE account SET money = money + 1 WHERE id = {to}"),
        "COMMIT".to_owned(),
    ] {
        conn.query_drop(statement).await.expect("paid");
    }
}

async fn money_of(conn: &mut Conn, id: i64) -> i64 {
    let question = format!("SELECT money FROM account WHERE id = {id}");
    conn.query_first(question)
        .await
        .expect("read")
        .expect("a row")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consistent_snapshot_is_one_moment_of_all_nodes() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    let mut other = world.client().await;
    // 1 and 2 are on other nodes than home, 3 is at home.
    for (one, two) in [(1, 2), (3, 1), (2, 3)] {
        let before = (
            money_of(&mut other, one).await,
            money_of(&mut other, two).await,
        );
        let reader = &mut pair.ours;
        let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
        reader.query_drop(begin).await.expect("begun");
        pays(&mut other, one, two).await;
        assert_eq!(money_of(reader, one).await, before.0);
        let sum: Option<i64> = reader
            .query_first("SELECT SUM(money) FROM account")
            .await
            .expect("read");
        assert_eq!(sum, Some(100 * ACCOUNTS));
        assert_eq!(money_of(reader, two).await, before.1);
        reader.query_drop("COMMIT").await.expect("ended");
        assert_eq!(money_of(reader, two).await, before.1 + 1);
        // Without it, each node has a moment of its own.
        reader.query_drop("START TRANSACTION").await.expect("begun");
        money_of(reader, one).await;
        pays(&mut other, one, two).await;
        assert_eq!(money_of(reader, two).await, before.1 + 2);
        reader.query_drop("COMMIT").await.expect("ended");
        pays(&mut other, two, one).await;
        pays(&mut other, two, one).await;
    }
    for statement in [
        "START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */",
        "UNLOCK TABLES",
        "SAVEPOINT sp",
        "UPDATE account SET money = 7 WHERE id < 9",
        "ROLLBACK TO SAVEPOINT sp",
        "RELEASE SAVEPOINT sp",
        "UPDATE account SET money = 8 WHERE id < 3",
        "COMMIT",
        "START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT",
        "UPDATE account SET money = 9 WHERE id < 3",
        "ROLLBACK",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "ROLLBACK",
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "SELECT SUM(money) FROM account",
        "COMMIT",
    ] {
        pair.same(statement).await;
    }
}

fn client(program: &str, socket: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(format!("--socket={}", socket.display()));
    command
        .arg(format!("-u{USER}"))
        .arg(format!("-p{PASSWORD}"));
    command
}

fn dump(socket: &Path, options: &[&str]) -> Vec<u8> {
    let mut command = client("mariadb-dump", socket);
    let output = command.args(["--no-tablespaces"]).args(options);
    let output = output.arg(DATABASE).output().expect("it is installed");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.is_empty(), "{told}");
    output.stdout
}

fn load(socket: &Path, dump: &[u8]) {
    let mut command = client("mariadb", socket);
    let command = command.arg(DATABASE).stdin(Stdio::piped());
    let mut loading = command.stderr(Stdio::piped()).spawn().expect("started");
    let mut input = loading.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, dump).expect("it takes the dump");
    drop(input);
    let output = loading.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
}

const TABLES: [&str; 4] = ["orders", "account", "kinds", "single"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_dump_dumps_and_loads_in_its_usual_ways() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    let socket = world.coordinator_socket();
    for options in [
        &[][..],
        &["--single-transaction", "--routines"],
        &[
            "--skip-opt",
            "--complete-insert",
            "--hex-blob",
            "--order-by-primary",
        ],
        &[
            "--lock-all-tables=0",
            "--no-autocommit",
            "--default-character-set=latin1",
        ],
    ] {
        let before = rows_and_definitions(&world, &mut pair.ours).await;
        let dumped = dump(&socket, options);
        let text = String::from_utf8_lossy(&dumped).into_owned();
        assert_eq!(text.matches("DISTRIBUTE BY ").count(), 3, "{text}");
        for table in TABLES {
            let statement = format!("DROP TABLE {table}");
            pair.ours.query_drop(statement).await.expect("dropped");
        }
        pair.ours.query_drop("DROP VIEW rich").await.expect("gone");
        load(&socket, &dumped);
        let after = rows_and_definitions(&world, &mut pair.ours).await;
        assert_eq!(before, after, "{options:?}: {text}");
        // Over what is there, as a dump with DROP TABLE does.
        if !options.contains(&"--skip-opt") {
            load(&socket, &dumped);
            assert_eq!(
                after,
                rows_and_definitions(&world, &mut pair.ours).await,
                "{options:?}"
            );
        }
    }
}

async fn rows_and_definitions(world: &World, conn: &mut Conn) -> Vec<(String, Vec<Vec<String>>)> {
    let mut all = Vec::new();
    for table in TABLES {
        let shown = see(conn, &format!("SHOW CREATE TABLE {table}")).await;
        let rows = match table {
            "single" => vec![vec![format!("{:?}", see(conn, "TABLE single").await)]],
            _ => world.rows_by_node(table).await,
        };
        all.push((format!("{shown:?}"), rows));
    }
    let view = see(conn, "SELECT * FROM rich ORDER BY id").await;
    all.push((format!("{view:?}"), Vec::new()));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_taken_while_money_moves_is_of_one_moment() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    let socket = world.coordinator_socket();
    let over = Arc::new(AtomicBool::new(false));
    let mut payers = Vec::new();
    for number in 0..3 {
        let (over, socket) = (Arc::clone(&over), socket.clone());
        payers.push(tokio::spawn(async move {
            let mut conn = try_connect(&socket, USER, PASSWORD, |it| it)
                .await
                .expect("let in");
            let mut paid = 0;
            while !over.load(Ordering::Relaxed) {
                // Each of them between accounts of its own, so that nobody waits for another.
                let from = 3 + number * 9 + paid % 9;
                let to = 3 + number * 9 + (paid + 1) % 9;
                pays(&mut conn, from, to).await;
                paid += 1;
            }
            paid
        }));
    }
    for options in [
        &["--single-transaction"][..],
        &[],
        &["--single-transaction"],
    ] {
        let (from, options) = (socket.clone(), options.to_vec());
        let dumped = tokio::task::spawn_blocking(move || dump(&from, &options));
        let dumped = dumped.await.expect("dumped");
        let text = String::from_utf8_lossy(&dumped).into_owned();
        assert_eq!(money_in(&text), 100 * ACCOUNTS, "{text}");
    }
    over.store(true, Ordering::Relaxed);
    for payer in payers {
        assert!(payer.await.expect("it ends") > 0);
    }
}

/// The money of all accounts in a dump.
fn money_in(dump: &str) -> i64 {
    let (_, rows) = dump
        .split_once("INSERT INTO `account` VALUES")
        .expect("rows");
    let (rows, _) = rows.split_once(';').expect("an end");
    let row = |row: &str| -> i64 {
        let (_, money) = row.trim().split_once(',').expect("two columns");
        money.trim_end_matches(')').parse().expect("a number")
    };
    let rows: Vec<i64> = rows.split("),").map(row).collect();
    assert_eq!(rows.len() as i64, ACCOUNTS);
    rows.iter().sum()
}
