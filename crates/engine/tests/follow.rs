//! A copy of a database follows the server that it was dumped from, out of that one's own log: what
//! comes out is what is there, and what cannot be followed is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::common::beds::Beds;
use crate::common::{ADMIN_PASSWORD, db};
use mysql_async::prelude::Queryable;
use openpeta_engine::{
    EngineError, Expected, Followed, ImportOptions, ImportPlace, ImportSource, Loaded, LogPiece,
    SourcePosition, TableSum,
};
use openpeta_types::DbName;

const SCHEMA: &str = "
    CREATE TABLE parents (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) CHARACTER SET latin1, doc JSON);
    CREATE TABLE children (id BIGINT PRIMARY KEY, parent INT, twice BIGINT AS (id * 2) STORED,
        FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE keyless (note TEXT, at TIMESTAMP(6) NULL, raw VARBINARY(20), f FLOAT, b BIT(9), e ENUM('a', 'b'));
    CREATE TABLE parted (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3;
    CREATE TABLE log (what TEXT);
    CREATE TRIGGER noted AFTER INSERT ON children FOR EACH ROW INSERT INTO log VALUES (NEW.id);
    INSERT INTO parents VALUES (1, 'M\u{fc}ller', '{}'), (2, NULL, NULL), (3, 'x', '[1]');
    INSERT INTO children (id, parent) SELECT seq, 1 + seq % 3 FROM seq_1_to_300;
    INSERT INTO keyless VALUES ('a', NOW(6), X'00FF', 0.1, b'101', 'b'), (NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO parted SELECT seq, seq FROM seq_1_to_90;
";

/// What is written after the dump: of this database, of another one, and what is taken back.
const WRITES: &str = "
    INSERT INTO parents (name, doc) VALUES ('\u{e9}t\u{e9}', '{\"a\": 1}');
    UPDATE children SET parent = 2 WHERE id % 7 = 0;
    DELETE FROM parents WHERE id = 3;
    UPDATE parents SET id = 70 WHERE id = 1;
    INSERT INTO keyless SELECT note, at, raw, f, b, e FROM keyless;
    UPDATE keyless SET note = 'b' WHERE note IS NULL LIMIT 1;
    INSERT INTO children (id, parent) SELECT seq, 70 FROM seq_1000_to_31000;
    BEGIN; INSERT INTO parted VALUES (1000, 1); SAVEPOINT s; INSERT INTO parted VALUES (1001, 1); ROLLBACK TO s;
        UPDATE parted SET id = id + 5000 WHERE id < 10; COMMIT;
    BEGIN; DELETE FROM parted; ROLLBACK;
    CREATE TEMPORARY TABLE scratch (a INT); INSERT INTO scratch VALUES (1); DROP TEMPORARY TABLE scratch;
    USE elsewhere; CREATE TABLE t (a INT); INSERT INTO t VALUES (1); USE shop;
    UPDATE parted, elsewhere.t SET parted.v = 9, elsewhere.t.a = 2 WHERE parted.id = 50;
    FLUSH BINARY LOGS;
    ANALYZE TABLE parted;
    REPLACE INTO parted VALUES (50, 50), (51, 51);
    DELETE FROM children WHERE id > 30990;
";

struct World {
    beds: Beds,
    staging: DbName,
    target: DbName,
}

impl World {
    async fn new() -> Self {
        let beds = Beds::new().await;
        let mut sql = beds.bed.engine.sql(&beds.to).await.expect("connect");
        sql.create_database(&db("shop")).await.expect("create");
        sql.close().await;
        beds.script(&beds.from, SCHEMA.as_bytes());
        beds.script(&beds.from, b"CREATE DATABASE elsewhere");
        Self {
            beds,
            staging: db("openpeta_import_7"),
            target: db("shop"),
        }
    }

    fn place(&self) -> ImportPlace<'_> {
        ImportPlace {
            node: &self.beds.to,
            staging: &self.staging,
            target: &self.target,
        }
    }

    /// Runs a program against the first node; what it prints.
    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let engine = &self.beds.bed.engine;
        let socket = engine.socket_path(&self.beds.from).expect("short enough");
        let output = Command::new(program)
            .args(["--no-defaults", "--user", "openpeta_admin"])
            .arg(format!("--password={ADMIN_PASSWORD}"))
            .arg(format!("--socket={}", socket.display()))
            .args(arguments)
            .output()
            .expect("it is installed");
        assert!(output.status.success(), "{program}: {output:?}");
        output.stdout
    }

    /// Loads a dump; where the source's log was.
    async fn load(&self) -> SourcePosition {
        let dump = self.run(
            "mariadb-dump",
            &["--single-transaction", "--master-data=2", "shop"],
        );
        let path = self.beds.bed.dir.path().join("dump.sql");
        std::fs::write(&path, dump).expect("our own directory");
        let source = ImportSource::path(&path, None).expect("a file");
        let options = ImportOptions {
            keeps_definers: true,
            ..ImportOptions::default()
        };
        let engine = &self.beds.bed.engine;
        let loaded = engine.load_import(self.place(), source, &options, &|_, _, _| {});
        let loaded = loaded.await.expect("it can be loaded");
        loaded.position.expect("the dump tells it")
    }

    /// The source's log files.
    fn logs(&self) -> Vec<(String, u64)> {
        let text = self.run("mariadb", &["-N", "-B", "-e", "SHOW BINARY LOGS"]);
        let text = String::from_utf8(text).expect("text");
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let file = words.next().expect("a name").to_owned();
            (
                file,
                words.next().expect("bytes").parse().expect("a number"),
            )
        };
        text.lines().map(line).collect()
    }

    async fn fetch(&self, file: &str, from: u64) -> PathBuf {
        let dir = self
            .beds
            .bed
            .engine
            .pieces_dir(self.place())
            .await
            .expect("made");
        let (to, at) = (
            format!("--result-file={}/", dir.display()),
            format!("--start-position={from}"),
        );
        let remote = ["--read-from-remote-server", "--raw", &to, &at, file];
        self.run("mariadb-binlog", &remote);
        dir.join(file)
    }

    /// Applies all that the source has.
    async fn follow(&self, from: &SourcePosition) -> Result<Vec<Followed>, EngineError> {
        let engine = &self.beds.bed.engine;
        let mut position = engine.begin_following(self.place(), from).await?;
        let (logs, first) = (self.logs(), position.file.clone());
        let mut followed = Vec::new();
        for (file, bytes) in logs.iter().skip_while(|(file, _)| *file != first) {
            if *file != position.file {
                position = SourcePosition {
                    file: file.clone(),
                    position: 4,
                };
            }
            let path = self.fetch(file, position.position).await;
            let piece = LogPiece {
                path: &path,
                file,
                from: position.position,
                until: u64::MAX,
            };
            let done = engine.follow(self.place(), "shop", piece).await?;
            assert_eq!(done.position, *bytes, "{file}");
            followed.push(done);
        }
        Ok(followed)
    }

    /// Panics if the source and the copy differ.
    async fn compare(&self) {
        let engine = &self.beds.bed.engine;
        let checks = engine.import_checks(self.place()).await.expect("queries");
        assert_eq!(checks.len(), 5);
        let sums = engine.import_sums(self.place(), &|_, _, _| {}).await;
        let sums = sums.expect("they can be read");
        for (table, check) in checks {
            let query = format!("SET time_zone='+00:00', NAMES utf8mb4; {check}");
            let text = self.run("mariadb", &["-N", "-B", "-e", &query, "shop"]);
            let text = String::from_utf8(text).expect("text");
            let its = &sums[&table];
            assert_eq!(
                text.trim(),
                format!("{}\t{}", its.rows, its.checksum),
                "{table}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_follows_its_source() {
    let world = World::new().await;
    let engine = &world.beds.bed.engine;
    let from = world.load().await;
    world.compare().await;
    let writes = WRITES.as_bytes();
    world.beds.script(&world.beds.from, writes);
    let followed = world.follow(&from).await.expect("it can be followed");
    let transactions: Vec<u64> = followed.iter().map(|piece| piece.transactions).collect();
    assert_eq!(transactions, [9, 2]);
    world.compare().await;
    // What is here is not applied again, whoever asks.
    let again = world.follow(&from).await.expect("it can be followed");
    assert_eq!(again.iter().map(|piece| piece.transactions).sum::<u64>(), 0);
    // The node counts what it applied as its own.
    let mut conn = world.beds.connect(&world.beds.to).await;
    let query = "SELECT @@gtid_domain_id, @@server_id, @@gtid_binlog_pos";
    let (domain, server, position): (u64, u64, String) = conn
        .query_first(query)
        .await
        .expect("an answer")
        .expect("a row");
    assert!(
        position.starts_with(&format!("{domain}-{server}-")),
        "{position}"
    );

    let sums = engine
        .import_sums(world.place(), &|_, _, _| {})
        .await
        .expect("read");
    engine.end_following(world.place()).await.expect("ended");
    let check = async |sums: &BTreeMap<String, TableSum>| {
        let (loaded, options) = (Loaded::default(), ImportOptions::default());
        let expected = Expected::Source(sums);
        let checked = engine.check_import(
            world.place(),
            loaded,
            expected,
            &options,
            &[],
            &|_, _, _| {},
        );
        checked.await.map(|imported| imported.tables.len())
    };
    let mut wrong = sums.clone();
    wrong.get_mut("parted").expect("it is there").rows += 1;
    let differs = check(&wrong).await;
    assert!(
        matches!(differs, Err(EngineError::NotImported { .. })),
        "{differs:?}"
    );
    assert_eq!(check(&sums).await.expect("it is the same"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_followed_is_told() {
    let world = World::new().await;
    let refused = async |script: &str, word: &str| {
        let from = world.load().await;
        world.beds.script(&world.beds.from, script.as_bytes());
        match world.follow(&from).await {
            Err(EngineError::NotImported { what }) => assert!(what.contains(word), "{what}"),
            other => panic!("{script}: {other:?}"),
        }
    };
    refused("ALTER TABLE parted ADD w INT", "ALTER TABLE parted").await;
    refused("TRUNCATE TABLE log", "TRUNCATE").await;
    let statement = "SET SESSION binlog_format = STATEMENT; INSERT INTO log VALUES ('x')";
    refused(statement, "INSERT INTO log").await;
    let xa =
        "XA START 'a'; INSERT INTO log VALUES ('y'); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a'";
    refused(xa, "XA").await;
    // A row that is not here.
    let from = world.load().await;
    let mut conn = world.beds.connect(&world.beds.to).await;
    let gone = "DELETE FROM openpeta_import_7.parted WHERE id = 7";
    conn.query_drop(gone).await.expect("it is there");
    world
        .beds
        .script(&world.beds.from, b"DELETE FROM parted WHERE id = 7");
    let followed = world.follow(&from).await;
    let Err(EngineError::NotImported { what }) = followed else {
        panic!("{followed:?}");
    };
    assert!(what.contains("does not fit"), "{what}");
}
