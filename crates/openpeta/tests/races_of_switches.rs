//! SwitchBackupDatabase against what else may be asked of the two instances at the same moment:
//! one wins, the other gets the documented code.

use std::sync::Barrier;

use openpeta_testkit::{Api, CallError, DATABASE, Service, wait_for};

const ROUNDS: usize = 3;

/// What a caller was told: `OK`, or the code of the refusal.
fn told(api: &Api, action: &str, parameters: &[(&str, &str)]) -> String {
    match api.call(action, parameters) {
        Ok(_) => "OK".to_owned(),
        Err(CallError::Refused(answer)) => answer.code().to_owned(),
        Err(CallError::Broken(error)) => panic!("{action}: {error}"),
    }
}

/// Makes both calls at the same moment.
fn race(api: &Api, one: (&str, &[(&str, &str)]), other: (&str, &[(&str, &str)])) -> [String; 2] {
    let start = Barrier::new(2);
    let call = |(action, parameters)| {
        start.wait();
        told(api, action, parameters)
    };
    std::thread::scope(|scope| {
        let one = scope.spawn(|| call(one));
        let other = scope.spawn(|| call(other));
        [one, other].map(|caller| caller.join().expect("a caller ends"))
    })
}

/// An instance, its one backup set, and a copy that was restored from it.
struct Arena {
    service: Service,
    api: Api,
    source: String,
    set: String,
}

impl Arena {
    fn new() -> Self {
        let service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
        let api = service.api();
        let source = api.order(&[]).expect("an order is taken");
        let _ = api.wait_active(&source);
        let set = [("InstanceId", source.as_str()), ("DBName", DATABASE)];
        let set = api.call("CreateDatabaseBackup", &set).expect("it begins");
        let set = set["BackupId"].as_str().expect("a text").to_owned();
        Self {
            service,
            api,
            source,
            set,
        }
    }

    fn restore(&self) -> [(&str, &str); 3] {
        [
            ("SrcInstanceId", &self.source),
            ("SrcDBName", DATABASE),
            ("BackupId", &self.set),
        ]
    }

    /// A new copy, once it is ACTIVE.
    fn copy(&self) -> String {
        let restore = self.restore();
        let answer = wait_for("the end of the backup", || {
            self.api.call("RestoreDatabase", &restore).ok()
        });
        let copy = answer["NewInstanceId"].as_str().expect("an id").to_owned();
        let _ = self.api.wait_active(&copy);
        copy
    }

    fn switch<'a>(&'a self, copy: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("SourceInstanceId", &self.source),
            ("NewInstanceId", copy),
            ("DBName", DATABASE),
        ]
    }

    fn end(mut self) {
        for instance in self.api.instances() {
            let _ = self.api.wait_active(&instance);
            self.api.delete(&instance);
        }
        self.service.assert_nothing_left();
    }
}

#[test]
fn two_switches() {
    let arena = Arena::new();
    let copy = arena.copy();
    let switch = arena.switch(&copy);
    for _ in 0..ROUNDS {
        let call = ("SwitchBackupDatabase", &switch[..]);
        let mut told = race(&arena.api, call, call);
        told.sort();
        assert_eq!(told, ["OK", "OperationDenied.DBInstanceStatus"]);
        for instance in [&copy, &arena.source] {
            let _ = arena.api.wait_active(instance);
        }
    }
    arena.end();
}

#[test]
fn a_switch_and_a_deletion_of_the_copy() {
    let arena = Arena::new();
    for round in 0..ROUNDS {
        let copy = arena.copy();
        let switch = arena.switch(&copy);
        let switch = ("SwitchBackupDatabase", &switch[..]);
        let delete = [("InstanceId", copy.as_str())];
        let delete = ("DeleteInstance", &delete[..]);
        // Each is the first to be sent as often as the other.
        let mut told = match round % 2 {
            0 => race(&arena.api, switch, delete),
            _ => race(&arena.api, delete, switch),
        };
        if round % 2 == 1 {
            told.reverse();
        }
        let [switched, deleted] = told;
        let late = [
            "OperationDenied.DBInstanceStatus",
            "InvalidDBInstanceId.NotFound",
        ];
        match (switched.as_str(), deleted.as_str()) {
            ("OK", code) => {
                assert_eq!(code, "OperationDenied.DBInstanceStatus");
                let _ = arena.api.wait_active(&copy);
                arena.api.delete(&copy);
            }
            (code, "OK") => {
                assert!(late.contains(&code), "{code}");
                arena.api.wait_gone(&copy);
            }
            other => panic!("{other:?}"),
        }
        let _ = arena.api.wait_active(&arena.source);
    }
    arena.end();
}

#[test]
fn a_switch_and_a_deletion_of_the_source() {
    let arena = Arena::new();
    let copy = arena.copy();
    let switch = arena.switch(&copy);
    let delete = [("InstanceId", arena.source.as_str())];
    let [switched, deleted] = race(
        &arena.api,
        ("SwitchBackupDatabase", &switch),
        ("DeleteInstance", &delete),
    );
    let late = [
        "OperationDenied.DBInstanceStatus",
        "InvalidDBInstanceId.NotFound",
    ];
    match (switched.as_str(), deleted.as_str()) {
        ("OK", code) => assert_eq!(code, "OperationDenied.DBInstanceStatus"),
        (code, "OK") => {
            assert!(late.contains(&code), "{code}");
            arena.api.wait_gone(&arena.source);
        }
        other => panic!("{other:?}"),
    }
    arena.end();
}

#[test]
fn a_switch_and_a_restore_of_the_source() {
    let arena = Arena::new();
    let copy = arena.copy();
    for _ in 0..ROUNDS {
        let (switch, restore) = (arena.switch(&copy), arena.restore());
        let [switched, restored] = race(
            &arena.api,
            ("SwitchBackupDatabase", &switch),
            ("RestoreDatabase", &restore),
        );
        // A restore that began reads the files of the set, and leaves the source at rest.
        assert_eq!(switched, "OK");
        let documented = ["OK", "OperationDenied.DBInstanceStatus"];
        assert!(documented.contains(&restored.as_str()), "{restored}");
        for instance in arena.api.instances() {
            let _ = arena.api.wait_active(&instance);
        }
    }
    arena.end();
}
