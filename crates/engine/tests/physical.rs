//! Sets of data files: what the manifest says was read from the server while it went on, and
//! what comes of the files is exactly that.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::beds::Beds;
use crate::common::db;
use mysql_async::prelude::Queryable;
use openpeta_engine::{BackupKeys, EngineError, Manifest, TakenSet, decrypt_backup};

/// A database with one of everything.
const SCHEMA: &str = include_str!("data/backup_schema.sql");

/// What another database of the node has.
const OTHER: &str =
    "CREATE DATABASE other; CREATE TABLE other.t (a INT PRIMARY KEY, FULLTEXT (b), b TEXT);
    INSERT INTO other.t VALUES (1, 'secret of another');
    CREATE TABLE other.`d-p` (a INT PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 3;
    CREATE PROCEDURE other.p() SELECT 'secret program';
    CREATE USER passer_by IDENTIFIED BY 'x';";

/// How many rows a query gives.
async fn count(beds: &Beds, node: &openpeta_types::NodeId, query: &str) -> u64 {
    let mut conn = beds.connect(node).await;
    let rows: Vec<mysql_async::Row> = conn.query(query).await.expect(query);
    rows.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_full_set_and_of_increments_come_back_as_they_were() {
    let beds = Beds::new().await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    beds.script(&beds.from, OTHER.as_bytes());
    let mut conn = beds.connect(&beds.from).await;
    conn.query_drop("CREATE TABLE held (a INT PRIMARY KEY)")
        .await
        .expect("create");
    conn.query_drop(
        "XA START 'open'; INSERT INTO held VALUES (1); XA END 'open'; XA PREPARE 'open'",
    )
    .await
    .expect("prepare");
    let full = beds.take_files("1", None).await.expect("a full set");
    let logical = beds.take("0").await;
    assert_eq!(full.manifest.views, logical.manifest.views);
    assert_eq!(full.manifest.invalid_views, logical.manifest.invalid_views);
    for (name, entry) in &logical.manifest.tables {
        if entry.engine != "MEMORY" {
            assert_eq!(full.manifest.tables[name], *entry, "{name}");
        }
    }
    assert_eq!(beds.check("1", &full).await.expect("whole"), full.manifest);
    assert_eq!(full.manifest.format, 3);
    beds.script(
        &beds.from,
        b"CREATE TABLE newer (a INT PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 2;
          INSERT INTO newer SELECT seq FROM seq_1_to_500; INSERT INTO in_aria VALUES (4711);
          RENAME TABLE my_isam TO isam_of_mine; INSERT INTO isam_of_mine VALUES (9, 'more');
          DROP TABLE merged; CREATE PROCEDURE later() SELECT 1;",
    );
    let second = beds
        .take_files("2", Some(&full))
        .await
        .expect("an increment");
    beds.script(
        &beds.from,
        b"DELETE FROM newer WHERE a % 3 = 0; DROP PROCEDURE later;",
    );
    let third = beds
        .take_files("3", Some(&second))
        .await
        .expect("an increment");
    let lsns = |taken: &TakenSet| {
        let physical = taken.manifest.physical.as_ref().expect("files");
        (physical.from_lsn, physical.to_lsn)
    };
    assert_eq!(lsns(&full).0, 0);
    assert_eq!(lsns(&second).0, lsns(&full).1);
    assert_eq!(lsns(&third).0, lsns(&second).1);

    for chain in [&[&full][..], &[&full, &second, &third]] {
        beds.load_chain(chain).await.expect("loaded");
        let last = chain.last().expect("one");
        beds.verify(&last.manifest).await.expect("it is the same");
        for (query, rows) in [
            (
                "SELECT @@event_scheduler WHERE @@event_scheduler = 'OFF'",
                1,
            ),
            ("XA RECOVER", 0),
            ("SHOW DATABASES LIKE 'other'", 0),
            (
                "SELECT 1 FROM information_schema.INNODB_SYS_TABLES WHERE NAME LIKE 'other/%'",
                0,
            ),
            ("SELECT 1 FROM mysql.proc WHERE db = 'other'", 0),
            (
                "SELECT 1 FROM mysql.global_priv WHERE User NOT IN ('openpeta_admin', 'mariadb.sys')",
                0,
            ),
            ("SELECT 1 FROM mysql.gtid_slave_pos", 0),
        ] {
            assert_eq!(count(&beds, &beds.to, query).await, rows, "{query}");
        }
    }
    // What the node was told meanwhile holds, also over a restart, and nothing stands in the way
    // of the names of others.
    beds.bed.engine.finish_load(&beds.to).await.expect("done");
    beds.script(&beds.to, OTHER.as_bytes());
    let stop = std::time::Duration::from_secs(20);
    beds.bed
        .engine
        .stop_node(&beds.to, stop)
        .await
        .expect("stopped");
    beds.bed.engine.start_node(&beds.to).await.expect("started");
    let on = "SELECT 1 WHERE @@event_scheduler = 'ON'";
    assert_eq!(count(&beds, &beds.to, on).await, 1);
    conn.query_drop("XA ROLLBACK 'open'")
        .await
        .expect("still there at the source");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_moment_is_exact_while_clients_write() {
    let beds = Arc::new(Beds::new().await);
    beds.script(
        &beds.from,
        b"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT); CREATE TABLE b LIKE a;
          CREATE TABLE c (v INT) ENGINE=MyISAM; CREATE TABLE d (v INT) ENGINE=Aria;
          CREATE SEQUENCE s CACHE 3;",
    );
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for table in ["a", "b", "c", "d"] {
        let (beds, is_over) = (Arc::clone(&beds), Arc::clone(&is_over));
        writers.push(tokio::spawn(async move {
            let mut conn = beds.connect(&beds.from).await;
            let mut written = 0;
            while !is_over.load(Ordering::Relaxed) {
                for statement in [
                    format!("INSERT INTO {table} (v) VALUES (1), (2)"),
                    format!("UPDATE {table} SET v = v + 1 ORDER BY v LIMIT 2"),
                    "DO NEXTVAL(s)".to_owned(),
                ] {
                    conn.query_drop(statement).await.expect("a write");
                }
                written += 1;
            }
            written
        }));
    }
    let mut chain = Vec::new();
    for name in ["1", "2"] {
        // A sequence that goes on in the very moment makes an attempt void, as does a table
        // of Aria that cannot be locked.
        let taken = loop {
            match beds.take_files(name, chain.last()).await {
                Err(EngineError::SchemaChanged { .. }) => {}
                taken => break taken.expect("a set"),
            }
        };
        chain.push(taken);
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.expect("no failure") > 0);
    }
    let chain: Vec<_> = chain.iter().collect();
    beds.load_chain(&chain).await.expect("loaded");
    let manifest = &chain[1].manifest;
    assert!(manifest.tables.values().all(|table| table.rows > 0));
    beds.verify(manifest).await.expect("it is the same");
}

/// Somebody makes, changes and drops tables while files are copied: what is called a set is one, and
/// what cannot be one is told.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_change_meanwhile_are_no_silent_loss() {
    const WANTED: usize = 2;
    let beds = Arc::new(Beds::new().await);
    beds.script(
        &beds.from,
        b"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT); CREATE TABLE z LIKE a;
          INSERT INTO a (v) SELECT seq FROM seq_1_to_20000; INSERT INTO z SELECT * FROM a;",
    );
    let is_over = Arc::new(AtomicBool::new(false));
    let changer = {
        let (beds, is_over) = (Arc::clone(&beds), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut conn = beds.connect(&beds.from).await;
            let mut changed = 0;
            while !is_over.load(Ordering::Relaxed) {
                for statement in [
                    "CREATE TABLE m LIKE a",
                    "INSERT INTO m SELECT * FROM a WHERE id < 500",
                    "ALTER TABLE z ADD COLUMN n INT, ALGORITHM=COPY",
                    "RENAME TABLE m TO n, z TO m, n TO z",
                    "TRUNCATE TABLE m",
                    "INSERT INTO z (v) VALUES (7)",
                    "DROP TABLE m",
                ] {
                    conn.query_drop(statement).await.expect(statement);
                    changed += 1;
                }
            }
            changed
        })
    };
    let (mut refused, mut whole) = (Vec::new(), 0);
    while whole < WANTED && refused.len() < 8 {
        let name = format!("{}", refused.len() + whole);
        match beds.take_files(&name, None).await {
            Ok(taken) => {
                beds.load_chain(&[&taken]).await.expect("loaded");
                beds.verify(&taken.manifest).await.expect("it is the same");
                whole += 1;
            }
            Err(
                error @ (EngineError::SchemaChanged { .. } | EngineError::BackupToolFailed { .. }),
            ) => refused.push(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(changer.await.expect("no failure") > 0);
    // Once nobody does it any more, there is one.
    let taken = beds.take_files("last", None).await.expect("a set");
    beds.load_chain(&[&taken]).await.expect("loaded");
    beds.verify(&taken.manifest).await.expect("it is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_encrypted_and_go_into_a_node_with_other_databases() {
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let keys = || BackupKeys::parse(KEY).expect("keys");
    let beds = Beds::with(|config| config.backup_keys = keys()).await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let taken = beds.take_files("1", None).await.expect("a set");
    assert_eq!(taken.manifest.format, 4);
    let set = beds.set("1");
    let name = "data.mbstream.zst.enc";
    assert_eq!(taken.manifest.dump.name, name);
    let plain = beds.set("2");
    decrypt_backup(&keys(), &set, &plain).expect("decrypted");
    let text = fs::read_to_string(plain.join("manifest.json")).expect("a file");
    let shown: Manifest = serde_json::from_str(&text).expect("a manifest");
    assert_eq!(
        (shown.format, shown.dump.name.as_str()),
        (3, "data.mbstream.zst")
    );
    assert_eq!(shown.tables, taken.manifest.tables);

    let mut sql = beds.bed.engine.sql(&beds.to).await.expect("connect");
    sql.create_database(&db("kept")).await.expect("create");
    sql.close().await;
    beds.script_in(
        &beds.to,
        "kept",
        b"CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);",
    );
    for _ in 0..2 {
        beds.load_chain(&[&taken]).await.expect("loaded");
        beds.verify(&taken.manifest).await.expect("it is the same");
        assert_eq!(count(&beds, &beds.to, "SELECT * FROM kept.t").await, 2);
    }

    let path = set.join(name);
    let mut damaged = fs::read(&path).expect("a file");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&path, damaged).expect("ours");
    beds.load_chain(&[&taken]).await.expect_err("damaged");
    let error = beds.check("1", &taken).await.expect_err("damaged");
    assert!(matches!(&error, EngineError::DamagedSet { .. }), "{error}");
    assert!(error.to_string().contains(name), "{error}");
}
