//! What a statement must be, what it meets when it is not, and what tables show meanwhile.

use std::pin::pin;

use openpeta_rpc_api::tables::{
    CreateTableRequest, DeleteTableRequest, DescribeTableInfoRequest, DescribeTablesRequest,
    ModifyTableRequest, TableItem, TruncateTableRequest,
};
use openpeta_rpc_api::{Action, ApiRequest, EmptyResponse, Params};
use openpeta_sql_route::DdlKind;
use openpeta_store::{AuditFilter, Task, Topic};
use openpeta_types::{DbName, InstanceId, LockMode, ObjectStatus, TaskId};

use crate::ControlError;
use crate::testing::{TestEngine, World};

/// A world with a finished instance, and calls about its database `shop`.
struct Shop {
    world: World,
    id: InstanceId,
    _engine: TestEngine,
}

impl Shop {
    async fn new() -> Self {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let id = world.order();
        world.run_tasks().await;
        Self {
            world,
            id,
            _engine: engine,
        }
    }

    fn request<R: ApiRequest>(&self, others: &[(&str, &str)]) -> R {
        let mut pairs = vec![("InstanceId", self.id.as_str()), ("DBName", "shop")];
        pairs.retain(|(name, _)| !others.iter().any(|(other, _)| other == name));
        pairs.extend_from_slice(others);
        R::from_params(&Params::from_pairs(pairs).expect("unique names")).expect("well formed")
    }

    /// Adds a statement's task; nobody works on it.
    fn add(&self, kind: DdlKind, text: &str) -> Result<TaskId, ControlError> {
        let action = match kind {
            DdlKind::CreateTable => Action::CreateTable,
            DdlKind::AlterTable => Action::ModifyTable,
            DdlKind::CreateIndex => Action::CreateIndex,
            DdlKind::DropIndex => Action::DeleteIndex,
        };
        let call = self.world.call(action);
        let place = (&self.id, &db("shop"));
        self.world
            .control
            .add_definition(&call, place, kind, (text, None))
    }

    /// Makes a call, and does its task as soon as it is there.
    async fn finish(
        &self,
        call: impl Future<Output = Result<EmptyResponse, ControlError>>,
    ) -> Result<(), ControlError> {
        let mut call = pin!(call);
        if let Some(done) = self.until_added(&mut call, 1).await {
            return done.map(drop);
        }
        let (done, ()) = tokio::join!(call, self.world.run_tasks());
        done.map(drop)
    }

    /// Follows a call until there are so many tasks, or to its end.
    async fn until_added<F: Future + Unpin>(
        &self,
        call: &mut F,
        tasks: usize,
    ) -> Option<F::Output> {
        let mut changes = self.world.parts.store.watch(Topic::Tasks);
        loop {
            tokio::select! {
                biased;
                done = &mut *call => return Some(done),
                _ = changes.changed() => {}
            }
            if self.unfinished().len() >= tasks {
                return None;
            }
        }
    }

    async fn create(&self, ddl: &str) -> Result<(), ControlError> {
        let call = self.world.call(Action::CreateTable);
        let request: CreateTableRequest = self.request(&[("TableDDL", ddl)]);
        self.finish(self.world.control.create_table(&call, &request))
            .await
    }

    async fn modify(&self, ddl: &str) -> Result<(), ControlError> {
        let call = self.world.call(Action::ModifyTable);
        let request: ModifyTableRequest = self.request(&[("TableDDL", ddl)]);
        self.finish(self.world.control.modify_table(&call, &request))
            .await
    }

    async fn delete(&self, table: &str) -> Result<(), ControlError> {
        let call = self.world.call(Action::DeleteTable);
        let request: DeleteTableRequest = self.request(&[("TableName", table)]);
        self.finish(self.world.control.delete_table(&call, &request))
            .await
    }

    fn unfinished(&self) -> Vec<Task> {
        let store = &self.world.parts.store;
        let tasks = store.read(|reader| reader.unfinished_tasks_of(&self.id));
        tasks.expect("the store works")
    }

    async fn tables(&self) -> Vec<TableItem> {
        let request: DescribeTablesRequest = self.request(&[]);
        let caller = self.world.caller();
        let answer = self.world.control.describe_tables(&caller, &request).await;
        answer.expect("the node answers").tables
    }

    /// Names and statuses of all tables.
    async fn statuses(&self) -> Vec<(String, ObjectStatus)> {
        let tables = self.tables().await.into_iter();
        tables
            .map(|table| (table.table_name, table.table_status))
            .collect()
    }
}

fn db(name: &str) -> DbName {
    DbName::parse(name).expect("a database name")
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ControlError>, code: &str, part: &str) {
    let error = result.expect_err(code).api;
    assert_eq!(error.code, code);
    assert!(error.message.contains(part), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_another_kind_or_database_makes_no_task() {
    use DdlKind::{AlterTable, CreateIndex, CreateTable, DropIndex};
    let shop = Shop::new().await;
    for (kind, text, part) in [
        (CreateTable, "ALTER TABLE t ADD a INT", "It is ALTER TABLE"),
        (
            AlterTable,
            "CREATE TABLE t (a INT)",
            "ALTER TABLE is needed",
        ),
        (CreateIndex, "DROP INDEX i ON t", "It is DROP INDEX"),
        (DropIndex, "DROP TABLE t", "It is not CREATE TABLE"),
        (
            CreateTable,
            "CREATE TABLE other.t (a INT)",
            "another database",
        ),
        (
            CreateTable,
            "CREATE TABLE `SHOP`.t (a INT)",
            "another database",
        ),
        (
            CreateTable,
            "CREATE TABLE t (a INT); DROP TABLE u",
            "more than one",
        ),
        (
            CreateTable,
            "CREATE TABLE t (a INT) /*! ; DROP TABLE u */",
            "more than one",
        ),
        (
            CreateTable,
            "CREATE TABLE t (a TEXT DEFAULT 'x)",
            "within quotes",
        ),
        (CreateTable, "CREATE TEMPORARY TABLE t (a INT)", "temporary"),
        (
            CreateTable,
            "CREATE OR REPLACE TABLE t (a INT)",
            "OR REPLACE",
        ),
        (
            CreateTable,
            "CREATE TABLE t (a INT) DISTRIBUTE BY HASH(a)",
            "DISTRIBUTE",
        ),
        (
            CreateTable,
            "CREATE TABLE `😀` (a INT)",
            "No table can have",
        ),
        (CreateTable, "-- nothing", "no statement"),
    ] {
        let code = match kind {
            CreateTable | AlterTable => "InvalidTableDDL.Malformed",
            CreateIndex | DropIndex => "InvalidIndexDDL.Malformed",
        };
        assert_refused(shop.add(kind, text), code, part);
    }
    assert_eq!(shop.unfinished(), []);
    shop.add(CreateTable, "CREATE TABLE shop.t (a INT)")
        .expect("its own database");
    assert_eq!(shop.unfinished().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_come_change_and_go() {
    let shop = Shop::new().await;
    assert_eq!(shop.tables().await, []);
    shop.create(
        "CREATE TABLE orders (id INT, day DATE, total DECIMAL(10,2), PRIMARY KEY (id, day))",
    )
    .await
    .expect("a right statement");
    let tables = shop.tables().await;
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].primary_key, ["id", "day"]);

    // MariaDB's own words come back.
    let again = shop.create("CREATE TABLE orders (id INT)").await;
    assert_refused(
        again,
        "InvalidTableDDL.Malformed",
        "'orders' already exists",
    );
    let syntax = shop.modify("ALTER TABLE orders NONSENSE").await;
    assert_refused(
        syntax,
        "InvalidTableDDL.Malformed",
        "error in your SQL syntax",
    );
    let missing = shop.modify("ALTER TABLE nothing ADD a INT").await;
    assert_refused(missing, "InvalidTableDDL.Malformed", "doesn't exist");
    // What it may not touch is not even named.
    let foreign = shop.create("CREATE TABLE x LIKE mysql.user").await;
    assert_refused(foreign, "InvalidTableDDL.Malformed", "database shop alone");

    shop.modify("ALTER TABLE orders ADD note VARCHAR(200) NOT NULL")
        .await
        .expect("a right statement");
    let info: DescribeTableInfoRequest = shop.request(&[("TableName", "orders")]);
    let caller = shop.world.caller();
    let control = &shop.world.control;
    let found = control.describe_table_info(&caller, &info).await;
    let found = found.expect("it exists");
    let note = found.columns.last().expect("columns");
    assert_eq!(
        (
            note.column_data_type.as_str(),
            note.column_data_length,
            note.is_null
        ),
        ("VARCHAR", 200, false)
    );

    let not_found = shop.delete("Orders").await;
    assert_refused(not_found, "InvalidTableName.NotFound", "");
    shop.delete("orders").await.expect("it exists");
    assert_eq!(shop.tables().await, []);
    let found = control.describe_table_info(&caller, &info).await;
    assert_refused(found, "InvalidTableName.NotFound", "");
    // Each call left its row, the refused ones included: those had a task.
    let filter = AuditFilter::default();
    let rows = shop
        .world
        .parts
        .store
        .read(|reader| reader.audit(&filter, 100));
    let rows = rows.expect("the store works");
    let creates = rows.iter().filter(|row| row.entry.action == "CreateTable");
    assert_eq!(creates.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_show_what_tasks_will_do_to_them() {
    use ObjectStatus::{Active, Create, Delete, Modify};
    let shop = Shop::new().await;
    for ddl in [
        "CREATE TABLE a (id INT)",
        "CREATE TABLE b (id INT)",
        "CREATE TABLE c (id INT)",
    ] {
        shop.create(ddl).await.expect(ddl);
    }
    let named = |name: &str, status| (name.to_owned(), status);
    shop.add(DdlKind::CreateTable, "CREATE TABLE new (id INT)")
        .expect("right");
    shop.add(DdlKind::CreateIndex, "CREATE INDEX i ON b (id)")
        .expect("right");
    let call = shop.world.call(Action::DeleteTable);
    let request: DeleteTableRequest = shop.request(&[("TableName", "c")]);
    let mut deleting = pin!(shop.world.control.delete_table(&call, &request));
    assert!(shop.until_added(&mut deleting, 3).await.is_none());
    assert_eq!(
        shop.statuses().await,
        [
            named("a", Active),
            named("b", Modify),
            named("c", Delete),
            named("new", Create)
        ]
    );
    shop.world.run_tasks().await;
    deleting.await.expect("it is gone");
    assert_eq!(
        shop.statuses().await,
        [named("a", Active), named("b", Active), named("new", Active)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_defined_where_nothing_may_change() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    let shop = Shop {
        world,
        id,
        _engine: engine,
    };
    let create = || shop.add(DdlKind::CreateTable, "CREATE TABLE t (a INT)");
    assert_refused(create(), "OperationDenied.DBInstanceStatus", "CREATE");
    shop.world.run_tasks().await;

    let store = &shop.world.parts.store;
    let set_status = |status| {
        let set = store.write(|writer| writer.set_database_status(&shop.id, &db("shop"), status));
        set.expect("the store works");
    };
    set_status(ObjectStatus::Modify);
    assert_refused(create(), "OperationDenied.DBStatus", "");
    // Reading stays allowed.
    assert_eq!(shop.tables().await, []);
    set_status(ObjectStatus::Active);

    let lock = |mode| store.write(|writer| writer.set_instance_lock(&shop.id, mode, Some("audit")));
    lock(LockMode::ManualLock).expect("the store works");
    assert_refused(create(), "OperationDenied.LockMode", "audit");
    lock(LockMode::Unlock).expect("the store works");

    let call = shop.world.call(Action::TruncateTable);
    let control = &shop.world.control;
    let request: TruncateTableRequest = shop.request(&[("TableName", "t"), ("DBName", "nothing")]);
    let truncated = control.truncate_table(&call, &request).await;
    assert_refused(truncated, "InvalidDBName.NotFound", "");
    let request: TruncateTableRequest = shop.request(&[("TableName", "t")]);
    let truncated = control.truncate_table(&call, &request).await;
    assert_refused(truncated, "InvalidTableName.NotFound", "");
}
