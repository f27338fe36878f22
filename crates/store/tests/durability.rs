//! Crashes, damaged files, other processes, and what may be read on the disk.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::*;
use openpeta_store::{NewTask, Store, StoreError};
use openpeta_types::Secret;

const CHILD_DIRECTORY: &str = "OPENPETA_TEST_CHILD_DIRECTORY";

/// Runs a test function of this file in a process of its own.
fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("durability::{test}")])
        .args(["--ignored", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Not a test: writes tenants and nonces, and says what was acknowledged, until it is killed.
#[test]
#[ignore = "run by another test in a process of its own"]
fn child_writes_until_killed() {
    let directory = std::env::var_os(CHILD_DIRECTORY).expect("run by the other test");
    let store = Store::open(Path::new(&directory)).unwrap();
    for number in 1.. {
        write(&store, |writer| {
            writer.insert_tenant(&tenant(number))?;
            writer.insert_instance(&instance(number, number))
        });
        assert!(store.nonces().insert(
            "key",
            &format!("nonce {number}"),
            jiff::Timestamp::now(),
            jiff::Timestamp::now()
        ));
        println!("acknowledged {number}");
    }
}

#[test]
fn a_kill_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0_u64;
    for lines in [3, 17, 40] {
        let rounds = tempfile::tempdir_in(directory.path()).unwrap();
        let mut process = child("child_writes_until_killed", rounds.path())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let numbers = output.lines().map_while(Result::ok).filter_map(|line| {
            let (_, number) = line.split_once("acknowledged ")?;
            number.parse::<u64>().ok()
        });
        for number in numbers.take(lines) {
            acknowledged = number;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(acknowledged, lines as u64);
        let store = Store::open(rounds.path()).unwrap();
        let now = jiff::Timestamp::now();
        store
            .read(|reader| {
                let tenants = reader.tenants()?.len();
                assert!(tenants >= lines);
                // A transaction is there whole or not at all.
                assert_eq!(reader.instances()?.len(), tenants);
                for number in 1..=acknowledged {
                    assert_eq!(reader.tenant(account_id(number))?, Some(tenant(number)));
                    assert!(reader.instance(&instance_id(number))?.is_some());
                    assert!(
                        !store
                            .nonces()
                            .insert("key", &format!("nonce {number}"), now, now)
                    );
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
}

/// Not a test: holds the store until its input ends.
#[test]
#[ignore = "run by another test in a process of its own"]
fn child_holds_the_store() {
    let directory = std::env::var_os(CHILD_DIRECTORY).expect("run by the other test");
    let _store = Store::open(Path::new(&directory)).unwrap();
    println!("acknowledged");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

#[test]
fn a_second_process_is_told_who_holds_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = child("child_holds_the_store", directory.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap().contains("acknowledged")));
    let error = Store::open(directory.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::InUse { pid } if pid == Some(process.id())),
        "{error}"
    );
    assert!(error.to_string().contains(&process.id().to_string()));
    drop(process.stdin.take());
    process.wait().unwrap();
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_store_is_locked_until_its_last_clone_goes() {
    let (directory, store) = open();
    let clone = store.clone();
    drop(store);
    assert!(matches!(
        Store::open(directory.path()),
        Err(StoreError::InUse { .. })
    ));
    drop(clone);
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_lost_or_foreign_key_is_told() {
    let (directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_access_key(&access_key(1, "LTAI1"))
    });
    drop(store);
    let key = directory.path().join("store.key");
    fs::remove_file(&key).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::KeyMissing { .. }), "{error}");
    assert!(!key.exists(), "no new key is made for an old store");
    fs::write(&key, [7; 32]).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Undecryptable {
                table: "access_keys"
            }
        ),
        "{error}"
    );
}

#[test]
fn a_newer_schema_is_refused() {
    let (directory, store) = open();
    drop(store);
    let connection = rusqlite::Connection::open(directory.path().join("store.sqlite3")).unwrap();
    connection
        .execute("INSERT INTO migrations VALUES (999, 'later', x'00', 0)", [])
        .unwrap();
    drop(connection);
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
}

#[test]
fn a_damaged_file_is_told() {
    let (directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        (0..300).try_for_each(|number| writer.insert_instance(&instance(1, number)))
    });
    drop(store);
    let path = directory.path().join("store.sqlite3");
    assert!(!directory.path().join("store.sqlite3-wal").exists());
    let whole = fs::read(&path).unwrap();

    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    for page in (4096..whole.len() as u64).step_by(4096) {
        file.seek(SeekFrom::Start(page)).unwrap();
        file.write_all(&[0xa5; 512]).unwrap();
    }
    drop(file);
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");

    fs::write(
        &path,
        "this is no database, whatever its name says".repeat(100),
    )
    .unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");

    fs::write(&path, whole).unwrap();
    Store::open(directory.path()).unwrap();
}

#[test]
fn secrets_are_nowhere_in_the_files_and_files_are_private() {
    let (directory, store) = open();
    let mut secrets = vec![
        "LTAI1-the-secret-half",
        "STS.1-the-session-token",
        "the-backend-password",
        "native-verifier-20-b",
        "sha2-verifier-of-32-bytes-length",
        "task-parameter-secret",
        "step-output-secret",
    ];
    let task_id = write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_ram_user(&ram_user(1, "dev"))?;
        writer.insert_access_key(&access_key(1, "LTAI1"))?;
        writer.insert_access_key(&temporary_key(1, "STS.1", "dev", at(9)))?;
        writer.insert_instance(&instance(1, 1))?;
        writer.insert_account(&account(1, "app"))?;
        writer.insert_task(&NewTask {
            account_id: account_id(1),
            instance_id: None,
            db_name: None,
            action: "CreateInstance",
            workflow: "make",
            params: Secret::new("task-parameter-secret"),
            steps: vec!["one"],
            begin_at: at(0),
            trace: None,
        })
    });
    let mut step = store
        .read(|reader| reader.task_steps(task_id))
        .unwrap()
        .remove(0);
    step.output = Some(Secret::new("step-output-secret"));
    write(&store, |writer| writer.update_task_step(&step));

    let debug = format!(
        "{:?} {:?} {step:?} {store:?}",
        access_key(1, "LTAI1"),
        account(1, "app"),
    );
    let key = fs::read(directory.path().join("store.key")).unwrap();
    // What is not secret is found: the search itself works.
    secrets.push("tenant-1");
    let mut found: Vec<&str> = Vec::new();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap();
        let contains = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        found.extend(
            secrets
                .iter()
                .filter(|text| contains(text.as_bytes()))
                .copied(),
        );
        assert!(
            path.ends_with("store.key") || !contains(&key),
            "{}",
            path.display()
        );
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    found.dedup();
    assert_eq!(found, ["tenant-1"]);
    assert!(
        !secrets.iter().any(|secret| debug.contains(secret)),
        "{debug}"
    );
}

#[test]
fn a_copy_is_one_state_of_a_store_that_is_written_to() {
    let (directory, store) = open();
    let over = std::sync::atomic::AtomicBool::new(false);
    let copies = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                write(&store, |writer| {
                    writer.insert_tenant(&tenant(number))?;
                    writer.insert_instance(&instance(number, number))
                });
                if over.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        let count = |store: &Store| {
            let all = store.read(|reader| {
                Ok::<_, StoreError>((reader.tenants()?.len(), reader.instances()?.len()))
            });
            all.unwrap()
        };
        for number in 0..5 {
            let before = count(&store).0;
            let copy = copies.path().join(number.to_string());
            fs::create_dir(&copy).unwrap();
            let file = copy.join("store.sqlite3");
            store.copy_to(&file).unwrap();
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600
            );
            assert!(store.copy_to(&file).is_err(), "nothing is overwritten");
            fs::copy(directory.path().join("store.key"), copy.join("store.key")).unwrap();
            let (tenants, instances) = count(&Store::open(&copy).unwrap());
            assert_eq!(tenants, instances);
            assert!(tenants >= before);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn numbers_that_were_skipped_are_not_handed_out() {
    let (_directory, store) = open();
    let task = || {
        let task = NewTask {
            account_id: account_id(1),
            instance_id: None,
            db_name: None,
            action: "a",
            workflow: "w",
            params: Secret::new("{}"),
            steps: vec![],
            begin_at: at(0),
            trace: None,
        };
        write(&store, |writer| writer.insert_task(&task))
    };
    let first: u64 = task().to_string().parse().unwrap();
    write(&store, |writer| writer.skip_numbers(1000));
    assert_eq!(task().to_string(), (first + 1001).to_string());
}
