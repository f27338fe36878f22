//! One process takes over from another, under clients of both kinds.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use openpeta_testkit::{Api, Login, Service, Session, is_alive, kill_and_wait, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");

fn service() -> (Service, Api, String, Login) {
    let mut service = Service::new(BINARY);
    // Nobody is there to take over from.
    service.start();
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let mut session = login.connect().expect("a session");
    session
        .query("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)")
        .expect("a table");
    (service, api, instance, login)
}

fn write(session: &mut Session) {
    session
        .query("INSERT INTO t (a) VALUES (1)")
        .expect("it is written");
}

fn rows(session: &mut Session) -> String {
    session.value("SELECT COUNT(*) FROM t").expect("a count")
}

/// Ends the loops of a test that fails.
struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Processes of the service that have its store open; looks at the one that was started last
/// first, since that one opens it when the other has closed it.
fn owners(data_dir: &Path) -> BTreeSet<u32> {
    let store = data_dir.join("store.sqlite3");
    let pids = fs::read_dir("/proc").expect("/proc is readable");
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable_by(|a, b| b.cmp(a));
    // Not what they start, which has their files for a moment.
    let own = format!("PPid:\t{}\n", std::process::id());
    let has_store = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        if !status.is_ok_and(|status| status.contains(&own)) {
            return false;
        }
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|target| target == store))
    };
    pids.into_iter().filter(has_store).collect()
}

#[test]
fn nobody_notices_an_upgrade() {
    const UPGRADES: usize = 4;
    let (mut service, api, instance, login) = service();
    let stop = AtomicBool::new(false);
    let (logins, calls, looks) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let data_dir = service.data_dir().to_owned();
    let done = |count: &AtomicUsize| {
        let before = count.load(Ordering::Relaxed);
        wait_for("a few more", || {
            assert!(!stop.load(Ordering::Relaxed), "it has failed");
            (count.load(Ordering::Relaxed) > before + 10).then_some(())
        });
    };
    thread::scope(|scope| {
        let _guard = Guard(&stop);
        let until_stopped = |mut round: Box<dyn FnMut() + Send>| {
            let stop = &stop;
            scope.spawn(move || {
                let _guard = Guard(stop);
                while !stop.load(Ordering::Relaxed) {
                    round();
                }
            });
        };
        for _ in 0..3 {
            until_stopped(Box::new(|| {
                let mut session = login.connect().expect("a login never fails");
                assert_eq!(
                    session.value("SELECT 1").expect("nor does what follows"),
                    "1"
                );
                logins.fetch_add(1, Ordering::Relaxed);
            }));
        }
        for _ in 0..2 {
            until_stopped(Box::new(|| {
                let info = api.info(&instance).expect("a call never fails");
                assert_eq!(info.expect("it is there")["InstanceStatus"], "ACTIVE");
                let text = format!("{}", calls.fetch_add(1, Ordering::Relaxed));
                let parameters = [("InstanceId", &*instance), ("NewInstanceName", &*text)];
                api.call("ModifyInstanceName", &parameters)
                    .expect("nor does a change");
            }));
        }
        let (data_dir, looks) = (&data_dir, &looks);
        until_stopped(Box::new(move || {
            assert!(owners(data_dir).len() <= 1, "two have the store");
            looks.fetch_add(1, Ordering::Relaxed);
        }));

        let mut keeper = login.connect().expect("a session");
        keeper.query("SET @kept = 7").expect("a variable");
        let mut earlier = Vec::new();
        for upgrade in 1..=UPGRADES {
            let mut writer = login.connect().expect("a session");
            writer.query("BEGIN").expect("a transaction");
            write(&mut writer);
            let mut old = service.replace();
            write(&mut writer);
            writer.query("COMMIT").expect("the transaction is whole");
            assert_eq!(rows(&mut keeper), (2 * upgrade).to_string());
            done(&logins);
            done(&calls);
            drop(writer);
            assert!(
                upgrade > 1 || !old.has_ended(),
                "it has the keeper's session"
            );
            earlier.push(old);
        }
        assert_eq!(keeper.value("SELECT @kept").expect("it is there"), "7");
        drop(keeper);
        for process in earlier {
            assert_eq!(process.wait(), Some(0));
        }
    });
    assert!(looks.into_inner() > UPGRADES);
    api.delete(&instance);
    service.assert_nothing_left();
}

/// A reading of the metrics over a connection that is kept, as Prometheus does it; the connection,
/// if it is left open.
fn scrape(mut connection: TcpStream) -> (String, Option<TcpStream>) {
    connection
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
        .expect("the request is taken");
    let mut reader = BufReader::new(&connection);
    let (mut length, mut stays, mut line) = (0, true, String::new());
    loop {
        line.clear();
        let read = reader.read_line(&mut line).expect("a head");
        assert!(read > 0, "closed in place of an answer");
        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
        match name {
            "content-length" => length = value.parse().expect("a length"),
            "connection" => stays = value != "close",
            _ if line == "\r\n" => break,
            _ => assert!(
                !line.starts_with("HTTP/1.1 ") || line.contains(" 200 "),
                "{line}"
            ),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a whole answer");
    let body = String::from_utf8(body).expect("text");
    (body, stays.then_some(connection))
}

#[test]
fn metrics_are_read_on_while_processes_take_over() {
    let mut service = Service::new(BINARY);
    service.set("metrics", "listen", "127.0.0.1:0");
    service.start();
    let address = wait_for("the address in the log", || {
        let log = service.log();
        let (_, address) = log.split_once(" metrics=")?;
        let (address, _) = address.split_once(char::is_whitespace)?;
        Some(address.to_owned())
    });
    let stop = AtomicBool::new(false);
    // By connections of their own, and over one that is kept.
    let reads = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let starts = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        let _guard = Guard(&stop);
        for (place, count) in reads.iter().enumerate() {
            let (stop, starts, address) = (&stop, &starts, &address);
            scope.spawn(move || {
                let _guard = Guard(stop);
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let open = || TcpStream::connect(address).expect("connecting never fails");
                    let (text, stays) = scrape(kept.take().unwrap_or_else(open));
                    kept = stays.filter(|_| place == 1);
                    let name = "\nopenpeta_process_start_timestamp_seconds ";
                    let (_, start) = text.split_once(name).expect("it is there");
                    let start = start.lines().next().unwrap_or_default().to_owned();
                    starts.lock().expect("no panic").insert(start);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let go_on = || {
            for count in &reads {
                let before = count.load(Ordering::Relaxed);
                wait_for("a few more", || {
                    assert!(!stop.load(Ordering::Relaxed), "it has failed");
                    (count.load(Ordering::Relaxed) > before + 5).then_some(())
                });
            }
        };
        go_on();
        for _ in 0..3 {
            let earlier = service.replace();
            go_on();
            assert_eq!(earlier.wait(), Some(0));
        }
    });
    let starts = starts.into_inner().expect("no panic");
    assert_eq!(starts.len(), 4, "each process was read: {starts:?}");
}

#[test]
fn what_changes_reaches_the_sessions_of_earlier_processes() {
    let (mut service, api, instance, login) = service();
    let admin = |service: &Service, command: Value| service.admin(&command).expect("it is done");
    let allow = |list: &str| {
        let list = [("InstanceId", &*instance), ("SecurityIPList", list)];
        api.call("ModifySecurityIPs", &list).expect("a new list");
    };
    allow("127.0.0.0/8");
    let mut sessions = Vec::new();
    let mut earlier = Vec::new();
    for last in [2, 3] {
        sessions.push(
            login
                .from_source([127, 0, 0, 2])
                .connect()
                .expect("a session"),
        );
        sessions.push(
            login
                .from_source([127, 0, 0, last])
                .connect()
                .expect("a session"),
        );
        earlier.push(service.replace());
    }
    // A lock, with the reason in the error.
    let mut lock = json!({"command": "instance-lock", "instance_id": instance, "reason": "why"});
    admin(&service, lock.clone());
    for session in &mut sessions {
        let error = session
            .query("INSERT INTO t (a) VALUES (1)")
            .expect_err("locked");
        assert_eq!(error.code(), Some(1290));
        assert!(format!("{error:?}").contains("why"), "{error:?}");
    }
    lock["command"] = json!("instance-unlock");
    lock.as_object_mut().expect("an object").remove("reason");
    admin(&service, lock);
    sessions.iter_mut().for_each(write);
    // How many there are.
    let left = || {
        let metrics = api.page("/metrics");
        let line = format!("openpeta_gateway_earlier_sessions{{instance_id=\"{instance}\"}} ");
        let found = metrics
            .lines()
            .find_map(|text| text.strip_prefix(&line).map(str::to_owned));
        found.unwrap_or_default()
    };
    wait_for("the number of sessions", || (left() == "4").then_some(()));
    // The whitelist: of the one process a session stays, of the other none.
    allow("127.0.0.3,127.0.0.1");
    let mut staying = sessions.pop().expect("four");
    for mut session in sessions {
        assert!(session.query("SELECT 1").is_err(), "it is not listed");
    }
    write(&mut staying);
    // The end of the instance.
    api.delete(&instance);
    assert!(staying.query("SELECT 1").is_err());
    for process in earlier {
        assert_eq!(process.wait(), Some(0));
    }
    service.assert_nothing_left();
}

#[test]
fn sessions_of_earlier_processes_end_when_their_time_or_the_service_does() {
    let (mut service, _, instance, login) = service();
    service.set("gateway", "upgrade_drain_seconds", 0);
    service.stop();
    service.start();
    let idle = || login.connect_when_possible();
    let busy = || {
        let mut session = login.connect_when_possible();
        session.query("BEGIN").expect("a transaction");
        write(&mut session);
        session
    };
    let (mut resting, mut writer) = (idle(), busy());
    service.set("gateway", "upgrade_drain_seconds", 3600);
    let old = service.replace();
    wait_for("the end of its time", || resting.query("DO 1").err());
    writer.query("COMMIT").expect("the transaction is whole");
    assert!(writer.query("SELECT 1").is_err());
    assert_eq!(old.wait(), Some(0));

    // The service stops, and then it is killed: no session outlives it.
    for round in 0..2 {
        let (mut resting, mut writer) = (idle(), busy());
        let old = service.replace();
        assert_eq!(resting.value("SELECT 1").expect("it goes on"), "1");
        match round {
            0 => {
                thread::scope(|scope| {
                    let stop = scope.spawn(|| service.stop());
                    assert!(
                        wait_for("the end", || resting.query("DO 1").err())
                            .code()
                            .is_none()
                    );
                    writer.query("COMMIT").expect("the transaction is whole");
                    assert_eq!(stop.join().expect("no panic"), Some(0));
                });
            }
            _ => service.kill(),
        }
        assert_eq!(old.wait(), Some(0));
        assert!(writer.query("SELECT 1").is_err());
        service.start();
    }
    assert_eq!(rows(&mut login.connect_when_possible()), "2");
    // It has other ports now.
    let api = service.api();
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_process_that_fails_to_take_over_changes_nothing() {
    let (mut service, api, instance, login) = service();
    let pid = service.pid();
    let mut keeper = login.connect().expect("a session");
    keeper.query("BEGIN").expect("a transaction");
    let calls = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _guard = Guard(&stop);
        scope.spawn(|| {
            let _guard = Guard(&stop);
            while !stop.load(Ordering::Relaxed) {
                login.connect().expect("a login never fails");
            }
        });
        scope.spawn(|| {
            let _guard = Guard(&stop);
            while !stop.load(Ordering::Relaxed) {
                api.info(&instance).expect("a call never fails");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        for at in ["prepared", "store", "clients"] {
            let exit = service
                .try_replace(&[("OPENPETA_HANDOVER_DIES", at)])
                .err()
                .expect("it dies");
            assert_eq!(exit.signal, Some(9), "{exit:?}");
            assert_eq!(service.pid(), pid);
            write(&mut keeper);
            let before = calls.load(Ordering::Relaxed);
            wait_for("more calls", || {
                (calls.load(Ordering::Relaxed) > before).then_some(())
            });
        }
        // One that does not come so far, and one that nobody asks.
        service.set("nodes", "mariadbd", "/nowhere");
        let exit = service
            .try_replace(&[])
            .err()
            .expect("there is no such program");
        assert_eq!(exit.code, Some(1), "{exit:?}");
        service.set("nodes", "mariadbd", "mariadbd");
        write(&mut keeper);
    });
    // Here it had answered calls already, and has clients.
    let exit = service.try_replace(&[("OPENPETA_HANDOVER_DIES", "begun")]);
    assert_eq!(exit.err().expect("it dies").signal, Some(9));
    drop(login.connect_when_possible());
    keeper.query("COMMIT").expect("the transaction is whole");
    assert_eq!(rows(&mut keeper), "4");
    // The same process hands over when all is well.
    let old = service.replace();
    login.connect().expect("a login");
    assert_ne!(service.pid(), pid);
    drop(keeper);
    assert_eq!(old.wait(), Some(0));
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn the_service_manager_is_told_who_serves() {
    let mut service = Service::new(BINARY);
    let path = service.home().join("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a time limit");
    let told = || {
        let mut bytes = [0; 512];
        let count = manager.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let path = path.to_str().expect("a text").to_owned();
    service.start_with(&[("NOTIFY_SOCKET", &path)]);
    let first = told();
    assert!(first.starts_with("READY=1\n"), "{first}");
    let old = i32::try_from(service.pid()).expect("a process id");
    kill_process(Pid::from_raw(old).expect("not 0"), Signal::USR2).expect("it runs");
    let reloading = told();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    // The new process is ready, and the old one tells its number.
    let both = [told(), told()];
    let main = both
        .iter()
        .find_map(|text| text.strip_prefix("MAINPID=").map(str::to_owned));
    let main = main.expect("the number");
    assert!(main.contains("\nREADY=1"), "{main}");
    assert!(
        both.iter().any(|text| text.starts_with("READY=1\n")),
        "{both:?}"
    );
    let new: u32 = main
        .lines()
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("a number");
    assert_eq!(service.wait_for_exit().code, Some(0));
    assert!(is_alive(new));
    assert_eq!(service.api().instances(), Vec::<String>::new());
    let raw = i32::try_from(new).expect("a process id");
    kill_process(Pid::from_raw(raw).expect("not 0"), Signal::TERM).expect("it runs");
    assert!(told().starts_with("STOPPING=1\n"));
    wait_for("its end", || (!is_alive(new)).then_some(()));
    kill_and_wait(new);
}
