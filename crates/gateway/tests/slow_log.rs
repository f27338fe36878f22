//! The slow log, as a reader of its files sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::{Setup, USER, eventually};
use mysql_async::prelude::Queryable;
use openpeta_gateway::{GatewayConfig, SlowLogConfig};
use serde_json::Value;

fn setup(directory: &Path, threshold: Option<Duration>, max_bytes: u64) -> Setup {
    Setup::with(GatewayConfig {
        slow_log: Some(SlowLogConfig {
            directory: directory.to_owned(),
            threshold,
            max_bytes,
            files: 3,
        }),
        ..GatewayConfig::default()
    })
}

fn records(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("pd-gatewaytest.jsonl")).unwrap_or_default();
    // The last line may be in the making.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The records of statements that begin so, once there are as many.
fn found(directory: &Path, begin: &str, count: usize) -> Vec<Value> {
    let begins = |record: &Value| record["statement"].as_str().unwrap().starts_with(begin);
    let of = || {
        records(directory)
            .into_iter()
            .filter(begins)
            .collect::<Vec<_>>()
    };
    eventually(begin, || of().len() >= count);
    of()
}

#[tokio::test]
async fn slow_statements_are_logged_without_passwords() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("slow");
    let setup = setup(&directory, Some(Duration::ZERO), 1 << 20);
    let mut conn = setup.connect().await;
    conn.query_drop("SELECT 'é', seq FROM seq_1_to_3")
        .await
        .unwrap();
    conn.query_drop("SELECT no_such").await.unwrap_err();
    conn.query_drop("SET PASSWORD FOR nobody = PASSWORD('secret')")
        .await
        .unwrap_err();
    conn.query_drop(format!("DO '{}'", "x".repeat(100_000)))
        .await
        .unwrap();
    conn.exec_drop("SELECT ? + 40", (2,)).await.unwrap();
    let read = &found(&directory, "SELECT 'é'", 1)[0];
    assert_eq!(read["account"], USER);
    assert_eq!(read["database"], "shop");
    assert_eq!(
        (&read["rows_sent"], &read["error"]),
        (&3.into(), &Value::Null)
    );
    assert!(read["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(read["seconds"].as_f64().is_some() && read["digest"].as_str().unwrap().len() == 16);
    assert_eq!(found(&directory, "SELECT no_such", 1)[0]["error"], 1054);
    let masked = &found(&directory, "SET PASSWORD", 1)[0];
    assert_eq!(
        masked["statement"],
        "SET PASSWORD FOR nobody = PASSWORD('***')"
    );
    let long = found(&directory, "DO 'xxx", 1)[0]["statement"]
        .as_str()
        .unwrap()
        .len();
    assert_eq!(long, 4096);
    found(&directory, "SELECT ? + ?", 1);
    let mode = fs::metadata(directory.join("pd-gatewaytest.jsonl"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(setup.gateway.slow_log_dropped(), 0);
}

#[tokio::test]
async fn only_slow_statements_are_logged_and_the_instance_may_say_which_are() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let setup = setup(directory, Some(Duration::from_secs(3600)), 1 << 20);
    let mut conn = setup.connect().await;
    conn.query_drop("DO 'too fast'").await.unwrap();
    let id = &setup.route.instance_id;
    assert!(
        setup
            .gateway
            .set_slow_threshold(id, Some(Duration::from_millis(50)))
    );
    conn.query_drop("DO 'fast'; SELECT SLEEP(0.1); DO 'fast'")
        .await
        .unwrap();
    let slow = found(directory, "DO 'fast'; SELECT", 1);
    assert!(slow[0]["seconds"].as_f64().unwrap() >= 0.1);
    setup.gateway.set_slow_threshold(id, None);
    conn.query_drop("SELECT SLEEP(0.1)").await.unwrap();
    setup.gateway.set_slow_threshold(id, Some(Duration::ZERO));
    conn.query_drop("DO 'the last'").await.unwrap();
    found(directory, "DO 'the last'", 1);
    let digests = records(directory)
        .iter()
        .filter(|r| r["rows_sent"] == 1)
        .count();
    assert_eq!(digests, 1, "{:?}", records(directory));
}

#[tokio::test]
async fn files_are_put_aside_and_the_oldest_removed() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let setup = setup(directory, Some(Duration::ZERO), 5_000);
    let mut conn = setup.connect().await;
    for n in 0..200 {
        conn.query_drop(format!("DO {n}")).await.unwrap();
    }
    conn.query_drop("DO 'the last'").await.unwrap();
    found(directory, "DO 'the last'", 1);
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .inspect(|entry| assert!(entry.metadata().unwrap().len() <= 5_000))
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "pd-gatewaytest.1.jsonl",
            "pd-gatewaytest.2.jsonl",
            "pd-gatewaytest.jsonl"
        ]
    );
}
