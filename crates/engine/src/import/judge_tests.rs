//! Which statements of a dump are taken.

use openpeta_sql_route::Dialect;

use super::judge::*;

const DIALECT: Dialect = Dialect::new(101_119);

fn of(text: &str) -> Verdict {
    judge(text.as_bytes(), DIALECT, Some("shop"))
}

#[test]
fn rows_are_counted() {
    for (text, table, rows) in [
        (
            "INSERT INTO `t` VALUES (1,'a),(b'),(2,(3)),\n(4,NULL)",
            "t",
            3,
        ),
        (
            "INSERT IGNORE INTO shop.`o``o` (`a`,`b`) VALUES (1,2)",
            "o`o",
            1,
        ),
        ("REPLACE INTO t VALUES ()", "t", 1),
        (
            "INSERT INTO t (a) VALUES (1),(2) ON DUPLICATE KEY UPDATE a=VALUES(a)",
            "t",
            2,
        ),
        ("INSERT  INTO `t` VALUES (_binary '\\0;',0x00)", "t", 1),
    ] {
        let table = table.to_owned();
        assert_eq!(of(text), Verdict::Rows { table, rows }, "{text}");
    }
}

#[test]
fn what_no_dump_has_is_refused() {
    for text in [
        "GRANT ALL ON *.* TO x",
        "CREATE USER x",
        "CREATE OR REPLACE USER x",
        "/*!50001 CREATE */ /*!50001 USER x */",
        "SET GLOBAL read_only=0",
        "SET @@GLOBAL.max_connections=1",
        "SET sql_mode='', GLOBAL x=1",
        "SET @a=1, @@global.x=1",
        "SET PERSIST x=1",
        "SET PASSWORD FOR x=''",
        "SET ROLE x",
        "SET STATEMENT a=1 FOR DROP DATABASE x",
        "SET @@SESSION.SQL_LOG_BIN=0, @x=1",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t SET a=1",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t VALUES (1); DROP DATABASE x",
        "CREATE TABLE t (a INT); GRANT ALL ON *.* TO x",
        "SET NAMES utf8; DROP DATABASE mysql",
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
        "SELECT 1",
        "SELECT LOAD_FILE('/etc/passwd')",
        "CALL p()",
        "EXECUTE IMMEDIATE 'x'",
        "PREPARE x FROM 'y'",
        "UPDATE t SET a=1",
        "DELETE FROM t",
        "RENAME TABLE t TO u",
        "SHUTDOWN",
        "\\! ls",
        "source /etc/passwd",
        "system ls",
        "CREATE TEMPORARY TABLE t (a INT)",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS ()",
        "ALTER DATABASE other COLLATE x",
        "ALTER USER x",
        "DROP USER x",
        "BEGIN NOT ATOMIC DROP TABLE x; END",
    ] {
        assert!(
            matches!(of(text), Verdict::Refused(_)),
            "{text}: {:?}",
            of(text)
        );
    }
}

#[test]
fn what_dumps_have_is_taken() {
    for text in [
        "CREATE TABLE `t` (a INT) ENGINE=InnoDB",
        "CREATE SEQUENCE s",
        "CREATE UNIQUE INDEX i ON t (a)",
        "DROP TABLE IF EXISTS `t`",
        "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
        "ALTER TABLE t ADD KEY (a);",
        "COMMIT",
        "DO SETVAL(`s`, 1, 0, 0)",
        "SELECT SETVAL(`s`, 1, 0)",
    ] {
        assert_eq!(of(text), Verdict::Run, "{text}");
    }
    for text in [
        "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */",
        "SET NAMES utf8mb4",
        "SET @@SESSION.sql_mode=''",
        "SET SESSION a=1, LOCAL b=2, c=3, @d=IF(1,2,3)",
        "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */",
        "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN",
    ] {
        assert_eq!(of(text), Verdict::Set, "{text}");
    }
    for text in [
        "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5'",
        "SET @@SESSION.SQL_LOG_BIN= 0",
        "SET GLOBAL gtid_slave_pos='0-1-2'",
        "CHANGE MASTER TO MASTER_LOG_FILE='x', MASTER_LOG_POS=4",
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8 */",
    ] {
        assert!(
            matches!(of(text), Verdict::LeftOut(_)),
            "{text}: {:?}",
            of(text)
        );
    }
    assert_eq!(of("/*!80000 SET SESSION x=0 */"), Verdict::Nothing);
    assert_eq!(
        of("/*M!999999\\- enable the sandbox mode */"),
        Verdict::Nothing
    );
    assert_eq!(of("USE `shop`"), Verdict::Use("shop".into()));
    assert_eq!(of("LOCK TABLES `t` WRITE"), Verdict::Ignored);
}

#[test]
fn programs_wait() {
    for (text, what, makes) in [
        (
            "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 DEFINER=`a`@`%` SQL SECURITY DEFINER */ \
             /*!50001 VIEW `v` AS SELECT 1 */",
            "view v",
            true,
        ),
        (
            "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON x \
             FOR EACH ROW BEGIN SET @a=1; END */",
            "trigger t",
            true,
        ),
        (
            "CREATE PROCEDURE `p`() BEGIN SELECT 1; SELECT 2; END",
            "procedure p",
            true,
        ),
        (
            "CREATE OR REPLACE PACKAGE BODY shop.k AS END",
            "package k",
            true,
        ),
        ("DROP VIEW IF EXISTS `v`", "view v", false),
    ] {
        let Verdict::Later(later) = of(text) else {
            panic!("{text}: {:?}", of(text));
        };
        assert_eq!((later.what.as_str(), later.makes), (what, makes), "{text}");
        assert_eq!(later.text, text.as_bytes());
    }
    for text in [
        "ALTER DATABASE `shop` CHARACTER SET latin1 COLLATE latin1_swedish_ci",
        "ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci",
    ] {
        let Verdict::Later(later) = of(text) else {
            panic!("{text}");
        };
        let text = String::from_utf8(later.text).expect("text");
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words[..3], ["ALTER", "DATABASE", "CHARACTER"]);
    }
}

#[test]
fn a_program_is_whole_behind_its_last_end() {
    let whole = |text: &str| is_whole(text.as_bytes(), DIALECT);
    let program = "CREATE DEFINER=`b`@`%` PROCEDURE p() BEGIN SELECT 1; IF a THEN b; END IF; END";
    assert!(whole(program));
    for (end, _) in program.match_indices(';') {
        assert!(!whole(&program[..end]));
    }
    assert!(whole("SET @a=1") && whole("CREATE TRIGGER t AFTER INSERT ON u FOR EACH ROW SET @a=1"));
}

#[test]
fn comments_for_another_server_are_found() {
    let text = b"CREATE TABLE t (a INT /*!80023 INVISIBLE */) /*!50100 PARTITION BY x */ /* y */";
    assert_eq!(comments_for_mysql(text, DIALECT), ["/*!80023 INVISIBLE */"]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_judged(text in proptest::collection::vec(0_u8..=255, 0..80)) {
        judge(&text, DIALECT, None);
    }
}
