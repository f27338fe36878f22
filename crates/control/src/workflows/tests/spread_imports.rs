//! Imports into databases over several nodes.

use std::fs;

use mysql_async::prelude::Queryable;
use openpeta_engine::ImportOptions;

use super::nodes::{is_long, order_over_nodes};
use super::*;
use crate::imports::ImportOrder;
use crate::testing::connect_to;
use crate::workflows::import_spread_database::ImportSpreadDatabase;

const DUMP: &str = "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(20)) DISTRIBUTE BY HASH(id);\n\
    INSERT INTO orders VALUES (1,'one'),(2,'it''s'),(3,NULL),(8,'eight'),(-9,'nine');\n\
    CREATE TABLE codes (code CHAR(3)) DISTRIBUTE BY BROADCAST;\n\
    INSERT INTO codes VALUES ('EUR'),('EUR'),('CNY');\n\
    CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY);\n\
    INSERT INTO notes VALUES (7);\n\
    CREATE DEFINER=alice VIEW v AS SELECT id FROM orders;\n";

struct Importing(TestEngine);

/// The nodes of the instance, by number.
fn nodes(world: &World) -> Vec<NodeId> {
    let id = only_instance(world);
    let nodes = world.parts.store.read(|reader| reader.nodes_of(&id));
    let mut nodes = nodes.expect("the store works");
    nodes.sort_by_key(|node| node.number);
    nodes.into_iter().map(|node| node.node_id).collect()
}

/// What each node has, as one text, in the database and beside it.
async fn content(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for node in nodes(world) {
        let mut sql = world.parts.engine.sql(&node).await.expect("connect");
        let databases = sql.databases().await.expect("a list");
        sql.close().await;
        assert_eq!(databases, ["shop"], "something is left beside it");
        let mut conn = connect_to(world, &node).await;
        let tables: Vec<String> = conn.query("SHOW TABLES").await.expect("a list");
        let mut told = Vec::new();
        for table in tables {
            let query = format!("SELECT * FROM {table} ORDER BY 1");
            let rows: Vec<mysql_async::Row> = conn.query(query).await.expect("a table");
            let ids = rows
                .iter()
                .map(|row| row.get::<String, _>(0).unwrap_or_default());
            told.push(format!("{table}: {}", ids.collect::<Vec<_>>().join(" ")));
        }
        found.push(told.join(", "));
    }
    found
}

fn begin(world: &World, dump: &str) -> TaskId {
    let nodes = world.parts.engine.nodes_dir();
    let from = nodes.parent().expect("it is not the root").join("dump.sql");
    fs::write(&from, dump).expect("our own directory");
    let id = only_instance(world);
    let order = || ImportOrder {
        instance_id: id.clone(),
        db_name: DbName::parse("shop").expect("a name"),
        from: from.display().to_string(),
        ca_file: None,
        defaults_file: None,
        follows: false,
        options: ImportOptions::default(),
    };
    let parts = &world.parts;
    let begun = parts
        .store
        .write(|writer| parts.begin_import(writer, order()));
    begun.expect("it is ACTIVE").0
}

async fn world_over_nodes(engine: &TestEngine) -> World {
    let world = World::new(engine);
    clear(&world).await;
    order_over_nodes(&world);
    world.run_tasks().await;
    world
}

#[async_trait]
impl Scenario for Importing {
    type Workflow = ImportSpreadDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_over_nodes(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        for node in nodes(&used) {
            let mut conn = connect_to(&used, &node).await;
            conn.query_drop("DROP VIEW IF EXISTS v")
                .await
                .expect("ours");
            let drop = "DROP TABLE IF EXISTS orders, codes, notes";
            conn.query_drop(drop).await.expect("ours");
        }
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ImportSpreadDatabase {
        ImportSpreadDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        begin(world, DUMP)
    }

    async fn assert_done(&self, world: &World) {
        // Partition 8 of 16 is on node 0, those of odd numbers are on node 1.
        let found = content(world).await;
        let home = "codes: CNY EUR EUR, notes: 7, orders: 2 8, v: 2 8";
        assert_eq!(found, [home, "codes: CNY EUR EUR, orders: -9 1 3"]);
        for node in nodes(world) {
            let mut conn = connect_to(world, &node).await;
            let options = "SELECT CREATE_OPTIONS FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'orders'";
            let options: Option<String> = conn.query_first(options).await.expect("a table");
            let options = options.expect("a row");
            assert!(options.contains("`distribute_by`='HASH(id)'"), "{options}");
        }
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(content(world).await, ["", ""]);
    }
}

checks!(import_over_nodes: Importing {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..3).await,
        }
    };
});

#[tokio::test(flavor = "multi_thread")]
async fn what_no_coordinator_would_make_is_not_imported() {
    let engine = TestEngine::new().await;
    let world = world_over_nodes(&engine).await;
    for (definition, why) in [
        (
            "(id INT PRIMARY KEY, u INT UNIQUE) DISTRIBUTE BY HASH(id)",
            "unique key u lacks column id",
        ),
        (
            "(id INT PRIMARY KEY, k DOUBLE NOT NULL) DISTRIBUTE_KEY(k)",
            "column k, double",
        ),
        ("(id INT) DISTRIBUTE BY HASH(id)", "is not NOT NULL"),
        (
            "(id INT PRIMARY KEY) DISTRIBUTE BY HASH(no)",
            "no column no",
        ),
        (
            "(id INT PRIMARY KEY) ENGINE=Aria DISTRIBUTE BY BROADCAST",
            "InnoDB",
        ),
        (
            "(id INT PRIMARY KEY, p INT, FOREIGN KEY f (p) REFERENCES t (id)) DISTRIBUTE BY HASH(id)",
            "foreign key",
        ),
        (
            "(id INT PRIMARY KEY) DISTRIBUTE BY BROADCAST;\nCREATE DEFINER=alice TRIGGER g AFTER INSERT ON t FOR EACH ROW SET @a=1",
            "triggers",
        ),
        ("(id INT PRIMARY KEY) DISTRIBUTE BY RANGE(id)", "DISTRIBUTE"),
    ] {
        let task = begin(&world, &format!("CREATE TABLE t {definition};\n"));
        world.run_tasks().await;
        let task = world.parts.store.read(|reader| reader.task(task));
        let task = task.expect("the store works").expect("it is there");
        let message = task.message.unwrap_or_default();
        assert!(message.contains(why), "{definition}: {message}");
        assert_eq!(content(&world).await, ["", ""], "{definition}");
    }
}
