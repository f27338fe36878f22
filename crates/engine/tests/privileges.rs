//! Privileges on one database, replaced and put back, against a real server.

use crate::common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Bed, account, client, db, try_sql};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_engine::{ADMIN_ACCOUNT, NodeSql};
use openpeta_types::{AccountName, AccountType, NodeId, PrivilegeSet, Secret};

const PASSWORD: &str = "bob's backend password";

/// Two databases, a table and a routine in one of them, and an account that has nothing yet.
async fn with_bob() -> (Bed, NodeId, NodeSql, AccountName) {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    for name in ["a_b", "adb"] {
        sql.create_database(&db(name)).await.expect(name);
    }
    let (bob, secret) = (account("bob"), Secret::new(PASSWORD));
    sql.ensure_account(&bob, &secret, AccountType::Normal, &[])
        .await
        .expect("ensure");
    let mut admin = admin(&bed.engine.socket_path(&node).expect("short enough")).await;
    for statement in [
        "CREATE TABLE a_b.t (a INT, b INT)",
        "CREATE TABLE a_b.gone (a INT)",
        "CREATE PROCEDURE a_b.p() SELECT 1",
    ] {
        run(&mut admin, statement).await;
    }
    (bed, node, sql, bob)
}

async fn admin(socket: &Path) -> Conn {
    client(socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
        .await
        .expect("log in")
}

async fn run(conn: &mut Conn, statement: &str) {
    assert_eq!(try_sql(conn, statement).await, Ok(()), "{statement}");
}

async fn grants_of_bob(conn: &mut Conn) -> Vec<String> {
    let mut grants: Vec<String> = conn
        .query("SHOW GRANTS FOR bob@'%'")
        .await
        .expect("readable");
    grants.sort();
    grants
}

#[tokio::test]
async fn a_set_replaces_what_was_there_and_can_be_taken_back() {
    let (bed, node, mut sql, bob) = with_bob().await;
    let mut admin = admin(&bed.engine.socket_path(&node).expect("short enough")).await;
    for statement in [
        "GRANT SELECT ON adb.* TO bob@'%'",
        "GRANT SELECT, REFERENCES ON `a\\_b`.* TO bob@'%' WITH GRANT OPTION",
        "GRANT SELECT (a), INSERT (a, b), DELETE, DELETE HISTORY ON a_b.t TO bob@'%'",
        "GRANT USAGE ON a_b.gone TO bob@'%' WITH GRANT OPTION",
        "GRANT EXECUTE ON PROCEDURE a_b.p TO bob@'%' WITH GRANT OPTION",
    ] {
        run(&mut admin, statement).await;
    }
    let before = grants_of_bob(&mut admin).await;
    let held = sql.held_privileges(&bob, &db("a_b")).await.expect("read");

    for set in PrivilegeSet::ALL.iter().filter(|set| set.is_grantable()) {
        for _ in 0..2 {
            sql.set_privileges(&bob, &db("a_b"), Some(*set))
                .await
                .expect("set");
        }
        let now = sql.privileges(&bob).await.expect("read").expect("there");
        assert_eq!(now.databases["a_b"].set, *set, "and not Custom");
        assert_eq!(now.databases["adb"].set, PrivilegeSet::Custom, "untouched");
        for _ in 0..2 {
            sql.put_back_privileges(&bob, &db("a_b"), &held)
                .await
                .expect("put back");
        }
        assert_eq!(grants_of_bob(&mut admin).await, before);
        let again = sql.held_privileges(&bob, &db("a_b")).await.expect("read");
        assert_eq!(again, held);
    }

    sql.set_privileges(&bob, &db("a_b"), None)
        .await
        .expect("take away");
    let left = grants_of_bob(&mut admin).await;
    assert!(!left.iter().any(|grant| grant.contains("a_b")), "{left:?}");
    assert!(
        !left.iter().any(|grant| grant.contains("a\\_b")),
        "{left:?}"
    );

    // What is not there any more keeps nothing from being put back.
    run(&mut admin, "DROP TABLE a_b.gone").await;
    run(&mut admin, "DROP PROCEDURE a_b.p").await;
    run(&mut admin, "ALTER TABLE a_b.t DROP COLUMN b").await;
    // Held as text, as a task keeps it.
    let text = serde_json::to_string(&held).expect("plain data");
    let held = serde_json::from_str(&text).expect("the same");
    sql.put_back_privileges(&bob, &db("a_b"), &held)
        .await
        .expect("put back");
    let after = grants_of_bob(&mut admin).await;
    let on_table = after.iter().find(|grant| grant.contains("`a_b`.`t`"));
    let on_table = on_table.expect("the table is there");
    assert!(on_table.contains("DELETE HISTORY"), "{on_table}");
    assert!(on_table.contains("INSERT (`a`)"), "{on_table}");
    assert!(
        !after.iter().any(|grant| grant.contains("gone")),
        "{after:?}"
    );
}

#[tokio::test]
async fn what_old_and_new_have_in_common_is_never_missing() {
    let (bed, node, mut sql, bob) = with_bob().await;
    let socket = bed.engine.socket_path(&node).expect("short enough");
    sql.set_privileges(&bob, &db("a_b"), Some(PrivilegeSet::ReadOnly))
        .await
        .expect("set");
    let held = sql.held_privileges(&bob, &db("a_b")).await.expect("read");
    let done = AtomicBool::new(false);
    let reading = async {
        // Without a default database: that one's privileges are looked up once.
        let mut conn = client(&socket, "bob", PASSWORD).await.expect("log in");
        let mut reads = 0;
        while !done.load(Ordering::Relaxed) {
            run(&mut conn, "SELECT * FROM a_b.t").await;
            reads += 1;
        }
        reads
    };
    let changing = async {
        for _ in 0..20 {
            for set in [PrivilegeSet::ReadWrite, PrivilegeSet::DmlOnly] {
                sql.set_privileges(&bob, &db("a_b"), Some(set))
                    .await
                    .expect("set");
            }
            sql.put_back_privileges(&bob, &db("a_b"), &held)
                .await
                .expect("put back");
        }
        done.store(true, Ordering::Relaxed);
    };
    let (reads, ()) = tokio::join!(reading, changing);
    assert!(reads > 20, "{reads}");
}
