//! Limits that the operator sets, over the real program.

use openpeta_testkit::{Service, USER};
use serde_json::{Value, json};

#[test]
fn limits_hold_at_once_and_after_a_restart() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let limits = |service: &Service, more: Value| {
        let mut command =
            json!({"command": "account-limits", "instance_id": instance, "account_name": USER});
        let fields = more.as_object().expect("an object").clone();
        command.as_object_mut().expect("an object").extend(fields);
        service.admin(&command)
    };
    let told = |connections: u32, queries: u32| {
        json!({
            "instance_id": instance, "account_name": USER,
            "connections": connections, "queries_per_second": queries,
        })
    };
    assert_eq!(limits(&service, json!({})).expect("told"), told(0, 0));
    let mut session = login.connect().expect("a session");
    let set = limits(&service, json!({"connections": 1}));
    assert_eq!(set.expect("set"), told(1, 0));
    let refused = login.connect().expect_err("there is one");
    assert_eq!(refused.code(), Some(1226));
    let set = limits(&service, json!({"queries_per_second": 1}));
    assert_eq!(set.expect("set"), told(1, 1));
    // Of so many not each can be the first of its second.
    let refused = (0..1000).find_map(|_| session.query("SELECT 1").err());
    assert_eq!(refused.expect("a limit").code(), Some(1226));
    drop(session);

    let log = |service: &Service, threshold: Value| {
        let command = json!({
            "command": "instance-slow-log", "instance_id": instance, "threshold": threshold,
        });
        service.admin(&command).expect("the instance is there")["threshold_ms"].clone()
    };
    assert_eq!(log(&service, Value::Null), Value::Null);
    assert_eq!(log(&service, json!({"millis": 1})), json!(1));

    service.kill();
    service.start();
    let set = limits(&service, json!({"queries_per_second": 0}));
    assert_eq!(set.expect("kept"), told(1, 0));
    assert_eq!(log(&service, Value::Null), json!(1));
    let mut session = login.connect_when_possible();
    assert!(login.connect().is_err());
    session.query("SELECT SLEEP(0.01)").expect("it runs");
    let file = service
        .data_dir()
        .join("slow-log")
        .join(format!("{instance}.jsonl"));
    let written = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("SLEEP"));
    openpeta_testkit::wait_for("a slow statement", || written().then_some(()));
    assert_eq!(log(&service, json!("default")), Value::Null);
    assert_eq!(
        limits(&service, json!({"connections": 0})).expect("set"),
        told(0, 0)
    );
    assert!(login.connect().is_ok());

    drop(session);
    // It has other ports now.
    service.api().delete(&instance);
    service.assert_nothing_left();
}
