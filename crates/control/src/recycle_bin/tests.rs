//! What goes into the bin, what comes out of it, and when it is gone.

use jiff::SignedDuration;
use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use openpeta_rpc_api::databases::{CreateDatabaseRequest, DeleteDatabaseRequest};
use openpeta_rpc_api::instances::DeleteInstanceRequest;
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{EventFilter, RecycledSet};
use openpeta_types::{
    AccountName, BackupId, DbName, EventKind, InstanceId, ObjectStatus, Tag, TagKey, TagValue,
};
use serde_json::Value;

use crate::ControlConfig;
use crate::admin::protocol::{AdminCommand, AdminReply};
use crate::backups::tests::create;
use crate::testing::{TestEngine, World, connect};

/// A world with a bin and a finished instance, named, whose database has a table with rows.
async fn world(engine: &TestEngine) -> (World, InstanceId) {
    let world = World::configured(engine, ControlConfig::default());
    let id = world.order();
    world.run_tasks().await;
    run(
        &world,
        &id,
        &[
            "CREATE TABLE orders (id INT PRIMARY KEY, note TEXT)",
            "INSERT INTO orders VALUES (1, 'first'), (2, NULL)",
            "GRANT UPDATE (note) ON orders TO alice",
        ],
    )
    .await;
    (world, id)
}

async fn run(world: &World, id: &InstanceId, statements: &[&str]) {
    let mut conn = connect(world, id).await;
    for statement in statements {
        conn.query_drop(*statement).await.expect(statement);
    }
    conn.disconnect().await.expect("it was open");
}

async fn admin(world: &World, command: AdminCommand) -> Value {
    match world.control.admin(command, Timestamp::now()).await {
        AdminReply::Ok(value) => value,
        AdminReply::Error { code, message } => panic!("{code}: {message}"),
    }
}

fn delete(world: &World, id: &InstanceId) {
    let request = DeleteInstanceRequest {
        instance_id: id.clone(),
        client_token: None,
    };
    let call = world.call(Action::DeleteInstance);
    let deleted = world.control.delete_instance(&call, &request);
    deleted.expect("it is ACTIVE");
}

fn recycled(world: &World) -> Vec<RecycledSet> {
    let found = world.parts.store.read(|reader| reader.recycled_sets(None));
    found.expect("the store works")
}

/// Texts of events of failed final backups.
fn failures(world: &World) -> Vec<String> {
    let filter = EventFilter {
        kinds: vec![EventKind::FinalBackupFailed],
        ..EventFilter::default()
    };
    let events = world.parts.store.read(|reader| reader.events(&filter, 10));
    let events = events.expect("the store works").into_iter();
    events.map(|event| event.event.text).collect()
}

fn shop() -> DbName {
    DbName::parse("shop").expect("a name")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_instance_comes_back_with_all_that_it_had() {
    let engine = TestEngine::new().await;
    let (world, id) = world(&engine).await;
    let tag = Tag {
        key: TagKey::parse("team").expect("a key"),
        value: TagValue::parse("shop").expect("a value"),
    };
    let parts = &world.parts;
    let tagged = parts.store.write(|writer| writer.put_tag(&id, &tag));
    tagged.expect("the store works");
    let before = parts.store.read(|reader| {
        Ok::<_, openpeta_store::StoreError>((reader.whitelist_groups(&id)?, reader.accounts(&id)?))
    });
    let (whitelist, accounts) = before.expect("the store works");
    delete(&world, &id);
    world.run_tasks().await;
    let set = recycled(&world).pop().expect("it is in the bin");
    assert!(set.is_final && set.instance_id == id && set.db_name == shop());
    let days = set.purge_at.duration_since(set.deleted_at).as_hours() / 24;
    assert_eq!(days, 7);
    let backup_id = set.backup_id;
    let shown = admin(&world, AdminCommand::RecycleShow { backup_id }).await;
    assert_eq!(shown["content"]["accounts"][0]["name"], "alice");
    // What would prove a password is not shown.
    assert!(!shown.to_string().contains("sha2"), "{shown}");

    let restore = AdminCommand::RecycleRestore {
        backup_id,
        with_accounts: true,
        instance_name: None,
        classic: false,
    };
    let ordered = admin(&world, restore).await;
    // It is not taken away under the restore.
    let late = set.purge_at + SignedDuration::from_hours(1);
    assert_eq!(
        parts.purge_recycled(late).await.expect("the store works"),
        0
    );
    world.run_tasks().await;
    let new = InstanceId::parse(ordered["instance_id"].as_str().expect("an id")).expect("an id");
    let detail = world.detail(&new);
    assert_eq!(detail.instance.status, ObjectStatus::Active);
    assert_eq!(detail.instance.account_id, world.tenant.account_id);
    let after = parts.store.read(|reader| {
        Ok::<_, openpeta_store::StoreError>((
            reader.whitelist_groups(&new)?,
            reader.accounts(&new)?,
            reader.tags(&new)?,
        ))
    });
    let (new_whitelist, new_accounts, tags) = after.expect("the store works");
    assert_eq!((new_whitelist, tags), (whitelist, vec![tag]));
    let logins = |accounts: &[openpeta_store::Account]| {
        let login = |account: &openpeta_store::Account| {
            (
                account.name.clone(),
                account.login.native,
                account.login.sha2,
            )
        };
        accounts.iter().map(login).collect::<Vec<_>>()
    };
    assert_eq!(logins(&new_accounts), logins(&accounts));
    let mut conn = connect(&world, &new).await;
    let rows: Vec<(i32, Option<String>)> = conn
        .query("SELECT id, note FROM orders ORDER BY id")
        .await
        .expect("it is restored");
    assert_eq!(rows, [(1, Some("first".to_owned())), (2, None)]);
    conn.disconnect().await.expect("it was open");
    // What SQL granted is back, too.
    let mut sql = parts
        .engine
        .sql(detail.instance.node_id.as_ref().expect("a node"))
        .await
        .expect("it accepts");
    let alice = AccountName::parse_new("alice").expect("valid");
    let held = sql.held_by(&alice).await.expect("readable");
    let held = serde_json::to_string(&held).expect("plain data");
    assert!(held.contains("UPDATE") && held.contains("note"), "{held}");
    sql.close().await;

    // Its days are over.
    let early = set.purge_at - SignedDuration::from_secs(1);
    assert_eq!(parts.purge_recycled(early).await.expect("it works"), 0);
    assert_eq!(
        parts.purge_recycled(set.purge_at).await.expect("it works"),
        1
    );
    assert!(recycled(&world).is_empty());
    assert!(parts.sets_on_disk().expect("readable").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_backed_up_goes_all_the_same() {
    let engine = TestEngine::new().await;
    let (world, id) = world(&engine).await;
    let earlier = create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    let parts = &world.parts;
    // The node is lost with its data.
    let node = world.detail(&id).instance.node_id.clone().expect("a node");
    parts.engine.destroy_node(&node).await.expect("it goes");
    delete(&world, &id);
    world.run_tasks().await;
    let sets = recycled(&world);
    assert!(sets.len() == 1 && !sets[0].is_final && sets[0].backup_id == earlier);
    let told = failures(&world);
    let kept = format!("set {earlier} is kept instead");
    assert!(told.len() == 1 && told[0].contains(&kept), "{told:?}");
    let on_disk = parts.sets_on_disk().expect("readable");
    assert_eq!(on_disk, [(id.to_string(), earlier.to_string())]);

    // The operator removes it; then there is nothing that could be kept of another one.
    let purge = AdminCommand::RecyclePurge { backup_id: earlier };
    admin(&world, purge).await;
    assert!(parts.sets_on_disk().expect("readable").is_empty());
    let id = world.order();
    world.run_tasks().await;
    delete(&world, &id);
    let skip = AdminCommand::RecycleSkip {
        instance_id: id.clone(),
        db_name: None,
    };
    let skipped = admin(&world, skip).await;
    assert_eq!(skipped[0]["db_name"], "shop");
    world.run_tasks().await;
    assert!(recycled(&world).is_empty());
    assert!(parts.sets_on_disk().expect("readable").is_empty());
    let told = failures(&world);
    assert!(
        told.len() == 2 && told[0].contains("no set is kept"),
        "{told:?}"
    );
    // Nor is there anything when the operator says so at once.
    let id = world.order();
    world.run_tasks().await;
    let delete = AdminCommand::InstanceDelete {
        instance_id: id,
        without_final_backup: true,
    };
    admin(&world, delete).await;
    world.run_tasks().await;
    assert!(recycled(&world).is_empty() && failures(&world).len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_bin_outlives_its_instance() {
    let engine = TestEngine::new().await;
    let (world, id) = world(&engine).await;
    let parts = &world.parts;
    let pairs = [
        ("InstanceId", id.as_str()),
        ("DBName", "shop2"),
        ("NodeSpec", "petadata.s2.large"),
        ("NodeNumber", "1"),
    ];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = CreateDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::CreateDatabase);
    let ordered = world.control.order_database(&call, &request, false);
    ordered.expect("it can be ordered");
    world.run_tasks().await;
    let pairs = [("InstanceId", id.as_str()), ("DBName", "shop")];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = DeleteDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::DeleteDatabase);
    let dropped = world.control.drop_database(&call, &request, None);
    dropped.expect("it is ACTIVE");
    world.run_tasks().await;
    let first = recycled(&world).pop().expect("it is in the bin").backup_id;
    delete(&world, &id);
    world.run_tasks().await;
    let names = recycled(&world)
        .into_iter()
        .map(|set| set.db_name.as_str().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["shop2", "shop"]);
    let there = |backup_id: BackupId| parts.backup_dir(&id, backup_id).exists();
    assert!(there(first));
    // Accounts are what they were when it was deleted, whatever the API granted since.
    let text = parts.store.read(|reader| reader.recycled_content(first));
    let content = super::RecycledContent::from_text(&text.expect("it is there"));
    let content = content.expect("as it was written");
    assert!(content.accounts()[0].privilege.is_some());
}
