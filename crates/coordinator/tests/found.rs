//! What random statements have found to differ from one server, each by itself.

use crate::common::{Pair, Seen, World, see};
use mysql_async::prelude::Queryable;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_differed_does_not_any_more() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for body in [
        "bytes (k INT PRIMARY KEY, b VARBINARY(10) DEFAULT X'00FF5C', e CHAR(3) CHARACTER SET latin1 DEFAULT 'é')",
        "numbered (k INT AUTO_INCREMENT PRIMARY KEY, n INT)",
        "plain (k INT PRIMARY KEY, n INT, v VARCHAR(20)) /*!50100 ENGINE = InnoDB */",
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} DISTRIBUTE BY HASH(k)"), &plain)
            .await;
    }
    for statement in [
        // Defaults that are no text are the same on all nodes.
        "INSERT INTO bytes (k) VALUES (1), (2), (3)",
        "SELECT k, HEX(b), HEX(e) FROM bytes ORDER BY k",
        // A counter that is set.
        "INSERT INTO numbered (n) VALUES (1), (2)",
        "ALTER TABLE numbered AUTO_INCREMENT = 500",
        "INSERT INTO numbered (n) VALUES (3), (4)",
        "SELECT LAST_INSERT_ID()",
        // A table that gets another name goes on numbering.
        "RENAME TABLE numbered TO counted",
        "INSERT INTO counted (n) VALUES (5)",
        "SELECT LAST_INSERT_ID()",
        // Columns that are set in another order than they are in, with `VALUES` behind them.
        "INSERT INTO plain SET n = 8, v = 'eight', k = 5 ON DUPLICATE KEY UPDATE n = VALUES(n)",
        "INSERT INTO plain SET n = 9, v = 'nine', k = 5 ON DUPLICATE KEY UPDATE n = VALUES(n)",
        "SELECT * FROM plain",
        "DELETE FROM plain",
        // Rows of all nodes are counted.
        "INSERT INTO plain VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 4, 'd')",
        "ALTER TABLE plain MODIFY v LONGTEXT",
        // A definition ends a transaction, of whatever kind.
        "START TRANSACTION READ ONLY",
        "SELECT COUNT(*) FROM plain",
        "CREATE INDEX i ON plain (n)",
        "UPDATE plain SET n = n + 1",
        // In one that only reads, no rows are locked for writes.
        "START TRANSACTION READ ONLY",
        "SELECT k FROM plain ORDER BY k LOCK IN SHARE MODE",
        "SELECT k FROM plain ORDER BY k FOR UPDATE",
        "COMMIT",
        // One that is chained to none is one.
        "COMMIT AND CHAIN",
        "DELETE FROM plain WHERE n > 3",
        "ROLLBACK",
        "SELECT COUNT(*) FROM plain",
        // What stands in executable comments is read.
        "UPDATE plain SET /*!50000 n = n + 1 */ WHERE k < 3 /*!999999 AND nothing */",
        "INSERT /*! IGNORE */ INTO plain VALUES (1, 1, 'x'), (9, 9, 'y')",
        "SELECT * FROM plain ORDER BY k",
    ] {
        pair.same(statement).await;
    }
    let shown: Option<(String, Vec<u8>)> = pair
        .ours
        .query_first("SHOW CREATE TABLE bytes")
        .await
        .expect("shown");
    let shown = shown.expect("a row").1;
    let is_as_it_is = |part: &[u8]| shown.windows(part.len()).any(|window| window == part);
    assert!(
        is_as_it_is(b"DEFAULT '\\0\xFF\\\\'"),
        "{}",
        String::from_utf8_lossy(&shown)
    );
    prepared_views(&world).await;
    warnings_of_definitions(&world).await;
    more_than_nodes_tell(&world).await;
    times_that_are_none(&world).await;
    deletes_over_broadcast_tables(&world).await;
    writes_beside_broadcast_tables(&world).await;
}

/// Time stamps of zeros are found through queries inside of others, and through functions, as well.
async fn times_that_are_none(world: &World) {
    let mut pair = world.pair().await;
    let plain = "CREATE TABLE stamped (k INT PRIMARY KEY, t TIMESTAMP NULL, u TIMESTAMP(3) NOT NULL DEFAULT '2001-01-01')";
    pair.both(&format!("{plain} DISTRIBUTE BY HASH(k)"), plain)
        .await;
    for statement in [
        "SET sql_mode = ''",
        "INSERT INTO stamped VALUES (1, '1900-01-01', '1900-01-01'), (2, NULL, '2002-02-02 02:02:02.5'), \
         (3, '2024-10-27 02:30:00', '1900-01-01')",
        "INSERT INTO stamped (k, t) VALUES (4, '1900-01-01')",
        "SELECT * FROM (SELECT * FROM stamped WHERE k > 0) a ORDER BY a.k DESC",
        "SELECT MIN(t), MAX(t), MIN(u), MAX(u) FROM stamped",
        "SELECT k % 2, MIN(t), COALESCE(MIN(u), 1) FROM stamped GROUP BY 1 ORDER BY 1",
        "SELECT a.k, a.t, b.u FROM stamped a JOIN stamped b ON b.k = a.k + 1 ORDER BY a.k",
    ] {
        pair.same(statement).await;
    }
}

/// Each node finds by itself which of its rows are joined to those of broadcast tables, or are among them.
async fn writes_beside_broadcast_tables(world: &World) {
    let mut pair = world.pair().await;
    for (body, clause) in [
        (
            "placed (k INT PRIMARY KEY, c INT, v VARCHAR(20))",
            "HASH(k)",
        ),
        (
            "cities (id INT PRIMARY KEY, name VARCHAR(20), open INT)",
            "BROADCAST",
        ),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} DISTRIBUTE BY {clause}"), &plain)
            .await;
    }
    for statement in [
        "INSERT INTO cities VALUES (1, 'A', 1), (2, 'B', 0), (3, 'C', 1), (4, 'D', NULL)",
        "INSERT INTO placed SELECT seq, 1 + seq % 5, CONCAT('v', seq) FROM seq_1_to_40",
        "UPDATE placed p JOIN cities c ON c.id = p.c SET p.v = CONCAT(c.name, p.k), p.c = p.c + 0 WHERE c.open = 1",
        "SELECT * FROM placed ORDER BY k",
        "UPDATE placed, cities SET v = name WHERE cities.id = placed.c AND placed.k IN (7, 8, 9, 10)",
        "UPDATE placed SET v = (SELECT MAX(name) FROM cities WHERE cities.id <= placed.c) WHERE c IN (SELECT id FROM cities WHERE open = 0) OR k = 11",
        "SELECT * FROM placed ORDER BY k",
        "START TRANSACTION",
        "DELETE p FROM placed p LEFT JOIN cities c ON c.id = p.c WHERE c.id IS NULL",
        "DELETE FROM placed WHERE NOT EXISTS (SELECT 1 FROM cities WHERE id = c AND open) AND k > 20",
        "SELECT * FROM placed ORDER BY k",
        "ROLLBACK",
        "DELETE FROM placed USING placed JOIN cities c ON c.id = placed.c WHERE c.name = 'C'",
        "SELECT COUNT(*), SUM(k) FROM placed",
        // Of errors nothing stays.
        "UPDATE placed SET v = (SELECT name FROM cities WHERE id > placed.c) WHERE k > 1",
        "SELECT * FROM placed ORDER BY k",
    ] {
        pair.same(statement).await;
    }
    // Prepared, with values on both sides of the query inside.
    let text =
        "UPDATE placed SET v = ? WHERE c IN (SELECT id FROM cities WHERE name < ?) AND k > ?";
    for conn in [&mut pair.ours, &mut pair.plain] {
        let statement = conn.prep(text).await.expect("prepared");
        conn.exec_drop(&statement, ("prepared", "C", 15))
            .await
            .expect("updated");
    }
    pair.same("SELECT * FROM placed ORDER BY k").await;
    // What is read besides is in use until the transaction ends.
    pair.same("LOCK TABLES placed WRITE").await;
    pair.same("DELETE FROM placed WHERE c IN (SELECT id FROM cities)")
        .await;
    pair.same("UNLOCK TABLES").await;
    world.same_rows("placed").await;
    // Where what is read is not locked, the nodes could read different rows.
    let write = "UPDATE placed p JOIN cities c ON c.id = p.c SET p.v = c.name";
    let level = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
    pair.same(level).await;
    pair.refused(write, "write-join").await;
    pair.same("START TRANSACTION").await;
    pair.refused(write, "write-join").await;
    pair.same("ROLLBACK").await;
    // It was of that transaction alone.
    pair.same(write).await;
    pair.same("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await;
    pair.refused(write, "write-join").await;
    pair.same("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        .await;
    pair.same(write).await;
    world.same_rows("placed").await;
}

/// All nodes find the same rows of broadcast tables that are joined.
async fn deletes_over_broadcast_tables(world: &World) {
    let mut pair = world.pair().await;
    let plain = "CREATE TABLE settings (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, v VARCHAR(20))";
    pair.both(&format!("{plain} DISTRIBUTE BY BROADCAST"), plain)
        .await;
    for statement in [
        "INSERT INTO settings (name, v) VALUES ('a', 'x'), ('until_a', '5'), ('b', 'y'), ('until_b', '50'), ('c', 'z')",
        "DELETE s, t FROM settings s, settings t WHERE t.name = CONCAT('until_', s.name) AND t.v < 20",
        "SELECT * FROM settings ORDER BY id",
        "START TRANSACTION",
        "DELETE FROM s USING settings AS s LEFT JOIN settings t ON t.name = CONCAT('until_', s.name) WHERE t.id IS NULL",
        "SELECT * FROM settings ORDER BY id",
        "ROLLBACK",
        "SELECT * FROM settings ORDER BY id",
    ] {
        pair.same(statement).await;
    }
    let by_node = world.rows_by_node("settings").await;
    assert_eq!(by_node[0].len(), 3, "{by_node:?}");
    assert!(
        by_node.iter().all(|rows| *rows == by_node[0]),
        "{by_node:?}"
    );
}

/// What `SHOW CREATE TABLE` does not tell is the same on all nodes nevertheless, and what constraints keep out.
async fn more_than_nodes_tell(world: &World) {
    let mut pair = world.pair().await;
    for (body, clause) in [
        (
            "smiling (k INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET utf8mb4 DEFAULT '😀?', \
             w CHAR(9) CHARACTER SET utf16 NOT NULL DEFAULT 'it''s 😀')",
            "DISTRIBUTE BY HASH(k)",
        ),
        (
            "checked (k INT PRIMARY KEY, j JSON, n INT NOT NULL DEFAULT 1)",
            "DISTRIBUTE BY HASH(k)",
        ),
        ("single (k INT PRIMARY KEY, v VARCHAR(9))", ""),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
    for statement in [
        "CREATE TABLE smiling_too LIKE smiling",
        "INSERT INTO smiling (k) VALUES (0), (1), (2), (3)",
        "INSERT INTO smiling_too (k) SELECT k FROM smiling",
        "SELECT s.*, DEFAULT(s.v), t.v FROM smiling s JOIN smiling_too t ON t.k <> s.k ORDER BY s.k, t.k",
        "ALTER TABLE smiling ADD COLUMN x VARCHAR(9) CHARACTER SET utf8mb4 DEFAULT '🎉'",
        "SELECT * FROM smiling ORDER BY k",
        // Rows that are no duplicates.
        "INSERT IGNORE INTO checked (k, j) VALUES (0, '{'), (1, '{}'), (2, '['), (3, '[]'), (1, NULL)",
        "SELECT * FROM checked ORDER BY k",
        // What is there stays, whatever a constraint says of it.
        "SET sql_mode = ''",
        "ALTER TABLE checked ADD COLUMN must JSON NOT NULL",
        "ALTER TABLE checked ADD UNIQUE by_number (n, k)",
        "SELECT * FROM checked ORDER BY k",
        "SET sql_mode = DEFAULT",
    ] {
        pair.same(statement).await;
    }
    defaults_and_counts(&mut pair).await;
    let words = "CREATE TABLE words (k INT PRIMARY KEY, e ENUM('😀', 'x') CHARACTER SET utf8mb4) DISTRIBUTE BY HASH(k)";
    pair.refused(words, "ddl-form").await;
    // Of a table that was single they are not lost.
    let words = "CREATE TABLE worded (k INT PRIMARY KEY, e ENUM('a😀', 'x') CHARACTER SET utf8mb4 DEFAULT 'a😀', \
                 s SET('x', '😀') CHARACTER SET utf8mb4 NOT NULL DEFAULT '😀,x', \
                 t TEXT CHARACTER SET utf8mb4 DEFAULT '😀?')";
    pair.both(words, words).await;
    pair.same("INSERT INTO worded (k) VALUES (0), (1), (2), (3)")
        .await;
    let distribute = "ALTER TABLE worded DISTRIBUTE BY HASH(k)";
    pair.both(distribute, "ALTER TABLE worded FORCE").await;
    for statement in [
        "INSERT INTO worded (k) VALUES (4), (5), (6), (7)",
        "INSERT INTO worded (k, e, s) VALUES (8, 'x', 'x'), (9, 2, 2), (10, 1, 3), (11, NULL, '')",
        "SELECT k, e, e + 0, HEX(e), s, s + 0, HEX(s), HEX(t), HEX(DEFAULT(e)), HEX(DEFAULT(s)) FROM worded ORDER BY e, k",
        "SELECT e, s, COUNT(*) FROM worded GROUP BY e, s ORDER BY e, s",
        "SELECT a.k, b.k, a.e, b.s FROM worded a JOIN worded b ON a.e = b.e AND a.k < b.k ORDER BY a.k, b.k",
    ] {
        pair.same(statement).await;
    }
    // Single tables as well are not written to in a transaction that only reads, prepared or not.
    pair.same("INSERT INTO single VALUES (1, 'one')").await;
    pair.same("START TRANSACTION READ ONLY").await;
    for query in [
        "UPDATE single SET v = 'changed' WHERE k = ?",
        "DELETE FROM single WHERE k = ?",
        "REPLACE INTO single (k) VALUES (?)",
    ] {
        pair.same(&query.replace('?', "1")).await;
        for conn in [&mut pair.ours, &mut pair.plain] {
            let done = match conn.prep(query).await {
                Ok(statement) => conn.exec_drop(&statement, (1,)).await,
                Err(error) => Err(error),
            };
            let code = match done {
                Err(mysql_async::Error::Server(error)) => error.code,
                other => panic!("{query}: {other:?}"),
            };
            assert_eq!(code, 1792, "{query}");
        }
    }
    pair.same("SELECT * FROM single").await;
    pair.same("COMMIT").await;
}

/// What a definition does to rows of any node is told.
async fn warnings_of_definitions(world: &World) {
    let mut pair = world.pair().await;
    let plain = "CREATE TABLE lossy (k INT PRIMARY KEY, v VARCHAR(20), KEY (v))";
    pair.both(&format!("{plain} DISTRIBUTE BY HASH(k)"), plain)
        .await;
    for statement in [
        "INSERT INTO lossy SELECT seq, IF(seq MOD 3, 'a long text', 'short') FROM seq_0_to_23",
        "SET sql_mode = ''",
        "ALTER TABLE lossy MODIFY v VARCHAR(6)",
        "SHOW COUNT(*) WARNINGS",
        // Each node says so, of its definition.
        "ALTER TABLE lossy ADD KEY again (v)",
        "SHOW WARNINGS",
        "ALTER TABLE lossy ADD COLUMN IF NOT EXISTS v INT",
        "SHOW WARNINGS",
        "SELECT v, COUNT(*) FROM lossy GROUP BY v ORDER BY v",
    ] {
        pair.same(statement).await;
    }
}

/// Statements that read views of distributed tables can be prepared.
async fn prepared_views(world: &World) {
    let mut pair = world.pair().await;
    for statement in [
        "CREATE VIEW some AS SELECT k, n + 1 AS more, v FROM plain WHERE n > 1",
        "CREATE VIEW grouped (kind, many, total) AS SELECT n MOD 2, COUNT(*), SUM(k) FROM plain GROUP BY 1",
    ] {
        assert!(
            matches!(pair.same(statement).await[..], [Seen::Done { .. }]),
            "{statement}"
        );
    }
    for query in [
        "SELECT * FROM some WHERE k > ? ORDER BY k",
        "SELECT g.*, s.v, ? AS given FROM grouped g JOIN some s ON s.k MOD 2 = g.kind ORDER BY s.k",
        "SELECT COUNT(*), MAX(v) FROM some WHERE more < ? + 100",
    ] {
        let mut seen = Vec::new();
        for conn in [&mut pair.ours, &mut pair.plain] {
            let statement = conn.prep(query).await.expect(query);
            // As often as one likes.
            for value in [0, 2] {
                let rows: Vec<mysql_async::Row> =
                    conn.exec(&statement, (value,)).await.expect(query);
                let names = rows.first().map(|row| {
                    format!(
                        "{:?}",
                        row.columns_ref()
                            .iter()
                            .map(|it| it.name_str().into_owned())
                            .collect::<Vec<_>>()
                    )
                });
                seen.push((
                    names,
                    rows.into_iter()
                        .map(mysql_async::Row::unwrap)
                        .collect::<Vec<_>>(),
                ));
            }
        }
        assert!(
            seen[..2] == seen[2..] && !seen[0].1.is_empty(),
            "{query}: {seen:?}"
        );
    }
    // An error of a statement that is prepared tells nothing of transactions.
    pair.same("BEGIN").await;
    for conn in [&mut pair.ours, &mut pair.plain] {
        let _: Option<i64> = conn.exec_first("SELECT 1 + ?", (1,)).await.expect("read");
    }
    pair.same("COMMIT").await;
    assert!(pair.ours.prep("SELECT nothing FROM nowhere").await.is_err());
    pair.same("UPDATE plain SET n = 20 WHERE k = 1").await;
    let seen = see(&mut pair.ours, "SELECT COUNT(*) FROM some").await;
    assert!(matches!(seen[..], [Seen::Rows(..)]), "{seen:?}");
}

async fn defaults_and_counts(pair: &mut Pair) {
    for (body, clause) in [
        (
            "timed (k INT, n INT, t TIMESTAMP NOT NULL DEFAULT '2001-01-01 00:00:00', v VARCHAR(9) DEFAULT '\\\\', \
             b VARBINARY(9) DEFAULT X'5C0041', PRIMARY KEY (k, n))",
            "DISTRIBUTE BY HASH(k)",
        ),
        ("several (k INT PRIMARY KEY, n INT)", ""),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
    for statement in [
        "INSERT INTO timed (k, n) VALUES (1, 1), (2, 1), (2, 2), (2, 3), (3, 1)",
        "SET time_zone = '+05:30', sql_mode = 'NO_BACKSLASH_ESCAPES'",
        // Defaults are the table's, wherever rows are made or read.
        "INSERT INTO timed (k, n) SELECT k + 10, n FROM timed",
        "SELECT k, n, t, DEFAULT(t), v, DEFAULT(v), HEX(b), HEX(DEFAULT(b)) FROM timed t WHERE n + 1 > (SELECT COUNT(*) / 100 FROM timed) ORDER BY k, n",
        "SET time_zone = DEFAULT, sql_mode = DEFAULT",
        "INSERT INTO several VALUES (2, 2)",
    ] {
        pair.same(statement).await;
    }
    let mut seen = Vec::new();
    for conn in [&mut pair.ours, &mut pair.plain] {
        // As many rows as there are, whichever of their columns matter.
        let count = conn
            .prep("SELECT COUNT(*) FROM timed")
            .await
            .expect("prepared");
        let count: Option<u64> = conn.exec_first(&count, ()).await.expect("counted");
        let insert = "INSERT IGNORE INTO several SELECT k, n FROM timed WHERE n < ? ORDER BY k, n";
        let insert = conn.prep(insert).await.expect("prepared");
        conn.exec_drop(&insert, (5,)).await.expect("inserted");
        seen.push((count, see(conn, "SHOW WARNINGS").await));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0, Some(10));
}
