//! Definition statements of users against a real server: they reach their database alone, are
//! carried out once, and tables are shown as they are.

use crate::common;

use crate::common::{Bed, client, db, refused};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_engine::{ADMIN_ACCOUNT, Defined, TableState};
use openpeta_types::{NodeId, TableName};

fn table(name: &str) -> TableName {
    TableName::parse(name).expect("a table's name")
}

/// A node with two databases and what others must not get at.
struct Shop {
    bed: Bed,
    node: NodeId,
    admin: Conn,
}

impl Shop {
    async fn new() -> Self {
        let (bed, node) = Bed::with_node().await;
        let mut sql = bed.engine.sql(&node).await.expect("connect");
        sql.create_database(&db("shop")).await.expect("create");
        sql.create_database(&db("other")).await.expect("create");
        sql.close().await;
        let socket = bed.engine.socket_path(&node).expect("short enough");
        let mut admin = client(&socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
            .await
            .expect("log in");
        for statement in [
            "CREATE TABLE other.secrets (id INT PRIMARY KEY, s TEXT)",
            "INSERT INTO other.secrets VALUES (1, 'hidden')",
            "CREATE TABLE other.part (id INT PRIMARY KEY)",
            "CREATE SEQUENCE other.numbers",
        ] {
            admin.query_drop(statement).await.expect(statement);
        }
        Self { bed, node, admin }
    }

    async fn state(&self, name: &str) -> TableState {
        let mut sql = self.bed.engine.sql(&self.node).await.expect("connect");
        let state = sql.table_state(&db("shop"), &table(name)).await;
        sql.close().await;
        state.expect("readable")
    }

    async fn run_from(&self, name: &str, before: &TableState, statement: &str) -> Defined {
        let engine = &self.bed.engine;
        let database = db("shop");
        let result = engine
            .run_ddl(&self.node, &database, &table(name), before, statement)
            .await;
        result.expect("the node answers")
    }

    async fn run(&self, name: &str, statement: &str) -> Defined {
        let before = self.state(name).await;
        self.run_from(name, &before, statement).await
    }

    /// MariaDB's error number for a statement about `t`.
    async fn refusal(&self, statement: &str) -> u16 {
        match self.run("t", statement).await {
            Defined::Refused(refusal) => refusal.code,
            Defined::Done => panic!("{statement} was carried out"),
        }
    }

    async fn rows(&mut self, query: &str) -> Vec<String> {
        self.admin.query(query).await.expect(query)
    }
}

#[tokio::test]
async fn a_definition_reaches_no_other_database() {
    const SYNTAX: u16 = 1064;
    const UNKNOWN_ENGINE: u16 = 1286;
    let mut shop = Shop::new().await;
    let made = shop
        .run(
            "t",
            "CREATE TABLE t (id INT PRIMARY KEY, a INT) PARTITION BY KEY (id) PARTITIONS 2",
        )
        .await;
    assert_eq!(made, Defined::Done);
    // What the classifier would never let through is tried here all the same.
    for statement in [
        "CREATE TABLE x LIKE mysql.user",
        "CREATE TABLE x LIKE mysql.global_priv",
        "CREATE TABLE x LIKE other.secrets",
        "CREATE TABLE x AS SELECT * FROM mysql.global_priv",
        "CREATE TABLE x AS SELECT * FROM other.secrets",
        "CREATE TABLE x SELECT (SELECT s FROM other.secrets) AS s",
        "CREATE TABLE x AS WITH y AS (SELECT * FROM other.secrets) SELECT * FROM y",
        "CREATE TABLE other.x (id INT)",
        "CREATE TABLE mysql.x (id INT)",
        "CREATE TABLE x (id INT, FOREIGN KEY (id) REFERENCES other.secrets (id))",
        "CREATE TABLE x (id INT, s TEXT) ENGINE=MERGE UNION=(other.secrets)",
        "CREATE TABLE x (id INT DEFAULT (NEXT VALUE FOR other.numbers))",
        "ALTER TABLE other.secrets ADD a INT",
        "ALTER TABLE t RENAME TO other.t",
        "ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE other.part",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES other.secrets (id)",
        "CREATE INDEX i ON other.secrets (id)",
        "DROP INDEX i ON other.secrets",
        "DROP TABLE other.secrets",
        "DROP TABLE t, other.secrets",
        "TRUNCATE TABLE other.secrets",
        "RENAME TABLE t TO other.t",
        "DROP DATABASE other",
        "CREATE DATABASE mine",
        "CREATE USER mallory",
        "GRANT ALL ON *.* TO 'openpeta-ddl:shop'@localhost",
        "GRANT SELECT ON shop.* TO alice",
        "SET GLOBAL max_connections = 1",
        "SET STATEMENT sql_log_bin = 0 FOR CREATE TABLE x (id INT)",
        "CREATE VIEW x AS SELECT 1",
        "CREATE PROCEDURE x() SELECT 1",
        "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
        "CREATE EVENT x ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "INSTALL SONAME 'ha_connect'",
        "FLUSH TABLES WITH READ LOCK",
        "SHUTDOWN",
        "CREATE TABLE x (id INT) ENGINE=CONNECT TABLE_TYPE=CSV FILE_NAME='/etc/passwd'",
        "CREATE TABLE x (id INT) ENGINE=SPIDER",
        "CREATE TABLE x (id INT) ENGINE=FEDERATED CONNECTION='mysql://localhost/mysql/user'",
        "SELECT 1 INTO OUTFILE '/tmp/openpeta-x'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    ] {
        let code = shop.refusal(statement).await;
        assert!(
            refused::ANY.contains(&code) || code == UNKNOWN_ENGINE,
            "{statement}: {code}"
        );
    }
    let session = shop.rows("SELECT CONNECTION_ID()").await;
    let kill = format!("KILL {}", session[0]);
    assert_eq!(shop.refusal(&kill).await, refused::KILL);
    // More than one statement is a syntax error, in whatever disguise.
    for statement in [
        "CREATE TABLE x (id INT); DROP TABLE t",
        "CREATE TABLE x (id INT) /*! ; DROP TABLE t */",
        "CREATE TABLE x (id INT);",
        "DROP TABLE t\0; DROP TABLE t",
    ] {
        if let Defined::Refused(refusal) = shop.run("t", statement).await {
            assert_eq!(refusal.code, SYNTAX, "{statement}");
        } else {
            assert_eq!(statement, "CREATE TABLE x (id INT);");
        }
    }
    // Files of the host come as NULL.
    shop.run(
        "f",
        "CREATE TABLE f AS SELECT LOAD_FILE('/etc/passwd') IS NULL AS empty",
    )
    .await;
    assert_eq!(shop.rows("SELECT empty FROM shop.f").await, ["1"]);
    // Files outside of the node's directory are not made.
    shop.run("d", "CREATE TABLE d (id INT) DATA DIRECTORY='/tmp'")
        .await;
    let shown =
        shop.rows("SELECT CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_NAME = 'd'");
    assert!(!shown.await[0].contains("/tmp"));
    assert_eq!(shop.rows("SELECT s FROM other.secrets").await, ["hidden"]);
    assert_eq!(
        shop.rows("SHOW TABLES IN other").await,
        ["numbers", "part", "secrets"]
    );
    assert_eq!(shop.rows("SHOW TABLES IN shop").await, ["d", "f", "t", "x"]);
}

#[tokio::test]
async fn the_account_is_the_nodes_own_and_goes_with_its_database() {
    let mut shop = Shop::new().await;
    assert_eq!(
        shop.run("t", "CREATE TABLE t (id INT)").await,
        Defined::Done
    );
    const ACCOUNTS: &str = "SELECT CONCAT(User, '@', Host) FROM mysql.global_priv \
                            WHERE User LIKE '%ddl%'";
    assert_eq!(shop.rows(ACCOUNTS).await, ["openpeta-ddl:shop@localhost"]);
    let mut sql = shop.bed.engine.sql(&shop.node).await.expect("connect");
    assert_eq!(sql.accounts().await.expect("list"), []);
    // The binary log has the table, not the account.
    let mut text = String::new();
    for (log, _) in shop
        .admin
        .query::<(String, u64), _>("SHOW BINARY LOGS")
        .await
        .expect("logs")
    {
        let query = format!("SHOW BINLOG EVENTS IN '{log}'");
        let events: Vec<mysql_async::Row> = shop.admin.query(query).await.expect("events");
        text.extend(
            events
                .iter()
                .map(|event| event.get::<String, _>(5).expect("a text")),
        );
    }
    assert!(text.contains("CREATE TABLE t (id INT)"), "{text}");
    assert!(!text.contains("ddl:"), "{text}");
    // Its password works for nothing else, and is not an empty one.
    let socket = shop
        .bed
        .engine
        .socket_path(&shop.node)
        .expect("short enough");
    assert!(client(&socket, "openpeta-ddl:shop", "").await.is_err());
    let dropped = shop.bed.engine.drop_database(&shop.node, &db("shop")).await;
    dropped.expect("drop");
    assert_eq!(shop.rows(ACCOUNTS).await, [] as [&str; 0]);
    sql.close().await;
}

#[tokio::test]
async fn a_statement_is_carried_out_once_however_often_it_is_run() {
    let mut shop = Shop::new().await;
    // Each with a table that it changes; the second run would be an error, or do more.
    shop.run("u", "CREATE TABLE u (id INT PRIMARY KEY)").await;
    for (name, statement) in [
        (
            "t",
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
        ),
        ("t", "ALTER TABLE t ADD b INT"),
        ("t", "ALTER TABLE t ADD INDEX (a)"),
        ("t", "CREATE INDEX i ON t (b)"),
        ("t", "DROP INDEX i ON t"),
        ("t", "ALTER TABLE t FORCE"),
        ("t", "TRUNCATE TABLE t"),
        ("t", "ALTER TABLE t PARTITION BY KEY (id) PARTITIONS 2"),
        ("t", "ALTER TABLE t TRUNCATE PARTITION p0"),
        ("t", "ALTER TABLE t RENAME TO v"),
        ("v", "DROP TABLE v"),
        ("a b-c'`é", "CREATE TABLE `a b-c'``é` (id INT)"),
        ("a b-c'`é", "TRUNCATE TABLE `a b-c'``é`"),
        ("a", "CREATE TABLE a (id INT) ENGINE=Aria"),
        ("a", "ALTER TABLE a ADD b INT"),
    ] {
        let before = shop.state(name).await;
        for _ in 0..2 {
            let done = shop.run_from(name, &before, statement).await;
            assert_eq!(done, Defined::Done, "{statement}");
        }
        assert_ne!(shop.state(name).await, before, "{statement}");
    }
    assert!(shop.state("u").await.exists());
    assert!(!shop.state("v").await.exists());
    // What is written to a table does not make it another.
    shop.run(
        "w",
        "CREATE TABLE w (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(9))",
    )
    .await;
    let before = shop.state("w").await;
    for statement in [
        "INSERT INTO shop.w (s) VALUES ('x'), ('y')",
        "ANALYZE TABLE shop.w",
    ] {
        shop.admin.query_drop(statement).await.expect(statement);
    }
    assert_eq!(shop.state("w").await, before);
    // Nothing of a table that a partition is exchanged with is lost by a second run.
    shop.run(
        "p",
        "CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2",
    )
    .await;
    for statement in [
        "INSERT INTO shop.p VALUES (2), (4)",
        "INSERT INTO shop.u VALUES (6)",
    ] {
        shop.admin.query_drop(statement).await.expect(statement);
    }
    let before = shop.state("p").await;
    for _ in 0..2 {
        let statement = "ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE u";
        assert_eq!(shop.run_from("p", &before, statement).await, Defined::Done);
    }
    assert_eq!(shop.rows("SELECT id FROM shop.p").await, ["6"]);
}

#[tokio::test]
async fn an_interrupted_statement_is_ended_before_it_is_run_again() {
    let mut shop = Shop::new().await;
    shop.run("t", "CREATE TABLE t (id INT PRIMARY KEY)").await;
    // A reader keeps the statement waiting; whoever ran it is gone.
    shop.admin.query_drop("BEGIN").await.expect("begin");
    shop.admin
        .query_drop("SELECT * FROM shop.t")
        .await
        .expect("read");
    let before = shop.state("t").await;
    let add = "ALTER TABLE t ADD b INT";
    let patience = std::time::Duration::from_millis(700);
    let cut = tokio::time::timeout(patience, shop.run_from("t", &before, add)).await;
    assert!(cut.is_err(), "it waits for the reader");
    shop.admin.query_drop("COMMIT").await.expect("commit");
    assert_eq!(shop.run_from("t", &before, add).await, Defined::Done);
    let columns = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = 't'";
    assert_eq!(shop.rows(columns).await, ["id", "b"]);
    // No session is left.
    let left = shop.rows("SELECT ID FROM information_schema.PROCESSLIST WHERE USER LIKE '%ddl%'");
    assert_eq!(left.await, [] as [&str; 0]);
}

#[tokio::test]
async fn refusals_carry_the_servers_message_and_a_locked_node_refuses() {
    let shop = Shop::new().await;
    let message = |defined| match defined {
        Defined::Refused(refusal) => (refusal.code, refusal.message),
        Defined::Done => panic!("carried out"),
    };
    let (code, text) = message(shop.run("t", "CREATE TABLE t (id INT, id INT)").await);
    assert_eq!((code, text.as_str()), (1060, "Duplicate column name 'id'"));
    shop.run("p", "CREATE TABLE p (id INT PRIMARY KEY)").await;
    shop.run(
        "c",
        "CREATE TABLE c (id INT, FOREIGN KEY (id) REFERENCES p (id))",
    )
    .await;
    let (code, text) = message(shop.run("p", "DROP TABLE p").await);
    assert!(code == 1451 || code == 1217, "{text}");
    let (code, _) = message(shop.run("p", "TRUNCATE TABLE p").await);
    assert_eq!(code, 1701);
    shop.bed
        .engine
        .set_read_only(&shop.node, true)
        .await
        .expect("lock");
    assert_eq!(
        shop.refusal("CREATE TABLE t (id INT)").await,
        refused::READ_ONLY
    );
}

#[tokio::test]
async fn tables_are_shown_as_they_are() {
    let mut shop = Shop::new().await;
    let wide = "CREATE TABLE `Wide Table` (id BIGINT UNSIGNED, n INT NOT NULL, s VARCHAR(200), \
                d DECIMAL(10,2), b BIT(7), at DATETIME(3), j JSON, x VARBINARY(9), e ENUM('a','bcd'), \
                PRIMARY KEY (n, id), UNIQUE KEY by_s (s, d), KEY by_n (n))";
    shop.run("Wide Table", wide).await;
    for statement in [
        "CREATE TABLE shop.wide_table (a INT)",
        "CREATE TABLE shop.`wide table` (a INT, UNIQUE KEY (a))",
        "CREATE TABLE shop.v2 (a INT) WITH SYSTEM VERSIONING",
        "CREATE VIEW shop.a_view AS SELECT 1",
        "CREATE SEQUENCE shop.a_sequence",
        "INSERT INTO shop.`Wide Table` (id, n) VALUES (1, 1), (2, 1)",
    ] {
        shop.admin.query_drop(statement).await.expect(statement);
    }
    let mut sql = shop.bed.engine.sql(&shop.node).await.expect("connect");
    let tables = sql.tables(&db("shop")).await.expect("list");
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["Wide Table", "v2", "wide table", "wide_table"]);
    assert_eq!(tables[0].primary_key, ["n", "id"]);
    assert_eq!(tables[2].primary_key, [] as [&str; 0]);
    assert_eq!(sql.tables(&db("nothing")).await.expect("list"), []);

    let wide = sql
        .table(&db("shop"), &table("Wide Table"))
        .await
        .expect("look");
    let wide = wide.expect("it exists");
    let columns: Vec<_> = wide
        .columns
        .iter()
        .map(|column| {
            (
                column.name.as_str(),
                column.data_type.as_str(),
                column.length,
                column.nullable,
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            ("id", "BIGINT", 8, false),
            ("n", "INT", 4, false),
            ("s", "VARCHAR", 200, true),
            ("d", "DECIMAL", 10, true),
            ("b", "BIT", 7, true),
            ("at", "DATETIME", 7, true),
            ("j", "LONGTEXT", 4_294_967_295, true),
            ("x", "VARBINARY", 9, true),
            ("e", "ENUM", 3, true),
        ]
    );
    assert_eq!(wide.primary_key(), ["n", "id"]);
    let indexes: Vec<_> = wide
        .indexes
        .iter()
        .map(|index| (index.name.as_str(), index.columns.join(","), index.unique))
        .collect();
    assert_eq!(
        indexes,
        [
            ("PRIMARY", "n,id".to_owned(), true),
            ("by_n", "n".to_owned(), false),
            ("by_s", "s,d".to_owned(), true),
        ]
    );
    assert_eq!(wide.engine, "InnoDB");
    assert!(wide.data_bytes > 0);
    let small = sql.table(&db("shop"), &table("wide table")).await;
    let small = small.expect("look").expect("it exists");
    assert_eq!((small.columns.len(), small.indexes.len()), (1, 1));
    for other in ["WIDE TABLE", "a_view", "a_sequence", "nothing"] {
        let found = sql.table(&db("shop"), &table(other)).await.expect("look");
        assert_eq!(found, None, "{other}");
        assert!(
            !sql.has_table(&db("shop"), &table(other))
                .await
                .expect("look"),
            "{other}"
        );
    }
    assert!(
        sql.has_table(&db("shop"), &table("Wide Table"))
            .await
            .expect("look")
    );
    sql.close().await;
}
