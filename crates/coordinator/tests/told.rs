//! What is told of a distributed table is told of all of it: checksums, rows, bytes, ids.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use crate::common::{Pair, Seen, World, see};

/// All kinds of columns, with NULLs among them.
const COLUMNS: &str = "k INT NOT NULL, a TINYINT, b BIGINT UNSIGNED, c DECIMAL(20,5), d DOUBLE, e FLOAT, \
    f DATE, g DATETIME(6), h TIMESTAMP NULL, i TIME(3), j YEAR, l CHAR(9), m VARCHAR(40) CHARACTER SET latin1, \
    n TEXT, o LONGBLOB, p ENUM('x', 'y'), q SET('x', 'y', 'z'), r BIT(11), s VARBINARY(9), t JSON, u POINT, \
    v INT AS (k + 1) STORED, w INT AS (k * 2) VIRTUAL, PRIMARY KEY (k), KEY by_a (a), KEY by_m (m)";

/// A row of them; every third value is NULL.
fn row(k: usize) -> String {
    let values = [
        format!("{}", k % 100),
        format!("{}", u64::MAX - k as u64),
        format!("-{k}.{k}"),
        format!("{k}e{}", k % 30),
        format!("{k}.5"),
        format!("'2026-01-{:02}'", k % 28 + 1),
        format!("'2026-01-02 03:04:05.{k:06}'"),
        "'2026-01-02 03:04:05'".to_owned(),
        "'12:34:56.789'".to_owned(),
        format!("{}", 1950 + k % 100),
        format!("'c{k}'"),
        format!("'é{k}'"),
        format!("REPEAT('text ', {})", k % 50),
        format!("REPEAT(X'00FF{:02X}', {})", k % 256, k * 40 % 20_000),
        format!("{}", k % 2 + 1),
        format!("{}", k % 8),
        format!("{}", k % 2048),
        format!("X'{k:08X}'"),
        format!("'{{\"k\": {k}}}'"),
        format!("ST_GeomFromText('POINT({k} 1)')"),
    ];
    let values = values.into_iter().enumerate();
    let values = values.map(|(at, value)| match (at + k) % 3 {
        0 => "NULL".to_owned(),
        _ => value,
    });
    format!("({k}, {})", values.collect::<Vec<_>>().join(", "))
}

const NAMES: &str = "k, a, b, c, d, e, f, g, h, i, j, l, m, n, o, p, q, r, s, t, u";

async fn fill(pair: &mut Pair, table: &str, rows: usize) {
    for first in (0..rows).step_by(100) {
        let rows: Vec<_> = (first..rows.min(first + 100)).map(row).collect();
        let insert = format!("INSERT INTO {table} ({NAMES}) VALUES {}", rows.join(", "));
        let seen = pair.same(&insert).await;
        assert!(matches!(seen[..], [Seen::Done { .. }]), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checksums_are_those_of_one_server() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for (name, clause) in [
        ("spread", "DISTRIBUTE BY HASH(k)"),
        ("other", "DISTRIBUTE BY HASH(k)"),
        ("everywhere", "DISTRIBUTE BY BROADCAST"),
        ("single", ""),
    ] {
        let plain = format!("CREATE TABLE {name} ({COLUMNS})");
        pair.both(&format!("{plain} {clause}"), &plain).await;
        fill(&mut pair, name, if name == "other" { 0 } else { 500 }).await;
    }
    let seen = pair.same("CHECKSUM TABLE spread").await;
    let sum = |seen: &[Seen]| match seen {
        [Seen::Rows(_, rows)] => rows[0][1].clone(),
        other => panic!("{other:?}"),
    };
    // It is no matter of nodes that have none.
    assert_ne!(sum(&seen), Value::NULL);
    for statement in [
        "CREATE VIEW shown AS SELECT k, a FROM spread",
        "CHECKSUM TABLE other",
        "CHECKSUM TABLE everywhere",
        "CHECKSUM TABLE single",
        "CHECKSUM TABLES other, `shop`.spread, single, everywhere EXTENDED",
        "SHOW WARNINGS",
        "CHECKSUM TABLE spread QUICK",
        "CHECKSUM TABLE missing, spread, shown, nowhere.x",
        "SHOW WARNINGS",
        "CHECKSUM TABLE other",
        "SHOW WARNINGS",
        "CHECKSUM TABLE spread, spread",
        "UPDATE spread SET a = NULL WHERE k < 100",
        "CHECKSUM TABLE spread",
        "DELETE FROM spread WHERE k BETWEEN 200 AND 300",
        "CHECKSUM TABLE spread",
        // In a transaction what it has written counts.
        "BEGIN",
        "INSERT INTO other (k, n) VALUES (1, 'one'), (2, NULL), (3, 'three')",
        "CHECKSUM TABLE other, spread",
        "ROLLBACK",
        "CHECKSUM TABLE other",
        "SET autocommit = 0",
        "INSERT INTO other (k) VALUES (7), (8), (9)",
        "CHECKSUM TABLE other",
        "ROLLBACK",
        "CHECKSUM TABLE other",
        "SET autocommit = 1",
        "ALTER TABLE spread ADD COLUMN x VARCHAR(20) DEFAULT 'new', DROP COLUMN o",
        "CHECKSUM TABLE spread",
        "TRUNCATE spread",
        "CHECKSUM TABLE spread",
    ] {
        pair.same(statement).await;
    }
    // A snapshot is of all nodes.
    for statement in [
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "SELECT COUNT(*) FROM other",
    ] {
        pair.same(statement).await;
    }
    let before = sum(&pair.same("CHECKSUM TABLE other").await);
    let mut second = world.pair().await;
    second
        .same("INSERT INTO other (k) VALUES (11), (12), (13), (14)")
        .await;
    let inside = sum(&pair.same("CHECKSUM TABLE other").await);
    pair.same("COMMIT").await;
    let behind = sum(&pair.same("CHECKSUM TABLE other").await);
    assert!(
        before == inside && inside != behind,
        "{before:?} {inside:?} {behind:?}"
    );
    // Prepared.
    for conn in [&mut pair.ours, &mut pair.plain] {
        let rows: Vec<(String, Option<u64>)> = conn
            .exec("CHECKSUM TABLE other, missing", ())
            .await
            .expect("prepared");
        assert_eq!(rows[1], ("shop.missing".to_owned(), None));
        assert_eq!(Value::from(rows[0].1), number(&behind));
    }
    let seen = see(&mut pair.ours, "CHECKSUM other").await;
    assert!(matches!(seen[..], [Seen::Failed(..)]), "{seen:?}");
}

fn number(text: &Value) -> Value {
    let Value::Bytes(text) = text else {
        panic!("{text:?}");
    };
    Value::from(
        std::str::from_utf8(text)
            .expect("text")
            .parse::<u64>()
            .expect("a number"),
    )
}

/// Writers move amounts between rows of all nodes as the checksums are taken: each of these is of a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checksum_is_of_one_moment() {
    let world = World::new().await;
    let mut client = world.client().await;
    let create = "CREATE TABLE pairs (k INT PRIMARY KEY, n INT NOT NULL) DISTRIBUTE BY HASH(k)";
    client.query_drop(create).await.expect(create);
    let fill = "INSERT INTO pairs SELECT seq, 0 FROM seq_1_to_60";
    client.query_drop(fill).await.expect(fill);
    let of = |n: i32| format!("UPDATE pairs SET n = {n}");
    let mut moments = Vec::new();
    for n in 0..2 {
        client.query_drop(of(n)).await.expect("written");
        moments.push(checksum(&mut client).await);
    }
    assert_ne!(moments[0], moments[1]);
    let mut writer = world.client().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while stopped.try_recv().is_err() {
            count += 1;
            writer.query_drop(of(count % 2)).await.expect("written");
        }
        count
    });
    for _ in 0..200 {
        let found = checksum(&mut client).await;
        assert!(moments.contains(&found), "{found} {moments:?}");
    }
    stop.send(()).expect("it runs");
    assert!(writing.await.expect("it ends") > 1);
}

async fn checksum(client: &mut Conn) -> u64 {
    let row: Option<(String, u64)> = client
        .query_first("CHECKSUM TABLE pairs")
        .await
        .expect("told");
    row.expect("a row").1
}

/// What nodes themselves tell of a table, added.
async fn of_nodes(world: &World, column: &str, table: &str) -> u64 {
    let mut sum = 0;
    for node in 0..world.nodes.len() {
        let question = format!(
            "SELECT {column} FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '{table}'"
        );
        let value: Option<u64> = world
            .node(node)
            .await
            .query_first(question)
            .await
            .expect("asked");
        sum += value.unwrap_or(0);
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_bytes_and_ids_are_those_of_the_whole_table() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for (name, clause) in [
        ("spread", "DISTRIBUTE BY HASH(id)"),
        ("everywhere", "DISTRIBUTE BY BROADCAST"),
        ("single", ""),
    ] {
        let plain = format!(
            "CREATE TABLE {name} (id INT PRIMARY KEY AUTO_INCREMENT, kind INT, mail VARCHAR(40), \
             KEY by_kind (kind, id), KEY by_mail (mail)) ROW_FORMAT=DYNAMIC STATS_AUTO_RECALC=0"
        );
        pair.both(&format!("{plain} {clause}"), &plain).await;
        let empty = format!(
            "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_NAME = '{name}'"
        );
        pair.same(&empty).await;
        let rows = (1..=3000).map(|k| format!("({}, 'mail{k}@example.com')", k / 1000));
        let rows = rows.collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO {name} (kind, mail) VALUES {rows}");
        pair.same(&insert).await;
        pair.same(&format!("INSERT INTO {name} (kind) VALUES (1)"))
            .await;
        pair.same(&format!("DELETE FROM {name} WHERE id = 3001"))
            .await;
    }
    pair.same("CREATE VIEW shown AS SELECT id FROM spread")
        .await;
    see(&mut pair.ours, "ANALYZE TABLE spread, everywhere, single").await;
    see(&mut pair.plain, "ANALYZE TABLE spread, everywhere, single").await;
    for statement in [
        // Exactly.
        "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1",
        "SELECT t.TABLE_NAME, t.AUTO_INCREMENT + 1 AS n, t.TABLE_ROWS > 0 FROM information_schema.`tables` AS t \
         WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME IN ('spread', 'single') ORDER BY 1",
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1",
        "SELECT INDEX_NAME, SEQ_IN_INDEX, CARDINALITY FROM information_schema.STATISTICS WHERE \
         TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'everywhere' ORDER BY 1, 2",
        "SELECT a.INDEX_NAME, a.CARDINALITY = b.AUTO_INCREMENT FROM information_schema.STATISTICS a JOIN \
         information_schema.TABLES b USING (TABLE_SCHEMA, TABLE_NAME) WHERE a.TABLE_SCHEMA = 'shop' AND \
         a.TABLE_NAME = 'single' ORDER BY 1, 2",
        "SHOW INDEX FROM single",
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'",
        "SHOW TABLE STATUS LIKE 'SPR%'",
        "SHOW TABLE STATUS LIKE 'nothing'",
        "SHOW TABLE STATUS WHERE nothing = 1",
        "SELECT nothing, TABLE_ROWS FROM information_schema.TABLES",
    ] {
        pair.same(statement).await;
    }
    let condition = "WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'spread'";
    for column in ["TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE"] {
        let sum = of_nodes(&world, column, "spread").await;
        let question =
            |table: &str| format!("SELECT {column} FROM information_schema.{table} {condition}");
        for question in [question("TABLES"), question("PARTITIONS")] {
            let told: Option<u64> = pair.ours.query_first(&question).await.expect("told");
            assert_eq!(told, Some(sum), "{question}");
            let told: Option<u64> = pair.ours.exec_first(&question, ()).await.expect("told");
            assert_eq!(told, Some(sum), "{question}");
        }
    }
    assert!(of_nodes(&world, "TABLE_ROWS", "spread").await >= 2900);
    whole_rows(&world, &mut pair).await;
    other_ways(&world, &mut pair).await;
}

fn text(row: &Row, column: &str) -> String {
    match row.get::<Value, _>(column).expect(column) {
        Value::Bytes(bytes) => String::from_utf8(bytes).expect("text"),
        other => panic!("{column}: {other:?}"),
    }
}

/// Rows of `SHOW` with the names that a server gives their columns.
async fn whole_rows(world: &World, pair: &mut Pair) {
    let rows = of_nodes(world, "TABLE_ROWS", "spread").await;
    let bytes = of_nodes(world, "DATA_LENGTH", "spread").await;
    for statement in [
        "SHOW TABLE STATUS",
        "SHOW TABLE STATUS FROM shop WHERE `Rows` > 1000 AND Name LIKE 's%'",
        "SHOW TABLE STATUS IN `shop` LIKE 'sp%'",
    ] {
        let ours: Vec<Row> = pair.ours.query(statement).await.expect(statement);
        let plain: Vec<Row> = pair.plain.query(statement).await.expect(statement);
        let names = |rows: &[Row]| -> Vec<_> { rows.iter().map(|row| text(row, "Name")).collect() };
        assert_eq!(names(&ours), names(&plain), "{statement}");
        let columns = |row: &Row| -> Vec<_> {
            let columns = row.columns_ref().iter();
            columns
                .map(|it| {
                    (
                        it.name_str().into_owned(),
                        it.org_table_str().into_owned(),
                        it.column_type(),
                    )
                })
                .collect()
        };
        assert_eq!(columns(&ours[0]), columns(&plain[0]), "{statement}");
        let spread = ours.iter().find(|row| text(row, "Name") == "spread");
        let spread = spread.expect(statement);
        assert_eq!(text(spread, "Rows"), rows.to_string());
        assert_eq!(text(spread, "Data_length"), bytes.to_string());
        assert_eq!(text(spread, "Avg_row_length"), (bytes / rows).to_string());
        assert_eq!(text(spread, "Auto_increment"), "3002");
        let options = text(spread, "Create_options");
        let is_told = options.contains("row_format=DYNAMIC")
            && options.contains(" DISTRIBUTE BY HASH(`id`)")
            && !options.contains("distribute_by");
        assert!(is_told, "{options}");
        let prepared: Vec<Row> = pair.ours.exec(statement, ()).await.expect(statement);
        let named = prepared.iter().find(|row| text(row, "Name") == "spread");
        let told: Option<u64> = named.expect(statement).get("Rows");
        assert_eq!(told, Some(rows));
    }
    let shown: Vec<Row> = pair
        .ours
        .query("SHOW INDEXES FROM spread")
        .await
        .expect("shown");
    let told: Vec<_> = shown
        .iter()
        .map(|row| {
            (
                text(row, "Key_name"),
                text(row, "Seq_in_index"),
                text(row, "Cardinality"),
            )
        })
        .collect();
    let primary: u64 = told[0].2.parse().expect("a number");
    assert!((2900..3100).contains(&primary), "{told:?}");
    let plain: Vec<Row> = pair
        .plain
        .query("SHOW INDEXES FROM spread")
        .await
        .expect("shown");
    assert_eq!(shown.len(), plain.len());
    for (ours, plain) in shown.iter().zip(&plain) {
        for column in [
            "Table",
            "Key_name",
            "Column_name",
            "Seq_in_index",
            "Index_type",
        ] {
            assert_eq!(text(ours, column), text(plain, column));
        }
        // Estimates of a few thousand rows, and of three kinds.
        let number = |row: &Row| text(row, "Cardinality").parse::<u64>().expect("a number");
        let (ours, plain) = (number(ours), number(plain));
        assert!(ours <= 2 * plain && plain <= 2 * ours, "{ours} {plain}");
    }
    let shown: Vec<Row> = pair
        .ours
        .query("SHOW KEYS IN spread FROM shop WHERE Key_name = 'PRIMARY'")
        .await
        .expect("shown");
    assert_eq!(shown.len(), 1);
    assert_eq!(text(&shown[0], "Cardinality"), primary.to_string());
}

/// Whoever asks, and however.
async fn other_ways(world: &World, pair: &mut Pair) {
    let rows = of_nodes(world, "TABLE_ROWS", "spread").await;
    let first = "SELECT TABLE_ROWS FROM information_schema.TABLES t WHERE t.TABLE_NAME = 'spread'";
    for statement in [
        first,
        "SELECT information_schema.tables.table_rows FROM INFORMATION_SCHEMA.tables WHERE table_name = 'spread'",
        "SELECT (SELECT SUM(x.TABLE_ROWS) FROM information_schema.TABLES x WHERE x.TABLE_NAME = s.n) FROM \
         (SELECT 'spread' AS n) s",
        "WITH x AS (SELECT * FROM information_schema.TABLES) SELECT TABLE_ROWS FROM x WHERE TABLE_NAME = 'spread'",
        "SELECT TABLE_ROWS FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'spread' UNION \
         SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_NAME = 'spread'",
    ] {
        let told: Vec<u64> = pair.ours.query(statement).await.expect(statement);
        assert_eq!(told, [rows], "{statement}");
    }
    // With values that come apart, and inside of a transaction that goes on.
    let statement = "SELECT TABLE_NAME, TABLE_ROWS, UPDATE_TIME FROM information_schema.TABLES WHERE \
                     TABLE_SCHEMA = ? AND TABLE_NAME = ?";
    pair.ours.query_drop("BEGIN").await.expect("begun");
    let write = "INSERT INTO spread (kind) VALUES (1), (2), (3), (4)";
    pair.ours.query_drop(write).await.expect("written");
    let told: Option<(String, u64, Value)> = pair
        .ours
        .exec_first(statement, ("shop", "spread"))
        .await
        .expect("told");
    let told = told.expect("a row");
    assert!(told.0 == "spread" && told.1 >= rows, "{told:?}");
    pair.ours.query_drop("ROLLBACK").await.expect("undone");
    let count: Option<u64> = pair
        .ours
        .query_first("SELECT COUNT(*) FROM spread")
        .await
        .expect("counted");
    assert_eq!(count, Some(3000));
    // Into a variable, and in another database.
    let into =
        "SELECT TABLE_ROWS INTO @rows FROM information_schema.TABLES WHERE TABLE_NAME = 'spread'";
    pair.ours.query_drop(into).await.expect(into);
    let told: Option<u64> = pair.ours.query_first("SELECT @rows").await.expect("told");
    assert!(told >= Some(rows), "{told:?}");
    pair.ours
        .query_drop("USE information_schema")
        .await
        .expect("used");
    let unqualified = "SELECT TABLE_ROWS FROM TABLES WHERE TABLE_NAME = 'spread'";
    let told: Vec<u64> = pair.ours.query(unqualified).await.expect("told");
    assert!(told.len() == 1 && told[0] >= rows, "{told:?}");
    pair.ours.query_drop("USE shop").await.expect("used");
    for (statement, nodes) in [
        (first, "0, 1, 2"),
        ("CHECKSUM TABLE spread", "0, 1, 2"),
        ("SHOW TABLE STATUS LIKE 'single'", "0"),
    ] {
        let routes: Vec<Row> = pair
            .ours
            .query(format!("EXPLAIN ROUTE {statement}"))
            .await
            .expect(statement);
        assert_eq!(text(&routes[0], "Node"), nodes, "{statement}");
    }
    // Where figures cannot be told, nothing is.
    world.kill_node(2).await;
    let seen = see(&mut pair.ours, first).await;
    assert!(matches!(seen[..], [Seen::Failed(1429, _)]), "{seen:?}");
    let seen = see(&mut pair.ours, "SHOW TABLE STATUS LIKE 'single'").await;
    assert!(matches!(seen[..], [Seen::Rows(..)]), "{seen:?}");
    world.start_node(2).await;
}
