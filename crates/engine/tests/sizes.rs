//! What tables and temporary files take, against a real server.

use std::time::{Duration, Instant};

use crate::common::{Bed, account, client, db};
use mysql_async::prelude::Queryable;
use openpeta_engine::TableSizes;
use openpeta_types::{AccountType, PrivilegeSet, Secret};

const MIB: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn indexes_free_space_and_temporary_files_are_measured() {
    let (bed, node) = Bed::with_node().await;
    let engine = &bed.engine;
    let mut sql = engine.sql(&node).await.expect("connect");
    sql.create_database(&db("adb")).await.expect("create");
    let (bob, secret) = (account("bob"), Secret::new("bob's backend password"));
    let grants = [(db("adb"), PrivilegeSet::ReadWrite)];
    sql.ensure_account(&bob, &secret, AccountType::Normal, &grants)
        .await
        .expect("ensure");
    let socket = engine.socket_path(&node).expect("short enough");
    let mut bob = client(&socket, "bob", secret.expose()).await.expect("in");
    let sizes = async || {
        let sizes = engine.table_sizes(&node, true, LIMIT).await.expect("asked");
        sizes.get("adb").copied()
    };
    assert_eq!(sizes().await, None, "no tables");

    // An index of 100 bytes a row and some, and as much beside it.
    for statement in [
        "USE adb",
        "CREATE TABLE t (id INT PRIMARY KEY, a CHAR(100) CHARACTER SET latin1, KEY (a))",
        "CREATE TABLE none (id INT PRIMARY KEY, a CHAR(100) CHARACTER SET latin1)",
        "INSERT INTO t SELECT seq, LPAD(seq, 100, '0') FROM seq_1_to_40000",
        "INSERT INTO none SELECT seq, LPAD(seq, 100, '0') FROM seq_1_to_40000",
        "ANALYZE TABLE t, none",
    ] {
        bob.query_drop(statement).await.expect(statement);
    }
    let index = 40_000 * 105;
    let there = sizes().await.expect("tables");
    assert!(
        (index..index * 3 / 2 + MIB).contains(&there.index_bytes),
        "{there:?}"
    );
    let told = "SELECT SUM(INDEX_LENGTH) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'adb'";
    let told: Option<u64> = bob.query_first(told).await.expect("told");
    assert_eq!(
        Some(there.index_bytes),
        told,
        "as the server tells its users"
    );
    let few = engine
        .table_sizes(&node, false, LIMIT)
        .await
        .expect("asked");
    let no_free = TableSizes {
        free_bytes: None,
        ..there
    };
    assert_eq!(few["adb"], no_free);

    bob.query_drop("ALTER TABLE t DROP KEY a, ALGORITHM = INPLACE")
        .await
        .expect("dropped");
    let free = there.free_bytes.expect("asked for");
    wait_until("the index's space is free", async || {
        let now = sizes().await.expect("tables");
        now.index_bytes < MIB && now.free_bytes >= Some(free + index - 2 * MIB)
    })
    .await;

    let usage = async || engine.disk(&node).await.expect("measured").usage;
    let temporary = async || usage().await.temporary_bytes + engine.nameless_bytes(&node).await;
    let before = temporary().await;
    bob.query_drop("CREATE TEMPORARY TABLE x AS SELECT seq, REPEAT('x', 1000) FROM seq_1_to_30000")
        .await
        .expect("a temporary table");
    let with_table = temporary().await;
    assert!(
        (20 * MIB..100 * MIB).contains(&(with_table - before)),
        "{before}, {with_table}"
    );
    assert!(usage().await.other_bytes >= with_table - MIB);

    // A transaction larger than its buffer for the binary log is kept in a file without a name.
    bob.query_drop("BEGIN").await.expect("begun");
    bob.query_drop("UPDATE none SET a = LPAD(id, 100, '1')")
        .await
        .expect("changed");
    let with_transaction = temporary().await;
    assert!(
        with_transaction > with_table + 4 * MIB,
        "{with_table}, {with_transaction}"
    );
    bob.query_drop("ROLLBACK").await.expect("undone");
    wait_until("the file is empty", async || {
        temporary().await < with_table + MIB
    })
    .await;
}

async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
