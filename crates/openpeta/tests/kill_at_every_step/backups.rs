//! Backups.

use openpeta_testkit::{Api, DATABASE, PASSWORD, Service, USER, wait_for};

use super::{BACK, FORWARD, die_in, prepared, writing_session};

/// The newest backup set: its status, and whether anything of it is on disk.
fn newest_backup(service: &Service, instance: &str) -> (String, bool) {
    let api = service.api();
    let set = wait_for("the end of the backup", || {
        let parameters = [
            ("InstanceId", instance),
            ("DBName", DATABASE),
            ("StartTime", "2019-01-01T00:00Z"),
            ("EndTime", "2999-01-01T00:00Z"),
        ];
        let answer = api.call("DescribeDatabaseBackup", &parameters);
        let answer = answer.expect("sets can be listed");
        let set = answer["BackupItems"]["Backup"].as_array()?.first()?.clone();
        (set["BackupStatus"] != "Progress").then_some(set)
    });
    let id = set["BackupId"].to_string();
    let sets = service.data_dir().join("backups").join(instance);
    let is_its = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.to_str().is_some_and(|name| name.starts_with(&id))
    };
    let is_there = std::fs::read_dir(sets).is_ok_and(|mut entries| entries.any(is_its));
    let status = set["BackupStatus"].as_str().expect("a text");
    (status.to_owned(), is_there)
}

#[test]
fn a_backup_is_whole_or_not_there() {
    let mut service = prepared();
    service.start();
    let instance = service.api().order(&[]).expect("an order is taken");
    let _ = service.api().wait_active(&instance);
    assert_eq!(service.stop(), Some(0));
    let create = |api: &Api| {
        let parameters = [("InstanceId", instance.as_str()), ("DBName", DATABASE)];
        api.call("CreateDatabaseBackup", &parameters)
    };
    let step = "create-database-backup/take-set";
    for point in FORWARD {
        die_in(&mut service, &format!("{step}/{point}"), create);
        service.start();
        let found = newest_backup(&service, &instance);
        assert_eq!(found, ("Success".to_owned(), true), "{point}");
        assert_eq!(service.stop(), Some(0));
    }
    for point in ["before-run", "after-run"] {
        let points = format!("{step}/{point}=fail");
        service.start_with(&[("OPENPETA_FAIL_POINT", &points)]);
        create(&service.api()).expect("it begins");
        let found = newest_backup(&service, &instance);
        assert_eq!(found, ("Failed".to_owned(), false), "{point}");
        assert_eq!(service.stop(), Some(0));
    }
    for point in BACK {
        let points = format!("{step}/after-run=fail,{step}/{point}=abort");
        die_in(&mut service, &points, create);
        service.start();
        let found = newest_backup(&service, &instance);
        assert_eq!(found, ("Failed".to_owned(), false), "{point}");
        assert_eq!(service.stop(), Some(0));
    }
    service.start();
    service.api().delete(&instance);
    service.assert_nothing_left();
}

const RESTORE: [&str; 7] = [
    "check-set",
    "create-node",
    "start-node",
    "load-set",
    "compare-content",
    "open-endpoint",
    "check-login",
];

/// Rows of the one table in the database on an instance's node; the account is made for it.
fn restored_rows(api: &Api, instance: &str) -> String {
    let account = [
        ("InstanceId", instance),
        ("AccountName", USER),
        ("AccountPassword", PASSWORD),
        ("DBName", DATABASE),
        ("AccountPrivilege", "ReadOnly"),
    ];
    api.call("CreateAccount", &account)
        .expect("ACTIVE means that calls are accepted");
    let session = api.wait_active(instance).connect();
    let mut session = session.expect("ACTIVE means that clients connect");
    let rows = session.value("SELECT COUNT(*) FROM works");
    rows.expect("the table is there")
}

#[test]
fn a_restore_is_whole_or_not_there() {
    let mut service = prepared();
    service.start();
    let source = service.api().order(&[]).expect("an order is taken");
    let mut session = writing_session(&service.api().wait_active(&source));
    session
        .query("INSERT INTO works VALUES (1), (2), (3)")
        .expect("rows");
    let set = [("InstanceId", source.as_str()), ("DBName", DATABASE)];
    let set = service.api().call("CreateDatabaseBackup", &set);
    let set = set.expect("it begins")["BackupId"]
        .as_str()
        .expect("a text")
        .to_owned();
    assert_eq!(newest_backup(&service, &source).0, "Success");
    assert_eq!(service.stop(), Some(0));
    let restore = |api: &Api| {
        let parameters = [
            ("SrcInstanceId", source.as_str()),
            ("SrcDBName", DATABASE),
            ("BackupId", &set),
        ];
        api.call("RestoreDatabase", &parameters)
    };
    let others = |api: &Api| {
        let mut instances = api.instances();
        instances.retain(|instance| *instance != source);
        instances
    };
    for step in RESTORE {
        for point in FORWARD {
            let at = format!("restore-database/{step}/{point}");
            die_in(&mut service, &at, restore);
            service.start();
            let api = service.api();
            let restored = others(&api);
            assert_eq!(restored.len(), 1, "{at}: an acknowledged order is lost");
            let _ = api.wait_active(&restored[0]);
            assert_eq!(restored_rows(&api, &restored[0]), "3", "{at}");
            api.delete(&restored[0]);
            assert_eq!(service.node_pids().len(), 1, "{at}");
            assert_eq!(service.stop(), Some(0));
        }
        // Or it is undone, also in spite of a crash.
        let failure = format!("restore-database/{step}/after-run=fail");
        let killed = format!("{failure},restore-database/{step}/before-undo=abort");
        die_in(&mut service, &killed, restore);
        service.start();
        let api = service.api();
        wait_for("the end of the restore", || {
            others(&api).is_empty().then_some(())
        });
        assert_eq!(service.node_pids().len(), 1, "{failure}");
        assert_eq!(service.stop(), Some(0));
    }
    service.start();
    service.api().delete(&source);
    service.assert_nothing_left();
}

/// The steps of a switch that are undone when one fails, then the one that is not.
const SWITCH: [&str; 5] = [
    "check-nodes",
    "close-sessions",
    "read-accounts",
    "swap-nodes",
    "settle-nodes",
];

#[test]
fn a_switch_is_done_or_undone() {
    let mut service = prepared();
    service.start();
    let api = service.api();
    let source = api.order(&[]).expect("an order is taken");
    let mut session = writing_session(&api.wait_active(&source));
    session
        .query("INSERT INTO works VALUES (1), (2), (3)")
        .expect("rows");
    let set = [("InstanceId", source.as_str()), ("DBName", DATABASE)];
    let set = api.call("CreateDatabaseBackup", &set);
    let set = set.expect("it begins")["BackupId"]
        .as_str()
        .expect("a text")
        .to_owned();
    assert_eq!(newest_backup(&service, &source).0, "Success");
    let restore = [
        ("SrcInstanceId", source.as_str()),
        ("SrcDBName", DATABASE),
        ("BackupId", &set),
    ];
    let restored = api.call("RestoreDatabase", &restore);
    let restored = restored.expect("the set is whole")["NewInstanceId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let _ = api.wait_active(&restored);
    // The account makes the copy's rows readable, and its table tells the two apart.
    assert_eq!(restored_rows(&api, &restored), "3");
    session.query("DELETE FROM works").expect("rows go");
    drop(session);
    assert_eq!(service.stop(), Some(0));

    let switch = |api: &Api| {
        let parameters = [
            ("SourceInstanceId", source.as_str()),
            ("NewInstanceId", restored.as_str()),
            ("DBName", DATABASE),
        ];
        api.call("SwitchBackupDatabase", &parameters)
    };
    let rows = |service: &Service| {
        let api = service.api();
        [&source, &restored].map(|instance| {
            let session = api.wait_active(instance).connect();
            let mut session = session.expect("ACTIVE means that clients connect");
            let rows = session.value("SELECT COUNT(*) FROM works");
            rows.expect("the table is there")
        })
    };
    let mut expected = ["0", "3"];
    for step in SWITCH.iter().chain(&["admit-clients"]) {
        for point in FORWARD {
            let at = format!("switch-backup-database/{step}/{point}");
            die_in(&mut service, &at, switch);
            service.start();
            expected.reverse();
            assert_eq!(rows(&service), expected, "{at}");
            assert_eq!(service.node_pids().len(), 2, "{at}");
            assert_eq!(service.stop(), Some(0));
        }
    }
    for step in SWITCH {
        for point in BACK {
            let failure = format!("switch-backup-database/{step}/after-run=fail");
            let at = format!("{failure},switch-backup-database/{step}/{point}=abort");
            die_in(&mut service, &at, switch);
            service.start();
            assert_eq!(rows(&service), expected, "{at}");
            assert_eq!(service.stop(), Some(0));
        }
    }
    service.start();
    for instance in [&restored, &source] {
        service.api().delete(instance);
    }
    service.assert_nothing_left();
}
