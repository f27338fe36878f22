//! What the gateway counts, over the real program: as the operator and a Super account see it.

use openpeta_testkit::{PASSWORD, Service, USER};
use serde_json::{Value, json};

#[test]
fn the_operator_and_super_accounts_see_what_was_counted() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let statistics = |of: &str| -> Vec<Value> {
        let command = json!({"command": "instance-statistics", "instance_id": instance, "of": of});
        let told = service.admin(&command).expect("the instance is there");
        told.as_array().expect("rows").clone()
    };
    let account = [
        ("InstanceId", instance.as_str()),
        ("AccountName", "boss"),
        ("AccountPassword", PASSWORD),
        ("AccountType", "Super"),
    ];
    api.call("CreateAccount", &account).expect("there is room");

    let mut session = login.connect().expect("a session");
    session.query("CREATE TABLE seen (id INT)").expect("it may");
    for id in 0..3 {
        let insert = format!("INSERT INTO seen VALUES ({id})");
        session.query(&insert).expect("it may");
    }
    session.query("SELECT no_such").expect_err("it is unknown");
    let databases = statistics("databases");
    let shop = databases.iter().find(|row| row["database"] == "shop");
    let shop = shop.expect("a session is in it");
    assert_eq!((&shop["writes"], &shop["failed"]), (&json!(3), &json!(1)));
    let digests = statistics("digests");
    let inserts = digests
        .iter()
        .find(|row| row["statement"] == "INSERT INTO seen VALUES (...)");
    let inserts = inserts.expect("they ran");
    assert_eq!(
        (&inserts["count"], &inserts["rows_affected"]),
        (&json!(3), &json!(3))
    );
    let sessions = statistics("sessions");
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        (&sessions[0]["account"], &sessions[0]["database"]),
        (&json!(USER), &json!("shop"))
    );

    let error = session.query("SHOW OPENPETA STATUS");
    assert_eq!(
        error.expect_err("it is no Super account").code(),
        Some(1227)
    );
    let boss = login.as_user("boss", PASSWORD);
    let mut boss = boss.connect().expect("a session");
    let route = boss
        .query("SHOW OPENPETA ROUTE")
        .expect("a Super account may");
    let named = route
        .iter()
        .find(|row| row[0].as_deref() == Some("Instance"));
    assert_eq!(named.expect("a row")[1].as_deref(), Some(instance.as_str()));
    let sessions = boss.query("SHOW OPENPETA SESSIONS");
    assert_eq!(sessions.expect("a Super account may").len(), 2);

    let unknown =
        json!({"command": "instance-statistics", "instance_id": "pd-none", "of": "digests"});
    service.admin(&unknown).expect_err("there is none");
    drop((session, boss));
    api.delete(&instance);
    service.assert_nothing_left();
}
