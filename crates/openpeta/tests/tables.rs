//! Tables and indexes over the real program: by the API and by SQL they are the same, statements
//! that reach for more are refused, and a table in use makes a statement wait, but not for ever.

use openpeta_testkit::{Api, CallError, DATABASE, Login, Service, wait_for};
use serde_json::{Value, json};

/// A running service with one instance, and calls about its database.
struct Shop {
    service: Service,
    api: Api,
    instance: String,
    login: Login,
}

impl Shop {
    fn new() -> Self {
        let service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
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

    fn call(&self, action: &str, others: &[(&str, &str)]) -> Result<Value, CallError> {
        let place = [("InstanceId", self.instance.as_str()), ("DBName", DATABASE)];
        self.api.call(action, &[&place, others].concat())
    }

    fn create(&self, ddl: &str) -> Result<Value, CallError> {
        self.call("CreateTable", &[("TableDDL", ddl)])
    }

    fn tables(&self) -> Vec<(String, String)> {
        let answer = self.call("DescribeTables", &[]).expect("a list");
        let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
        let tables = answer["Tables"]["Table"].as_array().expect("a list").iter();
        tables
            .map(|item| (text(item, "TableName"), text(item, "TableStatus")))
            .collect()
    }

    fn sql(&self, statement: &str) -> Vec<Vec<Option<String>>> {
        let mut session = self.login.connect().expect("an account logs in");
        let rows = session.query(statement);
        rows.unwrap_or_else(|error| panic!("{statement}: {error:?}"))
    }

    fn end(mut self) {
        self.api.delete(&self.instance);
        self.service.assert_nothing_left();
    }
}

#[track_caller]
fn assert_refused(result: Result<Value, CallError>, code: &str, part: &str) {
    let error = result.expect_err(code);
    assert_eq!(error.code(), Some(code), "{error:?}");
    let text = format!("{error:?}");
    assert!(text.contains(part), "{text}");
    assert!(!text.contains("openpeta-ddl"), "{text}");
}

#[test]
fn api_and_sql_see_the_same_tables() {
    let shop = Shop::new();
    assert_eq!(shop.tables(), []);
    let ddl = "CREATE TABLE `my orders` (id INT, day DATE NOT NULL, total DECIMAL(10,2), \
               PRIMARY KEY (id, day)) /* ; */";
    shop.create(ddl).expect("a right statement");
    shop.sql("INSERT INTO `my orders` VALUES (1, '2024-01-01', 1), (2, '2024-01-01', 2)");
    let alter = "ALTER TABLE `my orders` ADD note VARCHAR(200)";
    shop.call("ModifyTable", &[("TableDDL", alter)])
        .expect("a right statement");
    let index = "CREATE UNIQUE INDEX by_total ON `my orders` (total, note)";
    shop.call("CreateIndex", &[("IndexDDL", index)])
        .expect("a right statement");

    let named = ("TableName", "my orders");
    let info = shop.call("DescribeTableInfo", &[named]).expect("it exists");
    assert_eq!(info["PrimaryKey"], "id,day");
    assert_eq!(info["PartitionKey"], "");
    assert_eq!(info["Engine"], "InnoDB");
    assert_eq!(
        info["Columns"]["Column"],
        json!([
            {"ColumnName": "id", "ColumnDataType": "INT", "ColumnDataLength": 4, "IsNull": false},
            {"ColumnName": "day", "ColumnDataType": "DATE", "ColumnDataLength": 3, "IsNull": false},
            {"ColumnName": "total", "ColumnDataType": "DECIMAL", "ColumnDataLength": 10, "IsNull": true},
            {"ColumnName": "note", "ColumnDataType": "VARCHAR", "ColumnDataLength": 200, "IsNull": true},
        ])
    );
    assert_eq!(
        info["Indexes"]["Index"],
        json!([
            {"IndexName": "PRIMARY", "IndexColumns": "id,day", "IsUnique": true},
            {"IndexName": "by_total", "IndexColumns": "total,note", "IsUnique": true},
        ])
    );

    // What was made by SQL is there as well; views are not tables.
    shop.sql("CREATE TABLE by_sql (id INT)");
    shop.sql("CREATE VIEW a_view AS SELECT 1");
    let active = |name: &str| (name.to_owned(), "ACTIVE".to_owned());
    assert_eq!(shop.tables(), [active("by_sql"), active("my orders")]);
    assert_refused(
        shop.call("DeleteTable", &[("TableName", "a_view")]),
        "InvalidTableName.NotFound",
        "",
    );

    shop.call("TruncateTable", &[named]).expect("it exists");
    assert_eq!(
        shop.sql("SELECT COUNT(*) FROM `my orders`"),
        [[Some("0".to_owned())]]
    );
    let index = "DROP INDEX by_total ON `my orders`";
    shop.call("DeleteIndex", &[("IndexDDL", index)])
        .expect("it exists");
    shop.call("DeleteTable", &[named]).expect("it exists");
    assert_eq!(shop.tables(), [active("by_sql")]);
    shop.end();
}

#[test]
fn statements_that_reach_for_more_are_refused() {
    let shop = Shop::new();
    shop.create("CREATE TABLE orders (id INT PRIMARY KEY)")
        .expect("a right statement");
    let malformed = "InvalidTableDDL.Malformed";
    for ddl in [
        "DROP TABLE orders",
        "CREATE TABLE a (id INT); DROP TABLE orders",
        "CREATE TABLE a (id INT) /*! ; DROP TABLE orders */",
        "CREATE TABLE mysql.a (id INT)",
        "CREATE TABLE a LIKE mysql.user",
        "CREATE TABLE a AS SELECT * FROM mysql.global_priv",
        "CREATE TABLE a AS SELECT * FROM sys.version",
        "SET STATEMENT sql_log_bin=0 FOR CREATE TABLE a (id INT)",
        "CREATE TABLE a (id INT) ENGINE=SPIDER",
        "CREATE TABLE orders (id INT)",
        "CREATE TABLE a (id INT",
    ] {
        assert_refused(shop.create(ddl), malformed, "");
    }
    assert_refused(
        shop.call(
            "CreateTable",
            &[
                ("TableDDL", "CREATE TABLE a (id INT)"),
                ("PartitionKey", "id"),
            ],
        ),
        "UnsupportedParameter",
        "one node",
    );
    // MariaDB's own rules about foreign keys hold.
    shop.create("CREATE TABLE parts (id INT, FOREIGN KEY (id) REFERENCES orders (id))")
        .expect("a right statement");
    for action in ["DeleteTable", "TruncateTable"] {
        let refused = shop.call(action, &[("TableName", "orders")]);
        assert_refused(refused, "InvalidTableName.Malformed", "foreign key");
    }
    let names: Vec<_> = shop.tables().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["orders", "parts"]);

    // A locked instance takes none.
    let lock = json!({
        "command": "instance-lock", "instance_id": shop.instance, "reason": "unpaid",
    });
    shop.service.admin(&lock).expect("it can be locked");
    assert_refused(
        shop.create("CREATE TABLE a (id INT)"),
        "OperationDenied.LockMode",
        "unpaid",
    );
    let unlock = json!({"command": "instance-unlock", "instance_id": shop.instance});
    shop.service.admin(&unlock).expect("it can be unlocked");
    shop.end();
}

/// The task of the call that was made last.
fn newest_task(shop: &Shop) -> Value {
    let list = json!({"command": "task-list", "instance_id": shop.instance, "limit": 1});
    shop.service.admin(&list).expect("tasks can be listed")[0].clone()
}

#[test]
fn a_statement_waits_for_sessions_that_use_its_table_but_not_for_ever() {
    let shop = Shop::new();
    shop.create("CREATE TABLE orders (id INT)")
        .expect("a right statement");
    let mut reader = shop.login.connect().expect("an account logs in");
    reader.query("BEGIN").expect("a transaction");
    reader.query("SELECT * FROM orders").expect("a read");
    // The call does not wait so long; its task does.
    let alter = "ALTER TABLE orders ADD note INT";
    shop.call("ModifyTable", &[("TableDDL", alter)])
        .expect("it is accepted");
    assert_eq!(shop.tables(), [("orders".to_owned(), "MODIFY".to_owned())]);
    let ended = wait_for("the end of the wait", || {
        let task = newest_task(&shop);
        (!task["finish_at"].is_null()).then_some(task)
    });
    assert_eq!(ended["stuck"], false, "{ended}");
    let message = ended["message"].as_str().expect("a text");
    assert!(
        message.contains("did not give way within 30 seconds"),
        "{message}"
    );
    assert_eq!(shop.tables(), [("orders".to_owned(), "ACTIVE".to_owned())]);
    reader.query("COMMIT").expect("the end of the transaction");
    shop.call("ModifyTable", &[("TableDDL", alter)])
        .expect("nobody uses it");
    assert_eq!(
        shop.sql("SELECT COUNT(note) FROM orders"),
        [[Some("0".to_owned())]]
    );
    drop(reader);
    shop.end();
}
