//! The promises of the project, each a test over the real program. That a client sees the same
//! bytes as on a direct connection (promise 5) is tested beside the gateway, in
//! `crates/gateway/tests/differential.rs`; restores (promise 6) do not exist yet.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use openpeta_testkit::{
    Api, CallError, Chance, Credentials, Login, PASSWORD, Request, Scheme, Service, Session,
    kill_and_wait, wait_for,
};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");

/// A running service with one ACTIVE instance.
fn with_instance() -> (Service, String, Login) {
    let service = Service::started(BINARY);
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    (service, instance, login)
}

fn end(mut service: Service, instance: &str) {
    service.api().delete(instance);
    service.assert_nothing_left();
}

/// A text in an answer.
fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Tells other threads to end, also when their test panics.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a writer did and what it was told.
#[derive(Default)]
struct Told {
    attempted: BTreeSet<u32>,
    acknowledged: BTreeSet<u32>,
}

impl Told {
    /// Makes calls of rising numbers until the connection breaks.
    fn call_until_broken(&mut self, mut call: impl FnMut(u32) -> Result<Value, CallError>) {
        loop {
            let number = self.attempted.last().map_or(0, |last| last + 1);
            self.attempted.insert(number);
            match call(number) {
                Ok(_) => self.acknowledged.insert(number),
                Err(CallError::Broken(_)) => return,
                Err(refused) => panic!("{number}: {refused:?}"),
            };
        }
    }
}

/// How often the service is killed at most.
const MOST_KILLS: usize = 80;

#[test]
fn promise_1_an_acknowledged_change_survives_a_kill() {
    let (mut service, instance, _) = with_instance();
    let mut chance = Chance::new(1);
    let (mut names, mut addresses, mut accounts) =
        (Told::default(), Told::default(), Told::default());
    let id = ("InstanceId", instance.as_str());
    let mut rounds = 0..MOST_KILLS;
    // On a busy machine few calls come through before a kill.
    let enough = |told: &Told, calls: usize| told.acknowledged.len() > calls;
    while rounds.start < 8
        || !(enough(&names, 20) && enough(&addresses, 20) && enough(&accounts, 4))
    {
        let round = rounds.next().expect("calls come through in the end");
        let api = service.api();
        // The account is as this call left it, whether or not its answer came.
        let settled = accounts.attempted.last().copied();
        let (names, addresses, accounts) = (&mut names, &mut addresses, &mut accounts);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                names.call_until_broken(|number| {
                    let name = format!("name-{number}");
                    api.call("ModifyInstanceName", &[id, ("NewInstanceName", &name)])
                });
            });
            scope.spawn(|| {
                addresses.call_until_broken(|number| {
                    let list = format!("10.9.{}.{}", number / 250, number % 250);
                    let parameters = [id, ("ModifyMode", "1"), ("SecurityIPList", &list)];
                    api.call("ModifySecurityIPs", &parameters)
                });
            });
            // Even numbers create the account, odd ones delete it.
            scope.spawn(|| accounts.call_until_broken(|number| toggle_account(&api, id, number)));
            std::thread::sleep(chance.time_below(Duration::from_millis(400)));
            service.kill();
        });
        service.start();
        let api = service.api();

        let info = api.info(&instance).expect("readable").expect("it exists");
        // There is none before the first call came through.
        let name = info["InstanceName"].as_str().unwrap_or_default();
        let present = name
            .strip_prefix("name-")
            .map(|n| n.parse().expect("a number"));
        assert!(
            present >= names.acknowledged.last().copied(),
            "{round}: {name}"
        );
        assert!(
            present <= names.attempted.last().copied(),
            "{round}: {name}"
        );

        let list = api.call("DescribeSecurityIPs", &[id]).expect("readable");
        let list: BTreeSet<&str> = text(&list["SecurityIPList"]).split(',').collect();
        for number in &addresses.acknowledged {
            let address = format!("10.9.{}.{}", number / 250, number % 250);
            assert!(list.contains(&*address), "{round}: {address} is lost");
        }
        assert!(list.len() <= addresses.attempted.len() + 1);

        // What was acknowledged goes on to its end; the last call may or may not count.
        let done = settled.max(accounts.acknowledged.last().copied());
        let tried = accounts.attempted.last().copied();
        let expected =
            [done, tried].map(|last| last.is_some_and(|number| number.is_multiple_of(2)));
        let exists = wait_for("an account to settle", || account_exists(&api, id));
        assert!(
            expected.contains(&exists),
            "{round}: {done:?} {tried:?} {exists}"
        );
        // The next number must fit what is there.
        if accounts.attempted.len() % 2 != usize::from(exists) {
            accounts.attempted.pop_last();
        }
    }

    // One audit row a call, also of those whose answer was lost.
    for (action, told) in [
        ("ModifyInstanceName", &names),
        ("ModifySecurityIPs", &addresses),
    ] {
        let rows = service.audit(action);
        assert!(rows.len() >= told.acknowledged.len(), "{action}");
        assert!(rows.len() <= told.attempted.len(), "{action}");
        let calls: BTreeSet<_> = rows.iter().map(|row| text(&row["request_id"])).collect();
        assert_eq!(calls.len(), rows.len(), "{action}");
    }
    end(service, &instance);
}

fn toggle_account(api: &Api, id: (&str, &str), number: u32) -> Result<Value, CallError> {
    let name = ("AccountName", "bob");
    if number.is_multiple_of(2) {
        api.call("CreateAccount", &[id, name, ("AccountPassword", PASSWORD)])
    } else {
        api.call("DeleteAccount", &[id, name])
    }
}

/// Whether the account is there; `None` while it is on its way.
fn account_exists(api: &Api, id: (&str, &str)) -> Option<bool> {
    let answer = api.call("DescribeAccounts", &[id]).expect("readable");
    let accounts = answer["AccountList"]["Account"].as_array().expect("a list");
    match accounts.iter().find(|item| item["AccountName"] == "bob") {
        None => Some(false),
        Some(bob) => (bob["AccountStatus"] == "ACTIVE").then_some(true),
    }
}

#[test]
fn promise_2_a_failed_or_interrupted_create_leaves_nothing() {
    let mut service = Service::started(BINARY);
    let api = service.api();

    // An endpoint at an address that this machine does not have cannot be opened.
    let vpc = json!({
        "command": "vpc-create", "region_id": "cn-hangzhou", "cidr": "203.0.113.0/24",
    });
    let vpc = service.admin(&vpc).expect("a VPC can be made");
    let vswitch = json!({
        "command": "vswitch-create", "vpc_id": vpc["vpc_id"], "zone_id": "cn-hangzhou-b",
        "cidr": "203.0.113.0/25",
    });
    let vswitch = service.admin(&vswitch).expect("a VSwitch can be made");
    let instance = api.order(&[
        ("NetworkType", "VPC"),
        ("VpcId", text(&vpc["vpc_id"])),
        ("VSwitchId", text(&vswitch["vswitch_id"])),
    ]);
    let instance = instance.expect("an order is taken");
    api.wait_gone(&instance);
    let list = json!({"command": "task-list", "instance_id": instance});
    let tasks = service.admin(&list).expect("tasks can be listed");
    assert_eq!(tasks[0]["stuck"], false, "{tasks}");
    assert!(text(&tasks[0]["cause"]).contains("203.0.113."), "{tasks}");

    let mut chance = Chance::new(2);
    let mut cancelled = 0;
    for _ in 0..5 {
        let instance = api.order(&[]).expect("an order is taken");
        std::thread::sleep(chance.time_below(Duration::from_millis(300)));
        let list = json!({"command": "task-list", "instance_id": instance});
        let tasks = service.admin(&list).expect("tasks can be listed");
        let number: i64 = text(&tasks[0]["task_id"]).parse().expect("a number");
        match service.admin(&json!({"command": "task-cancel", "task_id": number})) {
            Ok(_) => {
                cancelled += 1;
                api.wait_gone(&instance);
            }
            Err(_) => {
                let _ = api.wait_active(&instance);
                api.delete(&instance);
            }
        }
    }
    assert!(cancelled > 0);
    // One audit row for each cancel that was done.
    assert_eq!(service.audit("admin:task-cancel").len(), cancelled);
    service.assert_nothing_left();
}

#[test]
fn promise_3_one_client_token_never_creates_twice() {
    let mut service = Service::started(BINARY);
    let api = service.api();

    // Calls at the same time.
    let answers = std::thread::scope(|scope| {
        let order = || api.order(&[("ClientToken", "at-once")]);
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(order)).collect();
        let answer = |call: std::thread::ScopedJoinHandle<'_, Result<String, CallError>>| {
            call.join().expect("no panic").expect("the order is taken")
        };
        calls.into_iter().map(answer).collect::<BTreeSet<_>>()
    });
    assert_eq!(answers.len(), 1);
    assert_eq!(api.instances().len(), 1);

    // Calls that are repeated because the service died.
    let mut chance = Chance::new(3);
    for round in 0..4_usize {
        let token = format!("token-{round}");
        let api = service.api();
        let first = std::thread::scope(|scope| {
            let call = scope.spawn(|| api.order(&[("ClientToken", &token)]));
            std::thread::sleep(chance.time_below(Duration::from_millis(25)));
            service.kill();
            call.join().expect("no panic").ok()
        });
        service.start();
        let api = service.api();
        let again = api
            .order(&[("ClientToken", &token)])
            .expect("the order is taken");
        assert!(first.is_none_or(|first| first == again));
        let once_more = api
            .order(&[("ClientToken", &token)])
            .expect("the order is taken");
        assert_eq!(once_more, again);
        assert_eq!(api.instances().len(), round + 2);
    }

    // The same token with another order is no repetition.
    let api = service.api();
    let other = [("ClientToken", "at-once"), ("DBName", "other")];
    let error = api.order(&other).expect_err("another order");
    assert_eq!(error.code(), Some("IdempotentParameterMismatch"));
    let instances = api.instances();
    assert_eq!(instances.len(), 5);
    for instance in &instances {
        let _ = api.wait_active(instance);
    }
    for instance in &instances {
        api.delete(instance);
    }
    // And it does not create again what is gone.
    let again = api
        .order(&[("ClientToken", "at-once")])
        .expect("the order was taken");
    assert!(answers.contains(&again));
    service.assert_nothing_left();
}

fn modify_list(api: &Api, instance: &str, group: &str, mode: &str, list: &str) {
    let parameters = [
        ("InstanceId", instance),
        ("SecurityIPListName", group),
        ("ModifyMode", mode),
        ("SecurityIPList", list),
    ];
    let answer = api.call("ModifySecurityIPs", &parameters);
    answer.unwrap_or_else(|error| panic!("{group} {mode} {list}: {error:?}"));
}

fn assert_not_admitted(login: &Login) {
    let error = login.connect().expect_err("not on the list");
    assert_eq!(error.code(), Some(1130), "{error:?}");
}

#[test]
fn promise_4_a_source_outside_the_whitelist_never_gets_in() {
    let (mut service, instance, login) = with_instance();
    let api = service.api();
    let guest = login.from_source([127, 0, 0, 5]);
    let over = AtomicBool::new(false);
    let sessions = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let _end = SetAtEnd(&over);
        // Other groups change all the time; no change may bring back what another one ended.
        for noise in ["noise-1", "noise-2", "noise-3"] {
            let (api, over, instance) = (&api, &over, &instance);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    modify_list(api, instance, noise, "0", "10.0.0.1");
                    modify_list(api, instance, noise, "2", "");
                }
            });
        }
        // A client that always tries, also while the list changes.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                match guest.connect() {
                    Ok(session) => sessions.lock().expect("no panic").push(session),
                    Err(error) => assert!(matches!(error.code(), Some(1130) | None), "{error:?}"),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for _ in 0..60 {
            assert_not_admitted(&guest);
            modify_list(&api, &instance, "guests", "0", "127.0.0.5");
            drop(guest.connect().expect("it is on the list"));
            modify_list(&api, &instance, "guests", "2", "127.0.0.5");
            // From the answer on, not some time later.
            assert_not_admitted(&guest);
            let open = std::mem::take(&mut *sessions.lock().expect("no panic"));
            for mut session in open {
                wait_for("the end of a session", || session.query("SELECT 1").err());
            }
        }
    });

    // What the list says outlives a kill, and holds from the first connection on.
    modify_list(&api, &instance, "default", "0", "127.0.0.6");
    assert_not_admitted(&login);
    service.kill();
    service.start();
    let admitted = login.from_source([127, 0, 0, 6]);
    drop(
        admitted
            .connect()
            .expect("ready means that endpoints listen"),
    );
    assert_not_admitted(&login);
    assert_not_admitted(&guest);
    end(service, &instance);
}

#[test]
fn promise_7_no_crash_reports_a_commit_that_did_not_happen_or_half_of_one() {
    let (mut service, instance, login) = with_instance();
    let mut session = login.connect().expect("ACTIVE");
    session
        .query("CREATE TABLE pairs (id INT, half INT, PRIMARY KEY (id, half))")
        .expect("DDL");
    let over = AtomicBool::new(false);
    let next = AtomicU32::new(0);
    let committed = AtomicU32::new(0);
    let acknowledged = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        let _end = SetAtEnd(&over);
        for _ in 0..3 {
            scope.spawn(|| {
                let mut session: Option<Session> = None;
                while !over.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    let open = session.take().or_else(|| login.connect().ok());
                    session = open.and_then(|mut session| {
                        for statement in [
                            "BEGIN".to_owned(),
                            format!("INSERT INTO pairs VALUES ({id}, 1)"),
                            format!("INSERT INTO pairs VALUES ({id}, 2)"),
                            "COMMIT".to_owned(),
                        ] {
                            session.query(&statement).ok()?;
                        }
                        acknowledged.lock().expect("no panic").insert(id);
                        committed.fetch_add(1, Ordering::Relaxed);
                        Some(session)
                    });
                }
            });
        }
        let mut chance = Chance::new(7);
        for round in 0..8 {
            let before = committed.load(Ordering::Relaxed);
            wait_for("commits", || {
                (committed.load(Ordering::Relaxed) > before + 10).then_some(())
            });
            std::thread::sleep(chance.time_below(Duration::from_millis(50)));
            if round % 2 == 0 {
                service.kill();
                service.start();
            } else {
                let [node] = service.node_pids()[..] else {
                    panic!("one node runs")
                };
                kill_and_wait(node);
            }
        }
        let before = committed.load(Ordering::Relaxed);
        wait_for("commits at the end", || {
            (committed.load(Ordering::Relaxed) > before + 10).then_some(())
        });
    });
    let mut session = login.connect_when_possible();
    let rows = session
        .query("SELECT id, COUNT(*) FROM pairs GROUP BY id")
        .expect("readable");
    let number = |text: &Option<String>| -> u32 {
        text.as_ref().expect("not NULL").parse().expect("a number")
    };
    let whole: BTreeSet<u32> = rows
        .iter()
        .map(|row| {
            assert_eq!(number(&row[1]), 2, "half of transaction {:?}", row[0]);
            number(&row[0])
        })
        .collect();
    let lost: Vec<_> = acknowledged
        .into_inner()
        .expect("no panic")
        .into_iter()
        .filter(|id| !whole.contains(id))
        .collect();
    assert_eq!(
        lost,
        Vec::<u32>::new(),
        "commits that were reported and did not happen"
    );
    end(service, &instance);
}

#[test]
fn promise_8_secrets_show_nowhere() {
    let mut service = Service::new(BINARY);
    service.set("log", "level", "debug");
    service.start();
    let api = service.api();
    let secrets = [
        "Fir5t-Secret&A=1",
        "S3cond!@#$%^*+",
        "Wr0ng_Secret_C",
        "bad secret D4",
    ];
    let [first, second, wrong, bad] = secrets;
    let instance = api
        .order(&[("AccountPassword", first)])
        .expect("an order is taken");
    let login = api.wait_active(&instance).as_user("alice", first);
    let id = ("InstanceId", instance.as_str());
    let account = |name, password| [id, ("AccountName", name), ("AccountPassword", password)];
    api.call("CreateAccount", &account("bob", second))
        .expect("it can be made");

    // Told in wrong ways: none may answer, log or record what it was told.
    let mut answers = Vec::new();
    for parameters in [
        account("carl", bad),
        account("bob", wrong),
        account("Not-A-Name", wrong),
    ] {
        match api.call("CreateAccount", &parameters) {
            Err(CallError::Refused(answer)) => answers.push(answer),
            other => panic!("{other:?}"),
        }
    }
    let misspelled = [id, ("AccountName", "carl"), ("AcountPassword", wrong)];
    let stranger = api.with_key(Credentials {
        access_key_secret: "not the secret".into(),
        ..api.key.clone()
    });
    let parameters = account("carl", wrong);
    for (client, parameters, scheme, method) in [
        (&api, &misspelled, Scheme::Https, "GET"),
        (&api, &parameters, Scheme::Http, "GET"),
        (&api, &parameters, Scheme::Http, "POST"),
        (&stranger, &parameters, Scheme::Https, "GET"),
        (&stranger, &parameters, Scheme::Https, "POST"),
    ] {
        let request = Request {
            scheme,
            method,
            ..Request::new("CreateAccount", parameters)
        };
        let answer = client.send(&request).expect("an answer");
        assert_ne!(answer.status, 200, "{answer:?}");
        answers.push(answer);
    }
    for answer in &answers {
        for secret in secrets {
            assert!(!answer.body.contains(secret), "{answer:?}");
        }
    }

    login.connect().expect("the right password");
    let bob = Login {
        database: String::new(),
        ..login.as_user("bob", second)
    };
    bob.connect().expect("the right password");
    let error = login.as_user("alice", wrong).connect().expect_err("wrong");
    assert_eq!(error.code(), Some(1045));
    let session = login.connect().expect("the right password");

    let key = json!({"command": "access-key-create", "account_id": account_number(&api)});
    let key = service.admin(&key).expect("a key can be made");
    let sts = json!({
        "command": "sts-issue", "account_id": account_number(&api), "duration_seconds": 900,
    });
    let sts = service.admin(&sts).expect("a temporary key can be made");
    for key in [&key, &sts] {
        let api = api.with_key(Credentials::of(key));
        assert_eq!(api.instances(), [instance.as_str()]);
    }

    let mut hidden = secrets.to_vec();
    hidden.extend([
        api.key.access_key_secret.as_str(),
        text(&key["access_key_secret"]),
        text(&sts["access_key_secret"]),
        text(&sts["security_token"]),
    ]);
    assert_eq!(service.places_of(&hidden), Vec::<String>::new());
    // The search sees the log, the store and the nodes: these can be found.
    for (shown, place) in [("CreateAccount", "service.log"), ("bob", "bin.000001")] {
        let places = service.places_of(&[shown]);
        assert!(
            places.iter().any(|found| found.ends_with(place)),
            "{places:?}"
        );
    }
    for action in ["CreateInstance", "CreateAccount"] {
        for row in service.audit(action) {
            let row = row.to_string();
            for secret in &hidden {
                assert!(!row.contains(secret), "{row}");
            }
        }
    }
    drop(session);
    end(service, &instance);
}

fn account_number(api: &Api) -> u64 {
    api.account_id.parse().expect("a number")
}
