//! Databases of an instance.

use openpeta_testkit::{Api, Login, Service, wait_for};
use serde_json::Value;

use super::{BACK, FORWARD, die_in, prepared};

const CREATE: [&str; 3] = ["check-name", "resize-node", "create-on-node"];
const DELETE: [&str; 3] = ["drop-on-node", "resize-node", "remove-backups"];
const RESIZE: &str = "resize-database/resize-node";

/// Sessions of a large and of an extra-large database, and those that the server keeps for
/// administration.
const LARGE: u32 = 500;
const XLARGE: u32 = 1_000;
const KEPT: u32 = 16;

/// An instance with one database, in which something is written.
struct Shop {
    service: Service,
    instance: String,
    login: Login,
}

impl Shop {
    fn new() -> Self {
        let mut service = prepared();
        service.start();
        let api = service.api();
        let instance = api.order(&[]).expect("an order is taken");
        let login = api.wait_active(&instance);
        let mut session = login.connect().expect("ACTIVE means that clients connect");
        for statement in ["CREATE TABLE kept (id INT)", "INSERT INTO kept VALUES (7)"] {
            session.query(statement).expect(statement);
        }
        assert_eq!(service.stop(), Some(0));
        Self {
            service,
            instance,
            login,
        }
    }

    /// Makes a call, of whose task the process dies at these points, and starts it again.
    fn survive(&mut self, points: &str, call: impl FnOnce(&Api, &str)) {
        let instance = self.instance.clone();
        die_in(&mut self.service, points, |api| {
            call(api, &instance);
            Ok(Value::Null)
        });
        self.service.start();
    }

    /// Makes a call whose task fails at a point.
    fn fail(&mut self, point: &str, call: impl FnOnce(&Api, &str)) {
        self.service.start_with(&[("OPENPETA_FAIL_POINT", point)]);
        call(&self.service.api(), &self.instance);
    }

    /// Waits until the instance has these databases, all ACTIVE. What was written is there, and
    /// the node as large as they make it. Then stops the service.
    #[track_caller]
    fn check(&mut self, databases: &[&str], sessions: u32) {
        let api = self.service.api();
        wait_for("the end of the task", || {
            let found = databases_of(&api, &self.instance);
            let expected = databases.iter().map(|name| (*name).to_owned());
            let expected: Vec<_> = expected.map(|name| (name, "ACTIVE".to_owned())).collect();
            (found == expected).then_some(())
        });
        let mut session = self.login.connect_when_possible();
        let kept = session.value("SELECT id FROM kept");
        assert_eq!(kept.expect("it was written"), "7");
        let admitted = session.value("SELECT @@max_connections");
        assert_eq!(admitted.expect("readable"), (sessions + KEPT).to_string());
        assert_eq!(self.service.stop(), Some(0));
    }
}

/// Names and statuses of an instance's databases.
fn databases_of(api: &Api, instance: &str) -> Vec<(String, String)> {
    let answer = api.call("DescribeDatabases", &[("InstanceId", instance)]);
    let answer = answer.expect("databases can be listed");
    let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
    let databases = answer["Databases"]["Database"].as_array();
    let databases = databases.expect("a list").iter();
    databases
        .map(|item| (text(item, "DBName"), text(item, "DBStatus")))
        .collect()
}

/// A call whose answer may be lost with the process; a refusal is the test's fault.
fn send(api: &Api, action: &str, parameters: &[(&str, &str)]) {
    use openpeta_testkit::CallError;
    match api.call(action, parameters) {
        Ok(_) | Err(CallError::Broken(_)) => {}
        Err(refused) => panic!("{action}: {refused:?}"),
    }
}

fn create(api: &Api, instance: &str) {
    let parameters = [
        ("InstanceId", instance),
        ("DBName", "second"),
        ("NodeSpec", "petadata.s2.large"),
        ("NodeNumber", "1"),
    ];
    send(api, "CreateDatabase", &parameters);
}

fn delete(api: &Api, instance: &str) {
    let parameters = [("InstanceId", instance), ("DBName", "second")];
    send(api, "DeleteDatabase", &parameters);
}

fn resize(api: &Api, instance: &str, spec: &str) {
    let parameters = [
        ("InstanceId", instance),
        ("DBName", "shop"),
        ("NewNodeSpec", spec),
    ];
    send(api, "ModifyDatabaseNodesSpec", &parameters);
}

#[test]
fn databases_come_and_go_in_spite_of_crashes() {
    let mut shop = Shop::new();
    let deletes: Vec<_> = DELETE
        .iter()
        .flat_map(|step| FORWARD.map(|point| format!("delete-database/{step}/{point}")))
        .collect();
    let creates = CREATE
        .iter()
        .flat_map(|step| FORWARD.map(|point| format!("create-database/{step}/{point}")));
    for (create_at, delete_at) in creates.zip(deletes.iter().cycle()) {
        shop.survive(&create_at, create);
        shop.check(&["second", "shop"], XLARGE + LARGE);
        shop.survive(delete_at, delete);
        shop.check(&["shop"], XLARGE);
    }
    shop.service.start();
    shop.service.api().delete(&shop.instance);
    shop.service.assert_nothing_left();
}

#[test]
fn a_database_that_cannot_be_made_leaves_nothing() {
    let mut shop = Shop::new();
    for step in CREATE {
        for point in ["before-run", "after-run"] {
            shop.fail(&format!("create-database/{step}/{point}=fail"), create);
            shop.check(&["shop"], XLARGE);
        }
        for point in BACK {
            let last = CREATE[CREATE.len() - 1];
            let points = format!(
                "create-database/{last}/after-run=fail,create-database/{step}/{point}=abort"
            );
            shop.survive(&points, create);
            shop.check(&["shop"], XLARGE);
        }
    }
    // The name is free, and nothing is in the way.
    shop.service.start();
    create(&shop.service.api(), &shop.instance);
    shop.check(&["second", "shop"], XLARGE + LARGE);
}

#[test]
fn a_resize_is_finished_or_undone() {
    let mut shop = Shop::new();
    let up = |api: &Api, instance: &str| resize(api, instance, "petadata.s2.2xlarge");
    let down = |api: &Api, instance: &str| resize(api, instance, "petadata.s2.xlarge");
    for point in FORWARD {
        shop.survive(&format!("{RESIZE}/{point}"), up);
        shop.check(&["shop"], 2 * XLARGE);
        shop.survive(&format!("{RESIZE}/{point}"), down);
        shop.check(&["shop"], XLARGE);
    }
    for point in ["before-run", "after-run"] {
        shop.fail(&format!("{RESIZE}/{point}=fail"), up);
        shop.check(&["shop"], XLARGE);
    }
    for point in BACK {
        let points = format!("{RESIZE}/after-run=fail,{RESIZE}/{point}=abort");
        shop.survive(&points, up);
        shop.check(&["shop"], XLARGE);
    }
}
