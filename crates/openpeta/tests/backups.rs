//! Backups over the whole program: taken while clients write, cut off by a kill, gone with
//! their instance.

use std::fs;
use std::path::PathBuf;

use openpeta_testkit::{Api, Credentials, DATABASE, Login, PASSWORD, Service, USER, wait_for};
use serde_json::{Value, json};

/// The sets of the instance's database, newest first.
fn sets(api: &Api, instance: &str) -> Vec<Value> {
    let parameters = [
        ("InstanceId", instance),
        ("DBName", DATABASE),
        ("StartTime", "2019-01-01T00:00Z"),
        ("EndTime", "2999-01-01T00:00Z"),
    ];
    let answer = api.call("DescribeDatabaseBackup", &parameters);
    let answer = answer.expect("sets can be listed");
    let sets = answer["BackupItems"]["Backup"].as_array().expect("a list");
    sets.clone()
}

/// Begins a backup; its number.
fn begin(api: &Api, instance: &str) -> String {
    let parameters = [("InstanceId", instance), ("DBName", DATABASE)];
    let answer = api.call("CreateDatabaseBackup", &parameters);
    let answer = answer.expect("a backup begins");
    answer["BackupId"].as_str().expect("a text").to_owned()
}

/// Waits until the newest set has ended; its item.
fn ended(api: &Api, instance: &str) -> Value {
    wait_for("the end of the backup", || {
        let newest = sets(api, instance).into_iter().next()?;
        (newest["BackupStatus"] != "Progress").then_some(newest)
    })
}

fn directory(service: &Service, instance: &str, backup: &str) -> PathBuf {
    service
        .data_dir()
        .join("backups")
        .join(instance)
        .join(backup)
}

/// Bytes of a directory's files.
fn size(directory: &PathBuf) -> u64 {
    let files = fs::read_dir(directory).expect("it is there");
    files
        .map(|file| file.expect("a file").metadata().expect("a file").len())
        .sum()
}

#[test]
fn a_backup_is_listed_and_goes_with_its_instance() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let mut session = login.connect().expect("it is ACTIVE");
    session
        .query("CREATE TABLE works (id INT)")
        .expect("a table");
    let backup = begin(&api, &instance);
    let set = ended(&api, &instance);
    assert_eq!(set["BackupStatus"], "Success", "{set}");
    assert_eq!(set["BackupId"].to_string(), backup, "a number here");
    let directory = directory(&service, &instance, &backup);
    assert_eq!(set["BackupSize"], size(&directory));
    assert_eq!(set["BackupMethod"], "Logical");
    // Only the service's user gets at it.
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &PathBuf| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
    };
    assert_eq!(mode(&directory) & 0o777, 0o700);
    assert_eq!(mode(&directory.join("dump.sql.zst")) & 0o777, 0o600);

    // Restored in place, the instance serves the set, and the new one what there was since.
    session
        .query("INSERT INTO works VALUES (1)")
        .expect("a row");
    let restore = ["restore-database", "--src-instance-id", &instance];
    let what = ["--src-db-name", DATABASE, "--backup-id", &backup];
    let how = ["--with-accounts", "true", "--in-place", "--json"];
    let output = service.cli(&[&restore[..], &what, &how].concat());
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["Wait"]["InstanceId"], *instance);
    let new = answer["NewInstanceId"].as_str().expect("an id");
    let rows = |instance: &str| {
        let mut session = api.wait_active(instance).connect_when_possible();
        session
            .value("SELECT COUNT(*) FROM works")
            .expect("a table")
    };
    assert_eq!((rows(&instance), rows(new)), ("0".into(), "1".into()));
    let release = |instance: &str| {
        let answer = api.call("DescribeInstanceInfo", &[("InstanceId", instance)]);
        answer.expect("it is there")["ReleaseTime"].clone()
    };
    assert!(release(new).is_string() && release(&instance).is_null());
    api.delete(new);
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn encrypted_sets_are_read_as_long_as_their_key_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    let key_file = service.home().join("keys");
    let write_keys = |keys: &[&str], mode| {
        fs::write(&key_file, keys.join("\n")).expect("home is ours");
        fs::set_permissions(&key_file, PermissionsExt::from_mode(mode)).expect("ours");
    };
    let (old, new) = ("0a".repeat(32), "0b".repeat(32));
    write_keys(&[&old], 0o644);
    let path = key_file.to_str().expect("text");
    service.set("backup", "encryption_key_file", path);
    let refused = service.try_start(&[]).expect_err("anybody reads the key");
    assert!(refused.log.contains("encryption_key_file"), "{refused:?}");
    write_keys(&[&old], 0o600);
    service.start();
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let mut session = api.wait_active(&instance).connect().expect("it is ACTIVE");
    session
        .query("CREATE TABLE works (id INT)")
        .expect("a table");
    let backup = begin(&api, &instance);
    assert_eq!(ended(&api, &instance)["BackupStatus"], "Success");
    let set = directory(&service, &instance, &backup);
    let listed = service.admin(&json!({"command": "backup-list"}));
    let key_id = listed.expect("sets")[0]["key_id"]
        .as_str()
        .expect("an id")
        .to_owned();

    // Whoever has the key needs no service.
    let plain = service.home().join("plain");
    let paths = [
        path,
        set.to_str().expect("text"),
        plain.to_str().expect("text"),
    ];
    let decrypt = |key_file: &str| {
        let arguments = ["admin", "backup", "decrypt", "--key-file", key_file];
        service.cli(&[&arguments[..], &paths[1..]].concat())
    };
    let output = decrypt(paths[0]);
    assert!(output.status.success(), "{output:?}");
    let compressed = fs::read(plain.join("dump.sql.zst")).expect("a file");
    assert!(
        compressed.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        "Zstandard"
    );

    // Whoever has a copy can import it into another instance, if the service has the key.
    let elsewhere = service.home().join("elsewhere");
    fs::create_dir(&elsewhere).expect("home is ours");
    for file in fs::read_dir(&set).expect("it is there") {
        let file = file.expect("a file").path();
        let name = file.file_name().expect("a name");
        fs::copy(&file, elsewhere.join(name)).expect("home is ours");
    }
    let other = api.order(&[]).expect("an order is taken");
    let mut session = api.wait_active(&other).connect().expect("it is ACTIVE");
    let import = json!({
        "command": "import-start", "instance_id": other, "db_name": DATABASE, "from": elsewhere, "ca_file": null,
        "defaults_file": null, "source_db": null, "map_collations": false, "definer": null, "keep_definers": false,
    });
    let begun = service.admin(&import).expect("an import begins");
    let shown = wait_for("the end of the import", || {
        let task_id: i64 = begun["task_id"].as_str()?.parse().ok()?;
        let show = json!({"command": "import-show", "task_id": task_id});
        let shown = service.admin(&show).ok()?;
        shown["finish_at"].is_string().then_some(shown)
    });
    assert_eq!(shown["status"], "2", "{shown}");
    let compared = &shown["tables"][0]["compared_with"];
    assert_eq!(*compared, "the checksum in the manifest", "{shown}");
    let rows = session.value("SELECT COUNT(*) FROM works");
    assert_eq!(rows.expect("a table"), "0");
    api.delete(&other);

    // With another key alone a proof fails and says which one is missing; nothing is lost.
    let proven = |service: &Service| {
        let backup_id: i64 = backup.parse().expect("a number");
        let verify = json!({"command": "backup-verify", "backup_id": backup_id});
        let begun = service.admin(&verify).expect("a proof begins");
        wait_for("the end of the proof", || {
            let tasks = json!({"command": "task-list", "instance_id": instance, "limit": 1});
            let tasks = service.admin(&tasks).ok()?;
            assert_eq!(tasks[0]["task_id"], begun["task_id"]);
            let is_over = ["2", "3"].contains(&tasks[0]["status"].as_str()?);
            let listed = service.admin(&json!({"command": "backup-list"})).ok()?;
            is_over.then(|| listed[0]["verify_failure"].clone())
        })
    };
    write_keys(&[&new], 0o600);
    assert_eq!(service.stop(), Some(0));
    service.start();
    let failure = proven(&service).to_string();
    assert!(failure.contains(&key_id), "{failure}");
    write_keys(&[&new, &old], 0o600);
    assert_eq!(service.stop(), Some(0));
    service.start();
    assert_eq!(proven(&service), Value::Null);
    service.api().delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_backup_that_was_cut_off_is_taken_whole_or_leaves_nothing() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let mut session = api.wait_active(&instance).connect().expect("it is ACTIVE");
    for statement in [
        "CREATE TABLE works (id INT PRIMARY KEY, t VARCHAR(200))",
        "INSERT INTO works SELECT seq, REPEAT('x', 200) FROM seq_1_to_150000",
    ] {
        session.query(statement).expect(statement);
    }
    drop(session);
    let backup = begin(&api, &instance);
    let whole = directory(&service, &instance, &backup);
    let unfinished = whole.with_extension("new");
    wait_for("the first bytes", || {
        let dump = fs::metadata(unfinished.join("dump.sql.zst")).ok()?;
        (dump.len() > 0).then_some(())
    });
    service.kill();
    assert!(!whole.exists(), "the test came too late");

    // The next start takes it up.
    service.start();
    let api = service.api();
    let set = ended(&api, &instance);
    assert_eq!(set["BackupStatus"], "Success", "{set}");
    assert_eq!(set["BackupSize"], size(&whole));
    assert!(!unfinished.exists());

    // A stop does not wait for it either; a cancel leaves nothing.
    let backup = begin(&api, &instance);
    let whole = directory(&service, &instance, &backup);
    let unfinished = whole.with_extension("new");
    wait_for("the beginning", || unfinished.exists().then_some(()));
    assert_eq!(service.stop(), Some(0));
    service.start();
    let api = service.api();
    let list = serde_json::json!({"command": "task-list", "instance_id": instance, "limit": 1});
    let tasks = service.admin(&list).expect("tasks can be listed");
    let task: i64 = tasks[0]["task_id"]
        .as_str()
        .expect("a text")
        .parse()
        .expect("a number");
    let cancel = serde_json::json!({"command": "task-cancel", "task_id": task});
    let cancelled = service.admin(&cancel);
    let set = ended(&api, &instance);
    match cancelled {
        Ok(_) => assert_eq!(set["BackupStatus"], "Failed", "{set}"),
        // It was quicker.
        Err(_) => assert_eq!(set["BackupStatus"], "Success", "{set}"),
    }
    assert!(!unfinished.exists());
    assert_eq!(whole.exists(), set["BackupStatus"] == "Success");

    // An instance can be deleted while a backup of it is taken.
    begin(&api, &instance);
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_restored_instance_has_what_was_backed_up() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let mut session = api.wait_active(&instance).connect().expect("it is ACTIVE");
    for statement in [
        "CREATE TABLE works (id INT PRIMARY KEY, f FLOAT)",
        "INSERT INTO works VALUES (1, 0.1234567), (2, 16777217)",
        "CREATE VIEW of_works AS SELECT id FROM works",
    ] {
        session.query(statement).expect(statement);
    }
    let sum = "SELECT SUM(CAST(f AS DOUBLE)) FROM works";
    let before = session.value(sum).expect("a sum");
    let backup = begin(&api, &instance);
    assert_eq!(ended(&api, &instance)["BackupStatus"], "Success");
    session.query("DELETE FROM works").expect("rows go");

    let parameters = [
        ("SrcInstanceId", instance.as_str()),
        ("SrcDBName", DATABASE),
        ("BackupId", &backup),
        ("ClientToken", "once"),
    ];
    let answer = api.call("RestoreDatabase", &parameters);
    let answer = answer.expect("the set is whole");
    assert_eq!(answer["DBName"], DATABASE);
    let again = api.call("RestoreDatabase", &parameters).expect("the same");
    assert_eq!(again["OrderId"], answer["OrderId"]);
    let restored = answer["NewInstanceId"].as_str().expect("an id").to_owned();
    let _ = api.wait_active(&restored);
    let account = [
        ("InstanceId", restored.as_str()),
        ("AccountName", USER),
        ("AccountPassword", PASSWORD),
        ("DBName", DATABASE),
        ("AccountPrivilege", "ReadWrite"),
    ];
    api.call("CreateAccount", &account)
        .expect("it has no account yet");
    let mut session = api.wait_active(&restored).connect().expect("it is ACTIVE");
    assert_eq!(session.value(sum).expect("a sum"), before);
    // The definer's name is that of the account which was made, so that its view works, too.
    let rows = session.value("SELECT COUNT(*) FROM of_works");
    assert_eq!(rows.expect("a count"), "2");
    let databases = api.call("DescribeDatabases", &[("InstanceId", &restored)]);
    let databases = databases.expect("they can be listed");
    assert!(databases.to_string().contains(&instance), "{databases}");
    api.delete(&restored);
    api.delete(&instance);
    service.assert_nothing_left();
}

/// Restores a set; the new instance, once it is ACTIVE.
fn restored_from(api: &Api, instance: &str, backup: &str) -> String {
    let parameters = [
        ("SrcInstanceId", instance),
        ("SrcDBName", DATABASE),
        ("BackupId", backup),
    ];
    let answer = api.call("RestoreDatabase", &parameters);
    let answer = answer.expect("the set is whole");
    let restored = answer["NewInstanceId"].as_str().expect("an id").to_owned();
    let _ = api.wait_active(&restored);
    restored
}

/// Switches, and waits until both instances are ACTIVE; how to log in to the source.
fn switched(api: &Api, source: &str, new: &str) -> Login {
    let parameters = [
        ("SourceInstanceId", source),
        ("NewInstanceId", new),
        ("DBName", DATABASE),
    ];
    let answer = api.call("SwitchBackupDatabase", &parameters);
    answer.expect("both are at rest");
    let _ = api.wait_active(new);
    api.wait_active(source)
}

#[test]
fn an_instance_and_its_copy_serve_each_others_content() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let source = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&source);
    let mut session = login.connect().expect("it is ACTIVE");
    for statement in [
        "CREATE TABLE works (id INT PRIMARY KEY)",
        "INSERT INTO works VALUES (1), (2)",
    ] {
        session.query(statement).expect(statement);
    }
    let backup = begin(&api, &source);
    assert_eq!(ended(&api, &source)["BackupStatus"], "Success");
    session.query("DELETE FROM works").expect("rows go");
    let new = restored_from(&api, &source, &backup);
    let another_password = "An0therPass";
    let account = [
        ("InstanceId", new.as_str()),
        ("AccountName", "carol"),
        ("AccountPassword", another_password),
        ("DBName", DATABASE),
        ("AccountPrivilege", "ReadWrite"),
    ];
    api.call("CreateAccount", &account).expect("it has none");
    let carol = |login: &Login| login.as_user("carol", another_password);

    // Somebody writes all the time; what is acknowledged must not be lost.
    let ids = "SELECT GROUP_CONCAT(id ORDER BY id) FROM works";
    session
        .query("INSERT INTO works VALUES (100)")
        .expect("a row");
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut id = 101;
            while session
                .query(&format!("INSERT INTO works VALUES ({id})"))
                .is_ok()
            {
                id += 1;
            }
            (100..id).map(|id| id.to_string()).collect::<Vec<_>>()
        });
        let after = switched(&api, &source, &new);
        assert_eq!(after.address, login.address, "the endpoint stays");
        writer.join().expect("its session is ended")
    });
    let mut session = login.connect().expect("ACTIVE means that clients connect");
    assert_eq!(session.value(ids).expect("rows"), "1,2");
    assert!(
        carol(&login).connect().is_err(),
        "it is the other's account"
    );
    session
        .query("INSERT INTO works VALUES (3)")
        .expect("the account has its privileges");
    let login_of_new = carol(&api.wait_active(&new));
    let mut of_new = login_of_new.connect().expect("the account is as it was");
    let kept = of_new.value(ids).expect("rows");
    let kept: Vec<_> = kept.split(',').map(str::to_owned).collect();
    assert!(kept.starts_with(&acknowledged), "{acknowledged:?} {kept:?}");
    // The last one may have been carried out without its answer being read.
    assert!(kept.len() <= acknowledged.len() + 1);

    // Backups, and what was ordered, stay with the instance.
    assert_eq!(ended(&api, &source)["BackupId"].to_string(), backup);
    // And back, also over a restart.
    switched(&api, &source, &new);
    assert_eq!(service.stop(), Some(0));
    service.start();
    let api = service.api();
    let session = api.wait_active(&source).connect();
    let rows = session.expect("it is ACTIVE").value(ids).expect("rows");
    assert_eq!(rows, kept.join(","));
    let login_of_new = carol(&api.wait_active(&new));
    let session = login_of_new.connect();
    let rows = session.expect("it is ACTIVE").value(ids).expect("rows");
    assert_eq!(rows, "1,2,3");
    // Either can be deleted; the other goes on.
    api.delete(&new);
    let session = api.wait_active(&source).connect();
    let rows = session.expect("it is ACTIVE").value(ids).expect("rows");
    assert_eq!(rows, kept.join(","));
    api.delete(&source);
    service.assert_nothing_left();
}

#[test]
fn a_switch_needs_the_permission_on_both_instances() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let api = service.api();
    let source = api.order(&[]).expect("an order is taken");
    let _ = api.wait_active(&source);
    let backup = begin(&api, &source);
    assert_eq!(ended(&api, &source)["BackupStatus"], "Success");
    let new = restored_from(&api, &source, &backup);
    let account: u64 = api.account_id.parse().expect("a number");
    let admin = |command: Value| service.admin(&command).expect("the operator may");
    admin(json!({"command": "ram-user-create", "account_id": account, "user_name": "user"}));
    let key = admin(json!({
        "command": "access-key-create", "account_id": account, "user_name": "user",
    }));
    let user = api.with_key(Credentials::of(&key));
    let parameters = [
        ("SourceInstanceId", source.as_str()),
        ("NewInstanceId", new.as_str()),
        ("DBName", DATABASE),
    ];
    let allow = |instances: &[&String]| {
        let resources: Vec<_> = instances
            .iter()
            .map(|instance| format!("acs:petadata:*:*:dbinstance/{instance}"))
            .collect();
        let document = json!({"Version": "1", "Statement": [{
            "Effect": "Allow", "Action": "petadata:SwitchBackupDatabase", "Resource": resources,
        }]});
        admin(json!({
            "command": "policy-attach", "account_id": account, "user_name": "user",
            "policy_name": "switch", "document": document.to_string(),
        }));
        user.call("SwitchBackupDatabase", &parameters)
    };
    for one in [&source, &new] {
        let refused = allow(&[one]).expect_err("it may not do it to the other");
        assert!(
            format!("{refused:?}").contains("Forbidden.RAM"),
            "{refused:?}"
        );
        assert_eq!(api.status(&source), "ACTIVE");
    }
    allow(&[&source, &new]).expect("it may");
    for instance in [&new, &source] {
        let _ = api.wait_active(instance);
        api.delete(instance);
    }
    service.assert_nothing_left();
}
