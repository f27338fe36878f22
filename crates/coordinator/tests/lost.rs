//! Clients, homes and branches that go away in the midst of something.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use openpeta_coordinator::Coordinators;

use crate::common::{PASSWORD, Seen, USER, World, see, try_connect};

/// InnoDB looks for transactions anew only when nobody has asked it for a tenth of a second: who asks more
/// often is told the same for ever.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_leaves_nothing() {
    let mut world = World::new().await;
    let mut conn = world.client().await;
    for statement in [
        "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(40)) DISTRIBUTE BY HASH(id)",
        "INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    clients_that_go(&world).await;
    branches_that_go(&world).await;
    writes_whose_node_goes(&world).await;
    reads_that_lose_a_node(&world).await;
    definitions_that_are_cut_off(&mut world).await;
    processes_that_end_later(&mut world).await;
}

/// How many statements with that text run, and transactions are open, on all nodes.
async fn running(world: &World, text: &str) -> (u64, u64) {
    let mut all = (0, 0);
    for node in 0..3 {
        let mut conn = world.node(node).await;
        let found: Option<(u64, u64)> = conn
            .query_first(format!(
                "SELECT (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '{text}%' \
                 AND ID <> CONNECTION_ID()), (SELECT COUNT(*) FROM information_schema.INNODB_TRX)"
            ))
            .await
            .expect("read");
        let (statements, transactions) = found.expect("a row");
        all = (all.0 + statements, all.1 + transactions);
    }
    all
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn clients_that_go(world: &World) {
    for begins in [false, true] {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let socket = world.coordinator_socket();
        // In a runtime of its own, so that its socket is closed at once, whatever the client still
        // wants to say.
        let client = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let conn = try_connect(&socket, USER, PASSWORD, |it| it).await;
                let mut conn = conn.expect("let in");
                if begins {
                    conn.query_drop("BEGIN").await.expect("begun");
                    let delete = "DELETE FROM orders WHERE id = 1";
                    conn.query_drop(delete).await.expect("deleted");
                }
                let endless = "UPDATE orders SET note = SLEEP(1000)";
                tokio::select! {
                    ended = conn.query_drop(endless) => panic!("it ended: {ended:?}"),
                    _ = stopped => {}
                }
            });
        });
        let runs = async || running(world, "SET STATEMENT").await.0 == 3;
        until("it runs on all nodes", runs).await;
        stop.send(()).expect("it listens");
        client.join().expect("it ends");
        let rests = async || running(world, "SET STATEMENT").await == (0, 0);
        until("nothing runs", rests).await;
    }
    // Nobody holds what they had locked, and what they did is undone.
    let mut conn = world.client().await;
    let seen = see(&mut conn, "UPDATE orders SET note = 'new'").await;
    assert!(
        matches!(seen[..], [Seen::Done { affected: 4, .. }]),
        "{seen:?}"
    );
}

async fn branches_that_go(world: &World) {
    let mut conn = world.client().await;
    conn.query_drop("BEGIN").await.expect("begun");
    conn.query_drop("UPDATE orders SET note = 'half'")
        .await
        .expect("updated");
    world.kill_node(2).await;
    let seen = see(&mut conn, "UPDATE orders SET note = 'more'").await;
    assert!(
        matches!(&seen[..], [Seen::Failed(1429, message)] if message.contains("node-lost")),
        "{seen:?}"
    );
    // What touches no other node goes on.
    assert_eq!(see(&mut conn, "SELECT 1 + 1").await.len(), 1);
    world.start_node(2).await;
    let seen = see(
        &mut conn,
        "UPDATE orders SET note = 'whole' WHERE note = 'new'",
    )
    .await;
    assert!(
        matches!(seen[..], [Seen::Done { affected: 4, .. }]),
        "{seen:?}"
    );
}

/// A read of several nodes that has lost one leaves the others in no transaction, whose end the next write would
/// wait for in vain.
async fn reads_that_lose_a_node(world: &World) {
    // Who has lost home is gone, and so is what it had begun.
    for lost in [1, 2] {
        let mut conn = world.client().await;
        let read = "SELECT COUNT(*), MAX(note) FROM orders";
        conn.query_drop(read).await.expect("read");
        world.kill_node(lost).await;
        let seen = see(&mut conn, read).await;
        assert!(matches!(seen[..], [Seen::Failed(1429, _)]), "{seen:?}");
        let mut written = 0;
        for id in 1..=4 {
            let write = format!("UPDATE orders SET note = 'read {lost}' WHERE id = {id}");
            match &see(&mut conn, &write).await[..] {
                [Seen::Done { affected, .. }] => written += affected,
                [Seen::Failed(1429, _)] => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(written > 0, "some are on other nodes");
        world.start_node(lost).await;
        let mut other = world.client().await;
        let count = format!("SELECT COUNT(*) FROM orders WHERE note = 'read {lost}'");
        let count: Option<u64> = other.query_first(count).await.expect("read");
        assert_eq!(count, Some(written), "all that was acknowledged is there");
        let back = "UPDATE orders SET note = 'whole'";
        other.query_drop(back).await.expect(back);
    }
}

/// A write outside of a transaction may have been carried out by its node before that went: nobody is told that
/// it was not.
async fn writes_whose_node_goes(world: &World) {
    // Planned for the first time, or known; prepared likewise.
    for (prepared, before) in [(false, 0), (false, 2), (true, 0), (true, 2)] {
        write_whose_node_goes(world, prepared, before).await;
    }
}

async fn write_whose_node_goes(world: &World, prepared: bool, before: usize) {
    let mut conn = world.client().await;
    let statement = conn.prep("UPDATE orders SET note = ? WHERE id = ?").await;
    let statement = statement.expect("prepared");
    let write = async move |conn: &mut mysql_async::Conn, note: &str| match prepared {
        true => conn.exec_drop(&statement, (note, 1)).await,
        false => {
            let write = format!("UPDATE orders SET note = '{note}' WHERE id = 1");
            conn.query_drop(write).await
        }
    };
    for _ in 0..before {
        write(&mut conn, "before").await.expect("written");
    }
    let mut blocker = world.node(1).await;
    for statement in ["BEGIN", "SELECT * FROM shop.orders WHERE id = 1 FOR UPDATE"] {
        blocker.query_drop(statement).await.expect(statement);
    }
    let write = tokio::spawn(async move { write(&mut conn, "alone").await });
    let runs = async || running(world, "UPDATE orders").await.0 == 1;
    until("it waits on its node", runs).await;
    world.kill_node(1).await;
    let told = write.await.expect("it ends");
    assert!(
        matches!(&told, Err(error) if !matches!(error, mysql_async::Error::Server(_))),
        "{told:?}"
    );
    world.start_node(1).await;
    let mut conn = world.client().await;
    let seen = see(&mut conn, "UPDATE orders SET note = 'whole' WHERE id = 1").await;
    assert!(matches!(seen[..], [Seen::Done { .. }]), "{seen:?}");
}

/// A definition that the coordinator did not live to finish is finished by the next one.
async fn definitions_that_are_cut_off(world: &mut World) {
    let mut blocker = world.node(2).await;
    blocker
        .query_drop("LOCK TABLES shop.orders READ")
        .await
        .expect("locked");
    let mut conn = world.client().await;
    let task = tokio::spawn(async move {
        conn.query_drop("ALTER TABLE orders ADD COLUMN extra INT DEFAULT 5")
            .await
    });
    let has_it = "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_NAME = 'orders' AND COLUMN_NAME = 'extra'";
    for node in [0, 1] {
        let mut conn = world.node(node).await;
        until("it is there", async || {
            conn.query_first::<u64, _>(has_it).await.expect("read") == Some(1)
        })
        .await;
    }
    world.close();
    assert!(task.await.expect("it ends").is_err());
    blocker.query_drop("UNLOCK TABLES").await.expect("unlocked");
    drop(blocker);
    world.open();
    let mut conn = world.client().await;
    let seen = see(
        &mut conn,
        "UPDATE orders SET extra = 6 WHERE note = 'whole'",
    )
    .await;
    assert!(
        matches!(seen[..], [Seen::Done { affected: 4, .. }]),
        "{seen:?}"
    );
    // One that fails on a node leaves nothing on the others.
    world
        .node(1)
        .await
        .query_drop("CREATE TABLE shop.taken (a INT)")
        .await
        .expect("created");
    let create = "CREATE TABLE taken (a INT NOT NULL) DISTRIBUTE BY HASH(a)";
    assert!(matches!(
        see(&mut conn, create).await[..],
        [Seen::Failed(1050, _)]
    ));
    for node in 0..3 {
        let tables: Vec<String> = world
            .node(node)
            .await
            .query("SHOW TABLES")
            .await
            .expect("shown");
        assert_eq!(tables, ["orders"], "node {node}");
    }
    assert!(matches!(
        see(&mut conn, create).await[..],
        [Seen::Done { .. }]
    ));
}

/// After a hand-over the process before goes on for a while: what it leaves is settled by the new one.
async fn processes_that_end_later(world: &mut World) {
    let lives = world
        .config
        .directory
        .join(world.route.instance_id.as_str());
    let names = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(&lives).expect("lives");
        entries
            .map(|it| {
                it.expect("a life")
                    .file_name()
                    .into_string()
                    .expect("ASCII")
            })
            .collect()
    };
    let before = names();
    world.close();
    world.open();
    let old: Vec<String> = names().difference(&before).cloned().collect();
    let new = Coordinators::open(world.config.clone()).expect("open");
    new.publish(&world.route).expect("served");
    world.close();
    let mut node = world.node(1).await;
    let xid = format!("'{}-00000001-00000000000000ff','1',20304", old[0]);
    for statement in [
        format!("XA START {xid}"),
        "UPDATE shop.orders SET note = 'lost'".to_owned(),
        format!("XA END {xid}"),
        format!("XA PREPARE {xid}"),
    ] {
        node.query_drop(&statement).await.expect(&statement);
    }
    node.disconnect().await.expect("gone");
    let mut node = world.node(1).await;
    let settled = async || {
        let left: Vec<mysql_async::Row> = node.query("XA RECOVER").await.expect("listed");
        left.is_empty()
    };
    until("it is settled", settled).await;
    let mut conn = world.client().await;
    let lost: Option<u64> = conn
        .query_first("SELECT COUNT(*) FROM orders WHERE note = 'lost'")
        .await
        .expect("read");
    assert_eq!(lost, Some(0));
}
