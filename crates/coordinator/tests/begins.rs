//! Transactions begin on a node with their first statement there, home among them: what they do is what one
//! server does, and nodes that have no part in them are not asked.

use mysql_async::prelude::Queryable;

use crate::common::{Pair, Seen, World};

/// How many transactions over nodes each node has begun and prepared.
async fn counts(world: &World) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    for node in 0..world.nodes.len() {
        let mut conn = world.node(node).await;
        let mut values = [0; 2];
        for (value, name) in values.iter_mut().zip(["Com_xa_start", "Com_xa_prepare"]) {
            let question = format!("SHOW GLOBAL STATUS LIKE '{name}'");
            let row: Option<(String, u64)> = conn.query_first(question).await.expect("status");
            *value = row.expect("a row").1;
        }
        all.push((values[0], values[1]));
    }
    all
}

/// A row on each node.
async fn one_each(world: &World) -> Vec<i64> {
    let mut keys = Vec::new();
    for node in 0..world.nodes.len() {
        let mut conn = world.node(node).await;
        let key: Option<i64> = conn
            .query_first("SELECT MIN(k) FROM t")
            .await
            .expect("read");
        keys.push(key.expect("a row"));
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_where_it_has_done_something() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    let plain = "CREATE TABLE t (k INT PRIMARY KEY, v INT NOT NULL)";
    pair.both(&format!("{plain} DISTRIBUTE BY HASH(k)"), plain)
        .await;
    let single = "CREATE TABLE single (k INT PRIMARY KEY, v INT NOT NULL)";
    pair.both(single, single).await;
    pair.same("INSERT INTO single VALUES (1, 1)").await;
    for k in 0..30 {
        pair.same(&format!("INSERT INTO t VALUES ({k}, 0)")).await;
    }
    let keys = one_each(&world).await;
    let before = counts(&world).await;
    for statement in [
        "BEGIN".to_owned(),
        format!("UPDATE t SET v = v + 1 WHERE k = {}", keys[1]),
        format!("SELECT v FROM t WHERE k = {}", keys[1]),
        "COMMIT".to_owned(),
        // Nothing at all.
        "BEGIN".to_owned(),
        "COMMIT".to_owned(),
        "START TRANSACTION".to_owned(),
        "ROLLBACK".to_owned(),
    ] {
        pair.same(&statement).await;
    }
    let after = counts(&world).await;
    let changes: Vec<_> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| (after.0 - before.0, after.1 - before.1))
        .collect();
    assert_eq!(changes, [(0, 0), (1, 1), (0, 0)]);

    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        for end in ["ROLLBACK", "COMMIT"] {
            transaction(&mut pair, &order.map(|node| keys[node]), end).await;
            world.same_rows("t").await;
        }
    }
    pair.same("SET autocommit = 0").await;
    transaction(&mut pair, &[keys[2], keys[0], keys[1]], "COMMIT").await;
    transaction(&mut pair, &[keys[1], keys[2], keys[0]], "ROLLBACK").await;
    pair.same("SET autocommit = 1").await;
    manners(&mut pair, &keys).await;
    world.same_rows("t").await;
}

/// A transaction that comes to nodes one after the other, with failures in between.
async fn transaction(pair: &mut Pair, keys: &[i64], end: &str) {
    let update = |k: i64| format!("UPDATE t SET v = v * 2 + 1 WHERE k = {k}");
    let fails = |k: i64| format!("INSERT INTO t VALUES ({k}, 7)");
    for statement in [
        "BEGIN".to_owned(),
        "SAVEPOINT a".to_owned(),
        fails(keys[0]),
        update(keys[0]),
        "SAVEPOINT b".to_owned(),
        format!("UPDATE nothing SET v = 1 WHERE k = {}", keys[1]),
        format!("UPDATE t SET nothing = 1 WHERE k = {}", keys[1]),
        update(keys[1]),
        "UPDATE single SET v = v + 1".to_owned(),
        "ROLLBACK TO SAVEPOINT b".to_owned(),
        "SELECT v FROM single".to_owned(),
        update(keys[2]),
        "UPDATE t SET v = v + 10".to_owned(),
        "SELECT k, v FROM t ORDER BY k".to_owned(),
        "RELEASE SAVEPOINT a".to_owned(),
        end.to_owned(),
        "SELECT k, v FROM t ORDER BY k".to_owned(),
        "SELECT v FROM single".to_owned(),
    ] {
        pair.same(&statement).await;
    }
}

/// What is said of the next transaction is about that one alone.
async fn manners(pair: &mut Pair, keys: &[i64]) {
    for manner in ["READ ONLY", "ISOLATION LEVEL READ COMMITTED"] {
        for statement in [
            format!("SET TRANSACTION {manner}"),
            "BEGIN".to_owned(),
            format!("SELECT v FROM t WHERE k = {}", keys[1]),
            "COMMIT".to_owned(),
            "UPDATE single SET v = v + 1".to_owned(),
            "BEGIN".to_owned(),
            "UPDATE single SET v = v + 1".to_owned(),
            format!("UPDATE t SET v = v + 1 WHERE k = {}", keys[1]),
            "COMMIT".to_owned(),
        ] {
            let seen = pair.same(&statement).await;
            assert!(
                !matches!(seen[..], [Seen::Failed(..)]),
                "{statement}: {seen:?}"
            );
        }
    }
    pair.same("BEGIN").await;
    pair.same("SET TRANSACTION READ ONLY").await;
    pair.same("COMMIT").await;
}
