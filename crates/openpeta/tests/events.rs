//! What happens is on the list of events, once, over the real program.

use openpeta_testkit::{Service, kill_and_wait, wait_for};
use serde_json::{Value, json};

fn events(service: &Service, filter: Value) -> Vec<Value> {
    let mut command = json!({"command": "event-list", "limit": 10_000});
    let fields = filter.as_object().expect("an object").clone();
    command.as_object_mut().expect("an object").extend(fields);
    let listed = service.admin(&command).expect("a right command");
    listed.as_array().expect("a list").clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().rev();
    kinds
        .map(|event| event["kind"].as_str().expect("a kind"))
        .collect()
}

#[test]
fn a_day_of_an_instance_is_told() {
    let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    service.set("quotas", "accounts_per_instance", 1);
    service.start();
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let of_instance = |service: &Service| events(service, json!({"instance_id": instance}));
    wait_for("the node's start", || {
        (kinds(&of_instance(&service)) == ["node-started"]).then_some(())
    });

    // A crash.
    kill_and_wait(service.node_pids()[0]);
    wait_for("the node's restart", || {
        let events = of_instance(&service);
        (kinds(&events) == ["node-started", "node-crashed", "node-restarted"]).then_some(())
    });

    // Locks.
    let lock = json!({"command": "instance-lock", "instance_id": instance, "reason": "audit"});
    service.admin(&lock).expect("locked");
    let unlock = json!({"command": "instance-unlock", "instance_id": instance});
    service.admin(&unlock).expect("unlocked");
    let told = of_instance(&service);
    assert_eq!(kinds(&told)[3..], ["instance-locked", "instance-unlocked"]);
    let locked = &told[1];
    assert_eq!(locked["severity"], "warning");
    assert_eq!(locked["details"]["reason"], "audit");

    // What is counted is written at the end at the latest.
    let stranger = login.from_source([127, 0, 0, 77]);
    let _ = stranger.connect().expect_err("not on the whitelist");
    let _ = stranger.connect().expect_err("not on the whitelist");
    let wrong = login.as_user("nobody", "Wr0ng!pass");
    let _ = wrong.connect().expect_err("there is none");
    let account = [
        ("InstanceId", &*instance),
        ("AccountName", "second"),
        ("AccountPassword", "Passw0rd!"),
        ("DBName", "shop"),
        ("AccountPrivilege", "ReadOnly"),
    ];
    let refused = api
        .call("CreateAccount", &account)
        .expect_err("one too many");
    assert_eq!(refused.code(), Some("QuotaExceeded.AccountName"));
    assert_eq!(service.stop(), Some(0));
    service.start();
    let all = events(&service, json!({}));
    let of_kind = |kind: &str| all.iter().find(|event| event["kind"] == kind);
    let whitelist = of_kind("whitelist-refused").expect("refused");
    assert_eq!(whitelist["details"]["count"], 2);
    assert_eq!(whitelist["details"]["source"], "127.0.0.77");
    assert_eq!(whitelist["instance_id"], json!(instance));
    assert_eq!(
        of_kind("login-refused").expect("failed")["details"]["count"],
        1
    );
    let quota = of_kind("quota-refused").expect("refused");
    assert_eq!(quota["details"]["code"], "QuotaExceeded.AccountName");

    // A node that was adopted has not started anew, however the service ended.
    service.kill();
    service.start();
    wait_for("the node", || {
        login_works(&service, &instance).then_some(())
    });
    let of_service = events(
        &service,
        json!({"kinds": ["service-started", "service-stopped"]}),
    );
    assert_eq!(
        kinds(&of_service),
        [
            "service-started",
            "service-stopped",
            "service-started",
            "service-started"
        ]
    );
    let nodes = ["node-started", "node-crashed", "node-restarted"];
    assert_eq!(kinds(&events(&service, json!({"kinds": nodes}))), nodes);
    let severe = events(&service, json!({"severity": "critical"}));
    assert_eq!(severe, [Value::Null; 0]);

    service.api().delete(&instance);
    let output = service.cli(&[
        "admin",
        "event",
        "list",
        "--since",
        "1h",
        "--kind",
        "node-crashed",
    ]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("ended unasked"),
        "{text}"
    );
    service.assert_nothing_left();
}

fn login_works(service: &Service, instance: &str) -> bool {
    service.api().wait_active(instance).connect().is_ok()
}

#[test]
fn an_order_that_fails_is_told_once() {
    let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    let fail = "create-instance/start-node/after-run=fail";
    service.start_with(&[("OPENPETA_FAIL_POINT", fail)]);
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    api.wait_gone(&instance);
    let told = events(
        &service,
        json!({"instance_id": instance, "severity": "warning"}),
    );
    assert_eq!(kinds(&told), ["create-failed"]);
    assert_eq!(told[0]["details"]["action"], "CreateInstance");
    service.assert_nothing_left();
}

#[test]
fn a_disk_that_fills_is_told_before_it_is_full() {
    let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    service.set("nodes", "disk_check_seconds", 1);
    service.start();
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let _ = api.wait_active(&instance);
    let told = || {
        let kinds = [
            "disk-space-low",
            "disk-space-ok",
            "disk-quota-reached",
            "disk-quota-lifted",
        ];
        events(&service, json!({"instance_id": instance, "kinds": kinds}))
    };
    let full = ["disk-space-low", "disk-quota-reached"];
    let roomy = [&full[..], &["disk-space-ok", "disk-quota-lifted"]].concat();
    for (bytes, expected) in [(1u64, &full[..]), (1 << 40, &roomy)] {
        let quota = json!({
            "command": "instance-disk-quota", "instance_id": instance, "disk_quota_bytes": bytes,
        });
        service.admin(&quota).expect("set");
        wait_for("the events", || (kinds(&told()) == expected).then_some(()));
    }
    drop(api);
    service.api().delete(&instance);
    service.assert_nothing_left();
}
