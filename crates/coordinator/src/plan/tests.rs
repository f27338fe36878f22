//! Where statements run, without any server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use openpeta_sql_route::{Folding, KeyColumn, KeyType};
use openpeta_types::route::Sharding;

use super::*;
use crate::catalogue::Column;

pub(super) fn topology() -> Topology {
    Topology::new(&Sharding {
        foreign: Default::default(),
        moving: Default::default(),
        coordinator_socket: PathBuf::new(),
        nodes: vec![PathBuf::new(); 3],
        databases: BTreeMap::from([("s".to_owned(), (0..24).map(|it| it % 3).collect())]),
    })
}

fn column(name: &str, data_type: &str) -> Column {
    Column {
        name: name.into(),
        column_type: data_type.into(),
        data_type: data_type.into(),
        nullable: false,
        collation: None,
        collation_id: None,
        max_chars: None,
        generated: false,
        invisible: false,
        default: None,
        extra: String::new(),
    }
}

fn table(name: &str, columns: &[(&str, &str)], distribution: Distribution, auto: bool) -> Table {
    Table {
        schema: "s".into(),
        name: name.into(),
        distribution,
        columns: columns
            .iter()
            .map(|(name, kind)| column(name, kind))
            .collect(),
        auto_increment: auto.then_some(0),
        primary_key: vec![columns[0].0.into()],
        has_triggers: false,
        has_foreign_keys: false,
        engine: "InnoDB".into(),
        definition: format!(
            "CREATE TABLE `{name}` (\n  `k` bigint(20) NOT NULL,\n  `v` int(11) NOT NULL\n) \
             ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"
        ),
    }
}

pub(super) fn catalogue() -> Catalogue {
    let integer = |position| {
        Distribution::Hash(KeyColumn {
            name: "k".into(),
            position,
            kind: KeyType::Integer {
                min: i64::MIN.into(),
                max: i64::MAX.into(),
            },
        })
    };
    let text = Distribution::Hash(KeyColumn {
        name: "k".into(),
        position: 0,
        kind: KeyType::Text {
            folding: Folding::GeneralCi { pads: true },
            max_chars: 10,
        },
    });
    Catalogue::of_tables([
        table("t", &[("k", "bigint"), ("v", "int")], integer(0), false),
        table("ids", &[("k", "bigint"), ("v", "int")], integer(0), true),
        table("words", &[("k", "varchar"), ("v", "int")], text, false),
        table(
            "b",
            &[("k", "bigint"), ("v", "int")],
            Distribution::Broadcast,
            false,
        ),
    ])
}

pub(super) fn facts() -> Facts {
    Facts {
        database: Some("s".into()),
        ..Facts::new(101_119)
    }
}

/// What becomes of a statement, in a few words.
fn told(statement: &str) -> String {
    let facts = facts();
    let (catalogue, topology) = (catalogue(), topology());
    match plan(statement.as_bytes(), &catalogue, &topology, &facts) {
        Plan::Home => "home".into(),
        Plan::Node { node, .. } => format!("node {node}"),
        Plan::Modify { nodes, .. } => format!("nodes {nodes:?}"),
        Plan::Insert(insert) => {
            let parts = insert.parts(100, &topology).into_iter();
            let part = |part: insert::Part| {
                format!(
                    "{}: {}",
                    part.node,
                    String::from_utf8_lossy(&part.statement)
                )
            };
            parts.map(part).collect::<Vec<_>>().join(" | ")
        }
        Plan::Collect(_) => "collect".into(),
        Plan::Read(_) => "read".into(),
        Plan::Refuse(refusal) => {
            let text = refusal.to_string();
            text.split(": ").nth(1).unwrap_or(&text).to_owned()
        }
        other => format!("{other:?}")
            .split(['(', ' '])
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Where nodes could read another row each.
#[test]
fn what_is_read_for_a_write_must_be_locked() {
    for (isolation, expected) in [
        ("READ-COMMITTED", [true; 3]),
        ("REPEATABLE-READ", [false; 3]),
        ("SERIALIZABLE", [false; 3]),
    ] {
        let facts = Facts {
            isolation: isolation.into(),
            ..facts()
        };
        let is_refused = |statement: &str| {
            let plan = plan(statement.as_bytes(), &catalogue(), &topology(), &facts);
            matches!(plan, Plan::Refuse(_))
        };
        let refused = [
            "DELETE x FROM b x, b y WHERE x.k = y.v",
            "UPDATE t JOIN b ON b.k = t.v SET t.v = 1",
            "DELETE FROM t WHERE v IN (SELECT v FROM b)",
        ]
        .map(is_refused);
        assert_eq!(refused, expected, "{isolation}");
    }
}

#[test]
fn conditions_tell_the_nodes() {
    for (statement, expected) in [
        ("SELECT 1", "home"),
        ("SELECT * FROM other.t", "home"),
        ("SELECT * FROM b", "home"),
        ("SELECT * FROM t WHERE k = 4", "node 1"),
        (
            "SELECT v FROM s.t AS x WHERE x.k = 5 ORDER BY v LIMIT 1",
            "node 2",
        ),
        ("SELECT v FROM t WHERE k = 4 AND stored(v)", "read"),
        ("SELECT v FROM t WHERE k = @k", "read"),
        ("SELECT v FROM t WHERE k > 4", "read"),
        ("SELECT v FROM t, b WHERE t.k = 4", "read"),
        ("UPDATE t SET v = 1 WHERE k = -5", "node 2"),
        ("UPDATE t SET v = 1 WHERE k IN (1, 4, 7)", "node 1"),
        ("UPDATE t SET v = 1 WHERE k IN (1, 2)", "nodes [1, 2]"),
        ("UPDATE t SET v = 1", "nodes [0, 1, 2]"),
        ("DELETE FROM t WHERE v = 1", "nodes [0, 1, 2]"),
        ("DELETE FROM t WHERE k = 3 LIMIT 1", "node 0"),
        ("UPDATE b SET v = 1 WHERE k = 3", "nodes [0, 1, 2]"),
        ("UPDATE t SET k = 1", "key-update"),
        ("UPDATE t x SET v = 2, x.`k` = 1", "key-update"),
        ("UPDATE t SET v = 1 LIMIT 3", "write-limit"),
        ("UPDATE t STRAIGHT_JOIN b SET v = 1", "write-join"),
        ("UPDATE t, b SET t.v = 1", "nodes [0, 1, 2]"),
        (
            "UPDATE IGNORE t AS x LEFT JOIN s.b y ON y.k = x.v AND (x.v > 1) SET x.v = y.v + 1, `x`.v = 2 WHERE x.k = 4",
            "nodes [0, 1, 2]",
        ),
        ("UPDATE t x, b SET x.v = 1, b.v = 2", "write-join"),
        ("UPDATE t NATURAL JOIN b SET t.v = 1", "write-join"),
        ("UPDATE t JOIN b USING (k) SET t.v = 1", "write-join"),
        ("UPDATE t JOIN t y ON t.k = y.v SET t.v = 1", "write-join"),
        ("UPDATE t JOIN b ON t.v = b.v SET t.k = 1", "key-update"),
        ("UPDATE t JOIN w ON t.v = w.v SET t.v = 1", "write-join"),
        ("UPDATE t, b SET t.v = 1 LIMIT 2", "write-join"),
        (
            "DELETE t FROM t JOIN b ON b.k = t.v WHERE b.v = 1",
            "nodes [0, 1, 2]",
        ),
        ("DELETE FROM x.* USING b, t x", "nodes [0, 1, 2]"),
        ("DELETE t, b FROM t JOIN b ON b.k = t.v", "write-join"),
        ("DELETE b FROM t JOIN b ON b.k = t.v", "write-join"),
        ("DELETE t FROM t", "write-join"),
        ("DELETE b FROM b", "nodes [0, 1, 2]"),
        (
            "DELETE x, y FROM b x, b AS y WHERE x.k = y.k + 1",
            "nodes [0, 1, 2]",
        ),
        (
            "DELETE IGNORE FROM x USING b x LEFT JOIN s.b y ON LEFT(x.v, 1) = (y.v), b z WHERE y.k IS NULL",
            "nodes [0, 1, 2]",
        ),
        ("DELETE b FROM b JOIN t ON t.k = b.k", "write-join"),
        ("DELETE b FROM b, w", "write-join"),
        ("DELETE b FROM b, (SELECT 1) c", "write-join"),
        ("DELETE b FROM b WHERE k IN (SELECT 1)", "write-subquery"),
        ("DELETE b FROM b WHERE k = RAND()", "broadcast-write"),
        ("DELETE FROM t WHERE v IN (SELECT 1)", "nodes [0, 1, 2]"),
        (
            "UPDATE t SET v = (SELECT MAX(b.v) FROM b JOIN (SELECT k FROM s.b) c ON c.k = b.k WHERE b.k = t.v) WHERE k = 4",
            "nodes [0, 1, 2]",
        ),
        (
            "DELETE FROM t WHERE (SELECT COUNT(*) FROM b WHERE v AND k = 5)",
            "nodes [0, 1, 2]",
        ),
        (
            "DELETE FROM t WHERE v IN (SELECT v FROM w)",
            "write-subquery",
        ),
        (
            "DELETE FROM t WHERE v IN (SELECT v FROM t)",
            "write-subquery",
        ),
        (
            "DELETE FROM t WHERE v = (SELECT v FROM b LIMIT 1)",
            "write-subquery",
        ),
        (
            "DELETE FROM t WHERE v IN (WITH c AS (SELECT v FROM b) SELECT v FROM c)",
            "write-subquery",
        ),
        (
            "DELETE FROM t WHERE v IN (SELECT v FROM b WHERE v IN (SELECT v FROM w))",
            "write-subquery",
        ),
        ("UPDATE b SET v = (SELECT 1)", "write-subquery"),
        ("UPDATE b SET v = RAND()", "broadcast-write"),
        ("ALTER TABLE t ADD w INT", "Define"),
        ("CREATE TEMPORARY TABLE w (k INT)", "home"),
        ("CREATE TEMPORARY TABLE w LIKE t", "home"),
        ("CREATE TEMPORARY TABLE w SELECT * FROM t", "create-select"),
        ("CREATE TEMPORARY TABLE w SELECT * FROM b", "home"),
        ("CREATE TEMPORARY TABLE t (k INT)", "temporary-name"),
        ("DROP TEMPORARY TABLE IF EXISTS w", "home"),
        ("DROP TABLE w", "DefineAtHome"),
        ("DROP TABLE w, t", "Define"),
        ("ALTER TABLE w ADD t INT", "DefineAtHome"),
        (
            "ALTER TABLE w ADD FOREIGN KEY (a) REFERENCES t (k)",
            "foreign-key",
        ),
        ("TRUNCATE w", "DefineAtHome"),
        ("TRUNCATE t", "Define"),
        ("RENAME TABLE w TO x, y TO z", "DefineAtHome"),
        ("RENAME TABLE w TO t", "DefineAtHome"),
        ("RENAME TABLE w TO x, t TO u", "rename-mixed"),
        ("RENAME TABLE t TO u, u TO x", "Define"),
        ("CREATE INDEX i ON w (a)", "DefineAtHome"),
        ("CREATE INDEX i ON t (v)", "Define"),
        ("DROP INDEX i ON t", "Define"),
        (
            "CREATE TRIGGER r AFTER INSERT ON w FOR EACH ROW DELETE FROM t",
            "DefineAtHome",
        ),
        (
            "CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW SET @a = 1",
            "trigger",
        ),
        ("CREATE TABLE w (k INT)", "Define"),
        (
            "CREATE TABLE w (k INT NOT NULL) DISTRIBUTE BY HASH(k)",
            "Define",
        ),
        ("CREATE TABLE other.w (k INT)", "DefineAtHome"),
        ("CREATE VIEW w AS SELECT 1", "DefineAtHome"),
        ("DROP DATABASE s", "drop-database"),
        ("BEGIN", "Control"),
    ] {
        assert_eq!(told(statement), expected, "{statement}");
    }
}

#[test]
fn reads_ask_the_nodes_alone_that_can_have_rows() {
    let facts = facts();
    let (catalogue, topology) = (catalogue(), topology());
    for (statement, expected, used) in [
        (
            "SELECT SUM(v) FROM t WHERE k IN (1, 2, 4)",
            vec![1, 2],
            Some(vec![1, 2, 4]),
        ),
        (
            "SELECT v FROM t WHERE (k IN (3, 5)) AND v > 1 FOR UPDATE",
            vec![0, 2],
            Some(vec![3, 5]),
        ),
        (
            "SELECT v FROM t WHERE k = 4 AND stored(v)",
            vec![0, 1, 2],
            None,
        ),
        (
            "SELECT SUM(v) FROM t WHERE k IN (1, @k)",
            vec![0, 1, 2],
            None,
        ),
        (
            "SELECT SUM(v) FROM t WHERE k IN (1, 2) OR v = 1",
            vec![0, 1, 2],
            None,
        ),
        (
            "SELECT SUM(t.v) FROM t, t AS u WHERE t.k IN (1, 2)",
            vec![0, 1, 2],
            None,
        ),
    ] {
        let Plan::Read(read) = plan(statement.as_bytes(), &catalogue, &topology, &facts) else {
            panic!("{statement}");
        };
        for fill in read.recipes.iter().flat_map(|recipe| &recipe.fills) {
            assert_eq!(fill.nodes, expected, "{statement}");
        }
        let is_read = |node: &u16| *node == Topology::HOME || expected.contains(node);
        let all: Vec<u16> = (0..3).filter(is_read).collect();
        assert_eq!((read.nodes, read.partitions), (all, used), "{statement}");
    }
}

#[test]
fn rows_go_to_their_nodes() {
    for (statement, expected) in [
        ("INSERT t VALUES (1, 2)", "1: INSERT t VALUES (1, 2)"),
        (
            "insert into t (v, k) values (1, 3), (2, 4) , (3, 6)",
            "0: insert into t (`v`,`k`) VALUES (1, 3),(3, 6) | 1: insert into t (`v`,`k`) VALUES (2, 4)",
        ),
        (
            "INSERT INTO t VALUES (3, 1), (4, 2) ON DUPLICATE KEY UPDATE v = v + 1",
            "0: INSERT INTO t VALUES (3, 1) ON DUPLICATE KEY UPDATE v = v + 1 | \
             1: INSERT INTO t VALUES (4, 2) ON DUPLICATE KEY UPDATE v = v + 1",
        ),
        (
            "INSERT INTO t SET v = 1, k = 2",
            "2: INSERT INTO t (`v`,`k`) VALUES (1, 2)",
        ),
        (
            "INSERT INTO ids (v) VALUES (7), (8)",
            "1: INSERT INTO ids (`k`,`v`) VALUES (100,7) | 2: INSERT INTO ids (`k`,`v`) VALUES (101,8)",
        ),
        (
            "INSERT INTO ids VALUES (NULL, 7), (3, 8), (DEFAULT, 9)",
            "0: INSERT INTO ids VALUES (3, 8) | 1: INSERT INTO ids VALUES (100, 7) | \
             2: INSERT INTO ids VALUES (101, 9)",
        ),
        (
            "REPLACE b VALUES (1, 1)",
            "0: REPLACE b VALUES (1, 1) | 1: REPLACE b VALUES (1, 1) | 2: REPLACE b VALUES (1, 1)",
        ),
        ("INSERT INTO t VALUES (1 + 1, 2)", "collect"),
        ("INSERT INTO t (v) VALUES (1)", "collect"),
        ("INSERT INTO t SELECT 1, 2", "collect"),
        ("INSERT INTO b VALUES (1, RAND())", "collect"),
        ("INSERT INTO ids VALUES (@id, 1)", "collect"),
        (
            "INSERT INTO t (k, w) VALUES (1, 2)",
            "Unknown column 'w' in 'INSERT INTO'",
        ),
    ] {
        let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            spaces(&told(statement)).replace(", ", ","),
            spaces(expected).replace(", ", ","),
            "{statement}"
        );
    }
    // Words that are equal to the collation are on one node.
    let nodes: Vec<_> = ["'Anna'", "'ANNA'", "'anna '"]
        .map(|word| told(&format!("SELECT v FROM words WHERE k = {word}")))
        .to_vec();
    assert!(
        nodes
            .iter()
            .all(|node| *node == nodes[0] && node.starts_with("node")),
        "{nodes:?}"
    );
}
