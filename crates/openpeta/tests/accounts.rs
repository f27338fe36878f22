//! Database accounts over the real program: what a changed password or grant means to clients.

use openpeta_testkit::{Api, DATABASE, Login, PASSWORD, Service, USER, wait_for};
use serde_json::{Value, json};

const NEW: &str = "N3w-Passw0rd!";
/// A task's status, as the API has it.
const SUCCEEDED: &str = "2";
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

/// What the account has on each database: the set and, in order, the privileges.
fn privileges(api: &Api, instance: &str, account: &str) -> Vec<(String, String, String)> {
    let answer = api.call("DescribeAccounts", &[("InstanceId", instance)]);
    let answer = answer.expect("accounts can be listed");
    let list = &answer["AccountList"]["Account"];
    let mut accounts = list.as_array().expect("a list").iter();
    let found = accounts.find(|item| item["AccountName"] == account);
    let found = &found.expect("the account exists")["DatabasePrivileges"]["DatabasePrivilege"];
    let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let items = found.as_array().expect("a list").iter();
    items
        .map(|item| {
            (
                text(item, "DBName"),
                text(item, "AccountPrivilege"),
                text(item, "AccountPrivilegeDetail"),
            )
        })
        .collect()
}

#[test]
fn granted_sets_are_what_sessions_may_do() {
    let (mut service, api, instance, login) = with_instance();
    let id = ("InstanceId", instance.as_str());
    for (name, kind) in [("bob", "Normal"), ("boss", "Super")] {
        let account = [
            id,
            ("AccountName", name),
            ("AccountPassword", PASSWORD),
            ("AccountType", kind),
        ];
        api.call("CreateAccount", &account).expect("there is room");
    }
    let grant = |set: &str| {
        let change = [
            ("DBInstanceId", instance.as_str()),
            ("AccountName", "bob"),
            ("DBName", DATABASE),
            ("AccountPrivilege", set),
        ];
        api.call("GrantAccountPrivilege", &change)
    };
    let sets = || {
        let all = privileges(&api, &instance, "bob");
        let shown = all.iter().map(|(name, set, _)| format!("{name}:{set}"));
        shown.collect::<Vec<_>>()
    };
    let mut owner = login.connect().expect("a session");
    owner
        .query("CREATE TABLE works (id INT)")
        .expect("it may define");
    assert_eq!(sets(), [":"]);

    let bob = login.as_user("bob", PASSWORD);
    grant("ReadOnly").expect("it is ACTIVE");
    let mut session = bob.connect().expect("a session");
    session.query("SELECT * FROM works").expect("it may read");
    let insert = "INSERT INTO shop.works VALUES (1)";
    let error = session.query(insert).expect_err("it may not write");
    assert_eq!(error.code(), Some(1142));
    grant("DMLOnly").expect("it is ACTIVE");
    bob.connect()
        .and_then(|mut session| session.query(insert))
        .expect("it may write");
    assert_eq!(sets(), ["shop:DMLOnly"]);

    // Changed by SQL it is Custom, with what it really has; the next grant replaces that.
    let mut boss = login
        .as_user("boss", PASSWORD)
        .connect()
        .expect("a session");
    boss.query("REVOKE INSERT, UPDATE ON shop.* FROM bob@'%'")
        .expect("a Super account may");
    boss.query("GRANT INDEX ON shop.works TO bob@'%'")
        .expect("a Super account may");
    let shown = privileges(&api, &instance, "bob");
    let detail =
        "SELECT,DELETE,CREATE TEMPORARY TABLES,LOCK TABLES,SHOW VIEW,EXECUTE,EVENT,TRIGGER";
    let custom = ("shop".to_owned(), "Custom".to_owned(), detail.to_owned());
    assert_eq!(shown, [custom]);
    grant("ReadOnly").expect("it is ACTIVE");
    assert_eq!(sets(), ["shop:ReadOnly"]);
    let change = [id, ("AccountName", "bob"), ("DBName", DATABASE)];
    api.call("RevokeAccountPrivilege", &change)
        .expect("it is ACTIVE");
    assert_eq!(sets(), [":"]);
    api.call("RevokeAccountPrivilege", &change)
        .expect("what is not there can be taken away");
    // MariaDB looks the privileges on a session's current database up when it is chosen.
    let error = session.query("USE shop").expect_err("it may nothing");
    assert_eq!(error.code(), Some(1044));
    let error = bob.connect().expect_err("it may nothing");
    assert_eq!(error.code(), Some(1044));

    // A Super account has everything, and keeps it.
    let all = [("AccountPrivilege", "ReadWrite"), ("DBName", DATABASE)];
    for (action, others) in [
        ("GrantAccountPrivilege", &all[..]),
        ("RevokeAccountPrivilege", &all[1..]),
    ] {
        let parameters = [&[id, ("AccountName", "boss")], others].concat();
        let error = api
            .call(action, &parameters)
            .expect_err("it has everything");
        assert_eq!(error.code(), Some("OperationDenied.AccountType"));
    }
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_grant_and_a_delete_at_once_have_one_order() {
    const ROUNDS: usize = 100;
    let (mut service, api, instance, login) = with_instance();
    let account = [("InstanceId", instance.as_str()), ("AccountName", "bob")];
    let create = [&account[..], &[("AccountPassword", PASSWORD)]].concat();
    let change = [
        &account[..],
        &[("DBName", DATABASE), ("AccountPrivilege", "ReadOnly")],
    ]
    .concat();
    for round in 0..ROUNDS {
        api.call("CreateAccount", &create)
            .expect("the name is free");
        let (granted, deleted) = std::thread::scope(|scope| {
            let grant = scope.spawn(|| api.call("GrantAccountPrivilege", &change));
            let delete = scope.spawn(|| api.call("DeleteAccount", &account));
            let joined = "the thread ends well";
            (grant.join().expect(joined), delete.join().expect(joined))
        });
        deleted.unwrap_or_else(|error| panic!("{round}: {error:?}"));
        if let Err(error) = granted {
            let code = error.code().expect("an answer");
            let known = [
                "OperationDenied.AccountStatus",
                "InvalidAccountName.NotFound",
            ];
            assert!(known.contains(&code), "{round}: {error:?}");
        }
        let error = login.as_user("bob", PASSWORD).connect();
        assert_eq!(error.expect_err("it is gone").code(), ACCESS_DENIED);
        wait_for("the end of the account", || {
            let answer = api.call("DescribeAccounts", &account[..1]);
            let answer = answer.expect("accounts can be listed");
            let list = answer["AccountList"]["Account"].as_array();
            (list.expect("a list").len() == 1).then_some(())
        });
    }
    let list = json!({"command": "task-list", "instance_id": instance, "limit": 1000});
    let tasks = service.admin(&list).expect("tasks can be listed");
    let ended = |task: &Value| task["status"] == SUCCEEDED;
    let tasks = tasks.as_array().expect("a list");
    assert!(tasks.len() > 2 * ROUNDS);
    assert!(tasks.iter().all(ended), "{tasks:?}");
    api.delete(&instance);
    service.assert_nothing_left();
}
