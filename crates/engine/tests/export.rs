//! Exports: what mydumper's own loader and MariaDB's client make of them is what was there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::beds::Beds;
use crate::common::{ADMIN_PASSWORD, db};
use mysql_async::prelude::Queryable;
use openpeta_engine::{BackupSource, EngineError, ImportSource, Manifest};
use openpeta_types::{Compression, ExportForm, ExportLayout};

/// A database with one of everything.
const SCHEMA: &str = include_str!("data/backup_schema.sql");

const LAYOUTS: [ExportLayout; 2] = [ExportLayout::Sql, ExportLayout::Mydumper];

fn source() -> BackupSource {
    BackupSource {
        instance_id: "pd-a".into(),
        db_name: "shop".into(),
        backup_id: "export-1".into(),
    }
}

/// Exports into a directory that is new.
pub async fn export(beds: &Beds, form: ExportForm) -> (PathBuf, Manifest) {
    let name = format!("{}-{}", form.layout, form.compression);
    let to = beds.bed.dir.path().join(name);
    let exported = beds
        .bed
        .engine
        .export_database(
            &beds.from,
            &db("shop"),
            (&to, form),
            &source(),
            &|_, _, _| {},
        )
        .await;
    let taken = exported.expect("it can be exported");
    let found = beds.bed.engine.manifest_of(&to).await.expect("it is whole");
    assert_eq!(found, taken.manifest);
    (to, taken.manifest)
}

/// Has mydumper's loader load a directory into the other node.
fn load(beds: &Beds, directory: &Path) {
    let socket = beds.bed.engine.socket_path(&beds.to).expect("short enough");
    let output = Command::new("myloader")
        .args(["-u", openpeta_engine::ADMIN_ACCOUNT, "-p", ADMIN_PASSWORD])
        .arg("-S")
        .arg(socket)
        .args(["-B", "shop", "-t", "2", "-d"])
        .arg(directory)
        .output()
        .expect("mydumper is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The server counts and sums up what it has: all is as the manifest says.
async fn assert_same(beds: &Beds, manifest: &Manifest) {
    let mut conn = beds.connect(&beds.to).await;
    conn.query_drop("SET time_zone='+00:00', NAMES utf8mb4")
        .await
        .expect("settings");
    for (name, table) in &manifest.tables {
        if !table.check.is_empty() {
            let sums: Vec<(u64, String)> = conn.query(&table.check).await.expect(name);
            assert_eq!(sums, [(table.rows, table.checksum.clone())], "{name}");
        }
    }
    let count = "SELECT (SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA='shop'), \
                 (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='shop'), \
                 (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop'), \
                 (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA='shop')";
    let found: Option<(usize, usize, usize, usize)> = conn.query_first(count).await.expect("told");
    let expected = (
        manifest.views.len(),
        manifest.routines.len(),
        manifest.triggers.len(),
        manifest.events.len(),
    );
    assert_eq!(found, Some(expected));
}

async fn empty(beds: &Beds) {
    let mut sql = beds.bed.engine.sql(&beds.to).await.expect("connect");
    sql.close().await;
    let engine = &beds.bed.engine;
    engine
        .drop_database(&beds.to, &db("shop"))
        .await
        .expect("dropped");
    sql = engine.sql(&beds.to).await.expect("connect");
    sql.create_database(&db("shop")).await.expect("created");
    sql.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mydumpers_loader_makes_the_same_of_an_export() {
    let beds = Beds::new().await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    // Its loader knows no sequences: a table cannot be made before them.
    beds.script(
        &beds.from,
        b"DROP TABLE by_sequence; CREATE TABLE `mydumper_1` (id INT);",
    );
    // Two files of rows.
    beds.script(
        &beds.from,
        b"CREATE TABLE big (id INT PRIMARY KEY, v LONGTEXT);
          INSERT INTO big SELECT seq, REPEAT(CONCAT(seq, ';\\n'), 300000) FROM seq_1_to_60;",
    );
    for compression in [Compression::Gzip, Compression::None] {
        let layout = ExportLayout::Mydumper;
        let form = ExportForm {
            layout,
            compression,
            ..ExportForm::default()
        };
        let (directory, manifest) = export(&beds, form).await;
        let second = format!("shop.big.00001.sql{}", compression.ending());
        assert!(directory.join(second).exists());
        assert!(manifest.files.len() > manifest.tables.len());
        empty(&beds).await;
        load(&beds, &directory);
        assert_same(&beds, &manifest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_an_export_is_named_and_an_export_in_files_is_no_set() {
    let beds = Beds::new().await;
    beds.script(
        &beds.from,
        b"CREATE TABLE t (id INT PRIMARY KEY) SELECT seq AS id FROM seq_1_to_9;",
    );
    let engine = &beds.bed.engine;
    for layout in LAYOUTS {
        for compression in Compression::ALL {
            let form = ExportForm {
                layout,
                compression: *compression,
                ..ExportForm::default()
            };
            let (directory, manifest) = export(&beds, form).await;
            assert!(ImportSource::path(&directory, None).expect("one").is_set());
            for entry in fs::read_dir(&directory).expect("there") {
                let path = entry.expect("readable").path();
                let right = fs::read(&path).expect("readable");
                let mut wrong = right.clone();
                let middle = right.len() / 2;
                wrong[middle] ^= 1;
                fs::write(&path, wrong).expect("ours");
                let name = path.file_name().expect("a name").to_string_lossy();
                let found = engine.manifest_of(&directory).await;
                if name == "manifest.json" {
                    // Nobody has its digest; what it says is compared.
                    assert!(found.is_err() || found.expect("some") != manifest, "{name}");
                } else {
                    let error = found.expect_err("it was changed").to_string();
                    assert!(error.contains(&*name), "{error}");
                }
                fs::write(&path, right).expect("ours");
            }
            assert_eq!(
                engine.manifest_of(&directory).await.expect("whole"),
                manifest
            );
            if layout == ExportLayout::Mydumper {
                let (to, shop) = (&beds.to, db("shop"));
                let loaded = engine.load_set(to, &shop, &[], &directory, &manifest, &|_, _, _| {});
                let error = loaded.await.expect_err("it is no set");
                assert!(matches!(error, EngineError::DamagedSet { .. }), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_text_and_ends_early_when_nobody_takes_it() {
    let beds = Beds::new().await;
    beds.script(&beds.from, SCHEMA.as_bytes());
    let engine = &beds.bed.engine;
    let (sink, mut pieces) = tokio::sync::mpsc::channel(2);
    let (shop, from) = (db("shop"), source());
    let streamed = engine.stream_database(
        &beds.from,
        &shop,
        (sink, Compression::None),
        &from,
        &|_, _, _| {},
    );
    let taken = async {
        let mut text = Vec::new();
        while let Some(piece) = pieces.recv().await {
            text.extend(piece);
        }
        text
    };
    let (manifest, text) = tokio::join!(streamed, taken);
    let manifest = manifest.expect("it can be read");
    assert_eq!(manifest.dump.bytes, text.len() as u64);
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().rev();
    assert_eq!(lines.next(), Some("-- End of the dump"));
    let remark = lines.next().expect("the manifest");
    let remark = remark.strip_prefix("-- OpenPeta manifest ").expect("one");
    let told: Manifest = serde_json::from_str(remark).expect("it is JSON");
    assert_eq!(told.tables, manifest.tables);

    let (sink, pieces) = tokio::sync::mpsc::channel(1);
    drop(pieces);
    let streamed = engine.stream_database(
        &beds.from,
        &shop,
        (sink, Compression::None),
        &from,
        &|_, _, _| {},
    );
    streamed.await.expect_err("nobody takes it");
}
