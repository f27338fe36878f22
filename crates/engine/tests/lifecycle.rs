//! The life of a node, against a real server.

use crate::common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{ADMIN_PASSWORD, Bed, SETTINGS, STOP_DEADLINE, db, kill, node};
use openpeta_engine::{Applied, Engine, EngineConfig, EngineError, NodeEntryState, StopOutcome};
use openpeta_testkit::freeze;
use openpeta_types::{NodeSettings, Secret};

#[tokio::test]
async fn a_whole_life_leaves_nothing_behind() {
    let bed = Bed::with(|config| config.template_dir = None).await;
    let (engine, node) = (&bed.engine, node("nd-life"));
    assert!(engine.server_version().contains("MariaDB"));

    engine.create_node(&node, &SETTINGS).await.expect("create");
    assert_eq!(engine.running(&node).expect("look"), None);
    let first = engine.start_node(&node).await.expect("start");
    assert_eq!(engine.running(&node).expect("look"), Some(first));
    engine
        .create_node(&node, &SETTINGS)
        .await
        .expect("create again");

    // A second engine, as after a restart of the control plane, adopts it.
    let second = Engine::open(bed.config.clone()).await.expect("open again");
    assert_eq!(second.start_node(&node).await.expect("adopt"), first);
    let processes = second.list_processes().expect("list");
    assert_eq!(processes.len(), 1);
    assert_eq!((&processes[0].node, processes[0].process), (&node, first));

    let memory = engine.memory(&node).expect("measure");
    assert!((10 << 20..300 << 20).contains(&memory), "{memory} bytes");
    let usage = engine.disk(&node).await.expect("measure").usage;
    assert!(
        usage.data_bytes > 1 << 20 && usage.other_bytes > 1 << 20,
        "{usage:?}"
    );
    assert!(usage.binlog_bytes > 0, "{usage:?}");

    let ended = second.wait_exit(&node);
    let stopped = engine.stop_node(&node, STOP_DEADLINE);
    let (ended, stopped) = tokio::join!(ended, stopped);
    ended.expect("the second engine sees it end");
    assert_eq!(stopped.expect("stop"), StopOutcome::Clean);
    let again = engine
        .stop_node(&node, STOP_DEADLINE)
        .await
        .expect("stop again");
    assert_eq!(again, StopOutcome::NotRunning);
    second.wait_exit(&node).await.expect("returns at once");

    let restarted = engine.start_node(&node).await.expect("start again");
    assert_ne!(restarted, first);
    engine
        .destroy_node(&node)
        .await
        .expect("destroy while it runs");
    engine.destroy_node(&node).await.expect("destroy again");
    assert!(engine.list_nodes().expect("list").is_empty());
    assert!(engine.list_processes().expect("list").is_empty());
    assert_eq!(fs::read_dir(engine.nodes_dir()).expect("list").count(), 0);
    let missing = engine.start_node(&node).await.expect_err("gone");
    assert!(
        matches!(missing, EngineError::NoSuchNode { .. }),
        "{missing}"
    );
}

#[tokio::test]
async fn a_killed_node_keeps_what_was_committed() {
    let (bed, node) = Bed::with_node().await;
    let engine = &bed.engine;
    let mut sql = engine.sql(&node).await.expect("connect");
    sql.create_database(&db("adb"))
        .await
        .expect("create a database");
    let socket = engine.socket_path(&node).expect("short enough");
    let mut conn = common::client(&socket, "openpeta_admin", ADMIN_PASSWORD)
        .await
        .expect("connect");
    for statement in [
        "CREATE TABLE adb.t (a INT PRIMARY KEY) ENGINE=InnoDB",
        "INSERT INTO adb.t VALUES (1), (2)",
    ] {
        common::try_sql(&mut conn, statement)
            .await
            .expect(statement);
    }

    let process = engine.running(&node).expect("look").expect("it runs");
    let ended = engine.wait_exit(&node);
    kill("KILL", process.pid);
    ended.await.expect("the exit is noticed");
    assert_eq!(engine.running(&node).expect("look"), None);
    assert!(sql.databases().await.is_err(), "the connection is dead");

    engine.start_node(&node).await.expect("recover");
    let mut sql = engine.sql(&node).await.expect("connect");
    assert_eq!(sql.databases().await.expect("list"), ["adb"]);
    let mut conn = common::client(&socket, "openpeta_admin", ADMIN_PASSWORD)
        .await
        .expect("connect");
    use mysql_async::prelude::Queryable;
    let sum: Option<u32> = conn
        .query_first("SELECT SUM(a) FROM adb.t")
        .await
        .expect("read");
    assert_eq!(sum, Some(3));
    assert!(engine.disk(&node).await.expect("measure").databases["adb"] > 64 << 10);
}

#[tokio::test]
async fn a_hung_node_does_not_hang_us() {
    let bed = Bed::with(|config| config.sql_timeout = Duration::from_millis(300)).await;
    let (engine, node) = (&bed.engine, node("nd-hung"));
    engine.create_node(&node, &SETTINGS).await.expect("create");
    let process = engine.start_node(&node).await.expect("start");
    let mut sql = engine.sql(&node).await.expect("connect");

    freeze(process.pid);
    let error = sql.databases().await.expect_err("no answer");
    assert!(matches!(error, EngineError::SqlTimeout { .. }), "{error}");
    let error = sql.databases().await.expect_err("given up");
    assert!(matches!(error, EngineError::SqlClosed { .. }), "{error}");
    let error = engine.sql(&node).await.expect_err("no greeting");
    assert!(matches!(error, EngineError::SqlTimeout { .. }), "{error}");

    let deadline = Duration::from_millis(200);
    let begun = Instant::now();
    let outcome = engine.stop_node(&node, deadline).await.expect("stop");
    assert_eq!(outcome, StopOutcome::Killed);
    assert!(begun.elapsed() >= deadline);
    assert_eq!(engine.running(&node).expect("look"), None);
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let bed = Bed::new().await;
    let (engine, node) = (&bed.engine, node("nd-bad"));
    engine.create_node(&node, &SETTINGS).await.expect("create");
    let config = bed.node_dir(&node).join("my.cnf");
    let good = fs::read_to_string(&config).expect("read");
    fs::write(&config, format!("{good}no_such_option=1\n")).expect("write");
    let error = engine.start_node(&node).await.expect_err("a bad option");
    assert!(matches!(error, EngineError::EarlyExit { .. }), "{error}");
    assert!(error.to_string().contains("no_such_option"), "{error}");
    assert_eq!(engine.running(&node).expect("look"), None);
    // The settings are written anew with the node.
    engine
        .create_node(&node, &SETTINGS)
        .await
        .expect("create again");
    engine.start_node(&node).await.expect("start");
}

#[tokio::test]
async fn a_start_that_takes_long_is_taken_up_again() {
    let bed = Bed::with(|config| config.start_timeout = Duration::from_millis(1)).await;
    let (engine, node) = (&bed.engine, node("nd-slow"));
    engine.create_node(&node, &SETTINGS).await.expect("create");
    let error = engine.start_node(&node).await.expect_err("it takes longer");
    assert!(matches!(error, EngineError::StartTimeout { .. }), "{error}");
    let process = engine.running(&node).expect("look").expect("it goes on");
    let patient = EngineConfig {
        start_timeout: Duration::from_secs(60),
        ..bed.config.clone()
    };
    let patient = Engine::open(patient).await.expect("open again");
    assert_eq!(patient.start_node(&node).await.expect("wait"), process);
}

#[tokio::test]
async fn leftovers_are_seen_and_do_not_stand_in_the_way() {
    let bed = Bed::new().await;
    let (engine, half, gone) = (&bed.engine, node("nd-half"), node("nd-gone"));
    let nodes = engine.nodes_dir();
    fs::create_dir_all(nodes.join("nd-half.new/data/mysql")).expect("create");
    fs::create_dir_all(nodes.join("nd-gone.del/data/mysql")).expect("create");
    let states: Vec<_> = engine
        .list_nodes()
        .expect("list")
        .iter()
        .map(|e| e.state)
        .collect();
    assert_eq!(
        states,
        [NodeEntryState::HalfRemoved, NodeEntryState::HalfMade]
    );

    engine
        .create_node(&half, &SETTINGS)
        .await
        .expect("made anew");
    engine.start_node(&half).await.expect("start");
    engine.destroy_node(&gone).await.expect("swept");
    let entries = engine.list_nodes().expect("list");
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0].node, entries[0].state),
        (&half, NodeEntryState::Complete)
    );

    // A process whose directory is gone is still found, and ended.
    fs::rename(bed.node_dir(&half), nodes.join("nd-half.del")).expect("rename");
    assert_eq!(engine.list_processes().expect("list").len(), 1);
    engine.destroy_node(&half).await.expect("destroy");
    assert!(engine.list_processes().expect("list").is_empty());
    assert!(engine.list_nodes().expect("list").is_empty());
}

#[tokio::test]
async fn the_template_is_made_again_when_missing_or_stale() {
    let shared = tempfile::tempdir().expect("a temporary directory");
    let mode = fs::Permissions::from_mode(0o711);
    fs::set_permissions(shared.path(), mode).expect("our own directory");
    let template = shared.path().join("template");
    let bed = Bed::with(|config| config.template_dir = Some(template.clone())).await;
    let engine = &bed.engine;
    engine.prepare_template().await.expect("make");
    let made = || {
        fs::metadata(template.join("stamp.json"))
            .expect("made")
            .modified()
            .expect("time")
    };
    let first = made();
    engine.prepare_template().await.expect("nothing to do");
    assert_eq!(made(), first);

    // Half made: no stamp yet.
    fs::remove_file(template.join("stamp.json")).expect("remove");
    engine.prepare_template().await.expect("make again");
    let second = made();
    assert_ne!(second, first);

    // Gone: creating a node makes it.
    fs::remove_dir_all(&template).expect("remove");
    engine
        .create_node(&node("nd-a"), &SETTINGS)
        .await
        .expect("create");
    let third = made();

    // Made for another password.
    let other = EngineConfig {
        admin_password: Secret::new("another"),
        ..bed.config.clone()
    };
    let other = Engine::open(other).await.expect("open");
    other.prepare_template().await.expect("make again");
    assert_ne!(made(), third);
    let names: Vec<_> = fs::read_dir(shared.path())
        .expect("list")
        .map(|entry| entry.expect("list").file_name())
        .collect();
    assert_eq!(names.len(), 2, "template and lock, no leftovers: {names:?}");
}

#[tokio::test]
async fn what_is_missing_or_unfit_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = |change: fn(&mut EngineConfig)| {
        let mut config = EngineConfig::new(dir.path().join("d"), Secret::new(ADMIN_PASSWORD));
        config.relocation_dir = dir.path().join("relocated");
        change(&mut config);
        config
    };
    let open = async |change| Engine::open(config(change)).await.expect_err("unfit");
    let error = open(|c| c.mariadbd = "/nonexistent/mariadbd".into()).await;
    assert!(
        matches!(error, EngineError::BinaryMissing { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("/nonexistent/mariadbd"));
    let error = open(|c| c.install_db = "no-such-install-db".into()).await;
    assert!(
        matches!(error, EngineError::BinaryMissing { .. }),
        "{error}"
    );
    let error = open(|c| c.mariadbd = "/bin/cat".into()).await;
    assert!(
        matches!(error, EngineError::UnsupportedServer { .. }),
        "{error}"
    );
    let error = open(|c| c.node_user = Some("no-such-user".into())).await;
    assert!(matches!(error, EngineError::UnknownUser { .. }), "{error}");
    let error = open(|c| c.data_dir = c.data_dir.join("x".repeat(60))).await;
    assert!(
        matches!(error, EngineError::SocketPathTooLong { .. }),
        "{error}"
    );
    let error = open(|c| c.data_dir = c.data_dir.join("a\"b")).await;
    assert!(matches!(error, EngineError::InvalidPath { .. }), "{error}");
    if rustix::process::geteuid().is_root() {
        let error = open(|c| c.node_user = None).await;
        assert!(matches!(error, EngineError::NodeUserNeeded), "{error}");
    } else {
        let error = open(|c| c.node_user = Some("daemon".into())).await;
        assert!(
            matches!(error, EngineError::CannotSwitchUser { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nodes_move_out_when_their_user_cannot_get_in() {
    if !rustix::process::geteuid().is_root() {
        return; // Nodes run as ourselves: they get everywhere we do.
    }
    let bed = Bed::with(|config| {
        let private = config.data_dir.join("private");
        fs::create_dir_all(&private).expect("create");
        fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).expect("ours");
        config.data_dir = private.join("d");
        config.template_dir = None;
    })
    .await;
    let link = bed.config.data_dir.join("nodes");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    let nodes = bed.engine.nodes_dir();
    assert!(nodes.starts_with(&bed.config.relocation_dir));
    assert_eq!(fs::canonicalize(&link).expect("it leads somewhere"), nodes);
    let node = node("nd-moved");
    bed.engine
        .create_node(&node, &SETTINGS)
        .await
        .expect("create");
    bed.engine.start_node(&node).await.expect("start");
    // The next engine finds the same place.
    let again = Engine::open(bed.config.clone()).await.expect("open again");
    assert_eq!(again.nodes_dir(), nodes);
    assert!(again.running(&node).expect("look").is_some());
}

#[tokio::test]
async fn secrets_in_the_data_directory_stay_unreadable() {
    let bed = Bed::new().await;
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode();
    for dir in [bed.config.data_dir.as_path(), bed.engine.nodes_dir()] {
        // Passage for the node user's group at most; nobody may list.
        assert_eq!(mode(dir) & 0o767, 0o700, "{}", dir.display());
    }
    let node = node("nd-a");
    bed.engine
        .create_node(&node, &SETTINGS)
        .await
        .expect("create");
    assert_eq!(mode(&bed.node_dir(&node)) & 0o777, 0o700);
    let config = fs::read_to_string(bed.node_dir(&node).join("my.cnf")).expect("read");
    assert!(!config.contains(ADMIN_PASSWORD));
    assert!(!format!("{:?}", bed.engine).contains(ADMIN_PASSWORD));
}

#[tokio::test]
async fn settings_change_while_the_node_runs() {
    let (bed, node) = Bed::with_node().await;
    let larger = NodeSettings {
        buffer_pool_bytes: 128 << 20,
        max_connections: 70,
        ..SETTINGS
    };
    let applied = bed
        .engine
        .apply_settings(&node, &larger)
        .await
        .expect("apply");
    assert_eq!(applied, Applied::Now);
    let config = fs::read_to_string(bed.node_dir(&node).join("my.cnf")).expect("read");
    assert!(
        config.contains("innodb_buffer_pool_size=134217728"),
        "{config}"
    );

    let mut sql = bed.engine.sql(&node).await.expect("connect");
    bed.engine.set_read_only(&node, true).await.expect("lock");
    assert!(sql.is_read_only().await.expect("read"));
    bed.engine
        .stop_node(&node, STOP_DEADLINE)
        .await
        .expect("stop");
    bed.engine
        .apply_settings(&node, &SETTINGS)
        .await
        .expect("apply");
    bed.engine.start_node(&node).await.expect("start");
    let mut sql = bed.engine.sql(&node).await.expect("connect");
    assert!(
        sql.is_read_only().await.expect("read"),
        "holds over a restart"
    );
    bed.engine
        .set_read_only(&node, false)
        .await
        .expect("unlock");
    assert!(!sql.is_read_only().await.expect("read"));
    let status = sql.status().await.expect("status");
    assert!(status.contains_key("Threads_connected"));
    sql.close().await;
}

/// Not a test of its own: the process that starts a node and is killed by the test below.
#[tokio::test]
#[ignore = "run by a_node_outlives_the_process_that_started_it"]
async fn starter_process() {
    let data_dir = std::env::var("OPENPETA_TEST_DATA_DIR").expect("set by the test");
    let config = EngineConfig::new(data_dir, Secret::new(ADMIN_PASSWORD));
    let engine = Engine::open(config).await.expect("open");
    let process = engine.start_node(&node("nd-left")).await.expect("start");
    println!("started {}", process.pid);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_node_outlives_the_process_that_started_it() {
    let bed = Bed::new().await;
    let node = node("nd-left");
    bed.engine
        .create_node(&node, &SETTINGS)
        .await
        .expect("create");
    let mut starter = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "lifecycle::starter_process",
            "--ignored",
            "--nocapture",
        ])
        .env("OPENPETA_TEST_DATA_DIR", &bed.config.data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let output = BufReader::new(starter.stdout.take().expect("piped"));
    let pid: u32 = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split("started ").nth(1)?.trim().parse().ok())
        .expect("the starter says what it started");
    starter.kill().expect("our child");
    starter.wait().expect("our child");

    let process = bed
        .engine
        .running(&node)
        .expect("look")
        .expect("it runs on");
    assert_eq!(process.pid, pid);
    // Also when the record of it was lost.
    fs::remove_file(bed.node_dir(&node).join("node.pid")).expect("remove");
    assert_eq!(bed.engine.start_node(&node).await.expect("adopt"), process);
    let stopped = bed
        .engine
        .stop_node(&node, STOP_DEADLINE)
        .await
        .expect("stop");
    assert_eq!(stopped, StopOutcome::Clean);
}
