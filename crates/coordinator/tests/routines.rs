//! Stored functions, which the first node alone has.

use mysql_async::prelude::Queryable;

use crate::common::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_made_by_stored_functions_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for (name, clause) in [
        ("spread", "DISTRIBUTE BY HASH(k)"),
        ("everywhere", "DISTRIBUTE BY BROADCAST"),
        ("names", ""),
    ] {
        let plain = format!("CREATE TABLE {name} (k INT PRIMARY KEY, n INT, v VARCHAR(20))");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
    for statement in [
        "INSERT INTO names VALUES (1, 1, 'one'), (2, 2, 'two')",
        // Before there are such functions.
        "INSERT INTO spread VALUES (1, twice(1), 'a')",
        "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
        "CREATE FUNCTION named(x INT) RETURNS VARCHAR(20) READS SQL DATA RETURN (SELECT v FROM names WHERE k = x)",
        "INSERT INTO spread VALUES (1, twice(1), 'a'), (2, TWICE(2), named(1)), (twice(3), 3, named(2))",
        "INSERT INTO spread (k, n) VALUES (3, `twice`(9)), (4, shop.twice (10)), (5, 1) ON DUPLICATE KEY UPDATE n = VALUES(n)",
        "INSERT INTO spread (k, n) VALUES (3, twice(11)), (4, 1) ON DUPLICATE KEY UPDATE n = VALUES(n)",
        "REPLACE INTO spread SET k = twice(1), n = twice(5), v = named(2)",
        "INSERT IGNORE INTO spread VALUES (1, 1, named(1)), (7, 1, named(3))",
        "INSERT INTO everywhere VALUES (1, twice(4), named(1)), (2, 2, named(2))",
        "INSERT INTO spread (k, n) SELECT k + 20, twice(n) FROM spread",
        "SELECT *, twice(k) FROM spread ORDER BY k",
        "SELECT * FROM everywhere ORDER BY k",
        "INSERT INTO names SELECT k + 100, twice(n), v FROM spread ON DUPLICATE KEY UPDATE n = twice(1)",
        "UPDATE names SET n = twice(n)",
        "SELECT * FROM names ORDER BY k",
    ] {
        pair.same(statement).await;
    }
    for conn in [&mut pair.ours, &mut pair.plain] {
        for k in 50..60 {
            let insert = "INSERT INTO spread VALUES (?, twice(?), named(?))";
            conn.exec_drop(insert, (k, k + 1, k % 3))
                .await
                .expect(insert);
        }
    }
    world.same_rows("spread").await;
    for statement in [
        "UPDATE spread SET n = twice(n)",
        "UPDATE spread SET n = twice(n) WHERE k = 1",
        "UPDATE everywhere SET n = shop.`twice`(n)",
        "DELETE FROM spread WHERE n = twice(1)",
        "INSERT INTO spread VALUES (1, 1, 'x') ON DUPLICATE KEY UPDATE n = twice(n)",
    ] {
        pair.refused(statement, "routine").await;
    }
    for statement in [
        "DROP FUNCTION twice",
        "INSERT INTO spread VALUES (99, twice(1), 'a')",
        "SELECT * FROM spread ORDER BY k",
    ] {
        pair.same(statement).await;
    }
}
