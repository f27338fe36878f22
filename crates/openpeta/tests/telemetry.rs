//! Traces and metrics that the service sends to a collector.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openpeta_testkit::{
    Behaviour, Collector, PASSWORD, ReceivedSpan, Request, Scheme, Service, Signing, wait_for,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TOKEN: &str = "Bearer correct-horse-battery";

fn service(collector: &Collector) -> Service {
    let mut service = Service::new(BINARY);
    service.set("telemetry", "otlp_endpoint", collector.endpoint());
    service.set("telemetry", "metrics_interval_seconds", 1);
    service
}

/// The span of a call that was answered with this RequestId.
fn span_of(collector: &Collector, request_id: &str) -> ReceivedSpan {
    wait_for("the call's span", || {
        let mut spans = collector.spans().into_iter();
        spans.find(|span| {
            let id = span.attributes.get("openpeta.request_id");
            id.is_some_and(|id| id == request_id)
        })
    })
}

/// The RequestId in an answer's body.
fn request_id(body: &str) -> &str {
    let (_, rest) = body.split_once("\"RequestId\":\"").expect("it has one");
    rest.split('"').next().unwrap_or_default()
}

fn attributes<'a>(span: &'a ReceivedSpan, names: &[&'a str]) -> Vec<&'a str> {
    let value = |name: &&str| span.attributes.get(*name).map_or("", String::as_str);
    names.iter().map(value).collect()
}

#[test]
fn calls_and_tasks_leave_traces() {
    let collector = Collector::start(None);
    let mut service = service(&collector);
    let headers = BTreeMap::from([("authorization", TOKEN)]);
    service.set("telemetry", "headers", headers);
    service.set("telemetry", "metrics", false);
    service.start();
    let api = service.api();

    // A caller's own trace goes on.
    let request = Request {
        scheme: Scheme::Http,
        traceparent: Some(PARENT),
        ..Request::new("DescribeRegions", &[])
    };
    let answer = api.send(&request).expect("an answer");
    let span = span_of(&collector, request_id(&answer.body));
    assert_eq!((&*span.trace, &*span.parent), (TRACE, "00f067aa0ba902b7"));
    assert_eq!((&*span.name, span.kind), ("DescribeRegions", 2));
    let names = [
        "openpeta.action",
        "openpeta.account_id",
        "openpeta.code",
        "http.request.method",
        "http.response.status_code",
        "url.scheme",
        "client.address",
    ];
    let expected = [
        "DescribeRegions",
        &*api.account_id,
        "OK",
        "POST",
        "200",
        "http",
        "127.0.0.1",
    ];
    assert_eq!(attributes(&span, &names), expected);
    assert!(!span.is_error && span.times.0 <= span.times.1);
    assert_eq!(span.resource["service.name"], "openpeta");
    assert_eq!(span.resource["process.pid"], service.pid().to_string());

    // Not that of somebody who cannot sign.
    let unsigned = Request {
        signing: Signing::Unsigned,
        ..request
    };
    let answer = api.send(&unsigned).expect("an answer");
    let id = request_id(&answer.body).to_owned();
    let span = span_of(&collector, &id);
    assert_eq!(span.trace, id.replace('-', "").to_lowercase());
    assert_eq!(span.parent, "");
    let names = ["openpeta.account_id", "error.type", "openpeta.code"];
    assert_eq!(
        attributes(&span, &names),
        ["", answer.code(), answer.code()]
    );
    assert!(!span.is_error, "it is the client's");

    // A task goes on in the trace of its call, whoever runs it.
    let instance = api.order(&[]).expect("an order is taken");
    let _ = api.wait_active(&instance);
    let audit = &service.audit("CreateInstance")[0];
    let call = span_of(
        &collector,
        audit["request_id"].as_str().expect("a RequestId"),
    );
    let in_trace = |trace: &str, name: &str| {
        wait_for("a span of a task", || {
            let mut spans = collector.spans().into_iter();
            spans.find(|span| span.trace == trace && span.name == name)
        })
    };
    let task = in_trace(&call.trace, "create-instance");
    assert_eq!((&task.parent, task.kind), (&call.id, 1));
    let names = [
        "openpeta.instance_id",
        "openpeta.outcome",
        "openpeta.action",
    ];
    assert_eq!(
        attributes(&task, &names),
        [&*instance, "succeeded", "CreateInstance"]
    );
    let mut ids = BTreeSet::from([task.id.clone(), call.id]);
    for step in [
        "create-node",
        "start-node",
        "create-database",
        "open-endpoint",
        "check-login",
    ] {
        let span = in_trace(&call.trace, step);
        assert_eq!(span.parent, task.id, "{step}");
        assert_eq!(
            span.attributes["openpeta.task_id"],
            task.attributes["openpeta.task_id"]
        );
        assert_eq!(
            attributes(&span, &["openpeta.step", "openpeta.outcome"]),
            [step, "done"]
        );
        assert!(
            task.times.0 <= span.times.0 && span.times.1 <= task.times.1,
            "{step}"
        );
        ids.insert(span.id);
    }
    assert_eq!(ids.len(), 7, "all have ids of their own");

    // Each process sends its own, to the last.
    let last = |service: &Service| {
        let answer = service.api().send(&request).expect("an answer");
        (
            request_id(&answer.body).to_owned(),
            service.pid().to_string(),
        )
    };
    let (id, pid) = last(&service);
    let earlier = service.replace();
    assert_eq!(earlier.wait(), Some(0));
    assert_eq!(span_of(&collector, &id).resource["process.pid"], pid);
    api.delete(&instance);
    let (id, pid) = last(&service);
    assert_eq!(service.stop(), Some(0));
    let spans = collector.spans();
    let mut of_call = spans.iter();
    let span = of_call.find(|span| span.attributes.get("openpeta.request_id") == Some(&id));
    assert_eq!(
        span.expect("sent before the end").resource["process.pid"],
        pid
    );

    assert!(collector.has_seen(&format!("authorization: {TOKEN}")));
    assert_eq!(collector.paths(), BTreeSet::from(["/v1/traces".to_owned()]));
    for secret in [PASSWORD, &api.key.access_key_secret, "Signature="] {
        assert!(!collector.has_seen(secret), "{secret}");
    }
    assert!(!service.log().contains(TOKEN));
}

/// The values of a page of metrics, of families that only calls and orders change.
fn settled(values: impl Iterator<Item = (String, f64)>) -> BTreeMap<String, f64> {
    let families = [
        "api",
        "build",
        "ready",
        "instances",
        "tasks",
        "nodes",
        "backup",
        "gateway",
    ];
    let of_family = |name: &str| {
        let (_, name) = name.split_once('_').unwrap_or_default();
        families.iter().any(|family| name.starts_with(family))
    };
    values.filter(|(name, _)| of_family(name)).collect()
}

#[test]
fn metrics_that_are_sent_are_those_of_the_page() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that it has")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .expect("they belong together");
    let collector = Collector::start(Some(Arc::new(tls)));
    let mut service = service(&collector);
    let ca = service.home().join("collector.pem");
    std::fs::write(&ca, made.cert.pem()).expect("home is writable");
    service.set("telemetry", "ca_file", ca.to_str().expect("a text"));
    service.start();
    let api = service.api();
    for _ in 0..3 {
        api.call("DescribeRegions", &[]).expect("it is answered");
    }
    let unknown = [("InstanceId", "pd-unknown")];
    api.call("DeleteInstance", &unknown)
        .expect_err("there is none");

    let page = api.page("/metrics");
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().expect("a number")))
    });
    let page = settled(pairs);
    let before = collector.readings();
    // One more may have been under way.
    wait_for("metrics", || {
        (collector.readings() > before + 1).then_some(())
    });
    assert_eq!(settled(collector.metrics().into_iter()), page);
    for name in [
        "openpeta_api_calls_total{action=\"DescribeRegions\",code=\"OK\"}",
        "openpeta_api_call_duration_seconds_bucket{action=\"DescribeRegions\",le=\"+Inf\"}",
    ] {
        assert!(page[name] >= 3.0, "{name}");
    }
    let metrics = "/v1/metrics".to_owned();
    assert!(collector.paths().contains(&metrics));
}

#[test]
fn a_collector_that_fails_harms_nothing() {
    let collector = Collector::start(None);
    collector.behave(Behaviour::Hang);
    let mut service = service(&collector);
    service.set("telemetry", "max_waiting_spans", 4);
    service.set("telemetry", "timeout_seconds", 1);
    service.start();
    let api = service.api();
    let value = |name: &str| -> f64 {
        let page = api.page("/metrics");
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.expect("it is there").parse().expect("a number")
    };
    let dropped = "openpeta_telemetry_dropped_total{signal=\"traces\"}";
    let failed = |signal: &str| {
        format!("openpeta_telemetry_exports_total{{signal=\"{signal}\",outcome=\"failed\"}}")
    };
    let call_until = |what: &str, condition: &dyn Fn() -> bool| {
        wait_for(what, || {
            api.call("DescribeRegions", &[])
                .expect("calls are answered");
            condition().then_some(())
        });
    };
    let complaints = |service: &Service| {
        let log = service.log();
        log.matches("does not take telemetry").count()
    };
    call_until("a full queue", &|| value(dropped) > 0.0);
    call_until("a request without an answer", &|| {
        value(&failed("metrics")) > 0.0
    });

    collector.behave(Behaviour::Answer(500));
    let before = value(dropped);
    let failures = value(&failed("traces"));
    call_until("refused requests", &|| {
        value(&failed("traces")) > failures + 1.0
    });
    assert!(value(dropped) > before);
    wait_for("a line in the log", || {
        (complaints(&service) > 0).then_some(())
    });
    // One for each signal, however often it failed.
    assert!(complaints(&service) <= 2, "{}", service.log());

    // Nobody is there any more, and the service ends all the same.
    collector.behave(Behaviour::Take);
    call_until("spans", &|| !collector.spans().is_empty());
    wait_for("a line in the log", || {
        service
            .log()
            .contains("takes telemetry again")
            .then_some(())
    });
    collector.behave(Behaviour::Hang);
    let before = collector.requests();
    call_until("a request that hangs", &|| collector.requests() > before);
    assert_eq!(service.stop(), Some(0));

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("it has one");
    drop(nobody);
    service.set("telemetry", "otlp_endpoint", format!("http://{address}"));
    service.start();
    let api = service.api();
    api.call("DescribeRegions", &[])
        .expect("calls are answered");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn what_cannot_be_used_is_refused_without_its_secrets() {
    let mut service = Service::new(BINARY);
    service.set(
        "telemetry",
        "otlp_endpoint",
        "https://collector.example.com",
    );
    service.set("telemetry", "headers", TOKEN);
    let exit = service.try_start(&[]).expect_err("refused");
    assert_eq!(exit.code, Some(2));
    assert!(
        exit.log.contains("[telemetry] headers must be a table"),
        "{exit:?}"
    );
    assert!(!exit.log.contains(TOKEN), "{exit:?}");
}
