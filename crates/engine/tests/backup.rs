//! Backup sets: what is taken, loaded and compared is the same to the last bit, and what is not
//! is noticed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::beds::Beds;
use crate::common::db;
use mysql_async::prelude::Queryable;
use openpeta_engine::{
    BackupKeys, BackupSource, EngineConfig, EngineError, Manifest, Origin, decrypt_backup,
};

/// A database with one of everything.
const SCHEMA: &str = include_str!("data/backup_schema.sql");

/// The text of a set's dump.
fn dump_text(set: &Path) -> Vec<u8> {
    let output = Command::new("zstd")
        .arg("-dc")
        .arg(set.join("dump.sql.zst"))
        .output();
    output.expect("zstd is installed").stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_as_it_was() {
    let beds = Beds::new().await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let taken = beds.take("1").await;
    let manifest = &taken.manifest;
    assert_eq!(beds.check("1", &taken).await.expect("whole"), *manifest);
    assert_eq!(
        manifest.invalid_views.keys().collect::<Vec<_>>(),
        ["v_invalid"]
    );
    assert!(manifest.binlog.gtid.starts_with("0-"), "{manifest:?}");
    let files: u64 = fs::read_dir(beds.set("1"))
        .expect("it is there")
        .map(|entry| entry.expect("a file").metadata().expect("a file").len())
        .sum();
    assert_eq!(taken.bytes, files);
    for _ in 0..2 {
        beds.load("1", manifest).await.expect("it can be loaded");
        beds.verify(manifest).await.expect("it is the same");
    }
    beds.bed.engine.finish_load(&beds.to).await.expect("done");

    // The server itself computes the same sums.
    let mut conn = beds.connect(&beds.to).await;
    conn.query_drop("SET time_zone='+00:00', NAMES utf8mb4")
        .await
        .expect("settings");
    for (name, table) in &manifest.tables {
        if table.check.is_empty() {
            continue;
        }
        let sums: Vec<(u64, String)> = conn.query(&table.check).await.expect(name);
        assert_eq!(sums, [(table.rows, table.checksum.clone())], "{name}");
    }

    // What was restored can be backed up in its turn, and is again the same.
    let socket = beds.bed.engine.socket_path(&beds.to).expect("short enough");
    assert!(socket.exists());
    let again = Beds {
        from: beds.to.clone(),
        to: beds.from.clone(),
        bed: beds.bed,
    };
    let second = again.take("2").await;
    assert_eq!(second.manifest.tables, manifest.tables);
    assert_eq!(second.manifest.views, manifest.views);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_can_be_loaded_by_hand() {
    let beds = Beds::new().await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let taken = beds.take("1").await;
    let mut sql = beds.bed.engine.sql(&beds.to).await.expect("connect");
    sql.create_database(&db("shop")).await.expect("create");
    sql.close().await;
    let mut conn = beds.connect(&beds.to).await;
    conn.query_drop("SET GLOBAL max_allowed_packet=1073741824, GLOBAL event_scheduler=OFF")
        .await
        .expect("settings");
    beds.script(&beds.to, &dump_text(&beds.set("1")));
    beds.verify(&taken.manifest).await.expect("it is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_set_is_read_with_its_key_alone() {
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEWER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let keys = |lines: &[&str]| BackupKeys::parse(&lines.join("\n")).expect("keys");
    let mut beds = Beds::with(|config| config.backup_keys = keys(&[KEY])).await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let taken = beds.take("1").await;
    let key_id = keys(&[KEY]).current_id().expect("a key");
    let encryption = taken.manifest.encryption.clone().expect("encrypted");
    assert_eq!(encryption.key_id, key_id);
    let set = beds.set("1");
    let names = ["dump.sql.zst.enc", "manifest.json"];
    for name in names {
        let bytes = fs::read(set.join(name)).expect("a file");
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|found| found == text.as_bytes())
        };
        assert!(!has("no_key") && !has("checksum"), "{name} tells of tables");
    }
    let files: u64 = names
        .map(|name| fs::metadata(set.join(name)).expect("a file").len())
        .iter()
        .sum();
    assert_eq!(taken.bytes, files);

    // Whoever has another key gets nothing, but learns which one is needed.
    for others in [keys(&[NEWER]), BackupKeys::default()] {
        beds.reopen(|config| config.backup_keys = others).await;
        let error = beds.check("1", &taken).await.expect_err("no key");
        assert!(matches!(&error, EngineError::NoKey { key_id: id, .. } if *id == key_id));
        let positions = beds.bed.engine.read_positions(&set, &taken.manifest_sha256);
        let positions = positions.expect("needs no key");
        assert_eq!(positions, std::slice::from_ref(&taken.manifest.binlog));
    }
    // Keys change: the new one encrypts, the old one reads.
    beds.reopen(|config| config.backup_keys = keys(&[NEWER, KEY]))
        .await;
    let manifest = beds.check("1", &taken).await.expect("whole");
    assert_eq!(manifest, taken.manifest);
    beds.load("1", &manifest).await.expect("it can be loaded");
    beds.verify(&manifest).await.expect("it is the same");
    let second = beds.take("2").await.manifest.encryption.expect("encrypted");
    assert_ne!(second.key_id, key_id);

    // Without the service: a set as it would have been.
    let plain = beds.set("3");
    let decrypt = |target: &Path| decrypt_backup(&keys(&[KEY]), &set, target);
    let bytes = decrypt(&plain).expect("decrypted");
    assert!(decrypt(&plain).is_err(), "nothing is written over");
    let text = fs::read_to_string(plain.join("manifest.json")).expect("a file");
    let shown: Manifest = serde_json::from_str(&text).expect("a manifest");
    assert_eq!(
        (shown.format, &shown.encryption, shown.dump.bytes),
        (1, &None, bytes)
    );
    assert_eq!(shown.tables, manifest.tables);
    beds.load("3", &shown).await.expect("it can be loaded");
    beds.verify(&shown).await.expect("it is the same");
    let path = set.join("dump.sql.zst.enc");
    let mut damaged = fs::read(&path).expect("a file");
    damaged.pop();
    fs::write(&path, damaged).expect("ours");
    assert!(decrypt(&beds.set("4")).is_err());
    assert!(!beds.set("4").exists(), "nothing half is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_before_anything_is_loaded() {
    let beds = Beds::new().await;
    beds.script(
        &beds.from,
        b"CREATE TABLE t (id INT); INSERT INTO t VALUES (1);",
    );
    let taken = beds.take("1").await;
    for name in ["dump.sql.zst", "manifest.json"] {
        let path = beds.set("1").join(name);
        let right = fs::read(&path).expect("a file");
        let mut flipped = right.clone();
        let middle = right.len() / 2;
        flipped[middle] ^= 1;
        for wrong in [&flipped[..], &right[..right.len() - 1], &[]] {
            fs::write(&path, wrong).expect("it is ours");
            let error = beds.check("1", &taken).await.expect_err("damaged");
            assert!(matches!(error, EngineError::DamagedSet { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        fs::remove_file(&path).expect("it is there");
        let error = beds.check("1", &taken).await.expect_err("gone");
        assert!(error.to_string().contains(name), "{error}");
        fs::write(&path, &right).expect("it is ours");
    }
    beds.check("1", &taken).await.expect("whole again");
    beds.bed
        .engine
        .destroy_set(&beds.set("1"))
        .await
        .expect("removed");
    assert!(!beds.set("1").parent().expect("above").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_is_noticed() {
    let beds = Beds::new().await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let taken = beds.take("1").await;
    let manifest = &taken.manifest;
    beds.load("1", manifest).await.expect("it can be loaded");
    for (change, back, what) in [
        (
            "DELETE FROM no_key LIMIT 1",
            "INSERT INTO no_key VALUES ('same', 1)",
            "no_key: ",
        ),
        (
            "UPDATE no_key SET n = 2 WHERE n = 1 LIMIT 1",
            "UPDATE no_key SET n = 1 WHERE n = 2",
            "content of table no_key",
        ),
        (
            "ALTER TABLE parent ADD COLUMN more INT",
            "ALTER TABLE parent DROP COLUMN more",
            "parent",
        ),
        ("CREATE TABLE more (id INT)", "DROP TABLE more", "more"),
        ("DROP VIEW v_counted", "", "v_counted"),
        ("DROP TRIGGER t_second", "", "t_second"),
    ] {
        let mut conn = beds.connect(&beds.to).await;
        conn.query_drop(change).await.expect(change);
        let error = beds.verify(manifest).await.expect_err(change);
        assert!(
            matches!(error, EngineError::RestoreDiffers { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(what), "{change}: {error}");
        if back.is_empty() {
            beds.load("1", manifest).await.expect("it can be loaded");
        } else {
            conn.query_drop(back).await.expect(back);
        }
        beds.verify(manifest).await.expect("it is the same again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_moment() {
    let beds = Beds::new().await;
    let script = "CREATE TABLE a (id INT PRIMARY KEY, n INT); \
         CREATE TABLE z (id INT PRIMARY KEY, n INT); \
         INSERT INTO a SELECT seq, 0 FROM seq_1_to_2000; INSERT INTO z SELECT seq, 0 FROM seq_1_to_2000;";
    beds.script(&beds.from, script.as_bytes());
    // Somebody moves units from one table to the other all the time: their sum is always 0.
    let mut conn = beds.connect(&beds.from).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let working = tokio::spawn(async move {
        let mut moved = 0_u32;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let id = moved % 2000 + 1;
            let statements = [
                "BEGIN".to_owned(),
                format!("UPDATE a SET n = n + 1 WHERE id = {id}"),
                format!("UPDATE z SET n = n - 1 WHERE id = {}", 2001 - id),
                "COMMIT".to_owned(),
            ];
            for statement in statements {
                conn.query_drop(statement).await.expect("it goes on");
            }
            moved += 1;
        }
        moved
    });
    let mut sums = Vec::new();
    for round in 0..5 {
        let taken = beds.take(&round.to_string()).await;
        let set = round.to_string();
        beds.load(&set, &taken.manifest).await.expect("loaded");
        beds.verify(&taken.manifest).await.expect("the same");
        let mut other = beds.connect(&beds.to).await;
        let query = "SELECT (SELECT SUM(n) FROM a), (SELECT SUM(n) FROM z)";
        let sum: Option<(i64, i64)> = other.query_first(query).await.expect("sums");
        let (a, z) = sum.expect("a row");
        assert_eq!(a + z, 0);
        sums.push(a);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(working.await.expect("it worked") > 0);
    assert!(sums.is_sorted() && sums[4] > sums[0], "{sums:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_is_no_silent_loss() {
    let beds = Beds::new().await;
    // Enough rows for a while, so that the change comes in between.
    let script = "CREATE TABLE a (id INT PRIMARY KEY, t VARCHAR(200)); \
         INSERT INTO a SELECT seq, REPEAT('x', 200) FROM seq_1_to_60000; \
         CREATE TABLE z (id INT PRIMARY KEY); INSERT INTO z VALUES (1), (2); \
         CREATE TABLE y LIKE z;";
    beds.script(&beds.from, script.as_bytes());
    for change in [
        "TRUNCATE TABLE z",
        "RENAME TABLE z TO x, y TO z, x TO y",
        "ALTER TABLE z ADD COLUMN n INT",
        "DROP TABLE z",
    ] {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let begun = std::sync::Mutex::new(Some(begun));
        let progress = move |_: u64, _: u64, _: &str| {
            if let Some(begun) = begun.lock().expect("no panic").take() {
                begun.send(()).expect("somebody waits");
            }
        };
        let source = BackupSource {
            instance_id: "pd-a".into(),
            db_name: "shop".into(),
            backup_id: "1".into(),
        };
        let (database, set) = (db("shop"), beds.set("1"));
        let engine = &beds.bed.engine;
        let taking = engine.take_set(&beds.from, &database, &set, &source, &progress);
        let changing = async {
            has_begun.await.expect("rows are read");
            let mut conn = beds.connect(&beds.from).await;
            conn.query_drop(change).await.expect(change);
        };
        let (taken, ()) = tokio::join!(taking, changing);
        // The first table was being read: either the change came first, or it waited until the
        // last one was through.
        match taken {
            Err(EngineError::SchemaChanged { object }) => {
                assert!(object.starts_with("table "), "{object}")
            }
            Ok(taken) => assert_eq!(taken.manifest.tables["z"].rows, 2, "{change}"),
            Err(error) => panic!("{change}: {error}"),
        }
        if change.starts_with("DROP") {
            break;
        }
        let back = "DROP TABLE z; DROP TABLE IF EXISTS y; CREATE TABLE z (id INT PRIMARY KEY); \
             INSERT INTO z VALUES (1), (2); CREATE TABLE y LIKE z;";
        beds.script(&beds.from, back.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_leaves_nothing_of_a_set() {
    let beds = Beds::new().await;
    let script = "CREATE TABLE a (id INT PRIMARY KEY, t VARCHAR(200)); \
         INSERT INTO a SELECT seq, REPEAT('x', 200) FROM seq_1_to_60000;";
    beds.script(&beds.from, script.as_bytes());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let begun = std::sync::Mutex::new(Some(begun));
    let progress = move |_: u64, _: u64, _: &str| {
        if let Some(begun) = begun.lock().expect("no panic").take() {
            begun.send(()).expect("somebody waits");
        }
    };
    let source = BackupSource {
        instance_id: "pd-a".into(),
        db_name: "shop".into(),
        backup_id: "1".into(),
    };
    let (database, set) = (db("shop"), beds.set("1"));
    let engine = &beds.bed.engine;
    let taking = engine.take_set(&beds.from, &database, &set, &source, &progress);
    tokio::select! {
        taken = taking => panic!("it was to be given up: {taken:?}"),
        _ = has_begun => {}
    }
    assert!(!set.exists());
    let backups = set.parent().and_then(Path::parent).expect("above");
    let listed = engine.list_sets(backups).expect("listable");
    assert_eq!(listed, [("pd-a".to_owned(), "1".to_owned())]);
    let taken = beds.take("1").await;
    beds.check("1", &taken).await.expect("whole");
    engine.destroy_set(&set).await.expect("removed");
    engine.destroy_set(&set).await.expect("removed already");
    assert_eq!(engine.list_sets(backups).expect("listable"), []);
}

/// Where transactions over nodes may write to a database, none of them is in a set in part.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_begun_has_no_transaction_without_its_end() {
    let beds = Beds::new().await;
    beds.script(&beds.from, b"CREATE TABLE a (id INT PRIMARY KEY)");
    let engine = &beds.bed.engine;
    let (database, set) = (db("shop"), beds.set("1"));
    let open = || engine.open_snapshot(&beds.from, &database);
    let mut conn = beds.connect(&beds.from).await;
    for statement in [
        "XA START 'x'",
        "INSERT INTO a VALUES (1)",
        "XA END 'x'",
        "XA PREPARE 'x'",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let begun = open().await.expect("open").begin().await;
    assert!(
        matches!(&begun, Err(EngineError::InDoubt { node }) if *node == beds.from),
        "{begun:?}"
    );
    conn.query_drop("XA COMMIT 'x'").await.expect("commit");
    let mut snapshots = open().await.expect("open");
    snapshots.begin().await.expect("nothing is prepared");
    let later = "INSERT INTO a VALUES (2)";
    conn.query_drop(later).await.expect(later);
    let source = BackupSource {
        instance_id: "pd-a".into(),
        db_name: "shop".into(),
        backup_id: "1".into(),
    };
    let origin = Origin::Begun(snapshots);
    let taken = engine.take_set(origin, &database, &set, &source, &|_, _, _| {});
    let taken = taken.await.expect("taken");
    let manifest = &taken.manifest;
    assert_eq!(manifest.tables["a"].rows, 1);
    assert_eq!(manifest.binlog.node, beds.from.as_str());
    assert_eq!(manifest.spread, None);
    beds.check("1", &taken).await.expect("whole");
}

/// Whether checks may take minutes.
fn is_long() -> bool {
    std::env::var_os("OPENPETA_LONG_CHECKS").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_beyond_the_usual_packet_come_back() {
    let beds = Beds::new().await;
    for node in [&beds.from, &beds.to] {
        let mut sql = beds.bed.engine.sql(node).await.expect("connect");
        sql.create_database(&db("shop")).await.expect("create");
        sql.close().await;
    }
    // Twice what one packet can have, or with OPENPETA_LONG_CHECKS as much as a value can have.
    let (packet, times) = match is_long() {
        true => ("67108864", 31_000_000),
        false => ("1048576", 400_000),
    };
    let script = format!(
        "CREATE TABLE big (id INT PRIMARY KEY, a LONGBLOB, b LONGBLOB); \
         INSERT INTO big (id, a) VALUES (1, REPEAT(X'FF00', {times})); UPDATE big SET b = a;"
    );
    for node in [&beds.from, &beds.to] {
        let mut conn = beds.connect(node).await;
        let limit = format!("SET GLOBAL max_allowed_packet={packet}");
        conn.query_drop(limit).await.expect("a setting");
    }
    beds.script(&beds.from, script.as_bytes());
    let taken = beds.take("1").await;
    beds.load("1", &taken.manifest).await.expect("loaded");
    beds.verify(&taken.manifest).await.expect("the same");
    beds.bed.engine.finish_load(&beds.to).await.expect("done");
    let mut conn = beds.connect(&beds.to).await;
    let query = "SELECT @@GLOBAL.max_allowed_packet, @@GLOBAL.event_scheduler";
    let settings: Option<(u64, String)> = conn.query_first(query).await.expect("settings");
    assert_eq!(settings, Some((64 << 20, "ON".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_take_seconds() {
    // More than are read before they are looked at again; with OPENPETA_LONG_CHECKS 10,000.
    let tables = if is_long() { 10_000 } else { 210 };
    let beds = Beds::new().await;
    let create = |number: u32| format!("CREATE TABLE t{number} (id INT PRIMARY KEY);\n");
    let script: String = (0..tables).map(create).collect();
    // What the disk takes is not to be measured.
    let lazily = "SET GLOBAL innodb_flush_log_at_trx_commit=0, GLOBAL sync_binlog=0;\n";
    beds.script(&beds.from, format!("{lazily}{script}").as_bytes());
    let begun = std::time::Instant::now();
    let taken = beds.take("1").await;
    assert_eq!(taken.manifest.tables.len(), tables as usize);
    let elapsed = begun.elapsed();
    let most = if is_long() { 600 } else { 60 };
    assert!(elapsed.as_secs() < most, "{elapsed:?}");
    if !is_long() {
        return;
    }
    let mut sql = beds.bed.engine.sql(&beds.to).await.expect("connect");
    sql.create_database(&db("shop")).await.expect("created");
    sql.close().await;
    let mut conn = beds.connect(&beds.to).await;
    let lazily = lazily.trim_end().trim_end_matches(';');
    conn.query_drop(lazily).await.expect("settings");
    beds.load("1", &taken.manifest).await.expect("loaded");
    beds.verify(&taken.manifest).await.expect("the same");
    let files = beds.take_files("2", None).await.expect("taken");
    beds.load_chain(&[&files]).await.expect("loaded");
    beds.verify(&files.manifest).await.expect("the same");
    println!("{tables} tables: taken in {elapsed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_keeps_to_its_pace() {
    const RATE: u64 = 4 << 20;
    let slowly = |config: &mut EngineConfig| {
        config.backup_bytes_per_second = std::num::NonZeroU64::new(RATE);
    };
    let beds = Beds::with(slowly).await;
    let script = "CREATE TABLE big (id INT PRIMARY KEY, a LONGBLOB); \
         INSERT INTO big SELECT seq, REPEAT('x', 400000) FROM seq_1_to_16;";
    beds.script(&beds.from, script.as_bytes());
    let begun = std::time::Instant::now();
    let taken = beds.take("1").await;
    let elapsed = begun.elapsed();
    // The last chunk passes when those before it are through.
    let least = (taken.manifest.dump.sql_bytes - (2 << 20)) as f64 / RATE as f64;
    assert!(elapsed.as_secs_f64() >= least, "{elapsed:?} {least}");
    beds.load("1", &taken.manifest).await.expect("loaded");
    beds.verify(&taken.manifest).await.expect("the same");
}
