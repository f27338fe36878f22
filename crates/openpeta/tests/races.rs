//! Two callers who change the same thing at once, many times over: one wins, the other gets the
//! documented code, and what is then is what one of the two orders would have left.

use std::sync::Barrier;

use openpeta_testkit::{Api, CallError, Login, PASSWORD, Service, wait_for};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");
const ROUNDS: usize = 100;
const SMALL: &str = "petadata.s2.large";
const LARGER: &str = "petadata.s2.xlarge";
/// What a change of a database is told that came too late.
const DATABASE_LOSES: [&str; 2] = ["OperationDenied.DBStatus", "InvalidDBName.NotFound"];

/// What a caller was told: `OK`, or the code of the refusal.
type Told = String;

/// Makes two calls at the same moment.
fn race(api: &Api, calls: [(&str, &[(&str, &str)]); 2]) -> [(Told, Value); 2] {
    let start = Barrier::new(2);
    let call = |(action, parameters): (&str, &[(&str, &str)])| {
        start.wait();
        match api.call(action, parameters) {
            Ok(answer) => ("OK".to_owned(), answer),
            Err(CallError::Refused(answer)) => (answer.code().to_owned(), Value::Null),
            Err(CallError::Broken(error)) => panic!("{action}: {error}"),
        }
    };
    std::thread::scope(|scope| {
        let [one, other] = calls;
        let call = &call;
        let one = scope.spawn(move || call(one));
        let other = scope.spawn(move || call(other));
        [one, other].map(|caller| caller.join().expect("a caller ends"))
    })
}

/// An instance, and what is raced for in it.
struct Arena {
    service: Service,
    api: Api,
    instance: String,
    login: Login,
}

impl Arena {
    fn new() -> Self {
        let service = Service::started(BINARY);
        let api = service.api();
        let instance = api.order(&[]).expect("an order is taken");
        let login = api.wait_active(&instance);
        Self {
            service,
            api,
            instance,
            login,
        }
    }

    fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters = [&[("InstanceId", self.instance.as_str())], parameters].concat();
        let answer = self.api.call(action, &parameters);
        answer.unwrap_or_else(|error| panic!("{action} {parameters:?}: {error:?}"))
    }

    fn create_account(&self, name: &str) {
        let parameters = [
            ("AccountName", name),
            ("AccountPassword", PASSWORD),
            ("DBName", "shop"),
            ("AccountPrivilege", "ReadOnly"),
        ];
        self.call("CreateAccount", &parameters);
    }

    /// The account as DescribeAccounts has it.
    fn account(&self, name: &str) -> Option<Value> {
        let accounts = self.call("DescribeAccounts", &[]);
        let accounts = accounts["AccountList"]["Account"].as_array();
        let mut accounts = accounts.expect("a list").iter();
        let found = accounts.find(|account| account["AccountName"] == name);
        found.cloned()
    }

    /// Waits until the account is gone, in the answers as in the engine.
    fn wait_without_account(&self, name: &str) {
        wait_for("an account's end", || {
            self.account(name).is_none().then_some(())
        });
        let refused = self.login.as_user(name, PASSWORD).connect();
        assert_eq!(refused.expect_err("it is gone").code(), Some(1045));
    }

    /// Orders a database and waits for it.
    fn create_database(&self, name: &str) {
        let parameters = [("DBName", name), ("NodeSpec", SMALL), ("NodeNumber", "1")];
        self.call("CreateDatabase", &parameters);
        wait_for("a database", || {
            let database = self.database(name)?;
            (database["DBStatus"] == "ACTIVE").then_some(())
        });
    }

    /// The database as DescribeDatabases has it.
    fn database(&self, name: &str) -> Option<Value> {
        let databases = self.call("DescribeDatabases", &[]);
        let databases = databases["Databases"]["Database"].as_array();
        let mut databases = databases.expect("a list").iter();
        let found = databases.find(|database| database["DBName"] == name);
        found.cloned()
    }

    /// Waits until the database is gone, in the answers as in the engine.
    fn wait_without_database(&self, name: &str) {
        wait_for("a database's end", || {
            self.database(name).is_none().then_some(())
        });
        let mut session = self.login.connect().expect("a session");
        let listed = session.query("SHOW DATABASES").expect("an answer");
        let listed = listed.iter().flatten().flatten();
        assert!(listed.clone().all(|listed| listed != name));
    }

    fn end(mut self) {
        self.api.delete(&self.instance);
        self.service.assert_nothing_left();
    }
}

/// What the loser was told, when exactly one won.
#[track_caller]
fn loser(told: [(Told, Value); 2]) -> Told {
    let [one, other] = told.map(|(code, _)| code);
    match (one.as_str(), other.as_str()) {
        ("OK", loser) | (loser, "OK") if loser != "OK" => loser.to_owned(),
        _ => panic!("{one} and {other}"),
    }
}

#[test]
fn two_deletions_of_an_account() {
    let arena = Arena::new();
    for round in 0..ROUNDS {
        let name = format!("acc_{round}");
        arena.create_account(&name);
        let parameters = [
            ("InstanceId", arena.instance.as_str()),
            ("AccountName", &name),
        ];
        let told = race(&arena.api, [("DeleteAccount", &parameters); 2]);
        let loser = loser(told);
        let documented = [
            "InvalidAccountName.NotFound",
            "OperationDenied.AccountStatus",
        ];
        assert!(documented.contains(&loser.as_str()), "{loser}");
        arena.wait_without_account(&name);
    }
    arena.end();
}

#[test]
fn two_deletions_of_a_database() {
    let arena = Arena::new();
    for round in 0..ROUNDS {
        let name = format!("db_{round}");
        arena.create_database(&name);
        let parameters = [("InstanceId", arena.instance.as_str()), ("DBName", &name)];
        let loser = loser(race(&arena.api, [("DeleteDatabase", &parameters); 2]));
        assert!(DATABASE_LOSES.contains(&loser.as_str()), "{loser}");
        arena.wait_without_database(&name);
    }
    arena.end();
}

#[test]
fn a_resize_and_a_deletion_of_a_database() {
    let arena = Arena::new();
    for round in 0..ROUNDS {
        let name = format!("db_{round}");
        arena.create_database(&name);
        let delete = [("InstanceId", arena.instance.as_str()), ("DBName", &name)];
        let resize = [&delete[..], &[("NewNodeSpec", LARGER)]].concat();
        // Each is the first to be sent as often as the other.
        let mut calls = [
            ("ModifyDatabaseNodesSpec", &resize[..]),
            ("DeleteDatabase", &delete[..]),
        ];
        calls.rotate_left(round % 2);
        let told = race(&arena.api, calls);
        let resized = calls
            .iter()
            .zip(&told)
            .any(|((action, _), (code, _))| *action == "ModifyDatabaseNodesSpec" && code == "OK");
        let loser = loser(told);
        assert!(DATABASE_LOSES.contains(&loser.as_str()), "{loser}");
        if resized {
            wait_for("the end of a resize", || {
                let database = arena.database(&name).expect("it was not deleted");
                (database["DBStatus"] == "ACTIVE").then(|| {
                    assert_eq!(database["NodeSpec"], LARGER);
                })
            });
            arena.call("DeleteDatabase", &[("DBName", &name)]);
        }
        arena.wait_without_database(&name);
    }
    arena.end();
}

#[test]
fn two_orders_with_one_token() {
    let mut service = Service::started(BINARY);
    let api = service.api();
    let mut running: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let token = format!("token-{round}");
        let parameters = [
            ("RegionId", "cn-hangzhou"),
            ("ZoneId", "cn-hangzhou-b"),
            ("DBName", "shop"),
            ("NodeSpec", "petadata.s2.xlarge"),
            ("NodeNumber", "1"),
            ("AccountName", "alice"),
            ("AccountPassword", PASSWORD),
            ("ClientToken", token.as_str()),
        ];
        let told = race(&api, [("CreateInstance", &parameters); 2]);
        let [(one, first), (other, second)] = told;
        assert_eq!([one, other], ["OK", "OK"]);
        for field in ["InstanceId", "OrderId", "ConnectionString", "Port"] {
            assert_eq!(first[field], second[field], "{field}");
        }
        assert_ne!(first["RequestId"], second["RequestId"]);
        let id = first["InstanceId"].as_str().expect("an id").to_owned();
        assert!(!running.contains(&id));
        running.push(id);
        let mut listed = api.instances();
        listed.sort();
        let mut expected = running.clone();
        expected.sort();
        assert_eq!(listed, expected);
        if running.len() == 5 {
            delete_all(&api, &mut running);
        }
    }
    delete_all(&api, &mut running);
    let tasks = json!({"command": "task-list", "limit": 10_000});
    let tasks = service.admin(&tasks).expect("tasks can be listed");
    let creations = tasks.as_array().expect("a list").iter();
    let creations = creations.filter(|task| task["action"] == "CreateInstance");
    assert_eq!(creations.count(), ROUNDS);
    service.assert_nothing_left();
}

fn delete_all(api: &Api, instances: &mut Vec<String>) {
    for instance in instances.iter() {
        let _ = api.wait_active(instance);
        api.call("DeleteInstance", &[("InstanceId", instance)])
            .expect("it can be deleted");
    }
    for instance in instances.drain(..) {
        api.wait_gone(&instance);
    }
}
