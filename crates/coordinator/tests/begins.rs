//! Transactions begin on a node with their first statement there, home among them: what they do is what one
//! server does, and nodes that have no part in them are not asked.

use mysql_async::prelude::Queryable;
use openpeta_coordinator::node::{NodeConnection, NodeLogin, Reply, UTF8MB4};
use openpeta_mysql_wire::{Capabilities, Status};
use openpeta_types::Secret;

use crate::common::{DATABASE, PASSWORD, Pair, Seen, USER, World};

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
    for statement in statements(keys, end) {
        pair.same(&statement).await;
    }
}

fn statements(keys: &[i64], end: &str) -> [String; 18] {
    let update = |k: i64| format!("UPDATE t SET v = v * 2 + 1 WHERE k = {k}");
    let fails = |k: i64| format!("INSERT INTO t VALUES ({k}, 7)");
    [
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
    ]
}

/// A client that may send several statements in one text, or may not: neither may its connections to nodes.
async fn client(world: &World, of_one_server: bool, several: bool) -> NodeConnection {
    let socket = match of_one_server {
        true => world
            .engine
            .socket_path(&world.plain)
            .expect("short enough"),
        false => world.coordinator_socket(),
    };
    let several = match several {
        true => Capabilities::MULTI_STATEMENTS,
        false => Capabilities::NONE,
    };
    let login = NodeLogin {
        user: USER.into(),
        password: Secret::new(PASSWORD),
        database: Some(DATABASE.into()),
        client: None,
        capabilities: Capabilities(Capabilities::DEPRECATE_EOF.0 | several.0),
        charset: UTF8MB4,
    };
    let connected = NodeConnection::connect(&socket, &login).await;
    connected.expect("let in")
}

/// What matters of a reply: not whether an index was used.
fn told(mut reply: Reply) -> Reply {
    match &mut reply {
        Reply::Ok(ok) => ok.head.status = of_session(ok.head.status),
        Reply::Rows(rows) => rows.status = of_session(rows.status),
        Reply::Err(_) => {}
    }
    reply
}

fn of_session(status: Status) -> Status {
    Status(status.0 & (Status::IN_TRANS.0 | Status::AUTOCOMMIT.0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_one_statement_at_a_time_is_served_alike() {
    let world = World::new().await;
    let mut pair = world.pair().await;
    for (body, clause) in [
        (
            "t (k INT PRIMARY KEY, v INT NOT NULL)",
            " DISTRIBUTE BY HASH(k)",
        ),
        ("single (k INT PRIMARY KEY, v INT NOT NULL)", ""),
    ] {
        let plain = format!("CREATE TABLE {body}");
        pair.both(&format!("{plain}{clause}"), &plain).await;
    }
    pair.same("INSERT INTO single VALUES (1, 1)").await;
    for k in 0..30 {
        pair.same(&format!("INSERT INTO t VALUES ({k}, 0)")).await;
    }
    let keys = one_each(&world).await;
    for several in [true, false] {
        let mut ours = client(&world, false, several).await;
        let mut plain = client(&world, true, several).await;
        assert_eq!(ours.takes_several(), several);
        let mut same = async |statement: &str| {
            let found = told(ours.query(statement).await.expect("answered"));
            let expected = told(plain.query(statement).await.expect("answered"));
            assert_eq!(found, expected, "{statement}, several: {several}");
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            for end in ["ROLLBACK", "COMMIT"] {
                let before = counts(&world).await;
                for statement in statements(&order.map(|node| keys[node]), end) {
                    same(&statement).await;
                }
                for (before, after) in before.iter().zip(counts(&world).await) {
                    assert_eq!(after.0 - before.0, 1, "it begins once on each node");
                }
            }
        }
        // Several at once are an error for who may not send them, and not half done.
        if !several {
            same("UPDATE single SET v = 0; UPDATE single SET v = 1").await;
            same("SELECT v FROM single").await;
        }
        world.same_rows("t").await;
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
