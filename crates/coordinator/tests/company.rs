//! Two processes of the service at a time, as during a hand-over, and what is defined meanwhile.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::common::{PASSWORD, Seen, USER, World, see, try_connect};

async fn run(conn: &mut Conn, statement: &str) {
    conn.query_drop(statement).await.expect(statement);
}

async fn is_refused(conn: &mut Conn, statement: &str) -> bool {
    let seen = see(conn, statement).await;
    matches!(&seen[..], [Seen::Failed(1235, why)] if why.contains("hand-over"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_plans_by_what_another_process_has_changed() {
    let world = World::new().await;
    let mut ours = world.client().await;
    run(
        &mut ours,
        "CREATE TABLE t (id INT PRIMARY KEY, v INT) DISTRIBUTE BY HASH(id)",
    )
    .await;
    run(&mut ours, "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)").await;

    // One that begins in the midst of a definition waits for its end.
    let stops = world.coordinators().stops(&world.route.instance_id);
    let stops = stops.expect("served");
    stops.set("trigger-home");
    let mut definer = world.client().await;
    let create = "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v + 1";
    let defines = tokio::spawn(async move { definer.query_drop(create).await });
    stops.reached().await;
    let (other, socket) = world.another(1);
    let theirs = tokio::spawn(async move {
        let conn = try_connect(&socket, USER, PASSWORD, |it| it).await;
        let mut conn = conn.expect("let in");
        run(&mut conn, "INSERT INTO t VALUES (4, 4), (5, 5), (6, 6)").await;
        conn
    });
    let begun = async {
        while !theirs.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let begun = tokio::time::timeout(Duration::from_millis(300), begun).await;
    begun.expect_err("it waits");
    stops.let_go();
    defines.await.expect("it ends").expect("done");
    let mut theirs = theirs.await.expect("it ends");
    let sum: Option<i64> = theirs
        .query_first("SELECT SUM(v) FROM t")
        .await
        .expect("read");
    assert_eq!(sum, Some(1 + 2 + 3 + 5 + 6 + 7));

    // As long as both are there, neither defines what the other would have to know.
    for conn in [&mut ours, &mut theirs] {
        for statement in [
            "CREATE TABLE u (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
            "ALTER TABLE t ADD w INT",
            "DROP TABLE t",
            "DROP TRIGGER r",
            "CREATE VIEW seen AS SELECT id FROM t",
            "CREATE PROCEDURE p() SELECT COUNT(*) FROM t",
        ] {
            assert!(is_refused(conn, statement).await, "{statement}");
        }
        for statement in [
            "CREATE TABLE alone (id INT PRIMARY KEY)",
            "CREATE VIEW seen AS SELECT id FROM alone",
            "DROP VIEW seen",
            "DROP TABLE alone",
        ] {
            run(conn, statement).await;
        }
    }
    theirs.disconnect().await.expect("gone");
    drop(other);
    // What is left of it ends in its own time.
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    while is_refused(&mut ours, "CREATE VIEW seen AS SELECT id FROM t").await {
        assert!(tokio::time::Instant::now() < end, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen: Vec<i32> = ours
        .query("SELECT id FROM seen ORDER BY id")
        .await
        .expect("read");
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}
