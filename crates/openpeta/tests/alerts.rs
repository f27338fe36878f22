//! Load makes an alert fire, its end resolves it, and each is told of once, over the real program
//! and through a kill -9.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use openpeta_testkit::{Login, Service, wait_for};
use ring::hmac;
use serde_json::{Value, json};

/// A notification as it came.
#[derive(Clone, Debug)]
struct Told {
    delivery_id: String,
    signature: String,
    body: String,
    was_taken: bool,
}

impl Told {
    fn kind(&self) -> String {
        self.event()["kind"].as_str().expect("a kind").to_owned()
    }

    fn event(&self) -> Value {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body["event"].clone()
    }
}

/// Takes notifications, unless it is told to leave them without an answer.
struct Receiver {
    url: String,
    told: Arc<Mutex<Vec<Told>>>,
    is_silent: Arc<AtomicBool>,
}

impl Receiver {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let receiver = Self {
            url,
            told: Arc::default(),
            is_silent: Arc::default(),
        };
        let (told, is_silent) = (Arc::clone(&receiver.told), Arc::clone(&receiver.is_silent));
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let Some(mut one) = read(&mut stream) else {
                    continue;
                };
                one.was_taken = !is_silent.load(Ordering::SeqCst);
                let is_taken = one.was_taken;
                told.lock().expect("whole").push(one);
                match is_taken {
                    true => drop(stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")),
                    false => silent.push(stream),
                }
            }
        });
        receiver
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().expect("whole").clone()
    }

    fn taken(&self, kind: &str) -> Vec<Told> {
        let mut told = self.told();
        told.retain(|one| one.was_taken && one.kind() == kind);
        told
    }

    fn wait_for(&self, kind: &str, count: usize) -> Told {
        wait_for(kind, || self.taken(kind).get(count - 1).cloned())
    }
}

fn read(stream: &mut TcpStream) -> Option<Told> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_owned())
            };
            if Some(body.len()) == header("content-length")?.parse().ok() {
                return Some(Told {
                    delivery_id: header("openpeta-delivery")?,
                    signature: header("openpeta-signature")?,
                    body: body.to_owned(),
                    was_taken: false,
                });
            }
        }
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

/// As docs/alerts.md tells receivers to.
fn is_signed(told: &Told, secret: &str) -> bool {
    let (time, tag) = told.signature.split_once(",v1=").expect("two parts");
    let time = time.strip_prefix("t=").expect("a time");
    let tag: Vec<u8> = (0..tag.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&tag[place..place + 2], 16).expect("hex"))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, format!("{time}.{}", told.body).as_bytes(), &tag).is_ok()
}

/// Runs statements until it is dropped.
struct Load(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Load {
    fn begin(login: &Login) -> Self {
        let mut session = login.connect_when_possible();
        let ends = Arc::new(AtomicBool::new(false));
        let its = Arc::clone(&ends);
        let run = move || {
            while !its.load(Ordering::SeqCst) && session.query("DO SLEEP(0.001)").is_ok() {}
        };
        Self(ends, Some(thread::spawn(run)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        let _ = self.1.take().map(thread::JoinHandle::join);
    }
}

#[test]
fn load_fires_an_alert_and_its_end_resolves_it() {
    let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    service.set("alerts", "evaluate_seconds", 1);
    service.set("alerts", "window_seconds", 5);
    service.set("alerts", "timeout_seconds", 1);
    service.start();
    let instance = service.api().order(&[]).expect("an order is taken");
    let login = service.api().wait_active(&instance);
    let receiver = Receiver::new();
    let create = [
        "admin", "--json", "webhook", "create", "--name", "ops", "--url",
    ];
    let created = service.cli(&[&create[..], &[&receiver.url]].concat());
    let created: Value = serde_json::from_slice(&created.stdout).expect("JSON");
    let secret = created["secret"].as_str().expect("a secret").to_owned();
    let rule = [
        "admin",
        "alert",
        "create",
        "--name",
        "busy",
        "--item",
        "gcs.sqps",
        "--above",
        "3",
        "--for",
        "1s",
        "--severity",
        "critical",
    ];
    assert!(service.cli(&rule).status.success());
    let test = service.cli(&["admin", "webhook", "test", "--name", "ops"]);
    assert!(test.status.success(), "{test:?}");
    assert!(is_signed(&receiver.wait_for("webhook-test", 1), &secret));

    let load = Load::begin(&login);
    let fires = receiver.wait_for("alert-firing", 1);
    assert!(is_signed(&fires, &secret) && !is_signed(&fires, "another"));
    let event = fires.event();
    assert_eq!(event["severity"], "critical");
    assert_eq!(event["instance_id"], json!(instance));
    assert_eq!(event["details"]["rule"], "busy");
    assert!(event["details"]["value"].as_f64() > Some(3.0), "{event}");
    let page = service.api().page("/metrics");
    for line in [
        "openpeta_alert_rules 1",
        "openpeta_alerts{state=\"firing\",severity=\"critical\"} 1",
        "openpeta_alerts{state=\"firing\",severity=\"warning\"} 0",
        "openpeta_backup_drills{outcome=\"proven\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    drop(load);
    let resolved = receiver.wait_for("alert-resolved", 1);
    assert!(is_signed(&resolved, &secret));
    let taken = receiver.told().len() - receiver.taken("webhook-test").len();
    let figure = format!("openpeta_webhook_deliveries_total{{webhook=\"ops\"}} {taken}");
    wait_for("all that was taken to be counted", || {
        let page = service.api().page("/metrics");
        let is_counted = page.lines().any(|found| found == figure);
        (is_counted && page.contains("openpeta_webhook_waiting{webhook=\"ops\"} 0\n")).then_some(())
    });

    // Fires while the receiver is silent; the service is killed before it is told.
    receiver.is_silent.store(true, Ordering::SeqCst);
    let load = Load::begin(&login);
    let first = wait_for("an attempt", || {
        receiver.told().into_iter().find(|told| !told.was_taken)
    });
    assert_eq!(first.kind(), "alert-firing");
    wait_for("the attempt to have failed", || {
        let page = service.api().page("/metrics");
        let mut lines = page.lines();
        let failures = lines.find_map(|line| {
            line.strip_prefix("openpeta_webhook_failures_total{webhook=\"ops\"} ")
        });
        (failures? != "0").then_some(())
    });
    service.kill();
    drop(load);
    receiver.is_silent.store(false, Ordering::SeqCst);
    service.start();
    let again = receiver.wait_for("alert-firing", 2);
    assert_eq!(again.delivery_id, first.delivery_id);
    assert_eq!(again.body, first.body);
    assert_ne!(again.delivery_id, fires.delivery_id);
    // It went on while the service was away; nobody is told a second time.
    receiver.wait_for("alert-resolved", 2);
    assert_eq!(receiver.taken("alert-firing").len(), 2);
    let listed = json!({"command": "event-list", "kinds": ["alert-firing", "alert-resolved"]});
    let listed = service.admin(&listed).expect("a list");
    assert_eq!(listed.as_array().expect("rows").len(), 4);

    assert_eq!(service.places_of(&[&secret]), Vec::<String>::new());
    service.api().delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn webhooks_over_tls_trust_whom_they_are_told_to() {
    let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
    let credentials = service.credentials();
    let url = credentials["https_endpoint"].as_str().expect("an address");
    let create = |name: &str, ca_file: Option<&str>| {
        let command = json!({
            "command": "webhook-create", "name": name, "url": url, "ca_file": ca_file,
            "min_severity": "info",
        });
        service.admin(&command)
    };
    let ca_file = credentials["ca_file"].as_str();
    create("trusting", ca_file).expect("created");
    create("strange", None).expect("created");
    create("strange", None).expect_err("there is one");
    create("lost", Some("/nonexistent.pem")).expect_err("no such file");
    create("no name", None).expect_err("not a name");
    let test = |name: &str| {
        let refused = service.admin(&json!({"command": "webhook-test", "name": name}));
        refused
            .expect_err("the API takes no notifications")
            .to_string()
    };
    assert!(
        test("trusting").contains("the receiver answered 4"),
        "{}",
        test("trusting")
    );
    assert!(test("strange").contains("TLS: "), "{}", test("strange"));
    service.assert_nothing_left();
}
