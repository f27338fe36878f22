//! Databases of an instance over the real program: they come, change and go while clients work
//! in their siblings.

use openpeta_testkit::{
    Api, CallError, Login, PASSWORD, Service, Session, kill_and_wait, wait_for,
};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");
/// Sessions that the server keeps for administration, beyond those that are sold.
const KEPT: u32 = 16;

/// An instance with the database `shop`, the account `alice` in it, and the Super account `boss`.
struct Shop {
    service: Service,
    api: Api,
    instance: String,
    alice: Login,
    boss: Login,
}

impl Shop {
    fn new() -> Self {
        let service = Service::started(BINARY);
        let api = service.api();
        let instance = api.order(&[]).expect("an order is taken");
        let alice = api.wait_active(&instance);
        let mut boss = alice.as_user("boss", PASSWORD);
        boss.database = String::new();
        let shop = Self {
            service,
            api,
            instance,
            alice,
            boss,
        };
        let account = [
            ("AccountName", "boss"),
            ("AccountPassword", PASSWORD),
            ("AccountType", "Super"),
        ];
        shop.call("CreateAccount", &account).expect("it is free");
        shop
    }

    fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Value, CallError> {
        let parameters = [&[("InstanceId", self.instance.as_str())], parameters].concat();
        self.api.call(action, &parameters)
    }

    fn create(&self, name: &str) -> Result<Value, CallError> {
        let parameters = [
            ("DBName", name),
            ("NodeSpec", "petadata.s2.large"),
            ("NodeNumber", "1"),
        ];
        self.call("CreateDatabase", &parameters)
    }

    fn resize(&self, name: &str, spec: &str) {
        let parameters = [("DBName", name), ("NewNodeSpec", spec)];
        let resized = self.call("ModifyDatabaseNodesSpec", &parameters);
        resized.expect("it can be resized");
    }

    fn delete(&self, name: &str) -> Result<Value, CallError> {
        self.call("DeleteDatabase", &[("DBName", name)])
    }

    /// The database as DescribeDatabases has it.
    fn database(&self, name: &str) -> Option<Value> {
        let answer = self.call("DescribeDatabases", &[("DBName", name)]);
        let answer = answer.expect("databases can be listed");
        answer["Databases"]["Database"].get(0).cloned()
    }

    fn wait_active(&self, name: &str) {
        wait_for("an active database", || {
            let database = self.database(name)?;
            (database["DBStatus"] == "ACTIVE").then_some(())
        });
    }

    fn wait_gone(&self, name: &str) {
        wait_for("a database's end", || {
            self.database(name).is_none().then_some(())
        });
    }

    /// What the node is told to admit and to keep in memory.
    fn sizes(&self) -> (String, String) {
        let mut session = self.alice.connect_when_possible();
        let sizes = session.query("SELECT @@max_connections, @@innodb_buffer_pool_size");
        let mut row = sizes.expect("readable").remove(0).into_iter().flatten();
        let mut next = || row.next().expect("not NULL");
        (next(), next())
    }
}

fn sizes(sessions: u32, pool_mib: u64) -> (String, String) {
    let pool = pool_mib << 20;
    ((sessions + KEPT).to_string(), pool.to_string())
}

fn working_session(login: &Login, statements: &[&str]) -> Session {
    let mut session = login.connect().expect("clients connect");
    for statement in statements {
        session.query(statement).expect(statement);
    }
    session
}

#[track_caller]
fn refused(result: Result<Value, CallError>, code: &str) {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code(), Some(code), "{error:?}");
}

#[test]
fn siblings_come_change_and_go_beside_working_clients() {
    let mut shop = Shop::new();
    let setup = [
        "CREATE TABLE t (a INT)",
        "BEGIN",
        "INSERT INTO t VALUES (1)",
    ];
    let mut working = working_session(&shop.alice, &setup);
    assert_eq!(shop.sizes(), sizes(1_000, 64));

    // All of this is accepted while the others are under way.
    shop.create("second").expect("the name is free");
    shop.create("third").expect("siblings do not matter");
    refused(shop.create("third"), "InvalidDBName.Duplicate");
    shop.resize("shop", "petadata.s2.2xlarge");
    for name in ["second", "third", "shop"] {
        shop.wait_active(name);
    }
    assert_eq!(shop.sizes(), sizes(2_000 + 500 + 500, 128 + 64 + 64));
    let instance_status = shop.api.status(&shop.instance);
    assert_eq!(instance_status, "ACTIVE");

    // Those who hold locks in a database that goes are ended; others go on.
    let hold = [
        "CREATE TABLE second.t (a INT)",
        "BEGIN",
        "INSERT INTO second.t VALUES (1)",
    ];
    let mut holding = working_session(&shop.boss, &hold);
    let elsewhere = [
        "CREATE TABLE third.t (a INT)",
        "BEGIN",
        "INSERT INTO third.t VALUES (1)",
    ];
    let mut elsewhere = working_session(&shop.boss, &elsewhere);
    shop.delete("second").expect("it is not the last");
    refused(shop.delete("second"), "OperationDenied.DBStatus");
    shop.wait_gone("second");
    holding.query("COMMIT").expect_err("its session was ended");
    elsewhere.query("COMMIT").expect("its session goes on");
    let mut boss = working_session(&shop.boss, &[]);
    let databases = boss.query("SHOW DATABASES LIKE 'second'");
    assert!(databases.expect("readable").is_empty());
    assert_eq!(shop.sizes(), sizes(2_000 + 500, 128 + 64));

    // Down again, and after a crash of the node it is what it was.
    shop.resize("shop", "petadata.s2.large");
    shop.wait_active("shop");
    assert_eq!(shop.sizes(), sizes(500 + 500, 64 + 64));
    working.query("COMMIT").expect("it was never disturbed");
    kill_and_wait(shop.service.node_pids()[0]);
    assert_eq!(shop.sizes(), sizes(500 + 500, 64 + 64));
    let mut session = shop.alice.connect_when_possible();
    assert_eq!(session.value("SELECT COUNT(*) FROM t").expect("kept"), "1");

    shop.delete("third").expect("it is not the last");
    shop.wait_gone("third");
    refused(shop.delete("shop"), "OperationDenied.NoDatabase");
    shop.api.delete(&shop.instance);
    shop.service.assert_nothing_left();
}

#[test]
fn what_was_made_by_sql_is_not_the_apis() {
    let shop = Shop::new();
    let mut boss = working_session(
        &shop.boss,
        &["CREATE DATABASE mine", "CREATE TABLE mine.t (a INT)"],
    );
    refused(shop.create("mine"), "InvalidDBName.Duplicate");
    refused(shop.delete("mine"), "InvalidDBName.NotFound");
    boss.query("SELECT * FROM mine.t").expect("it is untouched");
    let listed = shop.api.call("DescribeDatabaseList", &[]).expect("a list");
    let databases = listed["Databases"]["Database"].as_array().expect("a list");
    assert_eq!(databases.len(), 1, "{databases:?}");
    assert_eq!(databases[0]["DBName"], "shop");
    assert_eq!(databases[0]["InstanceId"], shop.instance.as_str());
    assert_eq!(listed["TotalCount"], 1);

    // What is in a database is what its partition takes.
    let taken = || {
        let answer = shop.call("DescribeDatabasePartitions", &[("DBName", "shop")]);
        let partition = answer.expect("it exists")["Partitions"]["Partition"][0].clone();
        assert_eq!(partition["PartitionId"], "shop0");
        assert_eq!(partition["DiskCapacity"], json!(512_u64 << 30));
        let used = partition["DiskUsed"].as_str().expect("a text");
        used.parse::<u64>().expect("a number")
    };
    let before = taken();
    let fill = [
        "CREATE TABLE big (a LONGTEXT)",
        "INSERT INTO big VALUES (REPEAT('x', 4000000))",
    ];
    working_session(&shop.alice, &fill);
    wait_for("four more megabytes", || {
        (taken() > before + 3_000_000).then_some(())
    });
}

#[test]
fn a_disk_quota_that_the_operator_set_stays_with_the_databases() {
    let shop = Shop::new();
    shop.create("second").expect("the name is free");
    shop.wait_active("second");
    let quota = json!({
        "command": "instance-disk-quota", "instance_id": shop.instance,
        "disk_quota_bytes": 3_u64 << 30,
    });
    shop.service.admin(&quota).expect("the operator may");
    let node = || {
        let nodes = shop.service.admin(&json!({"command": "node-list"}));
        nodes.expect("nodes")[0]["disk_quota_bytes"].as_u64()
    };
    // 512 and 256 GiB became 2 and 1.
    assert_eq!(node(), Some(3 << 30));
    shop.delete("second").expect("it is not the last");
    shop.wait_gone("second");
    assert_eq!(node(), Some(2 << 30));
}
