//! What is wrong with an instance is found on a real node, and nothing where nothing is.

use std::thread;

use openpeta_testkit::{Login, Service, Session, freeze, thaw, wait_for};
use serde_json::{Value, json};

fn diagnose(service: &Service, instance: &str) -> Value {
    let output = service.cli(&["diagnose", instance, "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn kinds(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list");
    let kind = |finding: &Value| finding["kind"].as_str().expect("a kind").to_owned();
    let mut kinds: Vec<_> = findings.iter().map(kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn run(session: &mut Session, statements: &[&str]) {
    for statement in statements {
        if let Err(error) = session.query(statement) {
            panic!("{statement}: {error:?}");
        }
    }
}

/// Runs a statement that has to wait; ends when it may go on.
fn blocked(login: &Login, statement: &'static str) -> thread::JoinHandle<()> {
    let mut session = login.connect().expect("a session");
    thread::spawn(move || {
        let _ = session.query(statement);
    })
}

#[test]
fn what_is_wrong_is_found_and_nothing_on_a_clean_instance() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let instance = service.api().order(&[]).expect("an order is taken");
    let login = service.api().wait_active(&instance);
    let mut session = login.connect().expect("a session");
    run(
        &mut session,
        &[
            "CREATE TABLE good (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT, b INT, KEY good_a (a), KEY good_b (b))",
            "INSERT INTO good (a, b) VALUES (1, 2), (3, 4)",
        ],
    );
    let clean = diagnose(&service, &instance);
    assert_eq!(clean["findings"], json!([]));
    assert_eq!(clean["unknown"], json!([]));
    assert_eq!(clean["sessions"]["used"], 1);
    assert!(
        !clean["top_statements"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    let text = service.cli(&["diagnose", &instance]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("Nothing was found."), "{text}");

    // Tables and indexes.
    let watch = json!({"command": "instance-watch-indexes", "instance_id": instance, "on": true});
    service.admin(&watch).expect("watched");
    run(
        &mut session,
        &[
            "SELECT COUNT(*) FROM good FORCE INDEX (good_a) WHERE a > 0",
            "CREATE TABLE no_key (a INT)",
            "CREATE TABLE aria (id INT PRIMARY KEY) ENGINE=Aria",
            "CREATE TABLE few (id TINYINT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT=120",
            "CREATE TABLE twice (id INT PRIMARY KEY, a INT, b INT, KEY a (a), KEY ab (a, b))",
        ],
    );
    let found = wait_for("the use of an index", || {
        let found = diagnose(&service, &instance);
        (!found["findings"].to_string().contains("good_a")).then_some(found)
    });
    let expected = [
        "auto-increment",
        "no-primary-key",
        "not-innodb",
        "redundant-index",
        "unused-index",
    ];
    assert_eq!(kinds(&found), expected);
    let all = found["findings"].to_string();
    assert!(
        all.contains("index good_b of") && !all.contains("index PRIMARY"),
        "{all}"
    );
    assert!(
        found["index_usage"]
            .as_str()
            .expect("text")
            .starts_with("userstat")
    );
    let drops = ["no_key", "aria", "few", "twice"].map(|table| format!("DROP TABLE {table}"));
    run(&mut session, &drops.each_ref().map(String::as_str));
    let off = json!({"command": "instance-watch-indexes", "instance_id": instance, "on": false});
    service.admin(&off).expect("not watched");
    assert_eq!(diagnose(&service, &instance)["findings"], json!([]));

    // Who waits for whom.
    run(
        &mut session,
        &["BEGIN", "UPDATE good SET b = 0 WHERE id = 1"],
    );
    let row = blocked(&login, "UPDATE good SET b = 1 WHERE id = 1");
    // Before somebody waits for the definition, behind whom it would wait for that as well.
    wait_for("the wait for a row", || {
        (kinds(&diagnose(&service, &instance)) == ["lock-wait"]).then_some(())
    });
    let definition = blocked(&login, "ALTER TABLE good ADD COLUMN c INT");
    let holder = session.value("SELECT CONNECTION_ID()").expect("a number");
    let report = wait_for("both waits", || {
        let report = diagnose(&service, &instance);
        (kinds(&report) == ["lock-wait", "metadata-lock"]).then_some(report)
    });
    let blocker = &report["lock_waits"][0]["blocker"];
    assert_eq!(blocker.to_string(), holder);
    let markdown = service.cli(&["diagnose", &instance, "--markdown"]);
    let markdown = String::from_utf8_lossy(&markdown.stdout).into_owned();
    assert!(markdown.contains(&format!("KILL {holder}")), "{markdown}");
    run(&mut session, &["COMMIT"]);
    row.join().expect("it ends");
    definition.join().expect("it ends");

    // What may be used, and may not be done.
    let disk = diagnose(&service, &instance)["disk"]["used"]
        .as_u64()
        .expect("measured");
    let quota = json!({
        "command": "instance-disk-quota", "instance_id": instance,
        "disk_quota_bytes": disk * 100 / 88,
    });
    service.admin(&quota).expect("set");
    let lock = json!({"command": "instance-lock", "instance_id": instance, "reason": "audit"});
    service.admin(&lock).expect("locked");
    let report = diagnose(&service, &instance);
    assert_eq!(kinds(&report), ["disk-space", "locked"]);
    assert!(report["events"].to_string().contains("instance-locked"));

    // A node that hangs.
    let pid = service.node_pids()[0];
    freeze(pid);
    let report = diagnose(&service, &instance);
    thaw(pid);
    assert_eq!(kinds(&report), ["disk-space", "locked", "node-silent"]);
    assert_eq!(report["findings"][0]["kind"], "node-silent");

    let none = service.cli(&["diagnose", "pd-abcdefg62469a", "--json"]);
    assert!(!none.status.success());
    drop(session);
    let unlock = json!({"command": "instance-unlock", "instance_id": instance});
    service.admin(&unlock).expect("unlocked");
    service.api().delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn what_is_wrong_on_any_of_several_nodes_is_found() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let order = service.api().order(&[("NodeNumber", "2")]);
    let instance = order.expect("an order is taken");
    let login = service.api().wait_active(&instance);
    let mut session = login.connect().expect("a session");
    run(
        &mut session,
        &[
            "CREATE TABLE spread (id INT PRIMARY KEY, a INT, KEY by_a (a)) DISTRIBUTE BY HASH(id)",
            "INSERT INTO spread VALUES (0, 0), (1, 1)",
        ],
    );
    let clean = diagnose(&service, &instance);
    assert_eq!(clean["findings"], json!([]));
    assert_eq!(clean["nodes"], 2);
    let tables = clean["largest_tables"].as_array().expect("a list").iter();
    let mut nodes: Vec<_> = tables.map(|table| table["node"].to_string()).collect();
    nodes.sort();
    assert_eq!(nodes, ["0", "1"]);

    // An index that none has read, and then one of them.
    let watch = json!({"command": "instance-watch-indexes", "instance_id": instance, "on": true});
    service.admin(&watch).expect("watched");
    run(&mut session, &["SELECT COUNT(*) FROM spread WHERE id = 1"]);
    let unused = diagnose(&service, &instance)["findings"].to_string();
    assert!(unused.contains("index by_a of"), "{unused}");
    run(
        &mut session,
        &["SELECT a FROM spread FORCE INDEX (by_a) WHERE id = 1 AND a = 1"],
    );
    wait_for("the use of an index", || {
        let found = diagnose(&service, &instance)["findings"].to_string();
        (!found.contains("index by_a of")).then_some(())
    });

    // Who waits on the second node alone.
    run(
        &mut session,
        &["BEGIN", "UPDATE spread SET a = 7 WHERE id = 1"],
    );
    let waiting = blocked(&login, "UPDATE spread SET a = 8 WHERE id = 1");
    let report = wait_for("the wait for a row", || {
        let report = diagnose(&service, &instance);
        kinds(&report)
            .iter()
            .any(|kind| kind == "lock-wait")
            .then_some(report)
    });
    assert_eq!(report["lock_waits"][0]["node"], 1);
    let text = report["findings"].to_string();
    assert!(text.contains("node 1: session "), "{text}");
    assert!(!text.contains("`KILL "), "{text}");
    run(&mut session, &["COMMIT"]);
    waiting.join().expect("it ends");

    // The second node hangs.
    let all = service
        .admin(&json!({"command": "node-list"}))
        .expect("nodes");
    let nodes = all.as_array().expect("a list").iter();
    let pid = nodes
        .filter(|node| node["number"] == 1)
        .find_map(|node| node["pid"].as_u64());
    let pid = u32::try_from(pid.expect("it runs")).expect("a process id");
    freeze(pid);
    let report = diagnose(&service, &instance);
    thaw(pid);
    assert_eq!(report["findings"][0]["kind"], "node-silent");
    let what = report["findings"][0]["what"].as_str().expect("text");
    assert!(what.starts_with("node 1: "), "{what}");
    drop(session);
    service.api().delete(&instance);
    service.assert_nothing_left();
}
