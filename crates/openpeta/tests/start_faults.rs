//! Starts that cannot work: a reason that the operator understands, an exit code, and nothing
//! damaged: as soon as the cause is gone, all is as it was.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

use openpeta_testkit::{Exit, Login, Request, Service, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");

// Exit codes of `serve`.
const OTHER: i32 = 1;
const SETTING: i32 = 2;
const IN_USE: i32 = 3;
const DATA_DIR: i32 = 4;

/// The service does not start; the exit code is this, and the reason has these words.
#[track_caller]
fn refused(service: &mut Service, code: i32, words: &[&str]) -> Exit {
    let exit = service.try_start(&[]).expect_err("it must not start");
    assert_eq!(exit.code, Some(code), "{exit:?}");
    for word in words {
        assert!(exit.log.contains(word), "{word} in {exit:?}");
    }
    assert!(exit.log.contains("error: "), "{exit:?}");
    assert!(!exit.log.contains("panicked"), "{exit:?}");
    exit
}

#[test]
fn before_anything_is_there() {
    let mut service = Service::new(BINARY);

    let config = service.config.clone();
    service.set("nodes", "spares", 2);
    refused(&mut service, SETTING, &["openpeta.toml", "spares"]);
    service.config.clone_from(&config);
    assert!(!service.data_dir().exists());

    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = service.http_listen.clone();
    service.http_listen = taken.local_addr().expect("an address").to_string();
    let address = service.http_listen.clone();
    refused(&mut service, IN_USE, &[&address, "--http-listen"]);
    service.http_listen = free;

    service.set("nodes", "mariadbd", "/nonexistent/mariadbd");
    refused(&mut service, OTHER, &["/nonexistent/mariadbd"]);
    service.config.clone_from(&config);

    // What the failed starts left is no obstacle.
    service.start();
    assert_eq!(service.stop(), Some(0));
    assert_eq!(service.leftovers(), Vec::<String>::new());
}

#[test]
fn killed_in_the_first_start() {
    let mut service = Service::new(BINARY);
    // From the first file to the last stroke on the template.
    for millis in [5, 15, 30, 60, 100, 200, 400, 700, 1000, 1400] {
        service.kill_while_starting(Duration::from_millis(millis));
    }
    service.start();
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    drop(api.wait_active(&instance).connect().expect("ACTIVE"));
    api.delete(&instance);
    // Whoever was at work on the template has ended, too.
    wait_for("the end of helpers", || {
        service.processes().is_empty().then_some(())
    });
    let entries = fs::read_dir(service.data_dir()).expect("readable");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name.contains(".new") || name.contains(".old"));
    assert_eq!(names, Vec::<String>::new());
    service.assert_nothing_left();
}

#[test]
fn a_file_in_place_of_the_directory() {
    let mut service = Service::new(BINARY);
    let path = service.data_dir().to_owned();
    fs::write(&path, "mine").expect("home is writable");
    refused(&mut service, DATA_DIR, &[path.to_str().expect("a text")]);
    assert_eq!(
        fs::read_to_string(&path).expect("it is still there"),
        "mine"
    );
    fs::remove_file(&path).expect("it is ours");

    // A directory that a directory of ours should take the place of is not removed either.
    symlink("/proc/nonexistent", &path).expect("home is writable");
    refused(&mut service, DATA_DIR, &[path.to_str().expect("a text")]);
}

/// A stopped service with one instance whose node runs.
struct Stopped {
    service: Service,
    instance: String,
    login: Login,
    node: u32,
}

impl Stopped {
    fn new() -> Self {
        let mut service = Service::new(BINARY);
        service.set("nodes", "reconcile_seconds", 1);
        service.start();
        let api = service.api();
        let instance = api.order(&[]).expect("an order is taken");
        let login = api.wait_active(&instance);
        let mut session = login.connect().expect("ACTIVE");
        session.query("CREATE TABLE kept (id INT)").expect("DDL");
        session.query("INSERT INTO kept VALUES (7)").expect("a row");
        assert_eq!(service.stop(), Some(0));
        let node = service.node_pids()[0];
        Self {
            service,
            instance,
            login,
            node,
        }
    }

    /// Starts the service: everything is as it was, the node was never stopped.
    fn is_as_before(&mut self) {
        self.service.start();
        let mut session = self
            .login
            .connect()
            .expect("ready means that endpoints listen");
        assert_eq!(session.value("SELECT id FROM kept").expect("a row"), "7");
        assert_eq!(self.service.node_pids(), [self.node]);
        assert_eq!(self.service.api().status(&self.instance), "ACTIVE");
        assert_eq!(self.service.stop(), Some(0));
    }
}

#[test]
fn with_an_instance() {
    let mut stopped = Stopped::new();
    a_second_service(&mut stopped);
    a_taken_endpoint(&mut stopped);
    no_server_program(&mut stopped);
    no_template(&mut stopped);
    a_lost_or_foreign_key(&mut stopped);
    a_damaged_store(&mut stopped);
    a_read_only_file_system(&mut stopped);
    a_clock_that_went_back(&mut stopped);

    let mut service = stopped.service;
    service.start();
    service.api().delete(&stopped.instance);
    service.assert_nothing_left();
}

fn a_second_service(stopped: &mut Stopped) {
    let service = &mut stopped.service;
    service.start();
    let second = Command::new(BINARY)
        .args([
            "serve",
            "--http-listen",
            "127.0.0.1:0",
            "--https-listen",
            "127.0.0.1:0",
        ])
        .arg("--data-dir")
        .arg(service.data_dir())
        .output()
        .expect("the binary runs");
    let reason = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(IN_USE), "{reason}");
    assert!(
        reason.contains(&format!("pid {}", service.pid())),
        "{reason}"
    );
    // The first one did not notice.
    assert_eq!(service.api().status(&stopped.instance), "ACTIVE");
    drop(stopped.login.connect().expect("its endpoints are open"));
    // The lock goes with the process, however that ends.
    service.kill();
    stopped.is_as_before();
}

fn a_taken_endpoint(stopped: &mut Stopped) {
    let address = stopped.login.address;
    let taken = TcpListener::bind(address).expect("nobody listens while the service is stopped");
    // One instance's misfortune is not everybody's: the service starts and says so.
    let service = &mut stopped.service;
    service.start();
    let complaint = format!("{address}");
    wait_for("a word about the endpoint", || {
        let log = service.log();
        let mut lines = log.lines().rev();
        lines
            .find(|line| line.contains("ERROR") && line.contains(&complaint))
            .map(|_| ())
    });
    assert_eq!(service.api().status(&stopped.instance), "ACTIVE");
    drop(taken);
    drop(stopped.login.connect_when_possible());
    assert_eq!(service.stop(), Some(0));
    stopped.is_as_before();
}

fn no_server_program(stopped: &mut Stopped) {
    let config = stopped.service.config.clone();
    stopped
        .service
        .set("nodes", "mariadbd", "/nonexistent/mariadbd");
    refused(&mut stopped.service, OTHER, &["/nonexistent/mariadbd"]);
    stopped.service.config = config;
    stopped.is_as_before();
}

fn no_template(stopped: &mut Stopped) {
    let template = stopped.service.data_dir().join("template");
    fs::remove_dir_all(&template).expect("it is there");
    // It is made again.
    stopped.is_as_before();
    assert!(template.is_dir());
}

fn a_lost_or_foreign_key(stopped: &mut Stopped) {
    let path = stopped.service.data_dir().join("store.key");
    let right = fs::read(&path).expect("there is a key");
    let before = stopped.service.store_content();
    fs::remove_file(&path).expect("it is ours");
    refused(&mut stopped.service, OTHER, &["store.key"]);
    assert!(
        !path.exists(),
        "a new key would make the old secrets unreadable for good"
    );
    fs::write(&path, vec![7; right.len()]).expect("it is ours");
    refused(&mut stopped.service, OTHER, &["store"]);
    fs::write(&path, &right[1..]).expect("it is ours");
    refused(&mut stopped.service, OTHER, &["store.key"]);
    assert!(stopped.service.store_content() == before);
    fs::write(&path, right).expect("it is ours");
    stopped.is_as_before();
}

fn a_damaged_store(stopped: &mut Stopped) {
    let path = stopped.service.data_dir().join("store.sqlite3");
    let right = fs::read(&path).expect("there is a store");
    let damaged = b"not a database".repeat(1000);
    fs::write(&path, &damaged).expect("it is ours");
    refused(&mut stopped.service, OTHER, &["store"]);
    assert!(
        fs::read(&path).expect("it is there") == damaged,
        "left for whoever repairs it"
    );
    // Cut short, as a full disk leaves it.
    fs::write(&path, &right[..right.len() / 2]).expect("it is ours");
    refused(&mut stopped.service, OTHER, &["store"]);
    fs::write(&path, right).expect("it is ours");
    stopped.is_as_before();
}

fn a_read_only_file_system(stopped: &mut Stopped) {
    // Mounting is root's right; permissions are nothing to root.
    let own_mounts = Command::new("unshare").args(["--mount", "true"]).output();
    if !own_mounts.expect("unshare exists").status.success() {
        return;
    }
    let service = &mut stopped.service;
    let dir = service.data_dir().to_str().expect("a text").to_owned();
    // Only the service sees it so: the node goes on with its files.
    let script = format!(
        "mount --bind {dir} {dir} && mount -o remount,bind,ro {dir} || exit 99\nexec {BINARY} \"$@\""
    );
    let inside = service.data_dir().with_file_name("inside");
    fs::write(&inside, script).expect("home is writable");
    let outside = service.data_dir().with_file_name("outside");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh {} \"$@\"",
        inside.display()
    );
    fs::write(&outside, script).expect("home is writable");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).expect("it is ours");

    service.binary = outside;
    refused(service, DATA_DIR, &[&dir, "read-only"]);
    service.binary = BINARY.into();
    stopped.is_as_before();
}

/// All that the service wrote down is a day ahead of its clock, as if the clock had been set
/// back; and requests of clients whose own clock is off are refused as ever.
fn a_clock_that_went_back(stopped: &mut Stopped) {
    let later = |table: &str, column: &str| {
        format!("UPDATE {table} SET {column} = {column} + 86400000000;")
    };
    let columns = [
        ("tenants", "created_at"),
        ("access_keys", "created_at"),
        ("instances", "created_at"),
        ("databases", "created_at"),
        ("nodes", "created_at"),
        ("accounts", "created_at"),
        ("audit", "at"),
        ("tasks", "begin_at"),
        ("tasks", "started_at"),
        ("tasks", "finish_at"),
    ];
    let statements: String = columns
        .iter()
        .map(|(table, column)| later(table, column))
        .collect();
    stopped.service.edit_store(&statements);
    stopped.is_as_before();

    let service = &mut stopped.service;
    service.start();
    let api = service.api();
    let id = ("InstanceId", stopped.instance.as_str());
    let only_id = [id];
    for clock_ahead in [-16 * 60, 16 * 60] {
        let request = Request {
            clock_ahead,
            ..Request::new("DescribeInstanceInfo", &only_id)
        };
        let answer = api.send(&request).expect("an answer");
        assert_eq!(answer.code(), "IllegalTimestamp", "{answer:?}");
    }
    let request = Request {
        clock_ahead: 14 * 60,
        ..Request::new("DescribeInstanceInfo", &only_id)
    };
    assert_eq!(api.send(&request).expect("an answer").status, 200);
    // Work goes on, and later rows still come first in lists.
    api.call("ModifyInstanceName", &[id, ("NewInstanceName", "after")])
        .expect("the instance can be changed");
    assert_eq!(service.audit("ModifyInstanceName").len(), 1);
    let other = api.order(&[]).expect("an order is taken");
    let _ = api.wait_active(&other);
    assert_eq!(api.instances()[0], other);
    api.delete(&other);
    assert_eq!(service.stop(), Some(0));
}
