//! Nodes that neither answer nor go away: one that stands still, and one whose disk is full.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bank::settled;
use crate::common::{Seen, World, kill, see};

/// For what must come to an end by itself: longer than anything here takes, shorter than a test may.
const PATIENCE: Duration = Duration::from_secs(90);

const ROWS: u64 = 30;

async fn done(conn: &mut Conn, statement: &str) {
    let run = timeout(PATIENCE, conn.query_drop(statement)).await;
    run.unwrap_or_else(|_| panic!("{statement}: no answer"))
        .expect(statement);
}

/// Runs statements one after the other, until one fails; whether all were carried out.
fn start(mut conn: Conn, statements: Vec<String>) -> JoinHandle<mysql_async::Result<()>> {
    tokio::spawn(async move {
        for statement in statements {
            conn.query_drop(statement).await?;
        }
        Ok(())
    })
}

/// A table with rows on all nodes; which of them are on which.
async fn endow(world: &World) -> Vec<Vec<u64>> {
    let mut conn = world.client().await;
    let rows: Vec<_> = (0..ROWS).map(|id| format!("({id}, 100)")).collect();
    for statement in [
        "CREATE TABLE account (id INT PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)",
        &format!("INSERT INTO account VALUES {}", rows.join(", ")),
        "CREATE TABLE single (id INT PRIMARY KEY)",
    ] {
        done(&mut conn, statement).await;
    }
    let mut on = Vec::new();
    for node in 0..3 {
        let ids = world.node(node).await.query("SELECT id FROM account").await;
        on.push(ids.expect("read"));
    }
    on
}

fn add(amount: i64, id: u64) -> String {
    format!("UPDATE account SET money = money + {amount} WHERE id = {id}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_holds_up_those_alone_who_need_it() {
    let world = World::new().await;
    let on = endow(&world).await;
    let mut committing = world.client().await;
    for statement in ["BEGIN".to_owned(), add(-7, on[0][0]), add(7, on[1][0])] {
        done(&mut committing, &statement).await;
    }
    let (mut waiting, mut killed) = (world.client().await, world.client().await);
    for conn in [&mut waiting, &mut killed] {
        done(conn, &add(0, on[1][1])).await;
    }
    let killed_id = killed.id();
    let process = world.engine.running(&world.nodes[1]).expect("look");
    let pid = process.expect("it runs").pid;
    kill("STOP", pid);
    let committing = start(committing, vec!["COMMIT".into()]);
    let waiting = start(waiting, vec![add(1, on[1][1])]);
    let killed = start(killed, vec![add(1000, on[1][2])]);

    // Who comes now, and needs the others alone, is served.
    let mut conn = timeout(PATIENCE, world.client()).await.expect("let in");
    for round in 0..10 {
        for statement in [
            add(1, on[0][1]),
            add(1, on[2][1]),
            "BEGIN".into(),
            add(-2, on[0][2]),
            add(2, on[2][2]),
            "COMMIT".into(),
            format!("INSERT INTO single VALUES ({round})"),
        ] {
            done(&mut conn, &statement).await;
        }
        let (a, b) = (on[0][2], on[2][2]);
        let read = format!("SELECT SUM(money) FROM account WHERE id IN ({a}, {b})");
        let sum = timeout(PATIENCE, conn.query_first::<i64, _>(&read)).await;
        assert_eq!(sum.expect("an answer").expect("read"), Some(200), "{read}");
    }
    // Who comes to it only now is told that it does not answer.
    let late = timeout(PATIENCE, see(&mut conn, &add(1, on[1][3]))).await;
    let late = late.expect("an answer");
    assert!(
        matches!(&late[..], [Seen::Failed(1429, message)] if message.contains("node-lost")),
        "{late:?}"
    );
    // Who waits for it can be sent away.
    done(&mut conn, &format!("KILL {killed_id}")).await;
    let ended = timeout(PATIENCE, killed).await.expect("it ends");
    assert!(ended.expect("no panic").is_err());
    assert!(!committing.is_finished() && !waiting.is_finished());

    kill("CONT", pid);
    for (what, run) in [("COMMIT", committing), ("UPDATE", waiting)] {
        let ended = timeout(PATIENCE, run).await.expect(what);
        ended.expect("no panic").expect(what);
    }
    settled(&world).await;
    let sum = conn.query_first("SELECT SUM(money) FROM account").await;
    let sum: i64 = sum.expect("read").expect("a row");
    // What was sent away may have reached the node before it stood still.
    let is_whole = [0, 1000].map(|killed| i64::try_from(ROWS).expect("few") * 100 + 21 + killed);
    assert!(is_whole.contains(&sum), "{sum}");
    let all = conn.query_first("SELECT COUNT(*) FROM single").await;
    assert_eq!(all.expect("read"), Some(10));
}

/// A directory that is a disk of its own, as long as this lives.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// Has what is in the directory on a disk with so much more room. `None` if nobody may mount here.
    fn with_room(directory: &'a Path, aside: &Path, room: u64) -> Option<Self> {
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).status();
            status.expect("it is essential").success()
        };
        let (here, there) = (directory.to_str()?, aside.to_str()?);
        assert!(run("cp", &["-a", here, there]));
        let used = Command::new("du").args(["-sk", here]).output();
        let used = String::from_utf8(used.expect("it is essential").stdout).expect("a number");
        let used: u64 = used.split_whitespace().next()?.parse().ok()?;
        let size = format!("size={}k", used + room / 1024);
        if !run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "openpeta-test", here],
        ) {
            return None;
        }
        let disk = Self(directory);
        assert!(run("cp", &["-a", &format!("{there}/."), here]));
        Some(disk)
    }

    /// How many bytes are free.
    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.0).expect("it is there");
        disk.f_bavail * disk.f_frsize
    }

    fn grow(&self, megabytes: u64) {
        let size = format!("remount,size={megabytes}m");
        let grown = Command::new("mount")
            .args(["-o", &size])
            .arg(self.0)
            .status();
        assert!(grown.expect("it is essential").success());
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_loses_nothing() {
    let world = World::new().await;
    let on = endow(&world).await;
    let node = &world.nodes[1];
    let stopped = world.engine.stop_node(node, PATIENCE).await;
    stopped.expect("it stops");
    let directory = world.engine.nodes_dir().join(node.as_str());
    let aside = world.dir.path().join("aside");
    let Some(disk) = Disk::with_room(&directory, &aside, 24 << 20) else {
        eprintln!("not run: nobody may mount a disk here");
        return;
    };
    world.start_node(1).await;
    let mut conn = world.client().await;
    done(
        &mut conn,
        "CREATE TABLE note (account INT, id INT, note LONGBLOB, PRIMARY KEY (account, id)) \
         DISTRIBUTE BY HASH(account)",
    )
    .await;

    // One writes until it cannot go on, or waits; one is in the midst of a transfer then.
    let (sender, mut acknowledged) = mpsc::unbounded_channel();
    let (mut writer, account) = (world.client().await, on[1][0]);
    let writing = tokio::spawn(async move {
        for id in 0..100 {
            let note = format!("INSERT INTO note VALUES ({account}, {id}, REPEAT('x', 1000000))");
            writer.query_drop(note).await?;
            sender.send(id).expect("somebody listens");
        }
        Ok::<_, mysql_async::Error>(())
    });
    let mut transfer = world.client().await;
    for statement in ["BEGIN".to_owned(), add(-7, on[0][0]), add(7, on[1][1])] {
        done(&mut transfer, &statement).await;
    }
    let full = async || {
        while disk.free() > 1 << 20 && !writing.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, full())
        .await
        .expect("it is full at some time");
    let transfer = start(transfer, vec!["COMMIT".into()]);

    // The other nodes do not know of it.
    for _ in 0..10 {
        for statement in [
            add(1, on[0][1]),
            "BEGIN".into(),
            add(-2, on[0][2]),
            add(2, on[2][2]),
            "COMMIT".into(),
            "INSERT INTO single VALUES (1)".into(),
            "DELETE FROM single".into(),
        ] {
            done(&mut conn, &statement).await;
        }
    }

    disk.grow(1024);
    let written = timeout(PATIENCE, writing).await.expect("it goes on");
    let written = written.expect("no panic");
    let moved = timeout(PATIENCE, transfer).await.expect("it goes on");
    let moved = moved.expect("no panic");
    eprintln!("the writer: {written:?}; the transfer: {moved:?}");
    settled(&world).await;
    let mut expected = 0;
    while let Ok(id) = acknowledged.try_recv() {
        let length =
            format!("SELECT LENGTH(note) FROM note WHERE account = {account} AND id = {id}");
        let length = conn.query_first(length).await.expect("read");
        assert_eq!(length, Some(1_000_000), "row {id}, which was acknowledged");
        expected += 1;
    }
    let count = conn.query_first("SELECT COUNT(*) FROM note").await;
    let count: u64 = count.expect("read").expect("a row");
    // One whose end nobody was told may be there.
    assert!(
        count == expected || count == expected + 1 && written.is_err(),
        "{count} of {expected}"
    );
    let seen: Vec<(u64, i64)> = conn
        .query("SELECT id, money FROM account WHERE money <> 100 ORDER BY id")
        .await
        .expect("read");
    let mut whole = vec![(on[0][1], 110), (on[0][2], 80), (on[2][2], 120)];
    if moved.is_ok() {
        whole.extend([(on[0][0], 93), (on[1][1], 107)]);
    }
    whole.sort_unstable();
    assert_eq!(seen, whole);
    // And it is written to again.
    done(
        &mut conn,
        &format!("INSERT INTO note VALUES ({account}, 1000, REPEAT('x', 1000000))"),
    )
    .await;
}
