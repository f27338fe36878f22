//! Sets of a database that is spread over nodes: one moment of all of them, and each node's own part.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_engine::{
    BackupKeys, BackupSource, EngineError, Expected, ImportNodes, ImportOptions, ImportPlace,
    ImportSource, Manifest, TakenSet,
};
use openpeta_types::{AccountName, ExportForm, ExportLayout, NodeId};

use crate::common::beds::Beds;
use crate::common::{ADMIN_PASSWORD, SETTINGS, client, db, node};

const PARTITIONS: [u16; 4] = [0, 1, 0, 1];

/// What the coordinator makes of distributed tables, and what is whole.
const ON_BOTH: &str = "SET sql_mode='IGNORE_BAD_TABLE_OPTIONS';
CREATE TABLE `odd ``name` (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), f FLOAT)
  distribute_by='HASH(id)';
CREATE TABLE everywhere (id INT PRIMARY KEY) distribute_by='BROADCAST';
INSERT INTO everywhere VALUES (1), (2);
";
const ON_FIRST: &str = "INSERT INTO `odd ``name` VALUES (1, 'one', 0.1), (3, 'it''s', NULL);
CREATE TABLE whole (id INT PRIMARY KEY, t TEXT) COMMENT 'has no distribution';
INSERT INTO whole VALUES (1, 'a;\nb'), (2, NULL);
CREATE VIEW looks AS SELECT id FROM `odd ``name`;
DELIMITER ;;
CREATE PROCEDURE does() BEGIN
-- OpenPeta backup
SELECT 1; END;;
DELIMITER ;
";
const ON_SECOND: &str =
    "INSERT INTO `odd ``name` VALUES (2, 'two', 1e10), (4, 'four', 2.5), (6, 'six', 0);
";
const IDS: &str = "CREATE TABLE mysql.openpeta_ids (table_schema VARCHAR(64) NOT NULL, \
    table_name VARCHAR(64) NOT NULL, next_id BIGINT UNSIGNED NOT NULL, \
    PRIMARY KEY (table_schema, table_name)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO mysql.openpeta_ids VALUES ('shop', 'odd `name', 101), ('other', 't', 7);
";

/// Two nodes with the database, and two empty ones.
pub struct Spread {
    pub beds: Beds,
    pub from: [NodeId; 2],
    pub to: [NodeId; 2],
}

impl Spread {
    pub async fn new(keys: BackupKeys) -> Self {
        let beds = Beds::with(|config| config.backup_keys = keys).await;
        let more = [node("nd-second"), node("nd-fourth")];
        for node in &more {
            let engine = &beds.bed.engine;
            engine.create_node(node, &SETTINGS).await.expect("create");
            engine.start_node(node).await.expect("start");
        }
        let [second, fourth] = more;
        let mut sql = beds.bed.engine.sql(&second).await.expect("connect");
        sql.create_database(&db("shop")).await.expect("create");
        sql.close().await;
        beds.script(&beds.from, format!("{ON_BOTH}{ON_FIRST}{IDS}").as_bytes());
        beds.script(&second, format!("{ON_BOTH}{ON_SECOND}").as_bytes());
        Self {
            from: [beds.from.clone(), second],
            to: [beds.to.clone(), fourth],
            beds,
        }
    }

    pub fn set(&self) -> PathBuf {
        self.beds.set("1")
    }

    /// Takes a set; between the snapshots and their reading something is done.
    pub async fn take(&self, meanwhile: impl AsyncFnOnce()) -> Result<TakenSet, EngineError> {
        let engine = &self.beds.bed.engine;
        let mut snapshots = engine.open_snapshots(&self.from, &db("shop")).await?;
        snapshots.make_ready().await?;
        snapshots.begin().await?;
        meanwhile().await;
        let source = BackupSource {
            instance_id: "pd-a".into(),
            db_name: "shop".into(),
            backup_id: "1".into(),
        };
        engine
            .take_spread_set(snapshots, &self.set(), &source, &PARTITIONS, &|_, _, _| {})
            .await
    }

    pub async fn load(&self, manifest: &Manifest) -> Result<(), EngineError> {
        let engine = &self.beds.bed.engine;
        engine
            .load_spread_set(&self.to, &db("shop"), &self.set(), manifest, &|_, _, _| {})
            .await
    }

    pub async fn verify(&self, manifest: &Manifest) -> Result<(), EngineError> {
        let engine = &self.beds.bed.engine;
        engine
            .verify_spread_set(&self.to, &db("shop"), manifest, &|_, _, _| {})
            .await
    }

    pub async fn differs(&self, manifest: &Manifest) -> String {
        match self.verify(manifest).await {
            Err(EngineError::RestoreDiffers { what }) => what,
            other => panic!("{other:?}"),
        }
    }

    async fn connect(&self, node: &NodeId) -> Conn {
        self.beds.connect(node).await
    }

    async fn run(&self, node: &NodeId, statement: &str) {
        let mut conn = self.connect(node).await;
        conn.query_drop(statement).await.expect(statement);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_gets_its_part_and_is_compared_with_it() {
    let spread = Spread::new(BackupKeys::default()).await;
    let [first, second] = &spread.from;
    let taken = spread.take(async || {
        // What comes after the moment is in no part, on whichever node.
        spread.run(first, "DELETE FROM `odd ``name`").await;
        spread.run(second, "DELETE FROM `odd ``name`").await;
        spread
            .run(first, "UPDATE mysql.openpeta_ids SET next_id = 201")
            .await;
    });
    let taken = taken.await.expect("taken");
    let manifest = &taken.manifest;
    assert_eq!((manifest.format, manifest.node_number()), (6, 2));
    let parts = manifest.spread.as_ref().expect("it is spread");
    assert_eq!(parts.partitions, PARTITIONS);
    assert_eq!(
        parts.ids.iter().collect::<Vec<_>>(),
        [(&"odd `name".to_owned(), &101)]
    );
    let rows = |tables: &std::collections::BTreeMap<String, openpeta_engine::TableEntry>| {
        let counts = tables
            .iter()
            .map(|(name, table)| format!("{name}={}", table.rows));
        counts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(rows(&manifest.tables), "everywhere=2 odd `name=2 whole=2");
    assert_eq!(
        rows(&parts.nodes[0].content.tables),
        "everywhere=2 odd `name=3"
    );
    assert_eq!(manifest.binlog.node, first.as_str());
    assert_eq!(parts.nodes[0].binlog.node, second.as_str());
    assert!(parts.nodes[0].binlog.gtid.starts_with("0-"));
    let engine = &spread.beds.bed.engine;
    let checked = engine
        .check_set(&spread.set(), &taken.manifest_sha256)
        .await;
    assert_eq!(checked.expect("whole"), *manifest);

    for _ in 0..2 {
        spread.load(manifest).await.expect("it can be loaded");
        spread.verify(manifest).await.expect("it is the same");
    }
    let [third, fourth] = &spread.to;
    let mut conn = spread.connect(third).await;
    let option =
        "SELECT CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_NAME = 'odd `name'";
    let options: Option<String> = conn.query_first(option).await.expect("listed");
    assert!(
        options
            .expect("a table")
            .contains("`distribute_by`='HASH(id)'")
    );

    // Whatever differs on whichever node is found and told.
    for (node, number, change, what) in [
        (
            fourth,
            1,
            "UPDATE `odd ``name` SET f = 2.6 WHERE id = 4",
            "the content of table odd `name",
        ),
        (
            fourth,
            1,
            "DELETE FROM everywhere WHERE id = 2",
            "table everywhere",
        ),
        (
            third,
            0,
            "ALTER TABLE everywhere COMMENT 'x'",
            "the definition of table everywhere",
        ),
        (third, 0, "DROP VIEW looks", "view looks"),
        (fourth, 1, "CREATE TABLE more (id INT)", "table more"),
        (
            third,
            0,
            "UPDATE mysql.openpeta_ids SET next_id = 1",
            "the ids",
        ),
    ] {
        spread.load(manifest).await.expect("it can be loaded");
        spread.run(node, change).await;
        let told = spread.differs(manifest).await;
        assert!(told.contains(what), "{change}: {told}");
        assert!(
            told.contains(&format!("on node {number}")) || what == "the ids",
            "{told}"
        );
    }
    // A part in the other one's place is none.
    let [third, fourth] = spread.to.clone();
    let swapped = Spread {
        to: [fourth, third],
        ..spread
    };
    assert!(swapped.verify(manifest).await.is_err());
}

impl Spread {
    pub async fn export(&self, form: ExportForm, meanwhile: impl AsyncFnOnce()) -> Manifest {
        let engine = &self.beds.bed.engine;
        let snapshots = engine.open_snapshots(&self.from, &db("shop")).await;
        let mut snapshots = snapshots.expect("both answer");
        snapshots.make_ready().await.expect("nobody else does");
        snapshots.begin().await.expect("nobody is in the way");
        meanwhile().await;
        let source = BackupSource {
            instance_id: "pd-a".into(),
            db_name: "shop".into(),
            backup_id: "export-1".into(),
        };
        let target = self.set();
        let export = engine.export_spread(snapshots, (&target, form), &source, &|_, _, _| {});
        let taken = export.await.expect("taken");
        let checked = engine.check_set(&target, &taken.manifest_sha256).await;
        assert_eq!(checked.expect("whole"), taken.manifest);
        taken.manifest
    }

    /// The text of files of an export, and all of them removed.
    fn exported(&self, names: &[&str]) -> Vec<String> {
        let text = |name: &&str| {
            let file = self.set().join(name);
            let text = Command::new("zstd").arg("-dc").arg(file).output();
            String::from_utf8(text.expect("zstd is installed").stdout).expect("text")
        };
        let texts = names.iter().map(text).collect();
        std::fs::remove_dir_all(self.set()).expect("it is there");
        texts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_whole_tables_as_of_one_moment_of_all_nodes() {
    let spread = Spread::new(BackupKeys::default()).await;
    let [first, second] = &spread.from;
    let [plain, _] = &spread.to;
    spread.run_anywhere(plain, "CREATE DATABASE shop").await;
    let form = ExportForm {
        for_one_node: true,
        ..ExportForm::default()
    };
    let meanwhile = async || {
        spread
            .run(first, "DELETE FROM `odd ``name` WHERE id = 1")
            .await;
        spread
            .run(second, "DELETE FROM `odd ``name` WHERE id = 2")
            .await;
        spread.run(second, "DELETE FROM everywhere").await;
    };
    let manifest = spread.export(form, meanwhile).await;
    assert!(manifest.spread.is_none());
    let rows: Vec<_> = manifest
        .tables
        .iter()
        .map(|(name, table)| (name.as_str(), table.rows))
        .collect();
    assert_eq!(rows, [("everywhere", 2), ("odd `name", 5), ("whole", 2)]);
    let text = spread.exported(&["dump.sql.zst"]).remove(0);
    assert!(!text.contains("DISTRIBUTE BY"), "{text}");
    // A plain server takes it, and then has what the manifest says: definitions, rows, programs.
    spread.beds.script(plain, text.as_bytes());
    let engine = &spread.beds.bed.engine;
    engine
        .verify_set(plain, &db("shop"), &manifest, &|_, _, _| {})
        .await
        .expect("it is the same");
    let mut conn = spread.connect(plain).await;
    conn.query_drop("INSERT INTO `odd ``name` (v) VALUES ('next')")
        .await
        .expect("a table");
    assert_eq!(
        conn.last_insert_id(),
        Some(101),
        "ids go on behind those that were given"
    );

    // For a database over nodes it says how rows are distributed; and in files, too.
    let manifest = spread.export(ExportForm::default(), async || {}).await;
    assert_eq!(manifest.tables["odd `name"].rows, 3);
    let text = spread.exported(&["dump.sql.zst"]).remove(0);
    for clause in [
        " DISTRIBUTE BY HASH(`id`);\n",
        " DISTRIBUTE BY BROADCAST;\n",
    ] {
        assert_eq!(text.matches(clause).count(), 1, "{text}");
    }
    assert!(
        text.contains("\n) ENGINE=InnoDB AUTO_INCREMENT=101 "),
        "{text}"
    );
    assert!(!text.contains("distribute_by"), "{text}");
    let form = ExportForm {
        layout: ExportLayout::Mydumper,
        ..ExportForm::default()
    };
    let manifest = spread.export(form, async || {}).await;
    assert!(manifest.files.iter().any(|file| file.name == "metadata"));
    let names = [
        "shop.mydumper_1-schema.sql.zst",
        "shop.mydumper_1.00000.sql.zst",
    ];
    let texts = spread.exported(&names);
    assert!(
        texts[0].contains(" DISTRIBUTE BY HASH(`id`);\n"),
        "{}",
        texts[0]
    );
    let all = ["(3,", "(4,", "(6,"]
        .iter()
        .all(|row| texts[1].contains(row));
    assert!(all, "{}", texts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_commits_while_snapshots_are_begun_and_everybody_does_after() {
    let spread = Spread::new(BackupKeys::default()).await;
    let [first, second] = &spread.from;
    // A transaction that is prepared on one node may be committed on another.
    let mut conn = spread.connect(second).await;
    for statement in [
        "XA START 'a'",
        "INSERT INTO everywhere VALUES (9)",
        "XA END 'a'",
        "XA PREPARE 'a'",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let refused = spread.take(async || {}).await.expect_err("in doubt");
    assert!(
        matches!(&refused, EngineError::InDoubt { node } if node == second),
        "{refused}"
    );
    // It holds nobody, though it was given up.
    spread.run(first, "INSERT INTO whole VALUES (3, 'c')").await;
    conn.query_drop("XA ROLLBACK 'a'")
        .await
        .expect("it is there");
    // Somebody who backs the node up by other means is waited for, for a moment.
    conn.query_drop("BACKUP STAGE START")
        .await
        .expect("nobody else does");
    conn.query_drop("BACKUP STAGE BLOCK_COMMIT")
        .await
        .expect("nobody commits");
    let begun = std::time::Instant::now();
    let refused = spread.take(async || {}).await.expect_err("held");
    assert!(matches!(refused, EngineError::Sql { .. }), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    spread.run(first, "INSERT INTO whole VALUES (4, 'd')").await;
    conn.query_drop("BACKUP STAGE END")
        .await
        .expect("it was begun");
    // Before they are begun others are kept from nothing.
    let engine = &spread.beds.bed.engine;
    let snapshots = engine.open_snapshots(&spread.from, &db("shop")).await;
    let mut snapshots = snapshots.expect("both answer");
    snapshots.make_ready().await.expect("nobody else does");
    for node in &spread.from {
        spread.run(node, "INSERT INTO everywhere VALUES (10)").await;
    }
    snapshots.begin().await.expect("nothing is in the way");
    for node in &spread.from {
        spread
            .run(node, "DELETE FROM everywhere WHERE id = 10")
            .await;
    }
    drop(snapshots);
    transactions_in_doubt_are_seen(&spread).await;
    // A definition that changed is no moment.
    let refused = spread.take(async || {
        spread
            .run(second, "ALTER TABLE everywhere ADD COLUMN c INT")
            .await;
    });
    let refused = refused.await.expect_err("it changed");
    assert!(
        matches!(refused, EngineError::SchemaChanged { .. }),
        "{refused}"
    );
    let taken = spread.take(async || {}).await.expect("taken");
    assert_eq!(taken.manifest.tables["whole"].rows, 4);
}

/// One that is prepared at a place in the log, or ends behind it.
async fn transactions_in_doubt_are_seen(spread: &Spread) {
    let first = &spread.from[0];
    let mut sql = spread.beds.bed.engine.sql(first).await.expect("connect");
    let mut conn = spread.connect(first).await;
    let before = sql.binlog_position(first).await.expect("told");
    assert!(!sql.is_in_doubt_since(&before).await.expect("told"));
    for statement in [
        "XA START 'b'",
        "INSERT INTO everywhere VALUES (11)",
        "XA END 'b'",
        "XA PREPARE 'b'",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let prepared = sql.binlog_position(first).await.expect("told");
    assert!(sql.is_in_doubt_since(&prepared).await.expect("told"));
    conn.query_drop("XA ROLLBACK 'b'")
        .await
        .expect("it is there");
    assert!(sql.is_in_doubt_since(&prepared).await.expect("told"));
    let after = sql.binlog_position(first).await.expect("told");
    assert!(!sql.is_in_doubt_since(&after).await.expect("told"));
    sql.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_set_over_nodes_is_read_with_its_key() {
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let keys = BackupKeys::parse(KEY).expect("a key");
    let mut spread = Spread::new(keys.clone()).await;
    let taken = spread.take(async || {}).await.expect("taken");
    assert_eq!(taken.manifest.format, 7);
    spread
        .load(&taken.manifest)
        .await
        .expect("it can be loaded");
    spread
        .verify(&taken.manifest)
        .await
        .expect("it is the same");
    // Decrypted it is loaded by hand: each node's bytes into that node.
    let plain = spread.beds.bed.dir.path().join("plain");
    openpeta_engine::decrypt_backup(&keys, &spread.set(), &plain).expect("its key");
    spread
        .beds
        .reopen(|config| config.backup_keys = BackupKeys::default())
        .await;
    let text = Command::new("zstd")
        .arg("-dc")
        .arg(plain.join("dump.sql.zst"))
        .output();
    let text = text.expect("zstd is installed").stdout;
    let parts = taken.manifest.spread.clone().expect("it is spread");
    let (node, ours) = (
        &parts.nodes[0],
        usize::try_from(parts.bytes).expect("small"),
    );
    assert_eq!(
        (node.begin, node.begin + node.bytes),
        (parts.bytes, text.len() as u64)
    );
    for (to, part) in spread.to.iter().zip([&text[..ours], &text[ours..]]) {
        for statement in [
            "DROP DATABASE shop",
            "CREATE DATABASE shop",
            "SET GLOBAL event_scheduler=OFF",
        ] {
            spread.run_anywhere(to, statement).await;
        }
        spread.beds.script(to, part);
    }
    spread
        .verify(&taken.manifest)
        .await
        .expect("it is the same");
}

impl Spread {
    async fn run_anywhere(&self, node: &NodeId, statement: &str) {
        let mut conn = self.connect_anywhere(node).await;
        conn.query_drop(statement).await.expect(statement);
    }

    async fn connect_anywhere(&self, node: &NodeId) -> Conn {
        let socket = self
            .beds
            .bed
            .engine
            .socket_path(node)
            .expect("short enough");
        let admin = openpeta_engine::ADMIN_ACCOUNT;
        client(&socket, admin, ADMIN_PASSWORD)
            .await
            .expect("connect")
    }
}

/// A set of several nodes becomes one database, all rows of all of them, compared with what the set says of each.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_over_nodes_is_imported_as_one_database() {
    let spread = Spread::new(BackupKeys::default()).await;
    let taken = spread.take(async || {}).await.expect("taken");
    let engine = &spread.beds.bed.engine;
    let (staging, target) = (db("openpeta_import_7"), db("whole"));
    let mut sql = engine.sql(&spread.to[0]).await.expect("connect");
    sql.create_database(&target).await.expect("create");
    sql.close().await;
    let place = ImportPlace {
        node: &spread.to[0],
        staging: &staging,
        target: &target,
    };
    let bob = [AccountName::parse_new("bob").expect("a name")];
    for node in &spread.to {
        let mut conn = spread.connect_anywhere(node).await;
        conn.query_drop("CREATE USER bob; GRANT ALL ON whole.* TO bob")
            .await
            .expect("an account");
    }
    let options = ImportOptions {
        definer: Some("bob".into()),
        ..ImportOptions::default()
    };
    let import = async || {
        let source = ImportSource::path(&spread.set(), None)?;
        let loaded = engine.load_import(place, source, &options, &|_, _, _| {});
        let loaded = loaded.await?;
        let manifest = loaded.manifest.clone().expect("of all nodes");
        let expected = Expected::Manifest(&manifest);
        let checked = engine.check_import(place, loaded, expected, &options, &bob, &|_, _, _| {});
        let imported = checked.await?;
        engine.publish_import(place, &imported).await?;
        Ok::<_, EngineError>(imported)
    };
    let imported = import().await.expect("imported");
    let rows = |name: &str| imported.tables[name].rows;
    assert_eq!(
        (rows("odd `name"), rows("everywhere"), rows("whole")),
        (5, 2, 2)
    );
    let sum = |manifest: &Manifest, name: &str| -> u128 {
        let sum = &manifest.tables[name].checksum;
        sum.parse().expect("a number")
    };
    let parts = taken.manifest.spread.as_ref().expect("it is spread");
    let of_second = &parts.nodes[0].content.tables["odd `name"].checksum;
    let of_second: u128 = of_second.parse().expect("a number");
    let together = sum(&taken.manifest, "odd `name") + of_second;
    assert_eq!(imported.tables["odd `name"].checksum, together.to_string());
    assert_eq!((imported.views, imported.routines), (1, 1));
    let mut conn = spread.connect_anywhere(&spread.to[0]).await;
    let ids: Vec<u64> = conn
        .query("SELECT id FROM whole.looks ORDER BY id")
        .await
        .expect("a view");
    assert_eq!(ids, [1, 2, 3, 4, 6]);
    // Ids go on behind those that were given, and the server knows nothing of a distribution.
    conn.query_drop("INSERT INTO whole.`odd ``name` (v) VALUES ('next')")
        .await
        .expect("inserted");
    assert_eq!(conn.last_insert_id(), Some(101));
    let shown: Option<(String, String)> = conn
        .query_first("SHOW CREATE TABLE whole.`odd ``name`")
        .await
        .expect("a table");
    let (_, create) = shown.expect("a row");
    assert!(!create.contains("distribute"), "{create}");

    // A row that is not where the set says is noticed.
    conn.query_drop("DROP DATABASE whole; CREATE DATABASE whole")
        .await
        .expect("emptied");
    let path = spread.set().join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("there");
    let other = (of_second + 1).to_string();
    std::fs::write(&path, text.replace(&of_second.to_string(), &other)).expect("ours");
    let error = import().await.expect_err("it differs").to_string();
    assert!(error.contains("the content of table odd `name"), "{error}");
}

/// A set of several nodes is imported over nodes: each gets its rows by their keys, whichever node they were on.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_over_nodes_is_distributed_anew() {
    let spread = Spread::new(BackupKeys::default()).await;
    for (node, rows) in [(0, "(2), (4)"), (1, "(1), (3), (6)")] {
        let script = format!(
            "DROP VIEW IF EXISTS looks; DROP TABLE `odd ``name`; \
             SET sql_mode='IGNORE_BAD_TABLE_OPTIONS'; \
             CREATE TABLE item (id INT NOT NULL PRIMARY KEY) distribute_by='HASH(id)'; \
             INSERT INTO item VALUES {rows}"
        );
        let script = script.as_bytes();
        spread.beds.script(&spread.from[node], script);
    }
    spread.take(async || {}).await.expect("taken");
    let engine = &spread.beds.bed.engine;
    let (staging, target) = (db("openpeta_import_7"), db("wide"));
    for node in &spread.to {
        let mut sql = engine.sql(node).await.expect("connect");
        sql.create_database(&target).await.expect("create");
        sql.close().await;
    }
    let place = ImportPlace {
        node: &spread.to[0],
        staging: &staging,
        target: &target,
    };
    let mut conn = spread.connect_anywhere(&spread.to[0]).await;
    conn.query_drop("CREATE USER bob; GRANT ALL ON wide.* TO bob")
        .await
        .expect("an account");
    let options = ImportOptions {
        definer: Some("bob".into()),
        over_nodes: true,
        ..ImportOptions::default()
    };
    let source = ImportSource::path(&spread.set(), None).expect("a set");
    let loaded = engine.load_import(place, source, &options, &|_, _, _| {});
    let loaded = loaded.await.expect("loaded");
    let manifest = loaded.manifest.clone().expect("of all nodes");
    let expected = Expected::Manifest(&manifest);
    let bob = [AccountName::parse_new("bob").expect("a name")];
    let checked = engine.check_import(place, loaded, expected, &options, &bob, &|_, _, _| {});
    let imported = checked.await.expect("compared");
    let nodes = ImportNodes {
        nodes: &spread.to,
        partitions: &[0, 1, 1],
    };
    let distributed = engine.distribute_import(place, nodes, &imported, &|_, _, _| {});
    distributed.await.expect("distributed");
    let settled = engine.settle_import(place, nodes, &imported).await;
    settled.expect("compared");
    let published = engine.publish_import_over_nodes(place, &spread.to, &imported);
    published.await.expect("published");
    let everything = "SELECT CONCAT_WS(' ', (SELECT GROUP_CONCAT(id ORDER BY id) FROM wide.item), \
         (SELECT COUNT(*) FROM wide.everywhere))";
    for (node, wanted) in [(0, "3,6 2"), (1, "1,2,4 2")] {
        let mut conn = spread.connect_anywhere(&spread.to[node]).await;
        let found: Option<String> = conn.query_first(everything).await.expect("read");
        assert_eq!(found.as_deref(), Some(wanted), "node {node}");
    }
}
