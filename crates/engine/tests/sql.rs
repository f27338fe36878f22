//! Administration over SQL, against a real server: databases, accounts and their privileges.

use crate::common;

use std::fs;
use std::time::Duration;

use crate::common::{Bed, account, client, db, raw, refused, try_sql};
use mysql_async::prelude::Queryable;
use openpeta_engine::{ADMIN_ACCOUNT, EngineError};
use openpeta_types::{AccountName, AccountType, PrivilegeSet, Secret};

#[tokio::test]
async fn accounts_become_what_is_asked_for() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    for name in ["adb", "a_b", "axb"] {
        sql.create_database(&db(name)).await.expect(name);
        sql.create_database(&db(name)).await.expect("again");
    }
    assert_eq!(sql.databases().await.expect("list"), ["a_b", "adb", "axb"]);

    let (bob, secret) = (account("bob"), Secret::new("bob's backend password"));
    let first = [
        (db("a_b"), PrivilegeSet::ReadWrite),
        (db("adb"), PrivilegeSet::ReadOnly),
    ];
    for _ in 0..2 {
        sql.ensure_account(&bob, &secret, AccountType::Normal, &first)
            .await
            .expect("ensure");
    }
    assert_eq!(
        sql.accounts().await.expect("list"),
        std::slice::from_ref(&bob)
    );
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert_eq!(grants.account_type, AccountType::Normal);
    let sets: Vec<_> = grants
        .databases
        .iter()
        .map(|(name, g)| (name.as_str(), g.set))
        .collect();
    assert_eq!(
        sets,
        [
            ("a_b", PrivilegeSet::ReadWrite),
            ("adb", PrivilegeSet::ReadOnly)
        ]
    );
    assert_eq!(
        grants.databases["adb"].privileges,
        PrivilegeSet::ReadOnly.privileges()
    );

    let mut conn = client(&socket, "bob", secret.expose())
        .await
        .expect("log in");
    assert_eq!(
        try_sql(&mut conn, "CREATE TABLE a_b.t (a INT, b INT)").await,
        Ok(())
    );
    assert_eq!(
        try_sql(&mut conn, "CREATE TABLE axb.t (a INT)").await,
        Err(refused::TABLE),
        "the underscore is no wildcard"
    );
    assert_eq!(
        try_sql(&mut conn, "CREATE TABLE adb.t (a INT)").await,
        Err(refused::TABLE)
    );

    // Set by SQL: custom. Making it exact again takes all of that away.
    let mut admin = client(&socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
        .await
        .expect("log in");
    for statement in [
        "GRANT REFERENCES ON adb.* TO bob@'%' WITH GRANT OPTION",
        "GRANT SELECT (a), INSERT ON a_b.t TO bob@'%' WITH GRANT OPTION",
        "CREATE TABLE axb.t (a INT)",
        "GRANT SELECT ON axb.t TO bob@'%'",
        "CREATE PROCEDURE axb.p() SELECT 1",
        "GRANT EXECUTE ON PROCEDURE axb.p TO bob@'%' WITH GRANT OPTION",
        "GRANT PROCESS ON *.* TO bob@'%'",
    ] {
        try_sql(&mut admin, statement).await.expect(statement);
    }
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert!(
        grants
            .databases
            .values()
            .all(|g| g.set == PrivilegeSet::Custom),
        "{grants:?}"
    );
    assert_eq!(grants.databases.len(), 3);
    let second = [(db("adb"), PrivilegeSet::DdlOnly)];
    let changed = Secret::new("another password");
    sql.ensure_account(&bob, &changed, AccountType::Normal, &second)
        .await
        .expect("ensure");
    let shown: Vec<String> = admin.query("SHOW GRANTS FOR bob@'%'").await.expect("read");
    assert_eq!(shown.len(), 2, "{shown:#?}");
    assert!(shown[0].starts_with("GRANT USAGE ON *.*"), "{shown:#?}");
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert_eq!(grants.databases["adb"].set, PrivilegeSet::DdlOnly);
    let old = client(&socket, "bob", secret.expose())
        .await
        .expect_err("the old password");
    assert!(old.to_string().contains("1045"), "{old}");

    // To Super and back.
    sql.ensure_account(&bob, &changed, AccountType::Super, &[])
        .await
        .expect("ensure");
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert_eq!(grants.account_type, AccountType::Super);
    assert_eq!(
        grants.databases.keys().collect::<Vec<_>>(),
        ["a_b", "adb", "axb"]
    );
    sql.ensure_account(&bob, &changed, AccountType::Normal, &[])
        .await
        .expect("ensure");
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert_eq!(grants.account_type, AccountType::Normal);
    assert!(grants.databases.is_empty(), "{grants:?}");

    assert_eq!(sql.kill_sessions(&bob).await.expect("kill"), 1);
    let dead = conn.query_drop("SELECT 1").await.expect_err("killed");
    assert!(dead.is_fatal(), "{dead}");
    let mut conn = client(&socket, "bob", changed.expose())
        .await
        .expect("log in");
    for _ in 0..2 {
        sql.drop_account(&bob).await.expect("drop");
    }
    assert!(
        conn.query_drop("SELECT 1").await.is_err(),
        "its session is ended"
    );
    assert!(client(&socket, "bob", changed.expose()).await.is_err());
    assert!(sql.accounts().await.expect("list").is_empty());
    assert_eq!(sql.privileges(&bob).await.expect("read"), None);

    for name in [ADMIN_ACCOUNT, "root", "Public"] {
        let internal = AccountName::parse_lookup(name).expect("well formed");
        let error = sql.drop_account(&internal).await.expect_err(name);
        assert!(
            matches!(error, EngineError::InternalAccount { .. }),
            "{error}"
        );
        let error = sql
            .ensure_account(&internal, &changed, AccountType::Super, &[])
            .await
            .expect_err(name);
        assert!(
            matches!(error, EngineError::InternalAccount { .. }),
            "{error}"
        );
    }

    // No password where the server writes statements or accounts.
    sql.close().await;
    let (secret, changed) = (secret.expose().as_bytes(), changed.expose().as_bytes());
    let dir = bed.node_dir(&node);
    let mut files = files_in(&dir);
    files.extend(files_in(&dir.join("binlog")));
    files.extend(files_in(&dir.join("data/mysql")));
    assert!(files.len() > 50, "{files:?}");
    for path in files {
        let content = fs::read(&path).expect("read");
        for password in [secret, changed, common::ADMIN_PASSWORD.as_bytes()] {
            let found = content
                .windows(password.len())
                .any(|window| window == password);
            assert!(!found, "a password in {}", path.display());
        }
    }
}

fn files_in(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir)
        .expect("list")
        .map(|entry| entry.expect("list").path())
        .filter(|path| path.is_file())
        .collect()
}

/// What an account with each set may do on a table that is there: one statement for each
/// privilege, and which sets allow it.
#[tokio::test]
async fn each_privilege_set_allows_what_it_says_and_no_more() {
    use PrivilegeSet::{DdlOnly, DmlOnly, ReadOnly, ReadWrite};
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    sql.create_database(&db("adb")).await.expect("create");
    let mut admin = client(&socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
        .await
        .expect("log in");
    for statement in [
        "CREATE TABLE adb.t (a INT PRIMARY KEY, b INT)",
        "CREATE VIEW adb.v AS SELECT a FROM adb.t",
        "CREATE PROCEDURE adb.p() SELECT 1",
        "CREATE TABLE adb.other (a INT)",
    ] {
        try_sql(&mut admin, statement).await.expect(statement);
    }
    let all: &[PrivilegeSet] = &[ReadWrite, ReadOnly, DdlOnly, DmlOnly];
    let readers: &[PrivilegeSet] = &[ReadWrite, ReadOnly, DmlOnly];
    let writers: &[PrivilegeSet] = &[ReadWrite, DmlOnly];
    let definers: &[PrivilegeSet] = &[ReadWrite, DdlOnly];
    let matrix: &[(&str, &[PrivilegeSet])] = &[
        ("USE adb", all),
        ("SELECT * FROM adb.t", readers),
        ("INSERT INTO adb.t VALUES (1, 1)", writers),
        ("UPDATE adb.t SET b = 2 WHERE a = 1", writers),
        ("DELETE FROM adb.t WHERE a = 1", writers),
        ("CREATE TABLE adb.x (a INT)", definers),
        ("ALTER TABLE adb.x ADD COLUMN b INT", definers),
        ("CREATE INDEX i ON adb.t (b)", definers),
        ("DROP INDEX i ON adb.t", definers),
        ("DROP TABLE adb.x", definers),
        ("CREATE TEMPORARY TABLE adb.tmp (a INT)", all),
        ("LOCK TABLES adb.t READ", readers),
        ("UNLOCK TABLES", all),
        ("CREATE OR REPLACE VIEW adb.w AS SELECT 1", definers),
        ("SHOW CREATE VIEW adb.v", readers),
        ("CREATE OR REPLACE PROCEDURE adb.q() SELECT 1", definers),
        ("CALL adb.p()", writers),
        (
            "CREATE EVENT adb.e ON SCHEDULE EVERY 1 YEAR DO SELECT 1",
            writers,
        ),
        (
            "CREATE TRIGGER adb.g BEFORE INSERT ON adb.other FOR EACH ROW SET @a = 1",
            writers,
        ),
        // Nobody.
        ("SELECT * FROM mysql.global_priv", &[]),
        ("GRANT SELECT ON adb.* TO `user0`@`%`", &[]),
        ("CREATE DATABASE bdb", &[]),
        ("SET GLOBAL max_connections = 3", &[]),
        ("CREATE USER eve", &[]),
        ("SELECT 1 INTO OUTFILE '/tmp/openpeta-test-outfile'", &[]),
        ("SHUTDOWN", &[]),
        // Passes over sessions of others: the connection used here survives it.
        ("KILL USER openpeta_admin", all),
    ];
    for (index, &set) in all.iter().enumerate() {
        let name = account(&format!("user{index}"));
        let granted = [(db("adb"), set)];
        let secret = Secret::new("secret");
        sql.ensure_account(&name, &secret, AccountType::Normal, &granted)
            .await
            .expect("ensure");
        let mut conn = client(&socket, name.as_str(), "secret")
            .await
            .expect("log in");
        for (statement, sets) in matrix {
            let result = try_sql(&mut conn, statement).await;
            match result {
                Ok(()) => assert!(sets.contains(&set), "{set} allows: {statement}"),
                Err(code) => {
                    assert!(
                        !sets.contains(&set),
                        "{set} refuses with {code}: {statement}"
                    );
                    assert!(refused::ANY.contains(&code), "{set} {code}: {statement}");
                }
            }
        }
        for statement in ["DROP EVENT IF EXISTS adb.e", "DROP TRIGGER IF EXISTS adb.g"] {
            try_sql(&mut admin, statement).await.expect(statement);
        }
    }
}

#[tokio::test]
async fn a_read_only_node_takes_no_writes_but_from_administration() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let (boss, secret) = (account("boss"), Secret::new("secret"));
    sql.create_database(&db("adb")).await.expect("create");
    sql.ensure_account(&boss, &secret, AccountType::Super, &[])
        .await
        .expect("ensure");
    let mut conn = client(&socket, "boss", "secret").await.expect("log in");
    try_sql(&mut conn, "CREATE TABLE adb.t (a INT)")
        .await
        .expect("create");
    bed.engine.set_read_only(&node, true).await.expect("lock");
    let write = "INSERT INTO adb.t VALUES (1)";
    assert_eq!(try_sql(&mut conn, write).await, Err(refused::READ_ONLY));
    assert_eq!(try_sql(&mut conn, "SELECT * FROM adb.t").await, Ok(()));
    sql.create_database(&db("bdb"))
        .await
        .expect("administration may");
    bed.engine
        .set_read_only(&node, false)
        .await
        .expect("unlock");
    assert_eq!(try_sql(&mut conn, write).await, Ok(()));
}

#[tokio::test]
async fn purging_leaves_one_small_binary_log() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let (app, secret) = (account("app"), Secret::new("secret"));
    sql.create_database(&db("adb")).await.expect("create");
    let granted = [(db("adb"), PrivilegeSet::ReadWrite)];
    sql.ensure_account(&app, &secret, AccountType::Normal, &granted)
        .await
        .expect("ensure");
    let mut conn = client(&socket, "app", "secret").await.expect("log in");
    for statement in [
        "CREATE TABLE adb.t (a LONGTEXT)",
        "INSERT INTO adb.t VALUES (REPEAT('x', 3000000))",
    ] {
        try_sql(&mut conn, statement).await.expect(statement);
    }
    let binlogs = async || {
        let disk = bed.engine.disk(&node).await.expect("measured");
        disk.usage.binlog_bytes
    };
    assert!(binlogs().await > 3_000_000);
    sql.purge_binlogs().await.expect("purged");
    assert!(binlogs().await < 1_000_000);
    sql.purge_binlogs()
        .await
        .expect("nothing left to purge is no error");
}

#[tokio::test]
async fn there_are_no_other_ways_in() {
    let (bed, node) = Bed::with_node().await;
    let socket = bed.engine.socket_path(&node).expect("short enough");
    for user in ["root", "mysql", "", "mariadb.sys", ADMIN_ACCOUNT] {
        let error = client(&socket, user, "").await.expect_err(user);
        let mysql_async::Error::Server(error) = error else {
            panic!("{user}: {error}");
        };
        // Access denied, access denied without a password, account locked.
        assert!([1045, 1698, 4151].contains(&error.code), "{user}: {error}");
    }
    let mut admin = client(&socket, ADMIN_ACCOUNT, common::ADMIN_PASSWORD)
        .await
        .expect("log in");
    let accounts: Vec<String> = admin
        .query("SELECT CONCAT(User, '@', Host) FROM mysql.global_priv ORDER BY User")
        .await
        .expect("read");
    assert_eq!(
        accounts,
        ["mariadb.sys@localhost", "openpeta_admin@localhost"]
    );
    let databases: Vec<String> = admin.query("SHOW DATABASES").await.expect("read");
    assert_eq!(
        databases,
        ["information_schema", "mysql", "performance_schema", "sys"]
    );
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let (bob, secret) = (account("bob"), Secret::new("secret"));
    sql.ensure_account(&bob, &secret, AccountType::Normal, &[])
        .await
        .expect("ensure");
    let plain = tokio::task::spawn_blocking(move || {
        let through_proxy = raw::user(&socket, Some([203, 0, 113, 9]), "bob", "secret");
        let plain = raw::user(&socket, None, "bob", "secret");
        assert_eq!(through_proxy, "bob@203.0.113.9");
        plain
    });
    let plain = tokio::time::timeout(Duration::from_secs(20), plain).await;
    assert_eq!(plain.expect("in time").expect("no panic"), "bob@localhost");
}
