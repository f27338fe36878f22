//! What HTTP clients do, rightly and wrongly.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::support::client::{Connection, exchange};
use crate::support::{TestService, code_of};

#[test]
fn connections_are_kept_and_requests_may_be_pipelined() {
    let service = TestService::start();
    let mut connection = Connection::open(service.http);
    let queries: Vec<String> = (0..20)
        .map(|_| service.form("GET", "DescribeRegions", &[]))
        .collect();
    let requests: String = queries
        .iter()
        .map(|query| format!("GET /?{query} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    connection.send(requests.as_bytes());
    for _ in &queries {
        assert_eq!(code_of(&connection.receive()), "OK");
    }
    let query = service.form("GET", "DescribeRegions", &[]);
    let last = format!("GET /?{query} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    connection.send(last.as_bytes());
    assert_eq!(code_of(&connection.receive()), "OK");
    assert!(connection.try_receive().is_none(), "closed as asked for");
}

#[test]
fn a_client_may_close_its_sending_side() {
    let service = TestService::start();
    let query = service.form("GET", "DescribeRegions", &[]);
    let mut connection = Connection::open(service.http);
    connection.send(format!("GET /?{query} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
    connection
        .stream
        .shutdown(Shutdown::Write)
        .expect("shutdown");
    assert_eq!(code_of(&connection.receive()), "OK");
}

#[test]
fn old_clients_without_a_host() {
    let service = TestService::start();
    let query = service.form("GET", "DescribeRegions", &[]);
    let mut connection = Connection::open(service.http);
    connection.send(format!("GET /?{query} HTTP/1.0\r\n\r\n").as_bytes());
    assert_eq!(code_of(&connection.receive()), "OK");
    assert!(connection.try_receive().is_none());
}

#[test]
fn other_methods() {
    let service = TestService::start();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"] {
        let query = service.form(method, "DescribeRegions", &[]);
        let request =
            format!("{method} /?{query} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        let reply = exchange(service.http, request.as_bytes());
        let found = (reply.status, code_of(&reply));
        assert_eq!(found, (403, "UnsupportedHTTPMethod".into()), "{method}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/json;charset=utf-8")
        );
    }
    let mut connection = Connection::open(service.http);
    connection.send(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    connection
        .stream
        .shutdown(Shutdown::Write)
        .expect("shutdown");
    let mut head = String::new();
    std::io::Read::read_to_string(&mut connection.stream, &mut head).expect("read");
    assert!(
        head.starts_with("HTTP/1.1 403 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn other_paths_and_probes() {
    let service = TestService::start();
    let get = |path: &str| {
        exchange(
            service.http,
            format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(),
        )
    };
    let reply = get("/elsewhere?Format=JSON");
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (404, "InvalidAction")
    );
    assert_eq!(get("/healthz").text(), "ok\n");
    assert_eq!(
        (get("/readyz").status, get("/readyz").text().as_str()),
        (200, "ready\n")
    );
    let query = service.form("GET", "DescribeRegions", &[]);
    assert_eq!(get(&format!("/?{query}")).status, 200);
    assert_eq!(get("/?Action=Nothing").status, 403);
    let metrics = get("/metrics");
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    for line in [
        "openpeta_api_calls_total{action=\"DescribeRegions\",code=\"OK\"} 1",
        "openpeta_api_calls_total{action=\"none\",code=\"InvalidAction\"} 1",
        "openpeta_gateway_endpoints 0",
        "openpeta_tasks{status=\"running\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn metrics_are_not_for_everybody() {
    let service = TestService::start_with(|config| {
        config.metrics.allowed_networks = vec!["10.9.8.7/32".parse().expect("net")];
    });
    let reply = exchange(service.http, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(reply.status, 403);
}

#[test]
fn behind_a_proxy_the_client_counts_for_the_metrics() {
    let service = TestService::start_with(|config| {
        config.api.trusted_proxies = vec!["127.0.0.1/32".parse().expect("net")];
    });
    let status = |client: &str| {
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\n\r\n");
        exchange(service.http, request.as_bytes()).status
    };
    assert_eq!(status("10.9.8.7"), 403);
    assert_eq!(status("127.0.0.1"), 200);
}

#[test]
fn what_is_too_large_is_refused_with_an_error_of_the_api() {
    let service = TestService::start();
    let get = |query: String| {
        exchange(
            service.http,
            format!("GET /?{query} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(),
        )
    };
    // In the client's form as long as the request line can be read, in XML beyond.
    let long = get(format!("Format=JSON&a={}", "v".repeat(50_000)));
    assert_eq!(
        (long.status, code_of(&long).as_str()),
        (400, "InvalidParameter")
    );
    assert_eq!(
        long.header("content-type"),
        Some("application/json;charset=utf-8")
    );
    for length in [66_000, 300_000] {
        let longer = get(format!("Format=JSON&a={}", "v".repeat(length)));
        assert_eq!(
            (longer.status, code_of(&longer).as_str()),
            (400, "InvalidParameter")
        );
        assert_eq!(
            longer.header("content-type"),
            Some("text/xml;charset=utf-8")
        );
    }
    let header = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "v".repeat(200_000)
    );
    assert_eq!(
        code_of(&exchange(service.http, header.as_bytes())),
        "InvalidParameter"
    );
    let many: String = (0..200).map(|index| format!("x{index}: v\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    assert_eq!(
        code_of(&exchange(service.http, request.as_bytes())),
        "InvalidParameter"
    );

    let announced = "POST /?Format=JSON HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n";
    let reply = exchange(service.http, announced.as_bytes());
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (400, "InvalidParameter")
    );
    let mut connection = Connection::open(service.http);
    connection.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..300 {
        let chunk = format!("400\r\n{}\r\n", "v".repeat(1024));
        if connection.stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(code_of(&connection.receive()), "InvalidParameter");
}

#[test]
fn what_is_not_http_is_refused() {
    let service = TestService::start();
    for garbage in [
        "\0\0\0\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/3.9\r\n\r\n",
        "GET /?a b HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nbroken header\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        let reply = exchange(service.http, garbage.as_bytes());
        let found = (reply.status, code_of(&reply));
        assert_eq!(found, (400, "InvalidParameter".into()), "{garbage:?}");
    }
    let chunk = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(code_of(&exchange(service.http, chunk)), "InvalidParameter");
}

fn impatient() -> TestService {
    TestService::start_with(|config| {
        let limits = &mut config.api.limits;
        limits.first_request_seconds = 1;
        limits.idle_seconds = 1;
        limits.body_seconds = 1;
    })
}

#[test]
fn slow_clients_are_cut_off() {
    let service = impatient();
    // Headers that trickle.
    let mut connection = Connection::open(service.http);
    let started = Instant::now();
    connection.send(b"GET / HTTP/1.1\r\n");
    while started.elapsed() < Duration::from_secs(15) {
        if connection.stream.write_all(b"a: b\r\n").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(started.elapsed() < Duration::from_secs(15), "cut off");
    // A handshake that never comes.
    assert!(Connection::open(service.https).try_receive().is_none());
    // A second request that never comes.
    let mut connection = Connection::open(service.http);
    connection.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(connection.receive().status, 200);
    assert!(connection.try_receive().is_none());
    // A body that stops.
    let mut connection = Connection::open(service.http);
    connection.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc");
    let reply = connection.receive();
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (400, "InvalidParameter")
    );
    assert!(reply.text().contains("in time"), "{reply:?}");
}

#[test]
fn connections_beyond_the_limit_are_told() {
    let service = TestService::start_with(|config| config.api.limits.connections = 2);
    let mut first = Connection::open(service.http);
    let mut second = Connection::open(service.http);
    for connection in [&mut first, &mut second] {
        connection.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(connection.receive().status, 200);
    }
    let reply = Connection::open(service.http).receive();
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (503, "ServiceUnavailable")
    );
    drop(first);
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut connection = Connection::open(service.http);
        // The refusal comes without being asked, and then nobody reads the question.
        let _ = connection
            .stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
        if connection
            .try_receive()
            .is_some_and(|reply| reply.status == 200)
        {
            break;
        }
        assert!(Instant::now() < end, "a place is free again");
    }
}
