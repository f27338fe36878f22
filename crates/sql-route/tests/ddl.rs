//! Which table a definition statement is about, and what is not taken for one.

use openpeta_sql_route::{DdlError, DdlKind, Dialect, Distribution, parse_ddl};

const MARIADB: Dialect = Dialect::new(101_119);

#[test]
fn the_table_is_found() {
    for (text, kind, schema, table) in [
        ("CREATE TABLE t (a INT)", DdlKind::CreateTable, None, "t"),
        (
            "create table if not exists `my ``t` (a int)",
            DdlKind::CreateTable,
            None,
            "my `t",
        ),
        (
            "CREATE TABLE shop.t LIKE u",
            DdlKind::CreateTable,
            Some("shop"),
            "t",
        ),
        (
            "CREATE TABLE `shop` . `t` SELECT 1",
            DdlKind::CreateTable,
            Some("shop"),
            "t",
        ),
        (
            "/*!50000 CREATE */ TABLE/**/t(a INT)",
            DdlKind::CreateTable,
            None,
            "t",
        ),
        (
            "# note\nCREATE TABLE 2024_sales (a INT);",
            DdlKind::CreateTable,
            None,
            "2024_sales",
        ),
        (
            "CREATE TABLE 表 (a INT) ; -- done",
            DdlKind::CreateTable,
            None,
            "表",
        ),
        ("CREATE TABLE t(a INT);;\n", DdlKind::CreateTable, None, "t"),
        ("ALTER TABLE t ADD b INT", DdlKind::AlterTable, None, "t"),
        (
            "ALTER ONLINE IGNORE TABLE IF EXISTS shop.t FORCE",
            DdlKind::AlterTable,
            Some("shop"),
            "t",
        ),
        ("CREATE INDEX i ON t (a)", DdlKind::CreateIndex, None, "t"),
        (
            "CREATE UNIQUE INDEX IF NOT EXISTS i USING BTREE ON shop.t (a)",
            DdlKind::CreateIndex,
            Some("shop"),
            "t",
        ),
        (
            "CREATE FULLTEXT INDEX `on` ON t (a)",
            DdlKind::CreateIndex,
            None,
            "t",
        ),
        ("DROP INDEX i ON t", DdlKind::DropIndex, None, "t"),
        (
            "DROP INDEX IF EXISTS `i` ON shop.`t` WAIT 5",
            DdlKind::DropIndex,
            Some("shop"),
            "t",
        ),
    ] {
        let ddl = parse_ddl(text, MARIADB).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(ddl.kind, kind, "{text}");
        assert_eq!(ddl.schema.as_deref(), schema, "{text}");
        assert_eq!(ddl.table, table, "{text}");
        assert_eq!(ddl.distribution, None, "{text}");
    }
}

#[test]
fn the_statement_ends_before_its_semicolon() {
    let ddl = parse_ddl("  CREATE TABLE t (a INT) ; # bye", MARIADB).expect("well formed");
    assert_eq!(ddl.statement, "CREATE TABLE t (a INT)");
    let text = "CREATE TABLE t (a TEXT DEFAULT ';') /* ; */";
    assert_eq!(
        parse_ddl(text, MARIADB).expect("well formed").statement,
        text
    );
}

#[test]
fn other_texts_are_refused() {
    for (text, error) in [
        ("", DdlError::Empty),
        (" /* nothing */ -- here", DdlError::Empty),
        (";", DdlError::Empty),
        ("/*!99999 CREATE TABLE t (a INT) */", DdlError::Empty),
        ("CREATE TABLE t (a TEXT DEFAULT 'x)", DdlError::Unreadable),
        (
            "CREATE TABLE t (a INT) /*! COMMENT='x'",
            DdlError::Unreadable,
        ),
        ("CREATE TABLE t\0 (a INT)", DdlError::Unreadable),
        (
            "CREATE TABLE t (a INT); DROP TABLE u",
            DdlError::SeveralStatements,
        ),
        (
            "CREATE TABLE t (a INT);/*! DROP TABLE u */",
            DdlError::SeveralStatements,
        ),
        (
            "CREATE TABLE t (a INT) /*! ; */",
            DdlError::SeveralStatements,
        ),
        (
            "CREATE TABLE t (a INT) /*! ; DROP TABLE u */",
            DdlError::SeveralStatements,
        ),
        ("DROP TABLE t", DdlError::OtherStatement),
        (
            "/*!99999 CREATE TABLE t */ DROP TABLE t",
            DdlError::OtherStatement,
        ),
        ("SELECT 1", DdlError::OtherStatement),
        ("GRANT ALL ON *.* TO x", DdlError::OtherStatement),
        (
            "SET STATEMENT sql_log_bin=0 FOR CREATE TABLE t (a INT)",
            DdlError::OtherStatement,
        ),
        (
            "BEGIN NOT ATOMIC CREATE TABLE t (a INT); END",
            DdlError::SeveralStatements,
        ),
        ("CREATE VIEW v AS SELECT 1", DdlError::OtherStatement),
        ("CREATE DATABASE d", DdlError::OtherStatement),
        ("CREATE SEQUENCE s", DdlError::OtherStatement),
        (
            "ALTER DATABASE d CHARACTER SET utf8",
            DdlError::OtherStatement,
        ),
        ("`CREATE` TABLE t (a INT)", DdlError::OtherStatement),
        ("CREATE TEMPORARY TABLE t (a INT)", DdlError::Temporary),
        ("CREATE OR REPLACE TABLE t (a INT)", DdlError::OrReplace),
        ("CREATE OR REPLACE INDEX i ON t (a)", DdlError::OrReplace),
        ("CREATE TABLE", DdlError::NoTable),
        ("CREATE TABLE 't' (a INT)", DdlError::NoTable),
        ("CREATE TABLE .t (a INT)", DdlError::NoTable),
        ("CREATE TABLE shop. (a INT)", DdlError::NoTable),
        ("CREATE TABLE IF NOT EXISTS", DdlError::NoTable),
        ("CREATE INDEX i (a)", DdlError::NoTable),
        ("DROP INDEX i", DdlError::NoTable),
    ] {
        assert_eq!(parse_ddl(text, MARIADB), Err(error), "{text}");
    }
}

fn by_hash(column: &str) -> Option<Distribution<'_>> {
    let column = column.into();
    Some(Distribution::Hash { column })
}

#[test]
fn distribution_clauses_are_read_and_kept_from_the_node() {
    for (text, distribution, for_node) in [
        (
            "CREATE TABLE t (a INT) DISTRIBUTE BY HASH(a)",
            by_hash("a"),
            "CREATE TABLE t (a INT)  ",
        ),
        (
            "create table t (a int) engine=innodb distribute_key (`a b`) comment 'x'",
            by_hash("a b"),
            "create table t (a int) engine=innodb   comment 'x'",
        ),
        (
            "CREATE TABLE t (a INT) /*! DISTRIBUTE BY BROADCAST */",
            Some(Distribution::Broadcast),
            "CREATE TABLE t (a INT) /*!   */",
        ),
        (
            "CREATE TABLE t DISTRIBUTE/* by what? */BY HASH ( a ) SELECT 1 AS a",
            by_hash("a"),
            "CREATE TABLE t   SELECT 1 AS a",
        ),
        (
            "CREATE TABLE t (a INT) distribute by broadcast engine=Aria",
            Some(Distribution::Broadcast),
            "CREATE TABLE t (a INT)   engine=Aria",
        ),
    ] {
        let ddl = parse_ddl(text, MARIADB).expect("well formed");
        let found = ddl.distribution.clone().map(|clause| clause.distribution);
        assert_eq!(found, distribution, "{text}");
        assert_eq!(ddl.for_node(), for_node);
    }
}

#[test]
fn other_uses_of_its_words_are_no_distribution() {
    for text in [
        "CREATE TABLE t (distribute INT)",
        "CREATE TABLE t (a INT COMMENT 'DISTRIBUTE BY')",
        "CREATE TABLE t (a INT) COMMENT 'DISTRIBUTE BY BROADCAST'",
        "CREATE TABLE t (a INT) /* DISTRIBUTE BY BROADCAST */",
        "CREATE TABLE t (distribute_key INT, b INT AS (distribute_key + (1)))",
        "CREATE TABLE t (a INT) SELECT distribute_key(1)",
        "CREATE TABLE `DISTRIBUTE` LIKE distribute",
    ] {
        let ddl = parse_ddl(text, MARIADB).expect("well formed");
        assert_eq!(ddl.distribution, None, "{text}");
        assert_eq!(ddl.for_node(), text);
    }
}

#[test]
fn distribution_clauses_that_are_not_known_are_refused() {
    for (text, error) in [
        ("DISTRIBUTE BY", DdlError::Distribution),
        ("DISTRIBUTE BY RANGE(a)", DdlError::Distribution),
        ("DISTRIBUTE BY HASH", DdlError::Distribution),
        ("DISTRIBUTE BY HASH()", DdlError::Distribution),
        ("DISTRIBUTE BY HASH(a, b)", DdlError::Distribution),
        ("DISTRIBUTE BY HASH(a + 1)", DdlError::Distribution),
        ("DISTRIBUTE BY HASH('a')", DdlError::Distribution),
        ("DISTRIBUTE_KEY(a", DdlError::Distribution),
        (
            "DISTRIBUTE_KEY(a) DISTRIBUTE BY BROADCAST",
            DdlError::SeveralDistributions,
        ),
    ] {
        let text = format!("CREATE TABLE t (a INT, b INT) {text}");
        assert_eq!(parse_ddl(&text, MARIADB), Err(error), "{text}");
    }
}
