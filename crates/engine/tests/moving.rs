//! Partitions move between two nodes while sessions write to the one that has them.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use openpeta_engine::{EngineError, Mover, PartitionMove};
use openpeta_sql_route::Partitions;

use crate::common::beds::Beds;
use crate::common::db;

const COUNT: u16 = 8;
const MOVING: [u16; 3] = [1, 4, 6];

/// Tables with the rows that move by SQL of the test's own.
const TABLES: [(&str, &str); 4] = [
    ("numbers", "ABS(k MOD 8) IN (1,4,6)"),
    (
        "texts",
        "CRC32(WEIGHT_STRING(TRIM(TRAILING ' ' FROM k))) MOD 8 IN (1,4,6)",
    ),
    ("heap", "ABS(k MOD 8) IN (1,4,6)"),
    ("everywhere", "1=1"),
];

const DEFINITIONS: [&str; 4] = [
    "CREATE TABLE numbers (id BIGINT AUTO_INCREMENT, k INT NOT NULL, n INT, f FLOAT, b BLOB, \
     g INT AS (n + 1) STORED, PRIMARY KEY (id, k)) `distribute_by`='HASH(k)'",
    "CREATE TABLE texts (k VARCHAR(20) COLLATE utf8mb4_general_ci, d DATETIME(3), e ENUM('x','y'), \
     t TEXT CHARACTER SET latin1, PRIMARY KEY (k, d, e)) `distribute_by`='HASH(k)'",
    "CREATE TABLE heap (k BIGINT NOT NULL, n INT, KEY (k)) `distribute_by`='HASH(`k`)'",
    "CREATE TABLE everywhere (id INT PRIMARY KEY, t VARCHAR(9)) `distribute_by`='BROADCAST'",
];

fn plan(beds: &Beds) -> PartitionMove {
    PartitionMove {
        database: db("shop"),
        from: beds.from.clone(),
        to: beds.to.clone(),
        count: Partitions::new(NonZeroU16::new(COUNT).expect("not 0")),
        partitions: MOVING.to_vec(),
        broadcast: true,
    }
}

async fn run(conn: &mut Conn, statement: &str) {
    let done = conn.query_drop(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn beds() -> Beds {
    let beds = Beds::new().await;
    let mut conn = beds.connect(&beds.from).await;
    run(&mut conn, "SET sql_mode='IGNORE_BAD_TABLE_OPTIONS'").await;
    for definition in DEFINITIONS {
        run(&mut conn, definition).await;
    }
    for statement in [
        "INSERT INTO numbers (k, n, f, b) SELECT CAST(seq AS SIGNED) MOD 97 - 40, seq, seq / 3, CHAR(seq, 0, 39) \
         FROM seq_1_to_5000",
        "INSERT INTO texts SELECT CONCAT('Kü', seq, ' '), '2026-11-30 01:02:03.456' + INTERVAL seq SECOND, \
         1 + seq MOD 2, 'ü' FROM seq_1_to_3000",
        "INSERT INTO heap SELECT seq MOD 50, seq FROM seq_1_to_1000",
        "INSERT INTO everywhere SELECT seq, seq FROM seq_1_to_100",
    ] {
        run(&mut conn, statement).await;
    }
    let defined = beds
        .bed
        .engine
        .define_partitions(&db("shop"), &beds.from, &beds.to)
        .await;
    defined.expect("defined");
    beds
}

/// What a table has of the rows that move, in an order that is the same everywhere.
async fn rows(conn: &mut Conn, table: &str, condition: &str) -> Vec<String> {
    let query = format!("SELECT * FROM {table} WHERE {condition}");
    let rows: Vec<Row> = conn.query(query).await.expect("read");
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

async fn same(beds: &Beds) {
    let mut from = beds.connect(&beds.from).await;
    let mut to = beds.connect(&beds.to).await;
    for (table, condition) in TABLES {
        let expected = rows(&mut from, table, condition).await;
        assert!(expected.len() > 50, "{table}: {}", expected.len());
        let found = rows(&mut to, table, condition).await;
        assert_eq!(found.len(), expected.len(), "{table}");
        assert!(found == expected, "{table} differs");
        let others = rows(&mut to, table, &format!("NOT ({condition})")).await;
        assert!(others.is_empty(), "{table} has rows that do not move");
    }
}

/// Writes until it is told to stop: each kind of change, within a transaction of each kind.
async fn write(mut conn: Conn, number: u64, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let (id, k) = (round * 7 % 5000, round % 97);
        let statements = [
            format!("UPDATE numbers SET n = n + 1, b = '{round}' WHERE id = {id}"),
            format!("INSERT INTO numbers (k, n) VALUES ({k}, {number})"),
            format!(
                "UPDATE numbers SET id = id + 1000000 WHERE id = {}",
                round * 11 % 5000
            ),
            format!("DELETE FROM texts WHERE k = 'Kü{}'", round * 13 % 3000),
            format!("INSERT IGNORE INTO texts VALUES ('neu{round}', NOW(3), 'y', 'é')"),
            format!(
                "UPDATE texts SET k = UPPER(k), t = '{round}' WHERE k = 'kü{}'",
                round * 3 % 3000
            ),
            format!("UPDATE heap SET n = n + 1 WHERE k = {}", round % 50),
            format!("DELETE FROM heap WHERE k = {} LIMIT 1", round * 3 % 50),
            format!("INSERT INTO heap VALUES ({}, 0)", round % 50),
            format!(
                "REPLACE INTO everywhere VALUES ({}, '{round}')",
                round % 100
            ),
        ];
        let (begin, end) = match round % 3 {
            0 => (vec![], vec![]),
            1 => (vec!["BEGIN".to_owned()], vec!["COMMIT".to_owned()]),
            _ => {
                let id = format!("'w{number}','{round}'");
                let verb = if round.is_multiple_of(4) {
                    "ROLLBACK"
                } else {
                    "COMMIT"
                };
                let end = [
                    format!("XA END {id}"),
                    format!("XA PREPARE {id}"),
                    format!("XA {verb} {id}"),
                ];
                (vec![format!("XA START {id}")], end.to_vec())
            }
        };
        let mut failed = false;
        for statement in begin.iter().chain(&statements).chain(&end) {
            match conn.query_drop(statement).await {
                Ok(()) => {}
                // Two that write the same rows.
                Err(mysql_async::Error::Server(error)) if error.code == 1213 => {
                    failed = true;
                    break;
                }
                Err(error) => panic!("{statement}: {error}"),
            }
        }
        if failed {
            for statement in end.iter().take(1).chain([
                &format!("XA ROLLBACK 'w{number}','{round}'"),
                &"ROLLBACK".to_owned(),
            ]) {
                let _ = conn.query_drop(statement).await;
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn approach(mover: &mut Mover) {
    for _ in 0..1000 {
        if mover.approach().await.expect("it goes on").is_small() {
            return;
        }
    }
    panic!("the gap does not become small");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_move_while_they_are_written() {
    let beds = beds().await;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..2 {
        let conn = beds.connect(&beds.from).await;
        writers.spawn(write(conn, number, Arc::clone(&stop), Arc::clone(&done)));
    }
    // A transaction that is prepared before all begins, and decided when all is copied.
    let mut early = beds.connect(&beds.from).await;
    for statement in [
        "XA START 'early'",
        "INSERT INTO numbers (id, k, n) VALUES (77777777, 4, 4)",
        "XA END 'early'",
    ] {
        run(&mut early, statement).await;
    }
    let mut mover = beds
        .bed
        .engine
        .begin_move(plan(&beds))
        .await
        .expect("begun");
    assert!(mover.copy().await.expect("copied"));
    mover.approach().await.expect("it goes on");
    mover.close().await;
    // Another process goes on with it.
    let mut mover = beds
        .bed
        .engine
        .begin_move(plan(&beds))
        .await
        .expect("begun");
    while mover.copy().await.expect("copied") {}
    run(&mut early, "XA PREPARE 'early'").await;
    approach(&mut mover).await;
    run(&mut early, "XA COMMIT 'early'").await;
    let before = done.load(Ordering::Relaxed);
    assert!(before > 20, "{before} transactions are no load");
    while done.load(Ordering::Relaxed) < before + 20 {
        mover.approach().await.expect("it goes on");
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer ends well");
    }
    mover.finish().await.expect("the same");
    let compared = mover.compare().await.expect("the same");
    assert!(compared > 1000, "{compared}");
    same(&beds).await;
    mover.close().await;

    // What has moved goes from where it was.
    let (engine, shop) = (&beds.bed.engine, db("shop"));
    let kept: Vec<u16> = (0..COUNT).filter(|it| !MOVING.contains(it)).collect();
    let count = plan(&beds).count;
    let removed = engine
        .clean_partitions(&beds.from, &shop, (count, &kept), &|_| {
            Ok(std::time::Duration::ZERO)
        })
        .await
        .expect("removed");
    let mut from = beds.connect(&beds.from).await;
    let mut to = beds.connect(&beds.to).await;
    let mut expected = 0;
    for (table, condition) in &TABLES[..3] {
        assert!(
            rows(&mut from, table, condition).await.is_empty(),
            "{table}"
        );
        assert!(!rows(&mut from, table, "1=1").await.is_empty(), "{table}");
        expected += rows(&mut to, table, condition).await.len() as u64;
    }
    assert_eq!(removed, expected);
    engine
        .forget_moves(&beds.to, &shop)
        .await
        .expect("forgotten");
    let left: Option<String> = to
        .query_first("SHOW DATABASES LIKE 'openpeta_moving'")
        .await
        .expect("asked");
    assert_eq!(left, None);
}

#[tokio::test]
async fn what_is_not_the_same_is_found() {
    let beds = beds().await;
    let mut mover = beds
        .bed
        .engine
        .begin_move(plan(&beds))
        .await
        .expect("begun");
    while mover.copy().await.expect("copied") {}
    let mut to = beds.connect(&beds.to).await;
    run(&mut to, "UPDATE texts SET t = 'a' LIMIT 1").await;
    let error = mover.finish().await.expect_err("a row is another");
    assert!(
        matches!(&error, EngineError::NotMoved { what } if what.contains("texts")),
        "{error}"
    );
    // The source's rows are brought again when they are touched.
    let mut from = beds.connect(&beds.from).await;
    run(&mut from, "UPDATE texts SET t = CONCAT(t, 'b')").await;
    mover.finish().await.expect("the same");
    same(&beds).await;
}

#[tokio::test]
async fn a_table_without_keys_is_not_moved() {
    let beds = beds().await;
    let mut conn = beds.connect(&beds.from).await;
    run(&mut conn, "SET sql_mode='IGNORE_BAD_TABLE_OPTIONS'").await;
    run(
        &mut conn,
        "CREATE TABLE odd (f DOUBLE PRIMARY KEY) `distribute_by`='BROADCAST'",
    )
    .await;
    let Err(error) = beds.bed.engine.begin_move(plan(&beds)).await else {
        panic!("its rows cannot be found again");
    };
    assert!(error.to_string().contains("odd"), "{error}");
}
