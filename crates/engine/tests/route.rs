//! What is told of statements by their text alone, against what a real server does with them.

use std::collections::BTreeSet;

use crate::common::{ADMIN_PASSWORD, Bed, client, db};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_sql_route::{
    Dialect, Folding, KeyColumn, KeyType, KeyValue, Lexer, parse_insert, pinned_by,
};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Literals of all kinds.
const VALUES: [&str; 22] = [
    "1",
    "2",
    "-1",
    "+ 3",
    "'2'",
    "'-1'",
    "'02'",
    "' 1'",
    "'1a'",
    "1.0",
    "1.5",
    "2e0",
    "0x31",
    "X'32'",
    "b'1'",
    "NULL",
    "'a'",
    "'A '",
    "'b'",
    "TRUE",
    "'9223372036854775807'",
    "9223372036854775807",
];

fn value(random: &mut Random) -> String {
    match random.below(8) {
        0 => "v".into(),
        1 => format!("{} + 0", random.any(&VALUES)),
        2 => format!("(SELECT {})", random.any(&VALUES)),
        _ => random.any(&VALUES).into(),
    }
}

fn condition(random: &mut Random, depth: usize) -> String {
    if depth > 0 && random.below(3) > 0 {
        let [left, right] = [(); 2].map(|()| condition(random, depth - 1));
        let joint = random.any(&["AND", "AND", "AND", "&&", "OR", "||", "XOR"]);
        return match random.below(6) {
            0 => format!("({left}) {joint} {right}"),
            1 => format!("({left} {joint} {right})"),
            2 => format!("NOT {left} {joint} {right}"),
            3 => format!("CASE WHEN {left} THEN {right} ELSE {left} {joint} {right} END"),
            _ => format!("{left} {joint} {right}"),
        };
    }
    let column = random.any(&["k", "K", "t.k", "`k`", "v", "t.v"]);
    let [first, second] = [(); 2].map(|()| value(random));
    match random.below(11) {
        9 => format!("v BETWEEN {first} AND {column} = {second}"),
        0 => format!("{first} = {column}"),
        1 => format!("{column} IN ({first}, {second})"),
        2 => format!("{column} NOT IN ({first}, {second})"),
        3 => format!("{column} BETWEEN {first} AND {second}"),
        4 => format!("{column} <=> {first}"),
        5 => format!("{column} = {first} = {second}"),
        6 => format!("{column} = {first} IS NOT NULL"),
        _ => format!("{column} = {first}"),
    }
}

/// Whether a row of that key, as the server shows it, may be among those that a condition names.
fn names(values: &[KeyValue<'_>], shown: &str, folding: Option<Folding>) -> bool {
    values.iter().any(|value| match (value, folding) {
        (KeyValue::Integer(number), _) => number.to_string() == shown,
        (KeyValue::Text(text), Some(folding)) => {
            folding.fold(text) == folding.fold(shown.as_bytes())
        }
        _ => false,
    })
}

async fn table(conn: &mut Conn, kind: &str, keys: &[&str]) {
    let create = format!(
        "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, k {kind} NOT NULL, v INT)"
    );
    conn.query_drop(create).await.expect("created");
    for key in keys {
        let insert = format!(
            "INSERT INTO t (k, v) VALUES ({key}, 0), ({key}, 1), ({key}, 2), ({key}, NULL)"
        );
        conn.query_drop(insert).await.expect("inserted");
    }
}

async fn connect(bed: &Bed, node: &openpeta_types::NodeId) -> Conn {
    let mut sql = bed.engine.sql(node).await.expect("connect");
    sql.create_database(&db("adb")).await.expect("create");
    let socket = bed.engine.socket_path(node).expect("short enough");
    let mut conn = client(&socket, "openpeta_admin", ADMIN_PASSWORD)
        .await
        .expect("in");
    conn.query_drop("USE adb").await.expect("it is there");
    conn
}

#[tokio::test]
async fn a_row_that_meets_a_condition_has_one_of_the_keys_that_it_names() {
    let (bed, node) = Bed::with_node().await;
    let mut conn = connect(&bed, &node).await;
    let dialect = Dialect::new(bed.engine.server_version_number());
    let mut random = Random(11);
    let integer = KeyType::Integer {
        min: i64::MIN.into(),
        max: i64::MAX.into(),
    };
    let folding = Folding::of_collation(45).expect("known");
    let text = KeyType::Text {
        folding,
        max_chars: 20,
    };
    let cases = [
        (
            "BIGINT",
            integer,
            None,
            &[
                "-1",
                "0",
                "1",
                "2",
                "3",
                "9223372036854775807",
                "-9223372036854775808",
            ][..],
        ),
        (
            "VARCHAR(20) COLLATE utf8mb4_general_ci",
            text,
            Some(folding),
            &["''", "'1'", "'2'", "'02'", "'a'", "'B'", "'1a'", "'NULL'"],
        ),
    ];
    for (kind, kind_of_key, folding, keys) in cases {
        table(&mut conn, kind, keys).await;
        let key = KeyColumn {
            name: "k".into(),
            position: 1,
            kind: kind_of_key,
        };
        let (mut understood, mut met) = (0, 0);
        for _ in 0..1500 {
            let condition = condition(&mut random, 3);
            let tokens: Vec<_> = Lexer::new(condition.as_bytes(), dialect)
                .filter(|token| token.kind.is_significant())
                .collect();
            let Some(values) = pinned_by(&tokens, &key, &["t"], 0, dialect, false) else {
                continue;
            };
            understood += 1;
            let query = format!("SELECT DISTINCT CAST(k AS CHAR) FROM t WHERE {condition}");
            let found: Vec<String> = conn
                .query(&query)
                .await
                .unwrap_or_else(|error| panic!("{query}: {error}"));
            met += found.len();
            for shown in found {
                assert!(
                    names(&values, &shown, folding),
                    "{shown} meets {condition}: {values:?}"
                );
            }
        }
        assert!(
            understood > 50 && met > 20,
            "{understood} understood, {met} met"
        );
    }
}

#[tokio::test]
async fn rows_are_stored_under_the_keys_that_were_read() {
    let (bed, node) = Bed::with_node().await;
    let mut conn = connect(&bed, &node).await;
    let dialect = Dialect::new(bed.engine.server_version_number());
    let folding = Folding::of_collation(45).expect("known");
    for mode in ["", "STRICT_ALL_TABLES"] {
        conn.query_drop(format!("SET sql_mode = '{mode}'"))
            .await
            .expect("set");
        for (kind, kind_of_key, folding) in [
            (
                "TINYINT",
                KeyType::Integer {
                    min: -128,
                    max: 127,
                },
                None,
            ),
            (
                "INT UNSIGNED",
                KeyType::Integer {
                    min: 0,
                    max: u32::MAX.into(),
                },
                None,
            ),
            (
                "VARCHAR(2) COLLATE utf8mb4_general_ci",
                KeyType::Text {
                    folding,
                    max_chars: 2,
                },
                Some(folding),
            ),
        ] {
            table(&mut conn, kind, &[]).await;
            let key = KeyColumn {
                name: "k".into(),
                position: 1,
                kind: kind_of_key,
            };
            let mut known = BTreeSet::new();
            for value in VALUES.iter().chain(&[
                "300",
                "-129",
                "4294967296",
                "'abc'",
                "DEFAULT",
                "'ä'",
                "'\\n'",
            ]) {
                let text = format!("INSERT INTO t (v, k) VALUES (1, {value})");
                let insert = parse_insert(text.as_bytes(), &key, dialect).expect("read");
                conn.query_drop("DELETE FROM t").await.expect("emptied");
                // A value that the server refuses is stored nowhere.
                let stored = conn.query_drop(&text).await.is_ok();
                let Some(read) = insert.rows[0].key.clone().filter(|_| stored) else {
                    continue;
                };
                known.insert(value);
                let shown: Option<String> = conn
                    .query_first("SELECT CAST(k AS CHAR) FROM t")
                    .await
                    .expect("read");
                let shown = shown.expect("a row");
                assert!(
                    names(&[read], &shown, folding),
                    "{value} is stored as {shown} in {kind}"
                );
            }
            assert!(known.len() > 4, "{kind}: {known:?}");
        }
    }
}
