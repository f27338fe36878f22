//! ACTIVE means that every documented call is accepted and a client connects: the very moment
//! that it is first seen, none of them is refused for a status.

use openpeta_rpc_api::{Action, ActionSpec};
use openpeta_testkit::{
    Api, Credentials, Login, PASSWORD, Request, Scheme, Service, USER, wait_for,
};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");

/// Refusals that ACTIVE rules out.
const STATUS_CODES: [&str; 3] = [
    "OperationDenied.DBInstanceStatus",
    "OperationDenied.DBStatus",
    "OperationDenied.AccountStatus",
];

/// Asks without a pause until the instance is ACTIVE.
fn become_active(api: &Api, instance: &str) -> Login {
    loop {
        let info = api.info(instance).expect("the call succeeds");
        let info = info.expect("the instance exists");
        if info["InstanceStatus"] == "ACTIVE" {
            let item = &info["NetworkInfoItems"]["NetworkInfoItem"][0];
            let text = |name: &str| item[name].as_str().expect("a text");
            let address = format!("{}:{}", text("ConnectionString"), text("Port"));
            return Login {
                address: address.parse().expect("an address"),
                user: USER.to_owned(),
                password: PASSWORD.to_owned(),
                database: "shop".to_owned(),
                source: None,
            };
        }
        assert_eq!(info["InstanceStatus"], "CREATE");
    }
}

/// The action's example with what an order has just made.
fn parameters(spec: &ActionSpec, instance: &str) -> Vec<(&'static str, String)> {
    let own = |value: &'static str| match value {
        "{InstanceId}" => instance,
        "{DBName}" => "shop",
        "{AccountName}" => USER,
        "{NewAccountName}" => "bob",
        "{NewDBName}" => "books",
        "{VpcId}" => "vpc-default",
        "{VSwitchId}" => "vsw-default",
        other => other,
    };
    let example = spec.example.iter();
    example
        .map(|(name, value)| (*name, own(value).to_owned()))
        .collect()
}

/// Makes the call; it must not be refused for a status.
fn fire(api: &Api, spec: &ActionSpec, instance: &str) {
    let parameters = parameters(spec, instance);
    let parameters: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let request = Request {
        scheme: Scheme::Http,
        ..Request::new(spec.name, &parameters)
    };
    let answer = api.send(&request).expect("an answer");
    let what = format!("{} {answer:?}", spec.name);
    assert!(!STATUS_CODES.contains(&answer.code()), "{what}");
    assert!(answer.status < 500, "{what}");
}

fn connect(login: &Login) {
    let mut session = login
        .connect()
        .expect("ACTIVE means that a client connects");
    assert_eq!(session.value("SELECT 1").expect("an answer"), "1");
}

/// Actions that are about one instance.
fn actions(mutating: bool) -> impl Iterator<Item = &'static ActionSpec> {
    let all = Action::ALL.iter().map(|action| action.spec());
    all.filter(move |spec| spec.mutating == mutating && spec.action != Action::CreateInstance)
}

/// A service that takes passwords over HTTP, so that no handshake delays a call.
fn service() -> Service {
    let mut service = Service::new(BINARY);
    service.set("api", "allow_http_for_secrets", "always");
    service.start();
    service
}

#[test]
fn the_moment_it_is_active_it_can_be_changed() {
    let mut service = service();
    let api = service.api();
    for spec in actions(true) {
        let instance = api.order(&[]).expect("an order is taken");
        let login = become_active(&api, &instance);
        // A password that is being changed, or an instance that goes, lets nobody in later.
        let ends_logins = spec.action == Action::DeleteInstance
            || spec
                .example
                .iter()
                .any(|(_, value)| *value == "{AccountName}");
        if ends_logins {
            connect(&login);
            fire(&api, spec, &instance);
            continue;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| fire(&api, spec, &instance));
            scope.spawn(|| connect(&login));
        });
    }
    delete_all(&service, &api);
    service.assert_nothing_left();
}

#[test]
fn the_moment_it_is_active_it_can_be_read() {
    let mut service = service();
    let api = service.api();
    // Others may call as well: a sub-user who may do everything.
    let account: u64 = api.account_id.parse().expect("a number");
    let everything = json!({"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "petadata:*", "Resource": "*"},
    ]});
    let admin = |command: Value| service.admin(&command).expect("the operator may");
    admin(json!({"command": "ram-user-create", "account_id": account, "user_name": "reader"}));
    admin(json!({
        "command": "policy-attach", "account_id": account, "user_name": "reader",
        "policy_name": "all", "document": everything.to_string(),
    }));
    let key = admin(json!({
        "command": "access-key-create", "account_id": account, "user_name": "reader",
    }));
    let reader = api.with_key(Credentials::of(&key));
    for caller in [&api, &reader] {
        let instance = api.order(&[]).expect("an order is taken");
        let login = become_active(&api, &instance);
        std::thread::scope(|scope| {
            scope.spawn(|| connect(&login));
            for spec in actions(false) {
                let instance = &instance;
                scope.spawn(move || fire(caller, spec, instance));
            }
        });
    }
    delete_all(&service, &api);
    service.assert_nothing_left();
}

/// Deletes every instance, whatever is still being done to it.
fn delete_all(service: &Service, api: &Api) {
    for instance in api.instances() {
        wait_for("a deletion", || {
            match api.call("DeleteInstance", &[("InstanceId", &instance)]) {
                Ok(_) => Some(()),
                Err(error) if error.code() == Some("InvalidDBInstanceId.NotFound") => Some(()),
                Err(_) => None,
            }
        });
        api.wait_gone(&instance);
    }
    let tasks = json!({"command": "task-list", "limit": 10_000});
    wait_for("the end of all tasks", || {
        let tasks = service.admin(&tasks).expect("tasks can be listed");
        let mut tasks = tasks.as_array().expect("a list").iter();
        tasks.all(|task| !task["finish_at"].is_null()).then_some(())
    });
}
