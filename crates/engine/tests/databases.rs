//! Databases of a node, against a real server: how they come and go.

use crate::common;

use std::time::{Duration, Instant};

use crate::common::{Bed, account, client, db, refused, try_sql};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_engine::{ADMIN_ACCOUNT, NodeSql};
use openpeta_types::{AccountType, PrivilegeSet, Secret};

/// Two databases, and two accounts that may use them: bob both, boss everything.
async fn populate(sql: &mut NodeSql) {
    let granted = [
        (db("a_b"), PrivilegeSet::ReadWrite),
        (db("other"), PrivilegeSet::ReadWrite),
    ];
    for (name, _) in &granted {
        sql.create_database(name).await.expect("create");
    }
    let secret = Secret::new("secret");
    for (name, kind) in [("bob", AccountType::Normal), ("boss", AccountType::Super)] {
        sql.ensure_account(&account(name), &secret, kind, &granted)
            .await
            .expect("ensure");
    }
}

async fn all(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        try_sql(conn, statement).await.expect(statement);
    }
}

#[tokio::test]
async fn a_dropped_database_takes_its_grants_along() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    populate(&mut sql).await;
    for _ in 0..2 {
        let dropped = bed.engine.drop_database(&node, &db("a_b")).await;
        dropped.expect("drop, also again");
    }
    for name in ["bob", "boss"] {
        let grants = sql.privileges(&account(name)).await.expect("read");
        let grants = grants.expect("there").databases;
        assert_eq!(grants.keys().collect::<Vec<_>>(), ["other"], "{name}");
    }

    // A new one of the same name belongs to the Super account alone, which may grant on it.
    sql.create_database(&db("a_b")).await.expect("create");
    let mut conn = client(&socket, "bob", "secret").await.expect("log in");
    assert_eq!(try_sql(&mut conn, "USE a_b").await, Err(refused::DATABASE));
    let mut conn = client(&socket, "boss", "secret").await.expect("log in");
    let grant = "GRANT SELECT ON `a\\_b`.* TO bob@'%'";
    assert_eq!(try_sql(&mut conn, grant).await, Ok(()));
    let bob = account("bob");
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert_eq!(grants.databases["a_b"].set, PrivilegeSet::Custom);
}

#[tokio::test]
async fn a_drop_ends_those_who_hold_locks_and_nobody_else() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    populate(&mut sql).await;
    let session = async || client(&socket, "bob", "secret").await.expect("log in");
    let mut idler = session().await;
    all(
        &mut idler,
        &[
            "CREATE TABLE a_b.t (id INT PRIMARY KEY) ENGINE=InnoDB",
            "CREATE TABLE a_b.u (id INT PRIMARY KEY) ENGINE=InnoDB",
            "CREATE TABLE other.t (id INT) ENGINE=InnoDB",
            "INSERT INTO a_b.t VALUES (1)",
            "BEGIN",
            "INSERT INTO a_b.t VALUES (2)",
        ],
    )
    .await;
    let mut locker = session().await;
    all(&mut locker, &["LOCK TABLES a_b.u READ"]).await;
    let mut busy = session().await;
    let busy = tokio::spawn(async move {
        let slow = "SELECT SLEEP(600) FROM a_b.t";
        try_sql(&mut busy, slow).await
    });
    // What refers to the database from elsewhere does not keep it.
    let mut boss = client(&socket, "boss", "secret").await.expect("log in");
    let sleeper = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'";
    while boss
        .query_first::<u64, _>(sleeper)
        .await
        .expect("read")
        .is_none()
    {}
    let child = "CREATE TABLE other.child (id INT, FOREIGN KEY (id) REFERENCES a_b.t (id))";
    try_sql(&mut boss, child)
        .await
        .expect("a Super account may");
    // Neither of these two holds anything in it.
    let mut elsewhere = session().await;
    all(&mut elsewhere, &["BEGIN", "INSERT INTO other.t VALUES (1)"]).await;
    let mut inside = session().await;
    all(&mut inside, &["USE a_b", "SELECT 1"]).await;

    let begun = Instant::now();
    let dropped = bed.engine.drop_database(&node, &db("a_b")).await;
    dropped.expect("drop");
    assert!(begun.elapsed() < Duration::from_secs(20), "{begun:?}");
    assert_eq!(sql.databases().await.expect("list"), ["other"]);
    for held_up in [&mut idler, &mut locker] {
        held_up
            .query_drop("SELECT 1")
            .await
            .expect_err("it was ended");
    }
    let ended = busy.await;
    assert!(!matches!(ended, Ok(Ok(()))), "its query was ended");
    all(&mut elsewhere, &["COMMIT", "SELECT * FROM other.t"]).await;
    all(&mut inside, &["SELECT 1", "USE other"]).await;
}

#[tokio::test]
async fn a_drop_gets_through_though_clients_keep_coming() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    populate(&mut sql).await;
    let mut boss = client(&socket, "boss", "secret").await.expect("log in");
    all(
        &mut boss,
        &["CREATE TABLE a_b.t (a INT)", "CREATE TABLE a_b.u (a INT)"],
    )
    .await;
    // Each takes a lock, keeps it, and comes back when it is thrown out.
    let clients: Vec<_> = ["t", "u", "t", "u"]
        .into_iter()
        .map(|table| {
            let socket = socket.clone();
            tokio::spawn(async move {
                let hold = format!("BEGIN; INSERT INTO a_b.{table} VALUES (1); DO SLEEP(60)");
                loop {
                    let mut conn = client(&socket, "boss", "secret").await.expect("log in");
                    if try_sql(&mut conn, "USE a_b").await.is_err() {
                        return;
                    }
                    for statement in hold.split("; ") {
                        if conn.query_drop(statement).await.is_err() {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    let dropped = bed.engine.drop_database(&node, &db("a_b")).await;
    dropped.expect("drop");
    for client in clients {
        client.await.expect("it sees that the database is gone");
    }
}

#[tokio::test]
async fn only_an_empty_database_is_dropped_as_one() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let mut admin = client(&socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
        .await
        .expect("log in");
    let name = db("adb");
    for (make, unmake) in [
        ("CREATE TABLE adb.t (a INT)", "DROP TABLE adb.t"),
        ("CREATE VIEW adb.v AS SELECT 1", "DROP VIEW adb.v"),
        ("CREATE SEQUENCE adb.s", "DROP SEQUENCE adb.s"),
        ("CREATE PROCEDURE adb.p() SELECT 1", "DROP PROCEDURE adb.p"),
        (
            "CREATE EVENT adb.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
            "DROP EVENT adb.e",
        ),
    ] {
        sql.create_database(&name).await.expect("create");
        try_sql(&mut admin, make).await.expect(make);
        assert!(
            !sql.drop_empty_database(&name).await.expect("look"),
            "{make}"
        );
        assert_eq!(sql.databases().await.expect("list"), ["adb"]);
        try_sql(&mut admin, unmake).await.expect(unmake);
        assert!(
            sql.drop_empty_database(&name).await.expect("drop"),
            "{unmake}"
        );
        assert!(sql.databases().await.expect("list").is_empty());
        assert!(sql.drop_empty_database(&name).await.expect("again"));
    }
}

#[tokio::test]
async fn a_server_that_cannot_tell_who_holds_locks_drops_all_the_same() {
    let bed = Bed::new().await;
    let node = common::node("nd-test");
    let created = bed.engine.create_node(&node, &common::SETTINGS).await;
    created.expect("create");
    let file = bed.node_dir(&node).join("my.cnf");
    let mut options = std::fs::read_to_string(&file).expect("just written");
    options.push_str("plugin_dir=/nonexistent\n");
    std::fs::write(&file, options).expect("a file of ours");
    bed.engine.start_node(&node).await.expect("start");
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    populate(&mut sql).await;
    let mut idler = client(&socket, "bob", "secret").await.expect("log in");
    let hold = ["CREATE TABLE a_b.t (a INT)", "BEGIN", "SELECT * FROM a_b.t"];
    all(&mut idler, &hold).await;
    let dropped = bed.engine.drop_database(&node, &db("a_b")).await;
    dropped.expect("drop");
    assert_eq!(sql.databases().await.expect("list"), ["other"]);
}
