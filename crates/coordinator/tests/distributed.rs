//! Definitions, writes and transactions of distributed tables, compared with one plain server.

use crate::common::{Pair, Seen, World, see};
use mysql_async::prelude::Queryable;

/// Makes the tables that tests write to.
async fn tables(pair: &mut Pair) {
    for (body, clause) in [
        (
            "orders (id BIGINT NOT NULL PRIMARY KEY, customer INT, note VARCHAR(40), \
             at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), KEY (customer))",
            "DISTRIBUTE BY HASH(id)",
        ),
        (
            "names (name VARCHAR(30) NOT NULL, n INT, PRIMARY KEY (name, n))",
            "DISTRIBUTE_KEY(name)",
        ),
        (
            "ids (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))",
            "DISTRIBUTE BY HASH(`id`)",
        ),
        (
            "kinds (k INT PRIMARY KEY, label VARCHAR(20))",
            "DISTRIBUTE BY BROADCAST",
        ),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain} {clause}"), &plain).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_and_writes_are_as_on_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    tables(&mut pair).await;
    definitions(&mut pair).await;
    writes(&world, &mut pair).await;
    refusals(&mut pair).await;
    collected(&world, &mut pair).await;
    prepared(&world, &mut pair).await;
    transactions(&world, &mut pair).await;
    single_tables(&mut pair).await;
    redefined(&world, &mut pair).await;
}

async fn definitions(pair: &mut Pair) {
    let shown: Option<(String, String)> = pair
        .ours
        .query_first("SHOW CREATE TABLE orders")
        .await
        .expect("shown");
    let shown = shown.expect("a row").1;
    assert!(shown.ends_with(" DISTRIBUTE BY HASH(`id`)"), "{shown}");
    let again = shown.replace("`orders`", "`again`");
    assert_eq!(see(&mut pair.ours, &again).await.len(), 1);
    let seen = see(&mut pair.ours, "CREATE TABLE single (a INT)").await;
    assert!(
        matches!(seen[..], [Seen::Done { warnings: 1, .. }]),
        "{seen:?}"
    );
    let notes: Vec<(String, u32, String)> = pair.ours.query("SHOW WARNINGS").await.expect("shown");
    assert!(notes[0].2.contains("DISTRIBUTE"), "{notes:?}");
    for (statement, code) in [
        ("CREATE TABLE x (a INT) DISTRIBUTE BY HASH(a)", "key-column"),
        (
            "CREATE TABLE x (a DATE NOT NULL) DISTRIBUTE BY HASH(a)",
            "key-column",
        ),
        (
            "CREATE TABLE x (a INT NOT NULL) DISTRIBUTE BY HASH(b)",
            "key-column",
        ),
        (
            "CREATE TABLE x (a INT NOT NULL, b INT PRIMARY KEY) DISTRIBUTE BY HASH(a)",
            "key-unique",
        ),
        (
            "CREATE TABLE x (a INT NOT NULL) ENGINE=MyISAM DISTRIBUTE BY HASH(a)",
            "engine",
        ),
        (
            "CREATE TABLE x (a INT NOT NULL) DISTRIBUTE BY RANGE(a)",
            "distribute-clause",
        ),
        (
            "CREATE TABLE x (a INT NOT NULL) PARTITION BY HASH(a) DISTRIBUTE BY HASH(a)",
            "partitions",
        ),
        (
            "CREATE TABLE whole.x (a INT NOT NULL) DISTRIBUTE BY HASH(a)",
            "database-not-spread",
        ),
        (
            "CREATE TABLE x (a INT NOT NULL) distribute_by='HASH(a)'",
            "distribute-option",
        ),
        ("CREATE TEMPORARY TABLE orders (a INT)", "temporary-name"),
        (
            "CREATE TRIGGER tr BEFORE INSERT ON orders FOR EACH ROW SET NEW.id = 1",
            "trigger",
        ),
        ("ALTER TABLE orders DROP COLUMN id", "key-column"),
        ("ALTER TABLE orders MODIFY id INT NOT NULL", "key-change"),
        ("ALTER TABLE orders ADD UNIQUE (customer)", "key-unique"),
        (
            "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES kinds (k)",
            "foreign-key",
        ),
        ("DROP DATABASE shop", "drop-database"),
        ("XA START 'x'", "xa"),
    ] {
        pair.refused(statement, code).await;
    }
    let seen = see(
        &mut pair.ours,
        "CREATE TABLE orders (a INT NOT NULL) DISTRIBUTE BY HASH(a)",
    )
    .await;
    assert!(matches!(seen[..], [Seen::Failed(1050, _)]), "{seen:?}");
    let seen = see(
        &mut pair.ours,
        "CREATE TABLE x (a INT NOT NULL, a INT) DISTRIBUTE BY HASH(a)",
    )
    .await;
    assert!(matches!(seen[..], [Seen::Failed(1060, _)]), "{seen:?}");
    let left: Vec<String> = pair
        .ours
        .query("SHOW TABLES LIKE 'openpeta%'")
        .await
        .expect("shown");
    assert!(left.is_empty(), "{left:?}");
}

async fn writes(world: &World, pair: &mut Pair) {
    for statement in [
        "INSERT INTO orders (id, customer, note) VALUES (1, 10, 'a'), (2, 10, 'b'), (3, 11, NULL), (4, 12, 'd')",
        "INSERT INTO orders (id, customer) VALUES (5, 10)",
        "INSERT INTO orders (id, customer) VALUES (6, 10), (1, 99), (7, 10)",
        "INSERT IGNORE INTO orders (id, customer) VALUES (6, 10), (1, 99), (7, 10)",
        "SHOW WARNINGS",
        "INSERT INTO orders (id, customer) VALUES (7, 1), (8, 2) ON DUPLICATE KEY UPDATE customer = 77",
        "INSERT INTO orders (id, customer) VALUES (7, 3), (60, 4) ON DUPLICATE KEY UPDATE `id` = VALUES(id), customer = VALUES(customer)",
        "DELETE FROM orders WHERE id = 60",
        "REPLACE INTO orders (id, customer, note) VALUES (7, 1, 'r'), (9, 2, 's')",
        "INSERT INTO orders SET id = 20, customer = 5, note = 'set'",
        "INSERT INTO orders (id, note) VALUES (30, 'too long for the column, which has forty only')",
        "UPDATE orders SET note = CONCAT(note, '!') WHERE customer = 10",
        "UPDATE orders SET note = 'one' WHERE id = 1",
        "UPDATE orders SET note = 'one' WHERE id = 1",
        "UPDATE orders o SET o.note = 'some' WHERE o.id IN (2, 3, 4) AND o.customer > 0",
        "DELETE FROM orders WHERE id = 5",
        "DELETE FROM orders WHERE customer = 12",
        "DELETE FROM orders WHERE id = 1000",
        "INSERT INTO orders (id, customer) VALUES (40, 1), (41, 2), (42, 3) RETURNING id, customer + 1",
        "SELECT id, customer, note FROM orders WHERE id = 1",
        "SELECT COUNT(*), MAX(note) FROM orders WHERE id = 2 AND customer = 10",
        "SELECT id FROM orders WHERE id = 3 FOR UPDATE",
        "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
        "SELECT twice(id), NOW() > '2020-01-01' FROM orders WHERE id = 3",
        "DROP FUNCTION twice",
        "SET @c = 3, @n = 'x''y'",
        "UPDATE orders SET note = @n WHERE customer = @c",
        "INSERT INTO names VALUES ('Anna', 1), ('anna', 2), ('Bert', 1), ('Ådne', 3)",
        "INSERT INTO names VALUES ('ANNA', 1)",
        "UPDATE names SET n = n + 10 WHERE name = 'ANNA'",
        "DELETE FROM names WHERE name IN ('bert', 'nobody')",
        "INSERT INTO kinds VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO kinds VALUES (2, 'again')",
        "INSERT INTO kinds VALUES (4, 'vier'), (3, 'drei') RETURNING label, k",
        "INSERT IGNORE INTO kinds VALUES (4, 'vier'), (5, 'funf') RETURNING k + 1",
        "DELETE FROM kinds WHERE k > 2",
        "UPDATE kinds SET label = 'zwei' WHERE k = 2",
        "SELECT * FROM kinds ORDER BY k",
        "REPLACE INTO kinds VALUES (1, 'eins')",
        "DELETE FROM kinds WHERE k = 2",
        "INSERT INTO orders (id, nothing) VALUES (50, 1)",
        "INSERT INTO orders (id, customer) VALUES (50)",
        "UPDATE orders SET nothing = 1",
        "INSERT INTO orders (id, customer) VALUES (60, 1), (61, 'x'), (62, 2)",
        "DO 0; INSERT INTO orders (id) VALUES (70), (71), (72); SELECT id FROM orders WHERE id = 71; SELECT nothing; DO 0",
    ] {
        pair.same(statement).await;
    }
    // Ids are given by the coordinator; they need not be the same, but in order.
    for statement in [
        "INSERT INTO ids (v) VALUES ('a'), ('b'), ('c'), ('d')",
        "SELECT LAST_INSERT_ID()",
        "INSERT INTO ids VALUES (NULL, 'e'), (0, 'f')",
        "INSERT INTO ids (v, id) VALUES ('g', DEFAULT)",
        "SELECT LAST_INSERT_ID(), @@last_insert_id",
        "INSERT INTO ids VALUES (500, 'far')",
        "INSERT INTO ids (v) VALUES ('h')",
        "UPDATE ids SET v = 'last' WHERE id = LAST_INSERT_ID()",
    ] {
        pair.same(statement).await;
    }
    for table in ["names", "kinds", "ids"] {
        if table == "kinds" {
            for rows in world.rows_by_node(table).await {
                assert_eq!(rows.len(), 1, "{rows:?}");
            }
        } else {
            world.same_rows(table).await;
        }
    }
    let columns = "(SELECT id, customer, note FROM orders) o";
    world.same_rows(columns).await;
    // Rows of one statement have one time, wherever they are.
    let times: std::collections::BTreeSet<String> = world
        .rows("(SELECT at FROM orders WHERE id IN (70, 71, 72)) o")
        .await
        .into_iter()
        .collect();
    assert_eq!(times.len(), 1, "{times:?}");
    let by_node = world.rows_by_node("orders").await;
    assert!(by_node.iter().all(|rows| !rows.is_empty()), "{by_node:?}");
}

async fn refusals(pair: &mut Pair) {
    for (statement, code) in [
        ("UPDATE orders SET id = 5 WHERE id = 1", "key-update"),
        (
            "INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 5",
            "key-update",
        ),
        ("UPDATE orders SET note = 'x' LIMIT 1", "write-limit"),
        ("DELETE FROM orders ORDER BY id LIMIT 2", "write-limit"),
        ("UPDATE orders, single SET note = 'x'", "write-join"),
        ("DELETE orders FROM orders JOIN single", "write-join"),
        ("UPDATE orders JOIN names SET note = 'x'", "write-join"),
        (
            "UPDATE orders NATURAL JOIN kinds SET note = 'x'",
            "write-join",
        ),
        (
            "DELETE FROM orders, kinds USING orders JOIN kinds",
            "write-join",
        ),
        (
            "DELETE FROM orders WHERE id IN (SELECT a FROM single)",
            "write-subquery",
        ),
        ("UPDATE orders SET note = @@hostname", "system-variable"),
        (
            "UPDATE orders SET note = CONNECTION_ID()",
            "connection-function",
        ),
        ("UPDATE orders SET note = (@x := 5)", "variable-assignment"),
        ("PREPARE p FROM 'DELETE FROM orders'", "dynamic-sql"),
        (
            "EXECUTE IMMEDIATE CONCAT('DELETE FROM ', 'orders')",
            "dynamic-sql",
        ),
    ] {
        pair.refused(statement, code).await;
    }
}

/// Rows that are made at home.
async fn collected(world: &World, pair: &mut Pair) {
    for statement in [
        "CREATE TABLE odd (id INT AUTO_INCREMENT PRIMARY KEY, f FLOAT, d DOUBLE, b BIT(5), x VARBINARY(9), \
         t TIMESTAMP NULL, j TEXT CHARACTER SET latin1, e ENUM('a', 'b''c'), g INT AS (id + 1) VIRTUAL, \
         n DECIMAL(20, 6))",
        "INSERT INTO orders (id, customer) VALUES (1 + 600, 1), (CONNECTION_ID() * 0 + 602, 2)",
        "INSERT INTO orders (customer) VALUES (1)",
        "INSERT INTO orders (id, customer) SELECT id + 1000, customer + 1 FROM orders WHERE id < 10 ORDER BY id",
        "INSERT INTO orders (id, customer) SELECT id + 1000, customer FROM orders WHERE id = 2",
        "INSERT IGNORE INTO orders (id, customer) SELECT id + 1001, customer FROM orders WHERE id < 5",
        "SHOW WARNINGS",
        "REPLACE INTO orders (id, customer) SELECT id + 1000, 5 FROM orders WHERE id < 3",
        "INSERT INTO orders (id, customer) SELECT 1001, 6 ON DUPLICATE KEY UPDATE customer = 66",
        "INSERT INTO orders (id, note) SELECT 3000, REPEAT('x', 100)",
        "INSERT INTO ids (v) SELECT note FROM orders WHERE id < 3 ORDER BY id",
        "SELECT LAST_INSERT_ID()",
        "INSERT INTO kinds SELECT id, note FROM orders WHERE id IN (2, 3)",
        "DELETE FROM kinds WHERE k IN (2, 3)",
        "INSERT INTO odd (f, d, b, x, t, j, e, n) SELECT 0.1, 1e-7, 5, 'a\\0\\'b', '2024-03-31 02:30:00', 'ä\\\\', 'b''c', 1.5 \
         UNION ALL SELECT 1 / 3, PI(), 31, X'FF00', NULL, '', NULL, -0.000001",
        "SELECT a.customer, COUNT(*) FROM orders a GROUP BY a.customer ORDER BY 1",
    ] {
        if let Some(create) = statement.strip_prefix("CREATE") {
            pair.both(&format!("CREATE{create} DISTRIBUTE BY HASH(id)"), statement)
                .await;
            continue;
        }
        pair.same(statement).await;
    }
    world
        .same_rows("(SELECT id, customer, note FROM orders) o")
        .await;
    world.same_rows("odd").await;
    pair.same("DROP TABLE odd").await;
    let path = world.dir.path().join("orders.csv");
    let rows: String = (5000..9000)
        .map(|id| format!("{id},{},note {id}\n", id % 7))
        .chain(["5000,1,again\n".to_owned(), "x,1\n".to_owned()])
        .collect();
    std::fs::write(&path, rows).expect("written");
    let handler = || mysql_async::WhiteListFsHandler::new(vec![path.clone()]);
    let load = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE orders FIELDS TERMINATED BY ',' (id, customer, note)",
        path.display()
    );
    let mut files = Pair {
        ours: world
            .client_with(|it| it.local_infile_handler(Some(handler())))
            .await,
        plain: world
            .plain_with(|it| it.local_infile_handler(Some(handler())))
            .await,
    };
    let replace = load.replace("INTO TABLE", "REPLACE INTO TABLE");
    let more = "INSERT INTO orders (id, customer) SELECT id + 5000, 1 FROM orders WHERE id BETWEEN 5000 AND 5010";
    for (statement, fails) in [
        (&*load, false),
        ("BEGIN", false),
        (&*replace, true),
        (more, false),
        ("COMMIT", false),
        ("SELECT COUNT(*) FROM orders", false),
    ] {
        let seen = files.same(statement).await;
        assert_eq!(matches!(seen[..], [Seen::Failed(..)]), fails, "{seen:?}");
    }
    world
        .same_rows("(SELECT id, customer, note FROM orders) o")
        .await;
    pair.same("DELETE FROM orders WHERE id >= 5000").await;
}

async fn prepared(world: &World, pair: &mut Pair) {
    for conn in [&mut pair.ours, &mut pair.plain] {
        let row: Option<(i64, Option<String>)> = conn
            .exec_first("SELECT id, note FROM orders WHERE id = ?", (1,))
            .await
            .expect("executed");
        assert_eq!(row, Some((1, Some("one".into()))));
        for (id, note) in [(101_i64, "it's \\ x"), (102, "ä"), (103, "")] {
            conn.exec_drop(
                "INSERT INTO orders (id, customer, note) VALUES (?, ?, ?)",
                (id, 1.5, note),
            )
            .await
            .expect("executed");
        }
        conn.exec_drop("UPDATE orders SET note = ? WHERE customer = ?", ("many", 2))
            .await
            .expect("executed");
        assert!(conn.affected_rows() > 0);
        conn.exec_drop("INSERT INTO names VALUES (?, ?), (?, ?)", ("p", 1, "q", 2))
            .await
            .expect("executed");
        let name: Option<i32> = conn
            .exec_first("SELECT n FROM names WHERE name = ?", ("P",))
            .await
            .expect("executed");
        assert_eq!(name, Some(1));
    }
    world
        .same_rows("(SELECT id, customer, note FROM orders) o")
        .await;
    world.same_rows("names").await;
}

async fn transactions(world: &World, pair: &mut Pair) {
    let orders = "(SELECT id, customer, note FROM orders) o";
    for statement in [
        "BEGIN",
        "INSERT INTO orders (id, customer) VALUES (201, 1), (202, 1), (203, 1)",
        "UPDATE single SET a = 1",
        "SELECT id, customer FROM orders WHERE id = 202",
        "ROLLBACK",
        "SELECT id, customer FROM orders WHERE id = 202",
        "START TRANSACTION",
        "INSERT INTO orders (id, customer) VALUES (211, 1), (212, 1), (213, 1)",
        "INSERT INTO orders (id, customer) VALUES (214, 1), (211, 1), (215, 1)",
        "SAVEPOINT s",
        "UPDATE orders SET customer = 2 WHERE id IN (211, 212, 213)",
        "INSERT INTO orders (id, customer) VALUES (216, 1)",
        "ROLLBACK TO SAVEPOINT s",
        "ROLLBACK TO SAVEPOINT nothing",
        "INSERT INTO orders (id, customer) VALUES (217, 1)",
        "COMMIT",
        "SET autocommit = 0",
        "INSERT INTO orders (id, customer) VALUES (221, 1), (222, 1), (223, 1)",
        "ROLLBACK",
        "DELETE FROM orders WHERE id IN (211, 212)",
        "COMMIT",
        "SAVEPOINT first",
        "UPDATE orders SET customer = 9",
        "ROLLBACK TO SAVEPOINT first",
        "DELETE FROM orders WHERE id = 213",
        "COMMIT",
        "INSERT INTO orders (id, customer) VALUES (231, 1), (232, 1)",
        "SET autocommit = 1",
        "START TRANSACTION READ ONLY",
        "SELECT id FROM orders WHERE id = 217",
        "INSERT INTO orders (id) VALUES (241)",
        "COMMIT",
        "BEGIN",
        "DELETE FROM orders WHERE id = 217",
        "TRUNCATE TABLE names",
        "ROLLBACK",
        "SELECT id FROM orders WHERE id = 217",
    ] {
        if statement == "UPDATE single SET a = 1" {
            see(&mut pair.ours, statement).await;
            continue;
        }
        pair.same(statement).await;
    }
    world.same_rows(orders).await;
    world.same_rows("names").await;
    for node in 0..3 {
        let left: Vec<(i64, i64, i64, Vec<u8>)> = world
            .node(node)
            .await
            .query("XA RECOVER")
            .await
            .expect("listed");
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Single tables beside distributed ones are as ever.
async fn single_tables(pair: &mut Pair) {
    pair.both(
        "CREATE TABLE beside (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE beside (id INT PRIMARY KEY, v INT)",
    )
    .await;
    for statement in [
        "ALTER TABLE beside ADD COLUMN w INT DEFAULT 3, ADD INDEX (v)",
        "CREATE INDEX by_w ON beside (w)",
        "INSERT INTO beside (id, v) VALUES (1, 2), (2, 3)",
        "CREATE TEMPORARY TABLE scratch AS SELECT * FROM beside",
        "SELECT * FROM scratch",
        "RENAME TABLE beside TO besides",
        "CREATE VIEW shown AS SELECT id FROM besides",
        "SELECT * FROM shown",
        "TRUNCATE besides",
        "BEGIN",
        "INSERT INTO besides VALUES (5, 6, 7)",
        "DROP TEMPORARY TABLE scratch",
        "SELECT * FROM shown",
        "DROP VIEW shown",
        "ROLLBACK",
        "SELECT * FROM besides",
        "DROP TABLE besides",
        "PREPARE p FROM 'SELECT 1 + ?'",
        "SET @a = 5",
        "EXECUTE p USING @a",
        "DEALLOCATE PREPARE p",
    ] {
        pair.same(statement).await;
    }
}

async fn redefined(world: &World, pair: &mut Pair) {
    // What one node's rows do not allow is done on none.
    let long = "INSERT INTO orders (id, note) VALUES (400, 'much longer than the others are, far')";
    pair.same(long).await;
    let seen = see(&mut pair.ours, "ALTER TABLE orders MODIFY note VARCHAR(39)").await;
    assert!(matches!(seen[..], [Seen::Done { .. }]), "{seen:?}");
    let seen = see(&mut pair.ours, "ALTER TABLE orders MODIFY note VARCHAR(30)").await;
    assert!(
        matches!(seen[..], [Seen::Failed(1265 | 1406, _)]),
        "{seen:?}"
    );
    let seen = see(&mut pair.ours, "ALTER TABLE orders MODIFY note VARCHAR(40)").await;
    assert!(matches!(seen[..], [Seen::Done { .. }]), "{seen:?}");
    for statement in [
        "ALTER TABLE orders ADD COLUMN extra INT NOT NULL DEFAULT 7, ADD INDEX (note)",
        "CREATE INDEX by_extra ON orders (extra)",
        "INSERT INTO orders (id, extra) VALUES (301, 1), (302, 2), (303, 3)",
        "DROP INDEX by_extra ON orders",
        "ANALYZE TABLE orders",
        "RENAME TABLE orders TO purchases",
        "SELECT id, extra FROM purchases WHERE id = 302",
        "SELECT id FROM orders WHERE id = 302",
        "DROP TABLE purchases",
        "SELECT 1 FROM purchases WHERE id = 302",
        "TRUNCATE ids",
        "INSERT INTO ids (v) VALUES ('first'), ('second')",
        "DROP TABLE kinds, names, ids",
    ] {
        if statement == "DROP TABLE purchases" {
            world
                .same_rows("(SELECT id, extra, note FROM purchases) o")
                .await;
        }
        if statement.starts_with("DROP TABLE kinds") {
            world.same_rows("ids").await;
        }
        pair.same(statement).await;
    }
    see(&mut pair.ours, "DROP TABLE again").await;
    for node in 1..3 {
        let left: Vec<String> = world
            .node(node)
            .await
            .query("SHOW TABLES")
            .await
            .expect("shown");
        assert!(left.is_empty(), "{left:?}");
    }
}
