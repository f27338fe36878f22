//! Transactions that only read: nothing is written in them, whoever tries, and all reads work.

use crate::common::{Seen, World, see};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_by_whatever_is_called() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for (body, clause) in [
        (
            "hashed (k INT PRIMARY KEY, v INT NOT NULL)",
            " DISTRIBUTE BY HASH(k)",
        ),
        (
            "everywhere (k INT PRIMARY KEY, v INT NOT NULL)",
            " DISTRIBUTE BY BROADCAST",
        ),
        ("single (k INT PRIMARY KEY, v INT NOT NULL)", ""),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain}{clause}"), &plain).await;
    }
    for statement in [
        "INSERT INTO hashed VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 4)",
        "INSERT INTO everywhere VALUES (1, 1), (2, 2)",
        "INSERT INTO single VALUES (1, 1), (2, 2)",
        "CREATE SEQUENCE s",
        "CREATE PROCEDURE p_write() UPDATE single SET v = v + 1",
        "CREATE PROCEDURE p_outer() BEGIN DECLARE a INT; CALL p_write(); END",
        "CREATE PROCEDURE p_read() SELECT v FROM single ORDER BY k",
        "CREATE FUNCTION f_write() RETURNS INT BEGIN UPDATE single SET v = v + 1; RETURN 1; END",
        "CREATE FUNCTION f_read() RETURNS INT RETURN (SELECT MAX(v) FROM single)",
        "CREATE TEMPORARY TABLE tmp (a INT)",
    ] {
        let seen = pair.same(statement).await;
        assert!(
            !matches!(seen[..], [Seen::Failed(..)]),
            "{statement}: {seen:?}"
        );
    }
    let tries = [
        "SELECT v FROM single ORDER BY k",
        "SELECT COUNT(DISTINCT v), SUM(v) FROM hashed",
        "SELECT hashed.k, single.v FROM hashed JOIN single USING (k) ORDER BY 1",
        "SELECT v FROM hashed WHERE k = 1",
        "CALL p_read()",
        "SELECT f_read()",
        "CALL p_write()",
        "CALL p_outer()",
        "SELECT f_write()",
        "DO f_write()",
        "SET @x = f_write()",
        "SELECT k, f_write() FROM single",
        "EXECUTE IMMEDIATE 'UPDATE single SET v = v + 1'",
        "BEGIN NOT ATOMIC UPDATE single SET v = v + 1; END",
        "SELECT NEXTVAL(s)",
        "SELECT NEXT VALUE FOR s",
        "SELECT * FROM tmp",
        "DROP TEMPORARY TABLE tmp",
        "CREATE TEMPORARY TABLE tmp2 (a INT)",
        "PREPARE writer FROM 'UPDATE single SET v = v + 1'",
        "UPDATE single SET v = v + 1",
        "UPDATE hashed SET v = v + 1 WHERE k = 1",
        "UPDATE hashed SET v = v + 1",
        "INSERT INTO hashed VALUES (10, 10)",
        "DELETE FROM hashed WHERE k = 2",
        "UPDATE everywhere SET v = v + 1",
        "SELECT v FROM single WHERE k = 1 FOR UPDATE",
        "SELECT v FROM single WHERE k = 1 LOCK IN SHARE MODE",
        "SELECT * FROM (SELECT k, v FROM hashed d WHERE d.v > 0) a WHERE IF(a.v < 6, a.v, 0) = 3 ORDER BY a.k FOR UPDATE",
        "SELECT * FROM (SELECT v FROM single) a ORDER BY v FOR UPDATE",
        "SELECT a.v FROM (SELECT 1 AS v) a JOIN hashed ON hashed.k = a.v FOR UPDATE",
        "SELECT * FROM (SELECT k FROM hashed FOR UPDATE) a",
        "SELECT COUNT(DISTINCT v), SUM(v) FROM hashed",
        "CALL p_write()",
        "SELECT v FROM single ORDER BY k",
    ];
    let mut differ = Vec::new();
    let ways: [&[&str]; 7] = [
        &["START TRANSACTION READ ONLY"],
        &["SET TRANSACTION READ ONLY", "BEGIN"],
        &["SET SESSION TRANSACTION READ ONLY", "BEGIN"],
        &[
            "SET SESSION TRANSACTION READ WRITE",
            "SET autocommit = 0",
            "SET TRANSACTION READ ONLY",
        ],
        &[
            "SET TRANSACTION READ ONLY, ISOLATION LEVEL READ COMMITTED",
            "SET autocommit = 1",
            "BEGIN",
        ],
        &[
            "SET TRANSACTION READ ONLY",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ],
        &["SET autocommit = 1", "SET SESSION TRANSACTION READ ONLY"],
    ];
    for way in ways {
        for statement in way.iter().chain(&tries).chain(&["COMMIT"]) {
            let ours = see(&mut pair.ours, statement).await;
            let plain = see(&mut pair.plain, statement).await;
            if ours != plain {
                differ.push(format!(
                    "{way:?} {statement}\n   ours  {ours:?}\n   plain {plain:?}"
                ));
            }
        }
    }
    // Some transactions write all the same.
    for statement in [
        "SET SESSION TRANSACTION READ ONLY",
        "START TRANSACTION READ WRITE",
        "CALL p_write()",
        "UPDATE single SET v = v + 1",
        "UPDATE hashed SET v = v + 1",
        "SELECT COUNT(DISTINCT v), SUM(v) FROM hashed",
        "COMMIT AND CHAIN",
        "UPDATE hashed SET v = v + 1 WHERE k = 1",
        "SELECT f_write()",
        "COMMIT",
        "SELECT k, v FROM single ORDER BY k",
        "SELECT k, v FROM hashed ORDER BY k",
        "SELECT @@tx_read_only",
    ] {
        let ours = see(&mut pair.ours, statement).await;
        let plain = see(&mut pair.plain, statement).await;
        if ours != plain {
            differ.push(format!(
                "{statement}\n   ours  {ours:?}\n   plain {plain:?}"
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
