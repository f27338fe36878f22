//! Statements that come again with other values, prepared or not: what is known of them stays right.

use crate::common::{Pair, World, see};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

async fn same_for_all(pair: &mut Pair, statement: &str) {
    for number in [0, 1, 2, 3, 4, 5, 17, 23, 24] {
        pair.same(&statement.replace('#', &number.to_string()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_come_again_are_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for (body, clause) in [
        (
            "t (k INT PRIMARY KEY, v VARCHAR(20) NOT NULL)",
            "DISTRIBUTE BY HASH(k)",
        ),
        (
            "words (w VARCHAR(20) PRIMARY KEY, v VARCHAR(20) NOT NULL)",
            "DISTRIBUTE BY HASH(w)",
        ),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
    for number in 0..24 {
        let statement = format!("INSERT INTO t VALUES ({number}, 'it is {number}')");
        pair.same(&statement).await;
        let statement = format!("INSERT INTO words VALUES ('{number}', 'it is {number}')");
        pair.same(&statement).await;
    }
    for statement in [
        "SELECT v FROM t WHERE k=#",
        "SELECT v, 'a#' FROM t WHERE v <> 'x' AND k = #;",
        "SELECT v FROM t WHERE k=-#",
        "SELECT v FROM t WHERE k='#'",
        "SELECT v FROM words WHERE w='#'",
        "UPDATE t SET v = 'changed #' WHERE k = #",
        "DELETE FROM t WHERE k = # AND v LIKE '%7'",
        "INSERT INTO t VALUES (#, 'again #')",
        "INSERT INTO t (v, k) VALUES ('much too long for what is there', 1000#)",
        "INSERT INTO t (v, k) VALUES (NULL, 2000#)",
        "INSERT INTO words (v, w) VALUES ('it''s #', 'word #')",
        "SELECT v FROM t WHERE k=#",
        "SELECT nothing FROM t WHERE k=#",
    ] {
        same_for_all(&mut pair, statement).await;
    }
    // What plans depend on changes.
    pair.same("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        .await;
    same_for_all(&mut pair, "SELECT v FROM words WHERE w='#'").await;
    pair.same("SELECT \"v\" FROM t WHERE k=1").await;
    pair.same("SET sql_mode = ''").await;
    pair.same("SELECT \"v\" FROM t WHERE k=1").await;
    pair.same("USE whole").await;
    pair.same("CREATE TABLE t (k INT PRIMARY KEY, v INT)").await;
    pair.same("INSERT INTO t VALUES (1, 100), (2, 200)").await;
    same_for_all(&mut pair, "SELECT v FROM t WHERE k=#").await;
    pair.same("USE shop").await;
    same_for_all(&mut pair, "SELECT v FROM t WHERE k=#").await;
    pair.same("START TRANSACTION READ ONLY").await;
    same_for_all(&mut pair, "SELECT v FROM t WHERE k=#").await;
    same_for_all(&mut pair, "UPDATE t SET v = 'changed #' WHERE k = #").await;
    pair.same("COMMIT").await;
    pair.same("DROP TABLE t").await;
    pair.same("SELECT v FROM t WHERE k=1").await;
    let broadcast = "CREATE TABLE t (k INT PRIMARY KEY, v INT)";
    pair.both(&format!("{broadcast} DISTRIBUTE BY BROADCAST"), broadcast)
        .await;
    pair.same("INSERT INTO t VALUES (1, 5), (2, 6)").await;
    same_for_all(&mut pair, "UPDATE t SET v = # WHERE k = #").await;
    same_for_all(&mut pair, "SELECT v FROM t WHERE k=#").await;
    let rows = world.rows_by_node("t").await;
    assert!(rows.iter().all(|of_node| *of_node == rows[0]), "{rows:?}");
}

async fn status(conn: &mut Conn, name: &str) -> u64 {
    let statement = format!("SHOW GLOBAL STATUS LIKE '{name}'");
    let row: Option<(String, u64)> = conn.query_first(statement).await.expect("a status");
    row.expect("a row").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_is_prepared_on_a_node_once() {
    let world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE t (k INT PRIMARY KEY, v INT NOT NULL) DISTRIBUTE BY HASH(k)",
        "INSERT INTO t SELECT seq, 10 * seq FROM seq_0_to_29",
    ] {
        let seen = see(&mut conn, statement).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
    let mut nodes = [world.node(1).await, world.node(2).await];
    let mut before = Vec::new();
    for node in &mut nodes {
        before.push(status(node, "Com_stmt_prepare").await);
    }
    let statement = conn.prep("SELECT v FROM t WHERE k = ?").await;
    let statement = statement.expect("prepared");
    for round in 0..3_u32 {
        for number in 0..30_u32 {
            let found: Option<u32> = match round {
                // As another type.
                1 => conn.exec_first(&statement, (number.to_string(),)).await,
                _ => conn.exec_first(&statement, (number,)).await,
            }
            .expect("executed");
            assert_eq!(found, Some(10 * number));
        }
        let none: Option<u32> = conn
            .exec_first(&statement, (None::<u32>,))
            .await
            .expect("executed");
        assert_eq!(none, None);
    }
    for (node, before) in nodes.iter_mut().zip(before) {
        assert_eq!(status(node, "Com_stmt_prepare").await, before + 1);
        assert_eq!(status(node, "Prepared_stmt_count").await, 1);
    }
    // A column more.
    conn.query_drop("ALTER TABLE t ADD COLUMN w INT DEFAULT 7 FIRST")
        .await
        .expect("altered");
    let found: Option<u32> = conn.exec_first(&statement, (4,)).await.expect("executed");
    assert_eq!(found, Some(40));
    conn.close(statement).await.expect("closed");
    // Its reply comes behind the closing, which has none, on the same connections.
    let rows: Vec<u32> = conn.query("SELECT v FROM t").await.expect("rows");
    assert_eq!(rows.len(), 30);
    for node in &mut nodes {
        assert_eq!(status(node, "Prepared_stmt_count").await, 0);
    }
}
