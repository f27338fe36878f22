//! Database accounts over the real program: what a changed password or grant means to clients.

use openpeta_testkit::{Api, Login, PASSWORD, Service, USER};
use serde_json::Value;

const NEW: &str = "N3w-Passw0rd!";
const ACCESS_DENIED: Option<u16> = Some(1045);

fn with_instance() -> (Service, Api, String, Login) {
    let service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    (service, api, instance, login)
}

/// Calls an action on the account.
fn call(api: &Api, action: &str, instance: &str, others: &[(&str, &str)]) -> Value {
    let all = [&[("InstanceId", instance), ("AccountName", USER)], others].concat();
    let answer = api.call(action, &all);
    answer.unwrap_or_else(|error| panic!("{action}: {error:?}"))
}

/// That password logs in by both authentication methods.
fn accepted(login: &Login) {
    for session in [login.connect(), login.connect_with_sha2()] {
        let mut session = session.expect("the password is right");
        assert_eq!(session.value("SELECT 1").expect("a session"), "1");
    }
}

/// That password logs in by neither.
fn refused(login: &Login) {
    for session in [login.connect(), login.connect_with_sha2()] {
        let error = session.expect_err("the password is wrong");
        assert_eq!(error.code(), ACCESS_DENIED, "{error:?}");
    }
}

#[test]
fn a_new_password_holds_at_once_and_open_sessions_go_on() {
    let (mut service, api, instance, first) = with_instance();
    let second = first.as_user(USER, NEW);
    accepted(&first);
    let mut session = first.connect().expect("a session");
    session
        .query("CREATE TABLE works (id INT)")
        .expect("it may write");
    session.query("BEGIN").expect("a transaction");
    session
        .query("INSERT INTO works VALUES (1)")
        .expect("a row");

    let wrong = [
        ("InstanceId", instance.as_str()),
        ("AccountName", USER),
        ("OldPassword", "Wr0ng-Password"),
        ("NewPassword", NEW),
    ];
    let error = api.call("ModifyAccountPassword", &wrong);
    let error = error.expect_err("the old password is wrong");
    assert_eq!(error.code(), Some("InvalidOldPassword.Malformed"));
    accepted(&first);
    refused(&second);

    let passwords = [("OldPassword", PASSWORD), ("NewPassword", NEW)];
    call(&api, "ModifyAccountPassword", &instance, &passwords);
    refused(&first);
    accepted(&second);
    session.query("COMMIT").expect("the session goes on");
    session
        .query("INSERT INTO works VALUES (2)")
        .expect("and on");

    // Back, without the old one; also with the service down in between.
    let password = [("NewPassword", PASSWORD)];
    call(&api, "ResetAccountPassword", &instance, &password);
    refused(&second);
    accepted(&first);
    let rows = session.value("SELECT COUNT(*) FROM works");
    assert_eq!(rows.expect("the session goes on"), "2");
    service.kill();
    service.start();
    let _ = service.api().wait_active(&instance);
    refused(&second);
    accepted(&first);

    service.api().delete(&instance);
    service.assert_nothing_left();
}
