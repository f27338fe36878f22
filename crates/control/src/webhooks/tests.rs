//! Notifications and a receiver that misbehaves.

use std::sync::Mutex;

use openpeta_store::{EventFilter, NewWebhook};
use openpeta_types::{Secret, Severity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{TestEngine, World};
use crate::{AlertsConfig, ControlConfig};

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Answers so.
    Answers(&'static str),
    /// Answers so before the request has come.
    AnswersEarly(&'static str),
    /// Closes without an answer.
    Closes,
    /// Never answers.
    Hangs,
}

const TAKES: Manner = Manner::Answers("HTTP/1.1 204 No Content\r\n\r\n");

/// A receiver, and the requests that it got.
struct Receiver {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Behaves so, one after the other; then it takes everything.
    async fn new(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "http://{}/hook?a=b",
            listener.local_addr().expect("an address")
        );
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, manners) = (Arc::clone(&requests), manners.to_vec());
        tokio::spawn(async move {
            let mut manners = manners.into_iter();
            let mut hanging = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let manner = manners.next().unwrap_or(TAKES);
                if let Manner::AnswersEarly(answer) = manner {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                let request = read_request(&mut stream).await;
                seen.lock().expect("whole").push(request);
                match manner {
                    Manner::Answers(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    Manner::Hangs => hanging.push(stream),
                    Manner::Closes | Manner::AnswersEarly(_) => {}
                }
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("whole").clone()
    }
}

/// Head and body of a request, as far as they come.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|length| length.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&chunk[..count]),
            _ => return text,
        }
    }
}

fn header<'h>(request: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn world(engine: &TestEngine) -> World {
    let config = ControlConfig {
        alerts: AlertsConfig {
            timeout_seconds: 1,
            ..AlertsConfig::default()
        },
        ..ControlConfig::default()
    };
    World::configured(engine, config)
}

fn hook(world: &World, url: &str) -> Webhook {
    let webhook = NewWebhook {
        name: "ops".into(),
        url: url.into(),
        secret: Secret::new("secret"),
        ca_file: None,
        kinds: None,
        min_severity: Severity::Info,
        instance_id: None,
        created_at: Timestamp::now(),
    };
    let added = world.parts.store.write(|writer| {
        writer.insert_webhook(&webhook)?;
        writer.webhooks()
    });
    added.expect("the store works").remove(0)
}

fn happens(world: &World, text: &str) {
    let event = NewEvent::new(Timestamp::now(), EventKind::NodeCrashed, text);
    let added = world
        .parts
        .store
        .write(|writer| writer.insert_event(&event));
    assert!(added.expect("the store works"));
}

/// Has what waits be due now, an attempt later.
fn pass_the_pause(world: &World, webhook: &Webhook) {
    let passed = world.parts.store.write(|writer| {
        for delivery in writer.deliveries(webhook.webhook_id, 10)? {
            writer.put_off_delivery(delivery.seq, Timestamp::now(), "")?;
        }
        Ok::<_, StoreError>(())
    });
    passed.expect("the store works");
}

fn waiting(world: &World, webhook: &Webhook) -> Vec<Delivery> {
    let id = webhook.webhook_id;
    let found: Result<_, StoreError> = world.parts.store.read(|reader| reader.deliveries(id, 10));
    found.expect("the store works")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_told_and_tried_again_with_the_same_id_and_body() {
    let engine = TestEngine::new().await;
    let world = world(&engine);
    let elsewhere = Receiver::new(&[]).await;
    let redirect = format!("HTTP/1.1 307 Moved\r\nLocation: {}\r\n\r\n", elsewhere.url);
    let failures = [
        (
            Manner::Answers("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"),
            "answered 500",
        ),
        (
            Manner::Answers(redirect.leak()),
            "307; redirects are not followed",
        ),
        (Manner::Closes, ""),
        (Manner::Hangs, "no answer within 1 seconds"),
        (Manner::Answers("HTTP/1.1 20"), ""),
        (Manner::Answers("garbage\r\n\r\n"), ""),
    ];
    let manners: Vec<_> = failures.iter().map(|(manner, _)| *manner).collect();
    let receiver = Receiver::new(&manners).await;
    let webhook = hook(&world, &receiver.url);
    happens(&world, "first");
    happens(&world, "second");
    for (manner, reason) in failures {
        let next = send_next(&world.parts, &webhook).await.expect("recorded");
        assert!(matches!(next, Next::AtOnce));
        let waiting = waiting(&world, &webhook);
        assert_eq!(waiting.len(), 2, "{manner:?}");
        let error = waiting[0].last_error.clone().expect("it failed");
        assert!(
            error.contains(reason) && !error.is_empty(),
            "{manner:?}: {error}"
        );
        // Nothing goes before its time, nor before what came before it.
        let next = send_next(&world.parts, &webhook).await.expect("recorded");
        assert!(matches!(next, Next::After(wait) if wait > Duration::ZERO));
        pass_the_pause(&world, &webhook);
    }
    for _ in 0..2 {
        let next = send_next(&world.parts, &webhook).await.expect("recorded");
        assert!(matches!(next, Next::AtOnce));
    }
    let next = send_next(&world.parts, &webhook).await.expect("recorded");
    assert!(matches!(next, Next::WhenChanged));
    assert_eq!(elsewhere.requests(), [""; 0]);

    let requests = receiver.requests();
    assert_eq!(requests.len(), failures.len() + 2);
    let facts = |request: &str| {
        let (head, body) = request.split_once("\r\n\r\n").expect("whole");
        assert!(head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(head, "content-type"), Some("application/json"));
        assert_eq!(header(head, "openpeta-event"), Some("node-crashed"));
        let signed = header(head, "openpeta-signature").expect("signed");
        let time = signed
            .strip_prefix("t=")
            .and_then(|rest| rest.split_once(','));
        let time = time.expect("a time").0.parse().expect("seconds");
        assert_eq!(
            signed,
            signature::signature(&webhook.webhook.secret, time, body)
        );
        let delivery = header(head, "openpeta-delivery").expect("an id").to_owned();
        let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(told["delivery_id"], delivery.as_str());
        (
            told["event"]["text"].as_str().expect("text").to_owned(),
            body.to_owned(),
        )
    };
    let told: Vec<_> = requests.iter().map(|request| facts(request)).collect();
    let (last, firsts) = told.split_last().expect("several");
    assert_eq!(last.0, "second");
    assert!(
        firsts
            .iter()
            .all(|one| *one == firsts[0] && one.0 == "first")
    );
    assert_ne!(last.1, firsts[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_early_or_is_not_there_does_no_harm() {
    let engine = TestEngine::new().await;
    let world = world(&engine);
    let early = Manner::AnswersEarly("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n");
    let receiver = Receiver::new(&[early]).await;
    let webhook = hook(&world, &receiver.url);
    happens(&world, "first");
    send_next(&world.parts, &webhook).await.expect("recorded");
    assert!(waiting(&world, &webhook)[0].last_error.is_some());

    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let absent = Webhook {
        webhook: NewWebhook {
            url: format!("http://{address}/"),
            ..webhook.webhook.clone()
        },
        ..webhook.clone()
    };
    pass_the_pause(&world, &webhook);
    send_next(&world.parts, &absent).await.expect("recorded");
    let error = waiting(&world, &webhook)[0].last_error.clone();
    assert!(error.expect("it failed").contains("cannot connect"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_again_and_again_makes_way_and_is_told_of() {
    let engine = TestEngine::new().await;
    let world = world(&engine);
    let refuses = Manner::Answers("HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n");
    let receiver = Receiver::new(&[refuses; 100]).await;
    let webhook = hook(&world, &receiver.url);
    happens(&world, "first");
    happens(&world, "second");
    while waiting(&world, &webhook).len() == 2 {
        send_next(&world.parts, &webhook).await.expect("recorded");
        // An attempt, as far as counting goes.
        pass_the_pause(&world, &webhook);
    }
    assert_eq!(receiver.requests().len(), 4);
    let events: Result<_, StoreError> = world.parts.store.read(|reader| {
        let abandoned = EventFilter {
            kinds: vec![EventKind::DeliveryAbandoned],
            ..EventFilter::default()
        };
        Ok((reader.events(&abandoned, 10)?, reader.webhooks()?))
    });
    let (events, webhooks) = events.expect("the store works");
    assert_eq!((events.len(), webhooks[0].dropped), (1, 1));
    assert!(events[0].event.text.contains("answered 400"), "{events:?}");
    let left = waiting(&world, &webhook);
    assert_eq!(left[0].event.event.text, "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_come_and_go_with_their_webhooks() {
    let engine = TestEngine::new().await;
    let world = world(&engine);
    let running = tokio::spawn(run(Arc::clone(&world.parts)));
    let silent = Receiver::new(&[Manner::Hangs; 100]).await;
    let receiver = Receiver::new(&[]).await;
    let first = hook(&world, &silent.url);
    let second = NewWebhook {
        name: "second".into(),
        url: receiver.url.clone(),
        ..first.webhook.clone()
    };
    let added = world
        .parts
        .store
        .write(|writer| writer.insert_webhook(&second));
    added.expect("the store works");
    happens(&world, "first");
    // One that hangs holds up nobody else.
    while receiver.requests().is_empty() || silent.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let deleted = world
        .parts
        .store
        .write(|writer| writer.delete_webhook(first.webhook_id));
    deleted.expect("the store works");
    happens(&world, "second");
    while receiver.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting(&world, &first), []);
    running.abort();
}
