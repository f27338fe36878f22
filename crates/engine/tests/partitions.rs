//! Partitions as the router computes them, against what a real server computes.

use std::num::NonZeroU16;

use crate::common::{Bed, account, client, db};
use mysql_async::prelude::Queryable;

use openpeta_sql_route::{Folding, Partitions};
use openpeta_types::{AccountType, PrivilegeSet, Secret};

/// Collations by name, with their numbers, and SQL for what is hashed of `t`.
const COLLATIONS: [(&str, u16, &str); 7] = [
    (
        "utf8mb4_general_ci",
        45,
        "WEIGHT_STRING(TRIM(TRAILING ' ' FROM t))",
    ),
    ("utf8mb4_general_nopad_ci", 1069, "WEIGHT_STRING(t)"),
    (
        "utf8mb3_general_ci",
        33,
        "WEIGHT_STRING(TRIM(TRAILING ' ' FROM t))",
    ),
    ("utf8mb4_bin", 46, "TRIM(TRAILING ' ' FROM t)"),
    ("utf8mb4_nopad_bin", 1070, "t"),
    ("utf8mb3_bin", 83, "TRIM(TRAILING ' ' FROM t)"),
    ("binary", 63, "t"),
];

/// All characters of two bytes in UTF-16, or every 13th where nothing is done to them, and strings of
/// several with spaces, some with characters beyond.
fn texts(collation: &str) -> Vec<String> {
    let step = if collation == "utf8mb4_general_ci" {
        1
    } else {
        13
    };
    let characters = ('\u{1}'..='\u{ffff}').step_by(step);
    let mut texts: Vec<_> = characters.map(String::from).collect();
    texts.extend(
        [
            "",
            " ",
            "a  ",
            "  a",
            "Ünïcode ß",
            "ünicode s  ",
            "日本語 ",
            "\u{a0} ",
            "a\t",
        ]
        .map(str::to_owned),
    );
    if !collation.starts_with("utf8mb3") {
        texts.extend(["😁", "a😁b", "𝒜 "].map(str::to_owned));
    }
    texts
}

#[tokio::test]
async fn strings_go_where_the_server_says() {
    let (bed, node) = Bed::with_node().await;
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    sql.create_database(&db("adb")).await.expect("create");
    let (bob, secret) = (account("bob"), Secret::new("bob's backend password"));
    let grants = [(db("adb"), PrivilegeSet::ReadWrite)];
    let ensured = sql.ensure_account(&bob, &secret, AccountType::Normal, &grants);
    ensured.await.expect("ensured");
    let socket = bed.engine.socket_path(&node).expect("short enough");
    let mut bob = client(&socket, "bob", secret.expose()).await.expect("in");
    bob.query_drop("USE adb").await.expect("granted");
    let partitions = Partitions::new(NonZeroU16::new(1009).expect("not 0"));
    for (collation, number, hashed) in COLLATIONS {
        let kind = if collation == "binary" {
            "VARBINARY(100)".to_owned()
        } else {
            format!("VARCHAR(30) COLLATE {collation}")
        };
        let create = format!("CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, t {kind})");
        bob.query_drop(create).await.expect("created");
        let texts = texts(collation);
        for (chunk, part) in texts.chunks(8192).enumerate() {
            let rows = part.iter().enumerate().map(|(at, text)| {
                let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
                format!("({},X'{hex}')", chunk * 8192 + at)
            });
            let rows = rows.collect::<Vec<_>>().join(",");
            let insert = format!("INSERT INTO t VALUES {rows}");
            bob.query_drop(insert).await.expect("inserted");
        }
        let query = format!("SELECT CRC32({hashed}) MOD 1009 FROM t ORDER BY id");
        let told: Vec<u16> = bob.query(query).await.expect("computed");
        assert_eq!(told.len(), texts.len());
        let folding = Folding::of_collation(number).expect("known");
        for (text, told) in texts.iter().zip(told) {
            let found = partitions.of_text(text.as_bytes(), folding);
            assert_eq!(found, told, "{text:?} in {collation}");
        }
        // What is equal is in one partition: no group of equal values has two.
        let query = format!(
            "SELECT COUNT(*) FROM (SELECT t FROM t GROUP BY t HAVING COUNT(DISTINCT CRC32({hashed})) > 1) AS g"
        );
        let split: Option<u64> = bob.query_first(query).await.expect("computed");
        assert_eq!(split, Some(0), "{collation}");
    }

    let query = "SELECT v, ABS(v MOD 1009) FROM (SELECT -9223372036854775808 AS v UNION SELECT -1 \
                 UNION SELECT 9223372036854775807 UNION SELECT CAST(seq AS SIGNED) - 3000 FROM seq_0_to_6000) AS n";
    let told: Vec<(i64, u16)> = bob.query(query).await.expect("computed");
    for (value, told) in told {
        assert_eq!(partitions.of_integer(value.into()), told, "{value}");
    }
    let query = "SELECT 18446744073709551615 MOD 1009";
    let told: Option<u16> = bob.query_first(query).await.expect("computed");
    assert_eq!(Some(partitions.of_integer(u64::MAX.into())), told);
}
