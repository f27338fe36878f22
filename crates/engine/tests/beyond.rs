//! Characters beyond U+FFFF in definitions, which `SHOW CREATE TABLE` has a `?` for: whatever makes a table
//! anew makes it with them, and what lacks one is another table.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use openpeta_engine::{
    BackupKeys, EngineError, Expected, ImportOptions, ImportPlace, ImportSource,
};
use openpeta_types::{AccountName, Compression, ExportForm, ExportLayout, NodeId};

use crate::common::beds::Beds;
use crate::common::db;
use crate::export::export;
use crate::spread::Spread;

/// What MariaDB does not show all of, and what it does.
const TABLE: &str = "CREATE TABLE beyond (
  id INT PRIMARY KEY,
  c CHAR(9) NOT NULL DEFAULT '😀?',
  v VARCHAR(20) DEFAULT 'it''s \\\\ 😀' COMMENT 'DEFAULT ''?''',
  e ENUM('a😀','b','?','a😁') NOT NULL DEFAULT 'a😁',
  s SET('😀','x','y?') DEFAULT '😀,y?',
  w ENUM('😀','q') CHARACTER SET utf16 DEFAULT '😀',
  u VARCHAR(9) CHARACTER SET utf32 DEFAULT '😀',
  j VARCHAR(9) CHARACTER SET sjis DEFAULT _sjis X'8790',
  l VARCHAR(9) CHARACTER SET latin1 DEFAULT 'é?',
  n VARCHAR(9) DEFAULT '?',
  t TEXT DEFAULT '😀',
  f VARCHAR(20) DEFAULT (CONCAT('😀', '?')),
  b VARBINARY(20) DEFAULT '😀',
  k JSON DEFAULT '[\"😀\"]',
  g VARCHAR(40) AS (CONCAT(v, '😀')) STORED,
  CHECK (v <> '😁')
) COLLATE utf8mb4_bin";

/// What a server makes of nothing, and of every word.
const VALUES: &str = "SELECT GROUP_CONCAT(CONCAT_WS(',', id, HEX(c), HEX(v), HEX(e), HEX(s), HEX(w), HEX(u), HEX(j), \
     HEX(l), HEX(n), HEX(t), HEX(f), HEX(b), HEX(k), HEX(g)) ORDER BY id SEPARATOR ';') FROM beyond";

/// Makes the table where it is not.
fn make(beds: &Beds, node: &NodeId) {
    let script = format!("SET NAMES utf8mb4;\n{TABLE};\nINSERT INTO beyond (id) VALUES (0);\n");
    beds.script(node, script.as_bytes());
}

/// Inserts defaults and words, and tells what they became. The row that was there is left.
async fn values(beds: &Beds, node: &NodeId, table: &str) -> String {
    let mut conn = beds.connect(node).await;
    let insert = format!(
        "DELETE FROM {table} WHERE id > 0; INSERT INTO {table} (id) VALUES (1); \
         INSERT INTO {table} (id, e, s, w) VALUES (2, 1, 1, 1), (3, 2, 2, 2), (4, 3, 4, 1), (5, 4, 7, 1)"
    );
    conn.query_drop(insert).await.expect("they can be inserted");
    let query = VALUES.replace("FROM beyond", &format!("FROM {table}"));
    let found: Option<String> = conn.query_first(query).await.expect("told");
    conn.query_drop(format!("DELETE FROM {table} WHERE id > 0"))
        .await
        .expect("removed");
    found.expect("a row")
}

/// The values of the table as it was made.
async fn expected(beds: &Beds) -> String {
    let values = values(beds, &beds.from, "beyond").await;
    let of_default = values.split(';').next().expect("a row");
    // 😀? it's \ 😀 a😁 😀,y?
    let begin =
        "0,F09F98803F,69742773205C20F09F9880,61F09F9881,F09F98802C793F,D83DDE00,0001F600,8790,";
    assert!(of_default.starts_with(begin), "{of_default}");
    values
}

/// Where the log of the source ends.
async fn position(beds: &Beds) -> String {
    let mut conn = beds.connect(&beds.from).await;
    let found = conn.query_first("SELECT @@gtid_binlog_pos").await;
    found.expect("told").expect("a row")
}

/// Each change gives a table that is shown as before.
const CHANGES: [&str; 5] = [
    "ALTER TABLE beyond ALTER c SET DEFAULT '😁?'",
    "ALTER TABLE beyond ALTER e SET DEFAULT 'a😀'",
    "ALTER TABLE beyond MODIFY s SET('😁','x','y?') DEFAULT '😁,y?'",
    "ALTER TABLE beyond ALTER u SET DEFAULT '?'",
    "ALTER TABLE beyond MODIFY w ENUM('😁','q') CHARACTER SET utf16 DEFAULT '😁'",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_set_brings_them_and_whatever_differs_is_noticed() {
    let beds = Beds::new().await;
    make(&beds, &beds.from);
    let expected = expected(&beds).await;
    // Nothing of how they are learnt is in the log.
    let before = position(&beds).await;
    let taken = beds.take("1").await;
    assert_eq!(position(&beds).await, before);
    let entry = &taken.manifest.tables["beyond"];
    assert!(entry.exact_definition.is_some(), "{entry:?}");
    beds.load("1", &taken.manifest).await.expect("loaded");
    beds.verify(&taken.manifest).await.expect("it is the same");
    assert_eq!(values(&beds, &beds.to, "beyond").await, expected);
    for change in CHANGES {
        let mut conn = beds.connect(&beds.to).await;
        conn.query_drop("SET NAMES utf8mb4; SET sql_mode=''; SET foreign_key_checks=0")
            .await
            .expect("settings");
        conn.query_drop(change).await.expect(change);
        let error = beds.verify(&taken.manifest).await.expect_err(change);
        let text = error.to_string();
        assert!(text.contains("of table beyond"), "{change}: {text}");
        beds.load("1", &taken.manifest).await.expect("loaded again");
    }
    // Sets of earlier versions know what is shown.
    let mut older = taken.manifest.clone();
    let table = older.tables.get_mut("beyond").expect("it is there");
    table.exact_definition = None;
    beds.verify(&older).await.expect("it is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_files_tells_them() {
    let beds = Beds::new().await;
    make(&beds, &beds.from);
    let expected = expected(&beds).await;
    let taken = beds.take_files("1", None).await.expect("taken");
    let entry = &taken.manifest.tables["beyond"];
    assert!(entry.exact_definition.is_some(), "{entry:?}");
    beds.load_chain(&[&taken]).await.expect("loaded");
    beds.verify(&taken.manifest).await.expect("it is the same");
    assert_eq!(values(&beds, &beds.to, "beyond").await, expected);
    let mut conn = beds.connect(&beds.to).await;
    conn.query_drop("SET NAMES utf8mb4").await.expect("set");
    conn.query_drop(CHANGES[0]).await.expect("changed");
    let error = beds.verify(&taken.manifest).await.expect_err("it differs");
    assert!(
        matches!(error, EngineError::RestoreDiffers { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_imported_with_them() {
    let beds = Beds::new().await;
    make(&beds, &beds.from);
    let expected = expected(&beds).await;
    let (staging, target) = (db("openpeta_import_7"), db("shop"));
    let mut sql = beds.bed.engine.sql(&beds.to).await.expect("connect");
    let bob = [AccountName::parse_new("bob").expect("a name")];
    for (number, layout) in [ExportLayout::Sql, ExportLayout::Mydumper]
        .into_iter()
        .enumerate()
    {
        let form = ExportForm {
            layout,
            compression: Compression::Zstd,
            for_one_node: false,
        };
        let (exported, manifest) = export(&beds, form).await;
        if number > 0 {
            let engine = &beds.bed.engine;
            engine
                .drop_database(&beds.to, &target)
                .await
                .expect("dropped");
        }
        sql.create_database(&target).await.expect("create");
        let place = ImportPlace {
            node: &beds.to,
            staging: &staging,
            target: &target,
        };
        let options = ImportOptions::default();
        let source = ImportSource::path(&exported, None).expect("readable");
        let engine = &beds.bed.engine;
        let loaded = engine.load_import(place, source, &options, &|_, _, _| {});
        let loaded = loaded.await.expect("loaded");
        let by = Expected::Manifest(&manifest);
        let checked = engine.check_import(place, loaded, by, &options, &bob, &|_, _, _| {});
        let imported = checked.await.expect("the same");
        let is_doubtful = imported.notes.iter().any(|note| note.contains("U+FFFF"));
        assert!(!is_doubtful, "{:?}", imported.notes);
        engine
            .publish_import(place, &imported)
            .await
            .expect("there");
        assert_eq!(
            values(&beds, &beds.to, "beyond").await,
            expected,
            "{layout}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn further_nodes_get_them() {
    let spread = Spread::new(BackupKeys::default()).await;
    let beds = &spread.beds;
    let option = " `distribute_by`='BROADCAST'";
    for node in &spread.from {
        let script = format!(
            "SET NAMES utf8mb4, sql_mode='IGNORE_BAD_TABLE_OPTIONS';\n{TABLE}{option};\n\
             INSERT INTO beyond (id) VALUES (0);\n"
        );
        beds.script(node, script.as_bytes());
    }
    let expected = expected(beds).await;
    // A set of both.
    let taken = spread.take(async || {}).await.expect("taken");
    spread.load(&taken.manifest).await.expect("loaded");
    spread.verify(&taken.manifest).await.expect("the same");
    for node in &spread.to {
        assert_eq!(values(beds, node, "beyond").await, expected);
    }
    let mut conn = beds.connect(&spread.to[1]).await;
    conn.query_drop("SET NAMES utf8mb4, sql_mode='IGNORE_BAD_TABLE_OPTIONS'")
        .await
        .expect("set");
    conn.query_drop(CHANGES[1]).await.expect("changed");
    let what = spread.differs(&taken.manifest).await;
    assert!(what.contains("table beyond"), "{what}");
    // An export, whose manifest says what is written.
    std::fs::remove_dir_all(spread.set()).expect("it is there");
    let form = ExportForm {
        layout: ExportLayout::Sql,
        compression: Compression::Zstd,
        for_one_node: true,
    };
    let manifest = spread.export(form, async || {}).await;
    let digests: BTreeMap<_, _> = [taken.manifest, manifest]
        .iter()
        .zip(["set", "export"])
        .map(|(it, what)| (what, it.tables["beyond"].exact_definition.clone()))
        .collect();
    assert!(digests.values().all(Option::is_some), "{digests:?}");
    // A node that is new.
    let engine = &beds.bed.engine;
    let shop = db("shop");
    engine
        .drop_database(&beds.to, &shop)
        .await
        .expect("dropped");
    let defined = engine.define_partitions(&shop, &beds.from, &beds.to);
    defined.await.expect("defined");
    let without_row = expected.split_once(';').expect("rows").1;
    assert_eq!(values(beds, &beds.to, "beyond").await, without_row);
}
