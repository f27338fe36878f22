//! Backups.

use openpeta_testkit::{Api, DATABASE, Service, wait_for};

use super::{BACK, FORWARD, die_in, prepared};

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
