//! The service dies at every step of every workflow. The next start finishes the work or undoes
//! it: an acknowledged order becomes an instance that clients connect to, a failed one leaves
//! no process, directory, listener or row.

// Fail points exist in debug builds only.
#![cfg(debug_assertions)]

mod backups;
mod databases;

use openpeta_testkit::{
    Api, CallError, DATABASE, Login, PASSWORD, Service, Session, USER, is_alive, wait_for,
};
use serde_json::{Value, json};

const CREATE_INSTANCE: [&str; 5] = [
    "create-node",
    "start-node",
    "create-database",
    "open-endpoint",
    "check-login",
];
const DELETE_INSTANCE: [&str; 4] = [
    "close-endpoints",
    "stop-node",
    "destroy-node",
    "remove-backups",
];
const CREATE_ACCOUNT: [&str; 1] = ["create-on-node"];
const DELETE_ACCOUNT: [&str; 2] = ["withdraw-from-gateway", "drop-on-node"];
const CHANGE_PRIVILEGES: [&str; 2] = ["remember-held", "change-on-node"];
const CHANGE_TABLE: [&str; 2] = ["inspect", "define"];
const FORWARD: [&str; 3] = ["before-run", "after-run", "after-record"];
const BACK: [&str; 2] = ["before-undo", "after-undo"];

fn prepared() -> Service {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    service.stop();
    service
}

/// Starts the service with fail points, makes a call and waits until the process has died of
/// them. The answer may be lost with the process; an error that it gave is the test's fault.
fn die_in(
    service: &mut Service,
    points: &str,
    call: impl FnOnce(&Api) -> Result<Value, CallError>,
) -> Option<Value> {
    service.start_with(&[("OPENPETA_FAIL_POINT", points)]);
    let answer = match call(&service.api()) {
        Ok(answer) => Some(answer),
        Err(CallError::Broken(_)) => None,
        Err(refused) => panic!("{points}: {refused:?}"),
    };
    let exit = service.wait_for_exit();
    assert_eq!(exit.signal, Some(6), "{points}: {exit:?}");
    answer
}

fn order(api: &Api) -> Result<Value, CallError> {
    api.order(&[]).map(Value::from)
}

/// The one instance there is, which was ordered before the process died.
fn ordered(api: &Api, answer: Option<Value>) -> String {
    let instances = api.instances();
    assert_eq!(instances.len(), 1, "an acknowledged order is lost");
    if let Some(answer) = answer {
        assert_eq!(answer, instances[0].as_str());
    }
    instances[0].clone()
}

/// A session over which something is written; ACTIVE must mean that this works at once.
fn writing_session(login: &Login) -> Session {
    let mut session = login.connect().expect("ACTIVE means that clients connect");
    session
        .query("CREATE OR REPLACE TABLE works (id INT)")
        .expect("the account has its privileges");
    session
}

#[test]
fn create_instance_is_finished() {
    let mut service = prepared();
    for step in CREATE_INSTANCE {
        for point in FORWARD {
            let point = format!("create-instance/{step}/{point}");
            let answer = die_in(&mut service, &point, order);
            service.start();
            let api = service.api();
            let instance = ordered(&api, answer);
            writing_session(&api.wait_active(&instance));
            assert_eq!(service.node_pids().len(), 1, "{point}");
            api.delete(&instance);
            service.assert_nothing_left();
        }
    }
}

/// An order that takes a node which stands ready: it is finished, or it and the node go.
#[test]
fn create_instance_with_a_spare_node_is_finished_or_undone() {
    let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    for (point, is_made) in [
        ("create-node/after-run=abort", true),
        ("start-node/before-run=abort", true),
        ("start-node/after-run=abort", true),
        ("start-node/after-run=fail", false),
        ("check-login/after-run=fail", false),
    ] {
        service.set("nodes", "spare", 1);
        service.start();
        let spare = wait_for("a spare node", || node_pid(&service, None));
        assert_eq!(service.stop(), Some(0));

        let point = format!("create-instance/{point}");
        if is_made {
            let answer = die_in(&mut service, &point, order);
            service.start();
            let api = service.api();
            let instance = ordered(&api, answer);
            writing_session(&api.wait_active(&instance));
            assert_eq!(node_pid(&service, Some(&instance)), Some(spare), "{point}");
            api.delete(&instance);
        } else {
            service.start_with(&[("OPENPETA_FAIL_POINT", &point)]);
            let api = service.api();
            let instance = api.order(&[]).expect("an order is taken");
            api.wait_gone(&instance);
        }
        assert!(!is_alive(spare), "{point}");
        assert_eq!(service.stop(), Some(0));

        // Without the wish for spare nodes the one that took its place goes, too.
        service.set("nodes", "spare", 0);
        service.start();
        wait_for("the end of spare nodes", || {
            let nodes = service.admin(&json!({"command": "node-list"}));
            (nodes.expect("nodes") == json!([])).then_some(())
        });
        service.assert_nothing_left();
    }
}

/// The process of an instance's node, or of one that stands ready.
fn node_pid(service: &Service, instance: Option<&str>) -> Option<u32> {
    let nodes = service
        .admin(&json!({"command": "node-list"}))
        .expect("nodes");
    let is_it =
        |node: &&Value| node["instance_id"] == json!(instance) && node["state"] == "running";
    let node = nodes.as_array().expect("a list").iter().find(is_it)?;
    u32::try_from(node["pid"].as_u64()?).ok()
}

#[test]
fn a_failed_create_instance_leaves_nothing() {
    let mut service = prepared();
    for step in CREATE_INSTANCE {
        // A failure after the record is one before the next step.
        for point in ["before-run", "after-run"] {
            let point = format!("create-instance/{step}/{point}=fail");
            service.start_with(&[("OPENPETA_FAIL_POINT", &point)]);
            let api = service.api();
            let instance = api.order(&[]).expect("an order is taken");
            api.wait_gone(&instance);
            service.assert_nothing_left();
        }
    }
}

#[test]
fn the_undoing_of_create_instance_is_finished() {
    let mut service = prepared();
    for step in CREATE_INSTANCE {
        for point in BACK {
            let points = format!(
                "create-instance/check-login/after-run=fail,create-instance/{step}/{point}=abort"
            );
            let answer = die_in(&mut service, &points, order);
            service.start();
            let api = service.api();
            if let Some(instance) = answer {
                api.wait_gone(instance.as_str().expect("an id"));
            } else {
                wait_for("the end of all instances", || {
                    api.instances().is_empty().then_some(())
                });
            }
            service.assert_nothing_left();
        }
    }
}

#[test]
fn an_undoing_that_fails_is_visible_and_can_be_retried() {
    let mut service = prepared();
    for point in BACK {
        let points = format!(
            "create-instance/check-login/before-run=fail,create-instance/start-node/{point}=fail"
        );
        service.start_with(&[("OPENPETA_FAIL_POINT", &points)]);
        let api = service.api();
        let instance = api.order(&[]).expect("an order is taken");
        let list = json!({"command": "task-list", "instance_id": instance, "limit": 1});
        let stuck = |service: &Service| {
            let tasks = service.admin(&list).expect("tasks can be listed");
            (tasks[0]["stuck"] == true).then(|| tasks[0].clone())
        };
        let task = wait_for("a stuck task", || stuck(&service));
        let cause = task["cause"].as_str().expect("a cause");
        assert!(cause.contains("start-node"), "{cause}");
        assert_ne!(api.status(&instance), "ACTIVE");
        assert_eq!(service.stop(), Some(0));

        // A restart alone changes nothing: somebody has to have seen to the cause.
        service.start();
        assert!(stuck(&service).is_some());
        let number: i64 = task["task_id"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a number");
        let retry = json!({"command": "task-retry", "task_id": number});
        service.admin(&retry).expect("a stuck task can be retried");
        service.api().wait_gone(&instance);
        service.assert_nothing_left();
    }
}

#[test]
fn delete_instance_is_finished() {
    let mut service = prepared();
    for step in DELETE_INSTANCE {
        for point in FORWARD {
            service.start();
            let api = service.api();
            let instance = api.order(&[]).expect("an order is taken");
            let login = api.wait_active(&instance);
            // A client that is in does not hold a delete up.
            let mut session = writing_session(&login);
            session.query("BEGIN").expect("a session");
            service.kill();

            let point = format!("delete-instance/{step}/{point}");
            die_in(&mut service, &point, |api| {
                api.call("DeleteInstance", &[("InstanceId", &instance)])
            });
            service.start();
            let api = service.api();
            api.wait_gone(&instance);
            assert!(login.connect().is_err(), "{point}");
            service.assert_nothing_left();
        }
    }
}

/// Names of an instance's accounts with their status.
fn accounts(api: &Api, instance: &str) -> Vec<(String, String)> {
    let answer = api.call("DescribeAccounts", &[("InstanceId", instance)]);
    let answer = answer.expect("accounts can be listed");
    let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
    answer["AccountList"]["Account"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| (text(item, "AccountName"), text(item, "AccountStatus")))
        .collect()
}

#[test]
fn account_workflows_are_finished_or_undone() {
    let mut service = prepared();
    service.start();
    let instance = service.api().order(&[]).expect("an order is taken");
    let alice = service.api().wait_active(&instance);
    let bob = alice.as_user("bob", "Bob-secret1");
    assert_eq!(service.stop(), Some(0));

    let create = |api: &Api| {
        let parameters = [
            ("InstanceId", instance.as_str()),
            ("AccountName", "bob"),
            ("AccountPassword", "Bob-secret1"),
            ("DBName", "shop"),
            ("AccountPrivilege", "ReadOnly"),
        ];
        api.call("CreateAccount", &parameters)
    };
    let delete = |api: &Api| {
        let parameters = [("InstanceId", instance.as_str()), ("AccountName", "bob")];
        api.call("DeleteAccount", &parameters)
    };
    let has_bob = |api: &Api, status: Option<&str>| {
        wait_for("the account's end or beginning", || {
            let bob = accounts(api, &instance)
                .into_iter()
                .find(|(name, _)| name == "bob");
            (bob.as_ref().map(|(_, status)| status.as_str()) == status).then_some(())
        });
    };
    let refused = |login: &Login| {
        let error = login.connect().expect_err("the account is gone");
        assert_eq!(error.code(), Some(1045), "{error:?}");
    };

    for point in FORWARD {
        // Made in spite of a crash …
        let step = CREATE_ACCOUNT[0];
        die_in(
            &mut service,
            &format!("create-account/{step}/{point}"),
            create,
        );
        service.start();
        has_bob(&service.api(), Some("ACTIVE"));
        let mut session = bob.connect().expect("an active account logs in");
        session.query("SELECT 1").expect("it may read");
        let error = session.query("CREATE TABLE no (id INT)");
        assert_eq!(error.expect_err("it may not write").code(), Some(1142));
        assert_eq!(service.stop(), Some(0));

        // … and deleted in spite of one.
        let before = DELETE_ACCOUNT.len();
        for (index, step) in DELETE_ACCOUNT.into_iter().enumerate() {
            die_in(
                &mut service,
                &format!("delete-account/{step}/{point}"),
                delete,
            );
            service.start();
            has_bob(&service.api(), None);
            refused(&bob);
            if index + 1 < before {
                create(&service.api()).expect("it can be made again");
                has_bob(&service.api(), Some("ACTIVE"));
            }
            assert_eq!(service.stop(), Some(0));
        }

        // A failed create is undone, and the call says so.
        let points = format!("create-account/{step}/{point}=fail");
        service.start_with(&[("OPENPETA_FAIL_POINT", &points)]);
        let error = create(&service.api()).expect_err("it is undone");
        assert_eq!(error.code(), Some("ServiceUnavailable"), "{error:?}");
        has_bob(&service.api(), None);
        refused(&bob);
        assert_eq!(service.stop(), Some(0));
    }
    for point in BACK {
        let step = CREATE_ACCOUNT[0];
        let points =
            format!("create-account/{step}/after-run=fail,create-account/{step}/{point}=abort");
        die_in(&mut service, &points, create);
        service.start();
        has_bob(&service.api(), None);
        refused(&bob);
        assert_eq!(service.stop(), Some(0));
    }

    service.start();
    let names: Vec<_> = accounts(&service.api(), &instance);
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(names[0].0, USER);
    assert_eq!(alice.password, PASSWORD);
    let mut session = alice.connect().expect("the first account is as it was");
    // Nothing of the second one is left on the node.
    let node = service
        .admin(&json!({"command": "node-list"}))
        .expect("nodes");
    assert_eq!(node[0]["restarts"], 0);
    session.query("SELECT 1").expect("a session");
    service.api().delete(&instance);
    service.assert_nothing_left();
}

/// What DescribeAccounts says that an account has on [`DATABASE`]; empty for nothing.
fn privilege(api: &Api, instance: &str, account: &str) -> String {
    let answer = api.call("DescribeAccounts", &[("InstanceId", instance)]);
    let answer = answer.expect("accounts can be listed");
    let mut accounts = answer["AccountList"]["Account"]
        .as_array()
        .expect("a list")
        .iter();
    let account = accounts.find(|item| item["AccountName"] == account);
    let privileges = &account.expect("the account exists")["DatabasePrivileges"];
    let first = &privileges["DatabasePrivilege"][0]["AccountPrivilege"];
    first.as_str().expect("a text").to_owned()
}

#[test]
fn changes_of_privileges_are_finished_or_undone() {
    let mut service = prepared();
    service.start();
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let id = ("InstanceId", instance.as_str());
    for (name, kind) in [("bob", "Normal"), ("boss", "Super")] {
        let parameters = [
            id,
            ("AccountName", name),
            ("AccountPassword", PASSWORD),
            ("AccountType", kind),
        ];
        api.call("CreateAccount", &parameters)
            .expect("there is room");
    }
    let on_bob = [id, ("AccountName", "bob"), ("DBName", DATABASE)];
    let grant = |api: &Api| {
        let parameters = [&on_bob[..], &[("AccountPrivilege", "DMLOnly")]].concat();
        api.call("GrantAccountPrivilege", &parameters)
    };
    let revoke = |api: &Api| api.call("RevokeAccountPrivilege", &on_bob);
    let by_sql = || {
        let mut session = login
            .as_user("boss", PASSWORD)
            .connect()
            .expect("a session");
        let statement = format!("GRANT SELECT, REFERENCES ON {DATABASE}.* TO bob@'%'");
        session.query(&statement).expect("a Super account may");
    };
    let has = |api: &Api, set: &str| {
        wait_for(set, || {
            (privilege(api, &instance, "bob") == set).then_some(())
        });
    };

    // Done in spite of a crash: given, then taken away.
    for step in CHANGE_PRIVILEGES {
        for point in FORWARD {
            assert_eq!(service.stop(), Some(0));
            let at = format!("grant-account-privilege/{step}/{point}");
            die_in(&mut service, &at, grant);
            service.start();
            has(&service.api(), "DMLOnly");
            assert_eq!(service.stop(), Some(0));
            let at = format!("revoke-account-privilege/{step}/{point}");
            die_in(&mut service, &at, revoke);
            service.start();
            has(&service.api(), "");
        }
    }
    // Or undone, also in spite of a crash: what was made by SQL is there again.
    by_sql();
    has(&service.api(), "Custom");
    for workflow in ["grant-account-privilege", "revoke-account-privilege"] {
        let change: &dyn Fn(&Api) -> Result<Value, CallError> = match workflow {
            "grant-account-privilege" => &grant,
            _ => &revoke,
        };
        assert_eq!(service.stop(), Some(0));
        let failure = format!("{workflow}/change-on-node/after-run=fail");
        service.start_with(&[("OPENPETA_FAIL_POINT", &failure)]);
        let error = change(&service.api()).expect_err("it is undone");
        assert_eq!(error.code(), Some("ServiceUnavailable"), "{error:?}");
        assert_eq!(privilege(&service.api(), &instance, "bob"), "Custom");
        for point in BACK {
            assert_eq!(service.stop(), Some(0));
            let points = format!("{failure},{workflow}/change-on-node/{point}=abort");
            die_in(&mut service, &points, change);
            service.start();
            has(&service.api(), "Custom");
        }
    }
    grant(&service.api()).expect("nothing is in the way");
    assert_eq!(privilege(&service.api(), &instance, "bob"), "DMLOnly");
    service.api().delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_statement_about_a_table_is_carried_out_once() {
    let mut service = prepared();
    service.start();
    let instance = service.api().order(&[]).expect("an order is taken");
    let login = service.api().wait_active(&instance);
    writing_session(&login);
    assert_eq!(service.stop(), Some(0));

    // Run twice it would make two indexes.
    let add_index = |api: &Api| {
        let parameters = [
            ("InstanceId", instance.as_str()),
            ("DBName", DATABASE),
            ("TableDDL", "ALTER TABLE works ADD INDEX (id)"),
        ];
        api.call("ModifyTable", &parameters)
    };
    let settle = |service: &Service| {
        wait_for("the end of the task", || {
            let list = json!({"command": "task-list", "instance_id": instance, "limit": 1});
            let tasks = service.admin(&list).expect("tasks can be listed");
            (!tasks[0]["finish_at"].is_null()).then_some(())
        });
    };
    let indexes = || {
        let mut session = login.connect().expect("an account logs in");
        let query = "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_NAME = 'works'";
        session.value(query).expect("a number")
    };
    for step in CHANGE_TABLE {
        for point in FORWARD {
            let point = format!("change-table/{step}/{point}");
            die_in(&mut service, &point, add_index);
            service.start();
            settle(&service);
            assert_eq!(indexes(), "1", "{point}");
            let mut session = login.connect().expect("an account logs in");
            session
                .query("DROP INDEX id ON works")
                .expect("it is there");
            assert_eq!(service.stop(), Some(0));
        }
    }
    // What failed before it touched the table leaves the table alone, and the call says so.
    service.start_with(&[("OPENPETA_FAIL_POINT", "change-table/inspect/after-run=fail")]);
    let error = add_index(&service.api()).expect_err("it is undone");
    assert_eq!(error.code(), Some("ServiceUnavailable"), "{error:?}");
    assert_eq!(indexes(), "0");
    service.api().delete(&instance);
    service.assert_nothing_left();
}
