//! Imports and exports.

use std::fs;
use std::path::PathBuf;

use mysql_async::prelude::Queryable;
use openpeta_engine::{ADMIN_ACCOUNT, ImportOptions};

use super::backups::run;
use super::*;
use crate::imports::ImportOrder;
use crate::testing::{ADMIN_PASSWORD, connect};
use crate::workflows::export_database::ExportDatabase;
use crate::workflows::import_database::ImportDatabase;
use crate::workflows::migrate_database::MigrateDatabase;
use openpeta_types::ExportForm;

const DUMP: &str = "CREATE TABLE orders (id INT PRIMARY KEY);\n\
    INSERT INTO orders VALUES (1),(2);\n\
    CREATE DEFINER=alice TRIGGER t AFTER INSERT ON orders FOR EACH ROW SET @a=1;\n\
    CREATE DEFINER=alice VIEW v AS SELECT id FROM orders;\n";

struct Importing(TestEngine);

/// A place of the world's own for files.
fn file(world: &World, name: &str) -> PathBuf {
    let nodes = world.parts.engine.nodes_dir();
    nodes.parent().expect("it is not the root").join(name)
}

/// Databases of the instance's node, and what the one that was ordered has.
async fn content(world: &World) -> (Vec<String>, Vec<String>) {
    let id = only_instance(world);
    let instance = world.parts.store.read(|reader| reader.instance(&id));
    let node = instance.expect("the store works").expect("it exists");
    let node = node.node_id.expect("it has a node");
    let mut sql = world.parts.engine.sql(&node).await.expect("connect");
    let databases = sql.databases().await.expect("a list");
    sql.close().await;
    let mut conn = connect(world, &id).await;
    let tables = conn.query("SHOW TABLES").await.expect("a list");
    let query = "SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE 'openpeta-import%'";
    let accounts: Option<u64> = conn.query_first(query).await.expect("a count");
    assert_eq!(accounts, Some(0), "the account of the import is left");
    (databases, tables)
}

#[async_trait]
impl Scenario for Importing {
    type Workflow = ImportDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_instance(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        let id = only_instance(&used);
        run(&used, &id, "DROP VIEW v").await;
        run(&used, &id, "DROP TABLE orders").await;
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ImportDatabase {
        ImportDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let from = file(world, "dump.sql");
        fs::write(&from, DUMP).expect("our own directory");
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

    async fn assert_done(&self, world: &World) {
        let (databases, tables) = content(world).await;
        assert_eq!(
            (databases, tables),
            (vec!["shop".into()], vec!["orders".into(), "v".into()])
        );
        let mut conn = connect(world, &only_instance(world)).await;
        let rows: Option<u64> = conn
            .query_first("SELECT COUNT(*) FROM v")
            .await
            .expect("a view");
        assert_eq!(rows, Some(2));
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(content(world).await, (vec!["shop".to_owned()], vec![]));
    }
}

checks!(import_database: Importing {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: async |its: &_| check_random_schedules(its, 0..2).await;
});

/// A database of the instance's own node is taken over, as if it were another server's.
struct Migrating(TestEngine);

#[async_trait]
impl Scenario for Migrating {
    type Workflow = MigrateDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_instance(&self.0).await;
        let id = only_instance(&world);
        run(&world, &id, "CREATE DATABASE origin").await;
        for statement in DUMP.split(";\n").filter(|text| !text.is_empty()) {
            let mut conn = connect(&world, &id).await;
            conn.query_drop("USE origin").await.expect("it is there");
            conn.query_drop(statement).await.expect(statement);
        }
        world
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        let id = only_instance(&used);
        run(&used, &id, "DROP VIEW v").await;
        run(&used, &id, "DROP TABLE orders").await;
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> MigrateDatabase {
        MigrateDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let parts = &world.parts;
        let instance = parts.store.read(|reader| reader.instance(&id));
        let node = instance
            .expect("the store works")
            .expect("it exists")
            .node_id;
        let socket = parts.engine.socket_path(&node.expect("it has one"));
        let socket = socket.expect("short enough");
        let options = file(world, "client.cnf");
        let text = format!(
            "[client]\nuser={ADMIN_ACCOUNT}\npassword={ADMIN_PASSWORD}\nsocket={}\n",
            socket.display()
        );
        fs::write(&options, text).expect("our own directory");
        let order = || ImportOrder {
            instance_id: id.clone(),
            db_name: DbName::parse("shop").expect("a name"),
            from: "mysql:///origin".to_owned(),
            ca_file: None,
            defaults_file: Some(options.clone()),
            follows: true,
            options: ImportOptions::default(),
        };
        let begun = parts.store.write(|writer| {
            let (task, _) = parts.begin_import(writer, order())?;
            writer.ask_cut_over(task, jiff::Timestamp::now())?;
            Ok::<_, crate::ControlError>(task)
        });
        begun.expect("it is ACTIVE")
    }

    async fn assert_done(&self, world: &World) {
        let (databases, tables) = content(world).await;
        assert_eq!(databases, ["origin", "shop"]);
        assert_eq!(tables, ["orders", "v"]);
    }

    async fn assert_unwound(&self, world: &World) {
        let (databases, tables) = content(world).await;
        assert_eq!(databases, ["origin", "shop"]);
        assert!(tables.is_empty(), "{tables:?}");
    }
}

checks!(migrate_database: Migrating {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: async |its: &_| check_random_schedules(its, 0..2).await;
});

struct Exporting(TestEngine);

#[async_trait]
impl Scenario for Exporting {
    type Workflow = ExportDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_instance(&self.0).await;
        let id = only_instance(&world);
        run(&world, &id, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
        run(&world, &id, "INSERT INTO orders VALUES (1), (2)").await;
        world
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        fs::remove_dir_all(file(&used, "export")).expect("it is there");
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ExportDatabase {
        ExportDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let (id, parts) = (only_instance(world), &world.parts);
        let name = DbName::parse("shop").expect("a name");
        let to = file(world, "export");
        let begun = parts.store.write(|writer| {
            let to = to.clone();
            parts.begin_export(
                writer,
                &id,
                name.clone(),
                (to, ExportForm::default()),
                jiff::Timestamp::now(),
            )
        });
        begun.expect("it is ACTIVE").0
    }

    async fn assert_done(&self, world: &World) {
        let manifest = world.parts.engine.manifest_of(&file(world, "export")).await;
        let manifest = manifest.expect("it is whole");
        assert_eq!(manifest.tables["orders"].rows, 2);
    }

    async fn assert_unwound(&self, world: &World) {
        let above = file(world, "");
        for entry in fs::read_dir(above).expect("readable") {
            let name = entry.expect("readable").file_name();
            let name = name.to_string_lossy().into_owned();
            assert!(!name.starts_with("export"), "{name} is left");
        }
    }
}

checks!(export_database: Exporting {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    leaves_nothing_when_cancelled: check_cancels;
});
