//! What touches no distributed table is as on one server.

use crate::common::{DATABASE, USER, WHOLE, World, see};
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_distributed_is_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for statement in [
        "SELECT DATABASE(), USER(), CURRENT_USER(), @@autocommit",
        "CREATE TABLE plain_one (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20) NOT NULL)",
        "INSERT INTO plain_one (v) VALUES ('a'), ('b'), ('c')",
        "INSERT INTO plain_one VALUES (2, 'x')",
        "SELECT LAST_INSERT_ID(), ROW_COUNT()",
        "UPDATE plain_one SET v = 'd' WHERE id > 1",
        "SELECT * FROM plain_one; SELECT COUNT(*) FROM plain_one; DO 1",
        "SELECT * FROM plain_one; SELECT nothing; SELECT 1",
        "BEGIN",
        "DELETE FROM plain_one WHERE id = 1",
        "ROLLBACK",
        "SELECT * FROM plain_one",
        "SELECT CAST('x' AS INT)",
        "SHOW WARNINGS",
        "SELECT * FROM nowhere",
        "USE whole",
        "SELECT DATABASE()",
        "CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END",
        "CALL two()",
        "DROP PROCEDURE two",
    ] {
        pair.same(statement).await;
    }
    prepared(&mut pair.ours, &mut pair.plain).await;
    resets(&mut pair.ours).await;
    load(&world).await;
    long(&mut pair.ours).await;
}

/// The database of a session may be at home alone, while its statements are about another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_in_a_database_of_one_node_reaches_all_nodes() {
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE orders (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
        &format!("USE {WHOLE}"),
        "CREATE TABLE book (id INT PRIMARY KEY)",
        "BEGIN",
        "INSERT INTO book VALUES (1)",
        &format!("INSERT INTO {DATABASE}.orders VALUES (1), (2), (3), (4), (5), (6)"),
        "COMMIT",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let both = format!("SELECT COUNT(*), (SELECT COUNT(*) FROM book) FROM {DATABASE}.orders");
    let counted: Option<(u64, u64)> = conn.query_first(both).await.expect("read");
    assert_eq!(counted, Some((6, 1)));
}

/// Nothing of an instance that is gone stays in memory or on disk, though a client keeps its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_forgotten_leaves_nothing() {
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE orders (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
        "INSERT INTO orders VALUES (1), (2), (3)",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    // It writes down decisions by a thread of its own.
    let logs = || {
        let threads = std::fs::read_dir("/proc/self/task").expect("threads");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(entry.ok()?.path().join("comm")).ok()
        };
        threads
            .filter_map(name)
            .filter(|name| name.trim() == "xa-log")
            .count()
    };
    let id = &world.route.instance_id;
    let lives = world.config.directory.join(id.as_str());
    assert!(logs() > 0 && lives.exists() && world.coordinator_socket().exists());
    world.coordinators().forget(id).expect("forgotten");
    assert!(!lives.exists() && !world.coordinator_socket().exists());
    assert!(conn.query_drop("SELECT 1").await.is_err());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while logs() > 0 {
        assert!(std::time::Instant::now() < end, "it is still in memory");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // What is not there is forgotten too.
    world.coordinators().forget(id).expect("forgotten");
}

async fn prepared(ours: &mut Conn, plain: &mut Conn) {
    for conn in [ours, plain] {
        let rows: Vec<(i32, String)> = conn
            .exec(
                "SELECT id, v FROM shop.plain_one WHERE id >= ? AND v <> ?",
                (2, "z"),
            )
            .await
            .expect("executed");
        assert_eq!(rows, [(2, "d".into()), (3, "d".into())]);
    }
}

async fn resets(ours: &mut Conn) {
    let before: u64 = number(ours, "SELECT CONNECTION_ID()").await;
    ours.query_drop("SET @x = 1").await.expect("set");
    ours.reset().await.expect("reset");
    let gone: Option<Option<u8>> = ours.query_first("SELECT @x").await.expect("read");
    assert_eq!(gone, Some(None));
    let opts = ChangeUserOpts::new()
        .with_user(Some(USER.into()))
        .with_pass(Some(crate::common::PASSWORD.into()))
        .with_db_name(Some(WHOLE.into()));
    ours.change_user(opts).await.expect("changed");
    assert_eq!(number(ours, "SELECT CONNECTION_ID()").await, before);
    let database: Option<String> = ours.query_first("SELECT DATABASE()").await.expect("read");
    assert_eq!(database.as_deref(), Some(WHOLE));
    ours.query_drop(format!("USE {DATABASE}"))
        .await
        .expect("used");
}

async fn number(conn: &mut Conn, query: &str) -> u64 {
    conn.query_first(query).await.expect("read").expect("a row")
}

async fn load(world: &World) {
    let handler = |it: mysql_async::OptsBuilder| {
        it.local_infile_handler(Some(mysql_async::WhiteListFsHandler::new(vec![
            world.dir.path().join("rows.csv"),
        ])))
    };
    let path = world.dir.path().join("rows.csv");
    let rows: String = (10..5000).map(|id| format!("{id}\tvalue {id}\n")).collect();
    std::fs::write(&path, rows).expect("written");
    let statement = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE plain_one",
        path.display()
    );
    let mut ours = world.client_with(handler).await;
    let seen = see(&mut ours, &statement).await;
    let mut plain = world.plain_with(handler).await;
    assert_eq!(seen, see(&mut plain, &statement).await);
    let content = "SELECT COUNT(*), MIN(id), MAX(id), SUM(LENGTH(v)) FROM plain_one";
    let loaded = see(&mut ours, content).await;
    assert_eq!(loaded, see(&mut plain, content).await);
    assert!(number(&mut ours, "SELECT COUNT(*) FROM plain_one").await > 4990);
}

/// Statements and rows of many packets.
async fn long(ours: &mut Conn) {
    let long = "x".repeat(3 << 20);
    let length = number(ours, &format!("SELECT LENGTH('{long}')")).await;
    assert_eq!(length, 3 << 20);
    let back: Option<String> = ours
        .query_first("SELECT REPEAT('y', 3000000)")
        .await
        .expect("read");
    assert_eq!(back.expect("a row").len(), 3_000_000);
}
