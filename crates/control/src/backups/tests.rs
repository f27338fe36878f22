//! Backups over real nodes: what is refused, what is listed, what is left.

mod automatic;
pub(crate) mod switch;

use std::time::Duration;

use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use openpeta_rpc_api::backups::{
    CreateDatabaseBackupRequest, DescribeDatabaseBackupRequest, DescribeDatabaseBackupResponse,
    RestoreDatabaseRequest,
};
use openpeta_rpc_api::instances::{DeleteInstanceRequest, DescribeTasksRequest};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{Account, BackupPolicy};
use openpeta_types::route::AccountLimits;
use openpeta_types::{
    AccountName, AccountStatus, BackupId, BackupStatus, DbName, InstanceId, LockMode, ObjectStatus,
    format_time,
};

use crate::admin::protocol::{AdminCommand, AdminReply};
use crate::testing::{TestEngine, World, connect};

/// Asks for a backup; the code of the refusal if there is one.
pub(crate) fn create(world: &World, id: &InstanceId, db_name: &str) -> Result<BackupId, String> {
    create_as(world, id, db_name, &[])
}

/// The same with more parameters.
pub(crate) fn create_as(
    world: &World,
    id: &InstanceId,
    db_name: &str,
    parameters: &[(&str, &str)],
) -> Result<BackupId, String> {
    let mut pairs = vec![("InstanceId", id.as_str()), ("DBName", db_name)];
    pairs.extend_from_slice(parameters);
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = CreateDatabaseBackupRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::CreateDatabaseBackup);
    match world.control.create_database_backup(&call, &request) {
        Ok(response) => Ok(response.backup_id),
        Err(error) => Err(error.api.code.into_owned()),
    }
}

/// The sets of the database `shop`.
fn listed(
    world: &World,
    id: &InstanceId,
    changes: &[(&str, &str)],
) -> DescribeDatabaseBackupResponse {
    let mut pairs = vec![
        ("InstanceId", id.as_str()),
        ("DBName", "shop"),
        ("StartTime", "2019-01-01T00:00Z"),
        ("EndTime", "2999-01-01T00:00Z"),
    ];
    pairs.extend_from_slice(changes);
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = DescribeDatabaseBackupRequest::from_params(&params).expect("well formed");
    let shown = world
        .control
        .describe_database_backup(&world.caller(), &request, None);
    shown.expect("it exists")
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_refused_with_their_code() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.DBInstanceStatus".into())
    );
    world.activate(&id);
    assert_eq!(
        create(&world, &id, "other"),
        Err("InvalidDBName.NotFound".into())
    );
    let write = |write: &dyn Fn(&openpeta_store::Writer<'_>)| {
        let written = world.parts.store.write(|writer| {
            write(writer);
            Ok::<_, openpeta_store::StoreError>(())
        });
        written.expect("the store works");
    };
    let lock = |mode| {
        write(&|writer| {
            writer
                .set_instance_lock(&id, mode, None)
                .expect("it exists");
        });
    };
    lock(LockMode::ManualLock);
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.LockMode".into())
    );
    lock(LockMode::Unlock);
    let status = |status| {
        write(&|writer| {
            let name = DbName::parse("shop").expect("a name");
            writer
                .set_database_status(&id, &name, status)
                .expect("it exists");
        });
    };
    status(ObjectStatus::Modify);
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.DBStatus".into())
    );
    status(ObjectStatus::Active);
    assert!(create(&world, &id, "shop").is_ok());
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.BackupJobExists".into())
    );
    let page = listed(&world, &id, &[]);
    assert_eq!(page.backups[0].status, BackupStatus::Progress);
    assert_eq!((page.total_record_count, page.total_size), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_listed_with_what_it_takes_and_goes_with_its_instance() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.run_tasks().await;
    let first = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let second = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let page = listed(&world, &id, &[]);
    let ids: Vec<_> = page.backups.iter().map(|set| set.backup_id).collect();
    assert_eq!(ids, [second, first]);
    let size = |backup_id| {
        let set = world.parts.backup_dir(&id, backup_id);
        let files = std::fs::read_dir(set).expect("it is there");
        let length = |file: std::io::Result<std::fs::DirEntry>| {
            file.expect("a file").metadata().expect("a file").len()
        };
        files.map(length).sum::<u64>()
    };
    assert_eq!(page.backups[0].size, size(second));
    assert_eq!(page.total_size, size(first) + size(second));
    assert!(page.backups[0].end_time >= Some(page.backups[0].start_time));
    let text = first.to_string();
    let one = listed(
        &world,
        &id,
        &[("BackupId", &text), ("BackupStatus", "Success")],
    );
    assert_eq!(one.total_record_count, 1);
    for nothing in [
        ("BackupId", "nonsense"),
        ("BackupStatus", "Failed"),
        ("BackupMode", "Automated"),
        ("PageNumber", "2"),
    ] {
        assert!(listed(&world, &id, &[nothing]).backups.is_empty());
    }

    // A set of which the store knows nothing is removed, the others stay.
    let leftover = world.parts.backup_dir(&id, BackupId::from_number(7));
    std::fs::create_dir(&leftover).expect("the directory is there");
    world.parts.sweep_backups().await.expect("swept");
    assert!(!leftover.exists() && world.parts.backup_dir(&id, first).exists());

    let running = create(&world, &id, "shop").expect("asked for");
    let request = DeleteInstanceRequest {
        instance_id: id.clone(),
        client_token: None,
    };
    let call = world.call(Action::DeleteInstance);
    let deleted = world.control.delete_instance(&call, &request);
    deleted.expect("it is ACTIVE");
    world.run_tasks().await;
    let left = world.parts.store.read(|reader| reader.backup_set(running));
    assert_eq!(left.expect("the store works"), None);
    let directory = world.parts.backup_dir(&id, first);
    assert!(!directory.parent().expect("above").exists());
}

/// Asks for a restore of the database `shop`; the code of the refusal if there is one.
pub(crate) fn restore(
    world: &World,
    source: &InstanceId,
    backup_id: BackupId,
    changes: &[(&str, &str)],
) -> Result<InstanceId, String> {
    let text = backup_id.to_string();
    let mut pairs = vec![
        ("SrcInstanceId", source.as_str()),
        ("SrcDBName", "shop"),
        ("BackupId", &text),
    ];
    pairs.retain(|(name, _)| changes.iter().all(|(other, _)| other != name));
    pairs.extend_from_slice(changes);
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = RestoreDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::RestoreDatabase);
    match world.control.restore_database(&call, &request) {
        Ok(response) => Ok(response.instance_id),
        Err(error) => Err(error.api.code.into_owned()),
    }
}

/// The begin of the next second, once it is there.
pub(crate) fn next_second() -> Timestamp {
    let begun = Timestamp::now().as_second();
    loop {
        let now = Timestamp::now().as_second();
        if now > begun {
            return Timestamp::from_second(now).expect("a time");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Has the policy of `shop` say that its binary log is backed up.
pub(crate) fn enable_log(world: &World, id: &InstanceId) {
    let policy = BackupPolicy {
        is_binlog_enabled: true,
        ..Default::default()
    };
    let name = DbName::parse("shop").expect("a name");
    let put = world
        .parts
        .store
        .write(|writer| writer.put_backup_policy(id, &name, &policy));
    put.expect("the store works");
}

/// A finished instance with a backup set.
async fn backed_up(world: &World) -> (InstanceId, BackupId) {
    let id = world.order();
    world.run_tasks().await;
    let backup_id = create(world, &id, "shop").expect("taken");
    world.run_tasks().await;
    (id, backup_id)
}

/// How many instances there are.
fn instance_count(world: &World) -> usize {
    let instances = world.parts.store.read(|reader| reader.instances());
    instances.expect("the store works").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn restores_are_refused_with_their_code() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, set) = backed_up(&world).await;
    let running = create(&world, &id, "shop").expect("asked for");
    for (backup_id, changes, code) in [
        (running, &[][..], "OperationDenied.BackupStatus"),
        (BackupId::from_number(7), &[], "InvalidBackupId.NotFound"),
        (set, &[("SrcDBName", "other")], "InvalidDBName.NotFound"),
        (
            set,
            &[
                ("RestoreType", "1"),
                ("RestoreTime", "2019-01-17T08:00:00Z"),
            ],
            "OperationDenied.NotFoundBackup",
        ),
        (
            set,
            &[
                ("RestoreType", "1"),
                ("RestoreTime", "2999-01-17T08:00:00Z"),
            ],
            "InvalidRestoreTime.Malformed",
        ),
    ] {
        let refused = restore(&world, &id, backup_id, changes);
        assert_eq!(refused, Err(code.to_owned()));
    }
    let other = world.order();
    world.activate(&other);
    assert_eq!(
        restore(&world, &other, set, &[]),
        Err("InvalidBackupId.NotFound".into()),
        "it is another instance's"
    );
    let quota = world.parts.store.write(|writer| {
        let mut tenant = writer.tenant(world.tenant.account_id)?.expect("it exists");
        tenant.instance_quota = Some(2);
        writer.update_tenant(&tenant)
    });
    quota.expect("the store works");
    assert_eq!(
        restore(&world, &id, set, &[]),
        Err("QuotaExceeded.CreateInstance".into())
    );
    let locked = world.parts.store.write(|writer| {
        let mode = LockMode::ManualLock;
        writer.set_instance_lock(&id, mode, None)
    });
    locked.expect("the store works");
    assert_eq!(
        restore(&world, &id, set, &[]),
        Err("OperationDenied.LockMode".into())
    );
    assert_eq!(instance_count(&world), 2);
}

/// All sets of an instance, newest first.
fn backups_of(world: &World, id: &InstanceId) -> Vec<openpeta_store::BackupSet> {
    let sets = world
        .parts
        .store
        .read(|reader| reader.backup_sets(Some(id), 9));
    sets.expect("the store works")
}

/// A table whose files nobody can copy does not keep a database from being backed up.
#[tokio::test(flavor = "multi_thread")]
async fn text_is_taken_where_files_cannot_be() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.run_tasks().await;
    run(&world, &id, "INSTALL SONAME 'ha_blackhole'").await;
    run(&world, &id, "CREATE TABLE hole (id INT) ENGINE=BLACKHOLE").await;
    create_as(&world, &id, "shop", &[("BackupMethod", "Physical")]).expect("taken");
    world.run_tasks().await;
    let set = backups_of(&world, &id).remove(0);
    assert_eq!(
        set.status,
        BackupStatus::Success,
        "{:?}",
        set.outcome.failure
    );
    assert_eq!(set.set.method, openpeta_types::BackupMethod::Logical);
    let note = set.note.clone().expect("it says why");
    assert!(
        note.contains("Table hole has the engine BLACKHOLE"),
        "{note}"
    );
    let listed = listed(&world, &id, &[]).backups.remove(0);
    assert_eq!((listed.note, listed.method), (Some(note), set.set.method));
}

/// Right after a set, what was committed since may be nowhere but on the node: it is archived before it is
/// said that the log does not lead there.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_was_just_taken_leads_to_a_point_in_time() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, _) = backed_up(&world).await;
    enable_log(&world, &id);
    world.parts.archive_logs().await.expect("the store works");
    let node = world.detail(&id).instance.node_id.clone();
    let node = node.expect("it has one");
    let mut sql = world.parts.engine.sql(&node).await.expect("connect");
    sql.rotate_binlogs().await.expect("rotated");
    let archive = world.parts.log_archive(&node);
    let marks = || std::fs::read_to_string(archive.join("marks")).unwrap_or_default();
    let before = marks().lines().count();
    let set = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    assert_eq!(
        marks().lines().count(),
        before + 1,
        "the set is marked in the log"
    );
    let taken = backups_of(&world, &id).remove(0);
    assert_eq!(taken.backup_id, set);
    sql.rotate_binlogs().await.expect("rotated");
    run(&world, &id, "CREATE TABLE since (id INT PRIMARY KEY)").await;
    let time = format_time(next_second());
    let pairs = [
        ("SrcInstanceId", id.as_str()),
        ("SrcDBName", "shop"),
        ("RestoreType", "1"),
        ("RestoreTime", &time),
    ];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = RestoreDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::RestoreDatabase);
    let checked = world.control.check_restore_point(&call, &request).await;
    checked.expect("the log leads there");
    let restored = world.control.restore_database(&call, &request);
    let restored = restored.expect("the log leads there").instance_id;
    world.run_tasks().await;
    let mut conn = connect(&world, &restored).await;
    let tables: Vec<String> = conn.query("SHOW TABLES").await.expect("listed");
    assert_eq!(tables, ["since"]);
}

/// Asks for a restore to a time; what the refusal says if there is one.
fn restore_to(world: &World, id: &InstanceId, time: Timestamp) -> Result<InstanceId, String> {
    let time = format_time(time);
    let pairs = [
        ("SrcInstanceId", id.as_str()),
        ("SrcDBName", "shop"),
        ("RestoreType", "1"),
        ("RestoreTime", &time),
    ];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = RestoreDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::RestoreDatabase);
    let restored = world.control.restore_database(&call, &request);
    restored
        .map(|response| response.instance_id)
        .map_err(|error| format!("{}: {}", error.api.code, error.api.message))
}

async fn run(world: &World, id: &InstanceId, statement: &str) {
    let mut conn = connect(world, id).await;
    conn.query_drop(statement).await.expect(statement);
    conn.disconnect().await.expect("it was open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_in_time_needs_a_set_before_it_and_the_log_since() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, _) = backed_up(&world).await;
    let refusal = |time: Timestamp| {
        let refused = restore_to(&world, &id, time).expect_err("it is not covered");
        assert!(
            refused.starts_with("OperationDenied.NotFoundBackup: "),
            "{refused}"
        );
        refused
    };
    let second = next_second();
    assert!(refusal(second).contains("EnableBinlogBackup"));
    enable_log(&world, &id);
    assert!(refusal(second).contains("was not archived"));
    // It is told what there is.
    let set = backups_of(&world, &id).remove(0);
    let early = refusal(second - Duration::from_secs(3600));
    assert!(
        early.contains(&format!("The oldest one, {},", set.backup_id)),
        "{early}"
    );
    assert!(refusal(second - Duration::from_secs(3600)).contains("No backup set"));
    world.parts.archive_logs().await.expect("the store works");
    let figures = world.parts.log_archives.figures();
    assert_eq!((&figures[0].instance_id, &figures[0].failure), (&id, &None));
    assert!(figures[0].until.is_some() && figures[0].bytes > 0);

    // Of a table without transactions nobody knows which rows the set has.
    run(&world, &id, "CREATE TABLE old (id INT) ENGINE=MyISAM").await;
    let with_table = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let second = next_second();
    // The set before that one leads there.
    let restored = restore_to(&world, &id, second).expect("it is covered");
    world.run_tasks().await;
    let mut conn = connect(&world, &restored).await;
    let tables: Vec<String> = conn.query("SHOW TABLES").await.expect("listed");
    assert_eq!(tables, ["old"]);

    // Files from before the oldest set go, those since stay.
    let node = world.detail(&id).instance.node_id.clone();
    let node = node.expect("it has one");
    let mut sql = world.parts.engine.sql(&node).await.expect("connect");
    sql.rotate_binlogs().await.expect("rotated");
    world.parts.archive_logs().await.expect("the store works");
    world
        .parts
        .tidy_log_archives()
        .await
        .expect("the disk works");
    restore_to(&world, &id, second).expect("still covered");
    world.run_tasks().await;
    let protected = world
        .parts
        .store
        .read(|reader| reader.backup_sets(Some(&id), 9));
    for set in protected.expect("the store works") {
        if set.backup_id != with_table {
            let gone = world
                .parts
                .store
                .write(|writer| writer.delete_backup_set(set.backup_id));
            gone.expect("the store works");
        }
    }
    let refused = refusal(next_second());
    assert!(refused.contains("Table old"), "{refused}");

    // What is archived goes with the node.
    let archive = world.parts.log_archive(&node);
    assert!(archive.exists());
    let params = Params::from_pairs([("InstanceId", id.as_str())]).expect("unique names");
    let request = DeleteInstanceRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::DeleteInstance);
    world
        .control
        .delete_instance(&call, &request)
        .expect("it is ACTIVE");
    world.run_tasks().await;
    world.parts.archive_logs().await.expect("the store works");
    world
        .parts
        .tidy_log_archives()
        .await
        .expect("the disk works");
    assert!(!archive.exists());
    assert_eq!(world.parts.log_archives.figures(), []);
}

/// Asks for a restore by a GTID, as the action does; what the refusal says if there is one.
async fn restore_at(
    world: &World,
    id: &InstanceId,
    parameter: &str,
    gtid: &str,
) -> Result<InstanceId, String> {
    let pairs = [
        ("SrcInstanceId", id.as_str()),
        ("SrcDBName", "shop"),
        ("RestoreType", "1"),
        (parameter, gtid),
    ];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = RestoreDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::RestoreDatabase);
    let told = |error: crate::ControlError| format!("{}: {}", error.api.code, error.api.message);
    let checked = world.control.check_restore_point(&call, &request).await;
    checked.map_err(told)?;
    let restored = world.control.restore_database(&call, &request);
    restored.map(|response| response.instance_id).map_err(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_transaction_is_named_and_left_out() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.run_tasks().await;
    run(&world, &id, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    let search = |table: Option<&str>| {
        let command = AdminCommand::BackupLogSearch {
            instance_id: id.clone(),
            db_name: DbName::parse("shop").expect("a name"),
            from: Timestamp::UNIX_EPOCH,
            until: None,
            table: table.map(str::to_owned),
            limit: None,
        };
        world.control.admin(command, Timestamp::now())
    };
    let AdminReply::Error { code, .. } = search(None).await else {
        panic!("nothing is archived");
    };
    assert_eq!(code, "OperationDenied.NotFoundBackup");
    let gtid = "0-1-1";
    let refused = restore_at(&world, &id, "RestoreGtid", gtid).await;
    assert!(refused.expect_err("no log").contains("EnableBinlogBackup"));

    enable_log(&world, &id);
    world.parts.archive_logs().await.expect("the store works");
    create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    run(&world, &id, "INSERT INTO t VALUES (1), (2), (3)").await;
    run(&world, &id, "DELETE FROM t WHERE id > 1").await;
    run(&world, &id, "INSERT INTO t VALUES (4)").await;
    let AdminReply::Ok(found) = search(Some("t")).await else {
        panic!("it is archived");
    };
    let rows = found.as_array().expect("rows");
    let changes: Vec<_> = rows.iter().map(|row| row["changes"].as_str()).collect();
    assert_eq!(
        changes,
        [Some(""), Some("t +3"), Some("t -2"), Some("t +1")]
    );
    assert_eq!(rows[2]["statement"], "DELETE FROM t WHERE id > 1");
    assert_eq!(rows[2]["tables"][0]["deleted"], 2);
    let name = |row: usize| rows[row]["gtid"].as_str().expect("a name").to_owned();

    let before = restore_at(&world, &id, "RestoreBeforeGtid", &name(2)).await;
    let through = restore_at(&world, &id, "RestoreGtid", &name(2)).await;
    // The set is what is wanted, without a log.
    let set = restore_at(&world, &id, "RestoreGtid", &name(0)).await;
    world.run_tasks().await;
    for (restored, expected) in [(before, vec![1, 2, 3]), (through, vec![1]), (set, vec![])] {
        let mut conn = connect(&world, &restored.expect("it is covered")).await;
        let found: Vec<u32> = conn
            .query("SELECT id FROM t ORDER BY id")
            .await
            .expect("there");
        assert_eq!(found, expected);
    }

    let (prefix, last) = name(3)
        .rsplit_once('-')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a name");
    let later = format!("{prefix}-{}", last.parse::<u64>().expect("a number") + 1);
    let foreign = format!("0-4294967295-{last}");
    for (parameter, gtid, reason) in [
        ("RestoreGtid", &later, "does not go as far as"),
        ("RestoreBeforeGtid", &later, "does not go as far as"),
        ("RestoreGtid", &foreign, "does not have"),
        (
            "RestoreBeforeGtid",
            &name(0),
            "No backup set was taken before that transaction",
        ),
    ] {
        let refused = restore_at(&world, &id, parameter, gtid).await;
        let refused = refused.expect_err("it is not covered");
        assert!(
            refused.starts_with("OperationDenied.NotFoundBackup: ") && refused.contains(reason),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_token_stands_for_one_restore() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, set) = backed_up(&world).await;
    let token = [("ClientToken", "once"), ("InstanceName", "copy")];
    let first = restore(&world, &id, set, &token).expect("it is whole");
    assert_eq!(restore(&world, &id, set, &token), Ok(first.clone()));
    assert_eq!(instance_count(&world), 2);
    let orders = world.parts.store.read(|reader| {
        let copy = reader.instance(&first)?.expect("it was ordered");
        let source = reader.instance(&id)?.expect("it exists");
        assert_eq!(copy.name.expect("a name").as_str(), "copy");
        assert_eq!(
            (&copy.region_id, &copy.zone_id, copy.charge_type),
            (&source.region_id, &source.zone_id, source.charge_type)
        );
        assert_eq!(
            reader.whitelist_groups(&first)?,
            reader.whitelist_groups(&id)?
        );
        assert!(reader.accounts(&first)?.is_empty());
        let database = reader.databases(&first)?.remove(0);
        assert_eq!(database.settings, reader.databases(&id)?[0].settings);
        assert_eq!(reader.backup_policy(&first, &database.db_name)?, None);
        Ok::<_, openpeta_store::StoreError>(())
    });
    orders.expect("the store works");

    // What is asked for beside the content comes along.
    let name = DbName::parse("shop").expect("a name");
    let given = world.parts.store.write(|writer| {
        let alice = writer.accounts(&id)?.remove(0);
        let limits = AccountLimits {
            connections: 3,
            queries_per_second: 7,
        };
        writer.put_account_limits(&id, &alice.name, limits)?;
        // It is not there any more, whoever looks.
        writer.insert_account(&Account {
            name: AccountName::parse_new("leaving").expect("a name"),
            status: AccountStatus::Delete,
            ..alice
        })
    });
    given.expect("the store works");
    enable_log(&world, &id);
    let with = [("WithAccounts", "true"), ("WithBackupPolicy", "true")];
    let second = restore(&world, &id, set, &with).expect("it is whole");
    let compared = world.parts.store.read(|reader| {
        assert!(
            reader
                .backup_policy(&second, &name)?
                .expect("it came along")
                .is_binlog_enabled
        );
        assert_eq!(reader.account_limits(&second)?, reader.account_limits(&id)?);
        let names = |id| {
            Ok::<_, openpeta_store::StoreError>(
                reader
                    .accounts(id)?
                    .into_iter()
                    .map(|account| account.name.to_string())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            (names(&id)?.len(), names(&second)?),
            (2, vec!["alice".to_owned()])
        );
        let (before, after) = (
            reader.accounts(&id)?.remove(0),
            reader.accounts(&second)?.remove(0),
        );
        assert_eq!(
            reader.grants(&second, &after.name)?,
            reader.grants(&id, &before.name)?
        );
        assert_eq!(after.status, AccountStatus::Create);
        // On the nodes each has a password of its own.
        assert_ne!(
            after.login.backend_password.expose(),
            before.login.backend_password.expose()
        );
        Ok::<_, openpeta_store::StoreError>(())
    });
    compared.expect("the store works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_set_restores_to_nothing_and_says_why() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, set) = backed_up(&world).await;
    let dump = world.parts.backup_dir(&id, set).join("dump.sql.zst");
    let right = std::fs::read(&dump).expect("it is there");
    let mut flipped = right.clone();
    flipped[right.len() / 2] ^= 4;
    for wrong in [&flipped[..], &right[..right.len() - 3]] {
        std::fs::write(&dump, wrong).expect("it is ours");
        let copy = restore(&world, &id, set, &[]).expect("ordered");
        world.run_tasks().await;
        assert_eq!(instance_count(&world), 1);
        let filter = openpeta_store::TaskFilter {
            instance_id: Some(copy.clone()),
            ..Default::default()
        };
        let tasks = world
            .parts
            .store
            .read(|reader| reader.task_page(&filter, 0, 1));
        let task = tasks.expect("the store works").1.remove(0);
        let message = task.message.expect("it says why");
        assert!(
            message.starts_with("The backup set is damaged: "),
            "{message}"
        );
        let cause = task.cause.expect("the operator is told more");
        assert!(cause.contains("dump.sql.zst"), "{cause}");
        // The client can still see why.
        let pairs = [
            ("InstanceId", copy.as_str()),
            ("StartTime", "2019-01-01T00:00Z"),
            ("EndTime", "2999-01-01T00:00Z"),
        ];
        let params = Params::from_pairs(pairs).expect("unique names");
        let request = DescribeTasksRequest::from_params(&params).expect("well formed");
        let shown = world.control.describe_tasks(&world.caller(), &request);
        assert_eq!(shown.expect("its order failed").tasks.len(), 1);
    }
    std::fs::write(&dump, &right).expect("it is ours");
    restore(&world, &id, set, &[]).expect("ordered");
    world.run_tasks().await;
    assert_eq!(instance_count(&world), 2);
}
