//! Imports of what real programs dump: what comes out is what went in, what a dump may not do is
//! refused, and whatever goes wrong leaves the database empty.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::beds::Beds;
use crate::common::{ADMIN_PASSWORD, db};
use mysql_async::prelude::Queryable;
use openpeta_engine::{
    EngineError, Expected, ImportOptions, ImportPlace, ImportSource, Imported, Manifest,
};
use openpeta_types::{AccountName, DbName};

/// What dump programs can dump, of everything one.
const SCHEMA: &str = "
    CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) CHARACTER SET latin1,
        born DATE, doc JSON, raw VARBINARY(20), UNIQUE (name)) ENGINE=InnoDB;
    INSERT INTO customers VALUES (1, 'M\u{fc}ller; ''x''', '2001-02-03', '{\"a\": \"\\\\\"b;\"}', X'00275C0A22'),
        (2, NULL, NULL, NULL, NULL), (3, '-- no; /* comment', '0000-00-00', '[]', '');
    CREATE TABLE orders (id BIGINT PRIMARY KEY, customer INT, total DECIMAL(10,2), at TIMESTAMP NULL,
        twice DECIMAL(11,2) AS (total * 2) VIRTUAL, FOREIGN KEY (customer) REFERENCES customers (id),
        CHECK (total >= 0));
    CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
    INSERT INTO parted SELECT seq FROM seq_1_to_50;
    INSERT INTO orders (id, customer, total, at) SELECT seq, 1 + seq % 3, seq / 7, '2026-03-29 01:30:00' + INTERVAL seq MINUTE
        FROM seq_1_to_2000;
    CREATE TABLE `we``ird; na'me` (`a;b` TEXT) ENGINE=Aria;
    INSERT INTO `we``ird; na'me` VALUES (REPEAT('x\\';', 3000)), (''), (NULL);
    CREATE TABLE log (what TEXT);
    CREATE TABLE empty_one (id INT);
    CREATE SEQUENCE numbers START WITH 7;
    DELIMITER ;;
    CREATE DEFINER=`bob`@`%` TRIGGER order_log AFTER INSERT ON orders FOR EACH ROW
        BEGIN INSERT INTO log VALUES (CONCAT('order; ', NEW.id)); END;;
    CREATE DEFINER=`bob`@`%` FUNCTION twice(x INT) RETURNS INT DETERMINISTIC BEGIN RETURN 2 * x; END;;
    CREATE DEFINER=`bob`@`%` PROCEDURE fill() BEGIN DECLARE i INT DEFAULT 0; WHILE i < 3 DO SET i = i + 1; END WHILE; END;;
    DELIMITER ;
    CREATE DEFINER=`bob`@`%` VIEW spenders AS SELECT c.name, twice(SUM(o.id)) AS s FROM customers c JOIN orders o
        ON o.customer = c.id GROUP BY c.name;
    CREATE DEFINER=`bob`@`%` SQL SECURITY INVOKER VIEW big AS SELECT * FROM spenders WHERE s > 10;
    CREATE DEFINER=`bob`@`%` EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM log;
";

fn staging() -> DbName {
    db("openpeta_import_7")
}

fn bob() -> Vec<AccountName> {
    vec![AccountName::parse_new("bob").expect("a name")]
}

/// Two nodes; the first has a database with everything, both have the account that it runs as.
async fn filled() -> (Beds, Manifest) {
    let beds = Beds::new().await;
    for node in [&beds.from, &beds.to] {
        let mut sql = beds.bed.engine.sql(node).await.expect("connect");
        sql.create_database(&db("shop")).await.expect("create");
        sql.close().await;
        let mut conn = beds.connect(node).await;
        conn.query_drop("CREATE USER bob; GRANT ALL ON shop.* TO bob")
            .await
            .expect("an account");
    }
    beds.script(&beds.from, SCHEMA.as_bytes());
    let manifest = beds.take("1").await.manifest;
    (beds, manifest)
}

/// Runs a program against the first node; what it prints.
fn run(beds: &Beds, program: &str, arguments: &[&str]) -> Vec<u8> {
    let socket = beds
        .bed
        .engine
        .socket_path(&beds.from)
        .expect("short enough");
    let output = Command::new(program)
        .args(["--user", "openpeta_admin"])
        .arg(format!("--password={ADMIN_PASSWORD}"))
        .arg(format!("--socket={}", socket.display()))
        .args(arguments)
        .output()
        .expect("it is installed");
    assert!(output.status.success(), "{program}: {output:?}");
    output.stdout
}

fn file(beds: &Beds, name: &str, content: &[u8]) -> PathBuf {
    let path = beds.bed.dir.path().join(name);
    fs::write(&path, content).expect("our own directory");
    path
}

/// Imports into the second node, as the steps of the task do.
async fn import(
    beds: &Beds,
    path: &Path,
    options: &ImportOptions,
) -> Result<Imported, EngineError> {
    let (staging, target) = (staging(), db("shop"));
    let place = ImportPlace {
        node: &beds.to,
        staging: &staging,
        target: &target,
    };
    let engine = &beds.bed.engine;
    let result = async {
        let source = ImportSource::path(path, options.source_database.as_deref())?;
        let manifest = match source.is_set() {
            true => Some(engine.manifest_of(path).await?),
            false => None,
        };
        let loaded = engine
            .load_import(place, source, options, &|_, _, _| {})
            .await?;
        let checked = engine
            .check_import(
                place,
                loaded,
                manifest.as_ref().map_or(Expected::Dump, Expected::Manifest),
                options,
                &bob(),
                &|_, _, _| {},
            )
            .await?;
        engine.publish_import(place, &checked).await?;
        // Once more is the same.
        engine.publish_import(place, &checked).await?;
        Ok(checked)
    };
    let result = result.await;
    engine
        .discard_import(place)
        .await
        .expect("it can be removed");
    let mut sql = engine.sql(&beds.to).await.expect("connect");
    let databases = sql.databases().await.expect("a list");
    assert_eq!(databases, ["shop"], "something is left");
    if result.is_err() {
        let something = sql.something_in(&target).await.expect("an answer");
        assert_eq!(something, None);
    }
    sql.close().await;
    result
}

/// Empties the second node's database.
async fn empty(beds: &Beds) {
    let engine = &beds.bed.engine;
    engine
        .drop_database(&beds.to, &db("shop"))
        .await
        .expect("dropped");
    let mut sql = engine.sql(&beds.to).await.expect("connect");
    sql.create_database(&db("shop")).await.expect("create");
    sql.close().await;
    let mut conn = beds.connect(&beds.to).await;
    conn.query_drop("GRANT ALL ON shop.* TO bob")
        .await
        .expect("granted");
}

async fn refusal(beds: &Beds, name: &str, content: &[u8]) -> String {
    let path = file(beds, name, content);
    let error = import(beds, &path, &ImportOptions::default()).await;
    match error.expect_err(name) {
        EngineError::NotImported { what } => what,
        other => panic!("{name}: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_programs_dump_comes_out_as_it_went_in() {
    let (beds, manifest) = filled().await;
    let dump = run(
        &beds,
        "mariadb-dump",
        &[
            "--databases",
            "shop",
            "--routines",
            "--events",
            "--single-transaction",
        ],
    );
    let options = ImportOptions::default();

    // Plain, and in both compressions.
    let plain = file(&beds, "dump.sql", &dump);
    let gzip = beds.bed.dir.path().join("dump.sql.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        File::create(&gzip).expect("our own directory"),
        flate2::Compression::fast(),
    );
    encoder.write_all(&dump).expect("written");
    encoder.finish().expect("written");
    let packed = zstd::encode_all(&dump[..], 1).expect("packed");
    let zstd = file(&beds, "dump.zst", &packed);
    for path in [&gzip, &zstd, &plain] {
        let imported = import(&beds, path, &options).await.expect("imported");
        beds.verify(&manifest).await.expect("it is the same");
        assert_eq!(imported.tables["orders"].rows, 2000);
        assert_eq!(
            imported.tables["orders"].checksum,
            manifest.tables["orders"].checksum
        );
        let counts = (
            imported.views,
            imported.routines,
            imported.triggers,
            imported.events,
        );
        assert_eq!(counts, (2, 2, 1, 1));
        if path != &plain {
            empty(&beds).await;
            continue;
        }
        // A database that is in use already stays what it is.
        let (staging, target) = (staging(), db("shop"));
        let place = ImportPlace {
            node: &beds.to,
            staging: &staging,
            target: &target,
        };
        let source = ImportSource::path(path, None).expect("a file");
        let engine = &beds.bed.engine;
        let loaded = engine
            .load_import(place, source, &options, &|_, _, _| {})
            .await;
        let loaded = loaded.expect("it can be loaded");
        let checked = engine
            .check_import(
                place,
                loaded,
                Expected::Dump,
                &options,
                &bob(),
                &|_, _, _| {},
            )
            .await
            .expect("it can be checked");
        let refused = engine.publish_import(place, &checked).await;
        assert!(
            matches!(refused, Err(EngineError::NotEmpty { .. })),
            "{refused:?}"
        );
        engine.discard_import(place).await.expect("removed");
        beds.verify(&manifest).await.expect("it is the same");
        empty(&beds).await;
    }

    // A set of ours.
    import(&beds, &beds.set("1"), &options)
        .await
        .expect("imported");
    beds.verify(&manifest).await.expect("it is the same");
    empty(&beds).await;

    // What mydumper makes has no sequences.
    let mut conn = beds.connect(&beds.from).await;
    // Views that call functions, and some names, make it crash.
    conn.query_drop(
        "DROP SEQUENCE numbers; DROP VIEW big, spenders; DROP TABLE `we``ird; na'me`; \
         CREATE DEFINER=bob VIEW v AS SELECT o.id FROM orders o JOIN customers c ON c.id=o.customer",
    )
    .await
    .expect("changed");
    let manifest = beds.take("2").await.manifest;
    let dir = beds.bed.dir.path().join("mydumper");
    let dir_text = dir.to_str().expect("text");
    run(
        &beds,
        "mydumper",
        &[
            "--database",
            "shop",
            "--outputdir",
            dir_text,
            "--compress",
            "--routines",
            "--triggers",
            "--events",
            "--rows",
            "500",
        ],
    );
    let imported = import(&beds, &dir, &options).await.expect("imported");
    // It does not say under which mode and character set programs were made.
    let contents = imported.tables.iter();
    let contents: Vec<_> = contents
        .map(|(name, it)| (name, it.rows, &it.checksum))
        .collect();
    let expected = manifest.tables.iter();
    let expected: Vec<_> = expected
        .map(|(name, it)| (name, it.rows, &it.checksum))
        .collect();
    assert_eq!(contents, expected);
    let counts = (
        imported.views,
        imported.routines,
        imported.triggers,
        imported.events,
    );
    assert_eq!(counts, (1, 2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_not_right_changes_nothing() {
    let (beds, _) = filled().await;
    let dump = run(&beds, "mariadb-dump", &["--routines", "shop"]);

    // Cut off, in each way.
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&dump).expect("written");
        encoder.finish().expect("written")
    };
    let what = refusal(&beds, "cut.sql.gz", &gzip[..gzip.len() / 2]).await;
    assert!(what.contains("cut.sql.gz: the file is cut off"), "{what}");
    let what = refusal(&beds, "cut.sql", &dump[..dump.len() / 2]).await;
    assert!(what.contains("ends within this statement"), "{what}");
    let text = String::from_utf8_lossy(&dump);
    let last = text.find("-- Dump completed").expect("its last line");
    let what = refusal(&beds, "cut2.sql", &dump[..last]).await;
    assert!(what.contains("without its last line"), "{what}");

    // What does not belong there; the table before it is gone again.
    let head = "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\n";
    for (statement, expected) in [
        (
            "INSERT INTO t VALUES (1,;",
            "line 3, at \"INSERT INTO t VALUES (1,\": error 1064",
        ),
        ("INSERT INTO shop.customers VALUES (1);", "error 1142"),
        ("DROP TABLE mysql.global_priv;", "error 1142"),
        (
            "CREATE DEFINER=bob VIEW v AS SELECT * FROM mysql.global_priv;",
            "error 1142",
        ),
        (
            "CREATE DEFINER=bob FUNCTION f RETURNS STRING SONAME 'x.so';",
            "error 1",
        ),
        (
            "DELIMITER //\nCREATE DEFINER=bob PROCEDURE p() SELECT 1; DROP DATABASE shop//",
            "error 1064",
        ),
        ("SET GLOBAL general_log=1;", "a setting of the whole server"),
        ("SET NAMES gbk;", "character set gbk"),
        (
            "CREATE DEFINER=`root`@`localhost` PROCEDURE p() SELECT 1;",
            "no account root@localhost",
        ),
        ("CREATE VIEW v AS SELECT 1;", "has no definer"),
        ("USE a;\nUSE b;", "several databases (a, b)"),
        (
            "CREATE TABLE u (a TEXT COLLATE utf8mb4_0900_xx);",
            "--map-collations",
        ),
    ] {
        let script = format!("{head}{statement}\n");
        let what = refusal(&beds, "wrong.sql", script.as_bytes()).await;
        assert!(what.contains(expected), "{statement}: {what}");
    }

    // Rows that the dump has and the table does not.
    let script = "CREATE TABLE t (a INT PRIMARY KEY);\nINSERT IGNORE INTO t VALUES (1),(1);\n";
    let what = refusal(&beds, "fewer.sql", script.as_bytes()).await;
    assert!(what.contains("table t has 1 rows, the dump 2"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_or_left_out_is_told() {
    let (beds, _) = filled().await;
    let dump = "-- MySQL dump 10.13  Distrib 8.0.36\n\
        /*!50503 SET NAMES utf8mb4 */;\n\
        SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;\n\
        SET @@SESSION.SQL_LOG_BIN= 0;\n\
        SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5';\n\
        CREATE DATABASE /*!32312 IF NOT EXISTS*/ `crm` /*!40100 DEFAULT CHARACTER SET utf8mb4 \
        COLLATE utf8mb4_0900_ai_ci */ /*!80016 DEFAULT ENCRYPTION='N' */;\n\
        USE `crm`;\n\
        CREATE TABLE `t` (`a` varchar(90) COLLATE utf8mb4_0900_ai_ci, b int /*!80023 INVISIBLE */) \
        ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;\n\
        CREATE TABLE `words` (`e` enum('a?','b') DEFAULT 'b');\n\
        INSERT INTO `t` VALUES ('utf8mb4_0900_ai_ci',1);\n\
        USE `hr`;\nDROP TABLE IF EXISTS `secret`;\n\
        USE `crm`;\n\
        /*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 DEFINER=`app`@`10.%` SQL SECURITY DEFINER */ \
        /*!50001 VIEW `v` AS select 1 AS `x` */;\n\
        -- Dump completed on 2026-11-29\n";
    let path = file(&beds, "mysql8.sql", dump.as_bytes());
    let options = ImportOptions {
        source_database: Some("crm".to_owned()),
        maps_collations: true,
        definer: Some("bob".to_owned()),
        keeps_definers: false,
        ..ImportOptions::default()
    };
    let imported = import(&beds, &path, &options).await.expect("imported");
    let notes = imported.notes.join("\n");
    for part in [
        "GTID_PURGED",
        "SQL_LOG_BIN= 0",
        "/*!80023 INVISIBLE */",
        "collation utf8mb4_0900_ai_ci became utf8mb4_uca1400_nopad_ai_ci",
        "what app@10.% defined runs as bob",
        "1 statements of other databases were left out",
        "beyond U+FFFF, which dump programs are not told by a server, in 1 tables: words",
    ] {
        assert!(notes.contains(part), "{part} in {notes}");
    }
    let mut conn = beds.connect(&beds.to).await;
    let rows: Vec<(String, i64)> = conn.query("SELECT a, b FROM t").await.expect("a table");
    assert_eq!(rows, [("utf8mb4_0900_ai_ci".to_owned(), 1)]);
    let query = "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA='shop'";
    let definer: Vec<String> = conn.query(query).await.expect("a view");
    assert_eq!(definer, ["bob@%"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_data_files_come_out_as_they_went_in() {
    let (beds, _) = filled().await;
    // The program itself does not read such names.
    beds.script(&beds.from, b"DROP TABLE `we``ird; na'me`");
    let manifest = beds.take("2").await.manifest;
    let options = ImportOptions {
        source_database: Some("shop".to_owned()),
        ..ImportOptions::default()
    };
    let data = beds
        .bed
        .engine
        .nodes_dir()
        .join(beds.from.as_str())
        .join("data");
    let data = format!("--datadir={}", data.display());
    let whole = beds.bed.dir.path().join("copy");
    let to = format!("--target-dir={}", whole.display());
    // As somebody makes it who knows nothing of us: of all that the server has.
    run(&beds, "mariadb-backup", &["--backup", &data, &to]);
    let stream = run(
        &beds,
        "mariadb-backup",
        &["--backup", "--stream=mbstream", &data],
    );
    let stream = zstd::encode_all(stream.as_slice(), 1).expect("in memory");
    let stream = file(&beds, "copy.mbstream.zst", &stream);
    for path in [&whole, &stream] {
        assert!(ImportSource::is_copy(path).expect("readable"));
        let imported = import_copy(&beds, path, &options).await.expect("imported");
        let compared = imported.tables.values().map(|table| &table.compared_with);
        assert!(
            compared
                .clone()
                .all(|it| it == "the checksum in the manifest")
        );
        beds.verify(&manifest).await.expect("it is the same");
        empty(&beds).await;
    }
    let other = ImportOptions {
        source_database: Some("none".to_owned()),
        ..ImportOptions::default()
    };
    let refused = import_copy(&beds, &whole, &other).await;
    assert!(
        matches!(refused, Err(EngineError::NotImported { .. })),
        "{refused:?}"
    );
}

/// Imports a copy into the second node, as the steps of the task do.
async fn import_copy(
    beds: &Beds,
    path: &Path,
    options: &ImportOptions,
) -> Result<Imported, EngineError> {
    let (staging, target) = (staging(), db("shop"));
    let place = ImportPlace {
        node: &beds.to,
        staging: &staging,
        target: &target,
    };
    let engine = &beds.bed.engine;
    let loaded = engine
        .load_copy(place, path, options, &|_, _, _| {})
        .await?;
    let manifest = loaded.manifest.clone().expect("it was taken down");
    let expected = Expected::Manifest(&manifest);
    let checked = engine
        .check_import(place, loaded, expected, options, &bob(), &|_, _, _| {})
        .await?;
    engine.publish_import(place, &checked).await?;
    Ok(checked)
}
