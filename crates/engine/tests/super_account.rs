//! The walls around accounts of type Super, against a real server.

use std::fs;

use crate::common::{Bed, account, client, db, refused, try_sql};
use mysql_async::prelude::Queryable;
use openpeta_types::{AccountType, Secret};

#[tokio::test]
async fn a_super_account_owns_all_databases_and_nothing_else() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let secret = Secret::new("secret");
    let (boss, bob) = (account("boss"), account("bob"));
    // As names go, the worst: as a pattern it matches the server's own database.
    sql.create_database(&db("mysq_")).await.expect("create");
    sql.create_database(&db("adb")).await.expect("create");
    sql.ensure_account(&boss, &secret, AccountType::Super, &[])
        .await
        .expect("ensure");
    sql.ensure_account(&bob, &secret, AccountType::Normal, &[])
        .await
        .expect("ensure");
    sql.create_database(&db("later")).await.expect("create");

    let mut conn = client(&socket, "boss", "secret").await.expect("log in");
    for statement in [
        "CREATE DATABASE own",
        "CREATE TABLE own.t (a INT)",
        "INSERT INTO own.t VALUES (1)",
        "CREATE TABLE adb.t (a INT)",
        "CREATE TABLE later.t (a INT)",
        "CREATE PROCEDURE adb.p() SELECT 1",
        "CREATE DEFINER=CURRENT_USER VIEW adb.v AS SELECT * FROM own.t",
        "GRANT SELECT, INSERT ON adb.* TO bob@'%'",
        "GRANT SELECT ON later.* TO bob@'%'",
        "GRANT SELECT ON `mysq\\_`.* TO bob@'%'",
        "GRANT SELECT ON adb.t TO bob@'%'",
        "REVOKE INSERT ON adb.* FROM bob@'%'",
        "SHOW PROCESSLIST",
        "SHOW MASTER STATUS",
        "SHOW BINLOG EVENTS LIMIT 1",
        "SHOW ENGINE INNODB STATUS",
        "SHOW DATABASES",
        "DROP DATABASE own",
    ] {
        assert_eq!(try_sql(&mut conn, statement).await, Ok(()), "{statement}");
    }

    for statement in [
        // The server's own tables, directly and by way of patterns, views and definers.
        "SELECT * FROM mysql.global_priv",
        "SELECT * FROM mysql.user",
        "UPDATE mysql.global_priv SET Priv = '{}'",
        "DELETE FROM mysql.db",
        "CREATE TABLE mysql.x (a INT)",
        "CREATE PROCEDURE mysql.x() SELECT 1",
        "CREATE VIEW adb.w AS SELECT * FROM mysql.global_priv",
        "DROP TABLE mysql.db",
        "TRUNCATE mysql.global_priv",
        "ALTER TABLE mysql.db ADD COLUMN x INT",
        "RENAME TABLE mysql.db TO adb.db",
        "CREATE TABLE adb.w LIKE mysql.global_priv",
        "CREATE TABLE adb.w AS SELECT * FROM mysql.global_priv",
        "CREATE TEMPORARY TABLE mysql.x (a INT)",
        "CREATE SEQUENCE mysql.x",
        "CREATE EVENT mysql.x ON SCHEDULE EVERY 1 DAY DO DELETE FROM mysql.db",
        "HANDLER mysql.global_priv OPEN",
        "RENAME TABLE adb.t TO mysql.x",
        "OPTIMIZE TABLE mysql.db",
        "REPAIR TABLE mysql.db",
        "LOCK TABLES mysql.db WRITE",
        "DROP DATABASE mysql",
        "DROP DATABASE sys",
        "DROP DATABASE performance_schema",
        "DROP DATABASE information_schema",
        "ALTER DATABASE performance_schema CHARACTER SET latin1",
        "CREATE TABLE sys.x (a INT)",
        "CALL sys.diagnostics(1, 1, 'current')",
        "CREATE DEFINER=openpeta_admin@localhost VIEW adb.w AS SELECT 1",
        "CREATE DEFINER=openpeta_admin@localhost PROCEDURE adb.w() SELECT 1",
        "CREATE DEFINER=`mariadb.sys`@localhost VIEW adb.w AS SELECT 1",
        // Grants that reach further than the databases there are.
        "GRANT ALL ON `mysq_`.* TO bob@'%'",
        "GRANT ALL ON `mysq_`.* TO boss@'%'",
        "GRANT ALL ON `%`.* TO bob@'%'",
        "GRANT ALL ON `%sql`.* TO bob@'%'",
        "GRANT ALL ON `m%`.* TO PUBLIC",
        "GRANT SELECT ON adb.* TO PUBLIC",
        "GRANT SELECT ON mysql.* TO bob@'%'",
        "GRANT SELECT ON mysql.global_priv TO bob@'%'",
        "GRANT SELECT ON performance_schema.* TO bob@'%'",
        "GRANT EXECUTE ON PROCEDURE sys.diagnostics TO bob@'%'",
        "GRANT ALL ON *.* TO boss@'%'",
        "GRANT SUPER ON *.* TO boss@'%'",
        "GRANT FILE ON *.* TO boss@'%'",
        "GRANT PROCESS ON *.* TO bob@'%'",
        "GRANT PROXY ON openpeta_admin@localhost TO boss@'%'",
        "GRANT SELECT ON adb.* TO eve@'%' IDENTIFIED BY 'x'",
        // Accounts.
        "CREATE USER eve@'%'",
        "CREATE ROLE eve",
        "DROP USER openpeta_admin@localhost",
        "RENAME USER openpeta_admin@localhost TO x@localhost",
        "ALTER USER openpeta_admin@localhost IDENTIFIED BY 'x'",
        "ALTER USER openpeta_admin@localhost ACCOUNT LOCK",
        "SET PASSWORD FOR openpeta_admin@localhost = PASSWORD('x')",
        "SET PASSWORD FOR bob@'%' = PASSWORD('x')",
        "GRANT SELECT ON adb.* TO openpeta_admin@localhost IDENTIFIED BY 'x'",
        "GRANT SELECT ON adb.* TO openpeta_admin@localhost REQUIRE SSL",
        "GRANT SELECT ON adb.* TO openpeta_admin@localhost WITH MAX_QUERIES_PER_HOUR 1",
        "GRANT USAGE ON *.* TO openpeta_admin@localhost REQUIRE SSL",
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM openpeta_admin@localhost",
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM bob@'%'",
        "SET DEFAULT ROLE NONE FOR openpeta_admin@localhost",
        "CREATE DEFINER=openpeta_admin@localhost EVENT adb.x ON SCHEDULE EVERY 1 DAY DO DO 1",
        "CREATE DEFINER=openpeta_admin@localhost TRIGGER adb.x BEFORE INSERT ON adb.t FOR EACH ROW SET @x = 1",
        "ALTER USER boss@'%' ACCOUNT LOCK",
        "ALTER USER CURRENT_USER() IDENTIFIED BY 'x'",
        "ALTER USER boss@'%' IDENTIFIED VIA unix_socket",
        "GRANT USAGE ON *.* TO boss@'%' IDENTIFIED BY 'x'",
        "RENAME USER boss@'%' TO boss2@'%'",
        "DROP USER boss@'%'",
        "DROP USER bob@'%'",
        "SHOW GRANTS FOR openpeta_admin@localhost",
        "SHOW CREATE USER openpeta_admin@localhost",
        // The server.
        "SET GLOBAL max_connections = 3",
        "SET GLOBAL read_only = 0",
        "SET GLOBAL general_log = 1",
        "SET GLOBAL event_scheduler = 0",
        "SET GLOBAL secure_auth = 0",
        "SET SESSION sql_log_bin = 0",
        "SET SESSION binlog_format = STATEMENT",
        "SET SESSION gtid_domain_id = 7",
        "SET SESSION server_id = 7",
        "SET SESSION gtid_seq_no = 7",
        "SHUTDOWN",
        "FLUSH PRIVILEGES",
        "FLUSH TABLES WITH READ LOCK",
        "FLUSH LOGS",
        "RESET MASTER",
        "PURGE BINARY LOGS BEFORE NOW()",
        "CHANGE MASTER TO MASTER_HOST = 'x'",
        "START SLAVE",
        "BACKUP STAGE START",
        "BINLOG 'x'",
        "FLUSH TABLES adb.t WITH READ LOCK",
        "FLUSH STATUS",
        "SET GLOBAL init_connect = 'x'",
        "INSTALL SONAME 'ha_spider'",
        "INSTALL PLUGIN ed25519 SONAME 'auth_ed25519'",
        "UNINSTALL PLUGIN unix_socket",
        "CREATE FUNCTION f RETURNS INTEGER SONAME 'x.so'",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
        // Files of the host.
        "SELECT 1 INTO OUTFILE '/tmp/openpeta-test-outfile'",
        "SELECT 1 INTO DUMPFILE '/tmp/openpeta-test-outfile'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE adb.t",
    ] {
        let result = try_sql(&mut conn, statement).await;
        let known = [refused::NO_SUCH_USER];
        match result {
            Err(code) if refused::ANY.contains(&code) || known.contains(&code) => {}
            other => panic!("{other:?}: {statement}"),
        }
    }
    let file: Option<Option<String>> = conn
        .query_first("SELECT LOAD_FILE('/etc/passwd')")
        .await
        .expect("no error");
    assert_eq!(file, Some(None));
    let id: Option<u64> = conn
        .query_first("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'openpeta_admin'")
        .await
        .expect("it may look");
    let kill = format!("KILL {}", id.expect("our connection"));
    assert_eq!(try_sql(&mut conn, &kill).await, Err(refused::KILL));
    let refusal = try_sql(&mut conn, "KILL USER openpeta_admin").await;
    assert_eq!(refusal, Err(refused::KILL));
    // Ignored or refused, but never obeyed.
    let outside = tempfile::tempdir().expect("a temporary directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(outside.path(), mode).expect("ours");
    for engine in ["InnoDB", "MyISAM", "Aria"] {
        let statement = format!(
            "CREATE OR REPLACE TABLE adb.d (a INT) ENGINE={engine} DATA DIRECTORY='{}'",
            outside.path().display()
        );
        let _ = try_sql(&mut conn, &statement).await;
        let files = fs::read_dir(outside.path()).expect("list").count();
        assert_eq!(files, 0, "{engine} wrote outside the node");
    }

    // After all that: the admin connection lives, the other account reaches nothing new.
    assert_eq!(sql.accounts().await.expect("list"), [bob.clone(), boss]);
    let grants = sql.privileges(&bob).await.expect("read").expect("there");
    assert_eq!(
        grants.databases.keys().collect::<Vec<_>>(),
        ["adb", "later", "mysq_"]
    );
    let mut conn = client(&socket, "bob", "secret").await.expect("log in");
    let refusal = try_sql(&mut conn, "SELECT * FROM mysql.global_priv").await;
    assert_eq!(refusal, Err(refused::TABLE));
}
