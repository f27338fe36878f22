//! Starting and stopping.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::client::Connection;
use crate::support::{TestService, code_of, test_config};
use openpeta_server::{ServeError, Service};
use serde_json::{Value, json};

#[test]
fn a_call_in_flight_is_finished_when_the_service_stops() {
    let mut service = TestService::start();
    let body = service.form("POST", "DescribeRegions", &[]);
    let mut connection = Connection::open(service.http);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes());
    // The server asks for the body once the request is in its hands.
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut connection.stream, &mut interim).expect("100 Continue");
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    let mut idle = Connection::open(service.http);
    idle.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(idle.receive().status, 200);

    let address = service.http;
    let stopped = service.begin_stop();
    assert!(idle.try_receive().is_none(), "an idle connection is closed");
    let end = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < end, "no new connections");
    }
    assert!(!stopped.is_finished());
    connection.send(body.as_bytes());
    assert_eq!(code_of(&connection.receive()), "OK");
    service.wait(stopped).expect("stopped");
    assert!(!service.dir.path().join("admin.sock").exists());
}

#[test]
fn a_directory_is_served_once() {
    let service = TestService::start();
    let second = service.wait(Service::start(service.dir.path(), test_config()));
    let error = second.err().expect("refused");
    assert!(matches!(error, ServeError::AlreadyServed { .. }), "{error}");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("in use"), "{error}");
    assert_eq!(
        code_of(&service.get("DescribeRegions", &[])),
        "OK",
        "the first is unharmed"
    );
}

#[test]
fn a_taken_port_is_named() {
    let service = TestService::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address");
    let dir = tempfile::tempdir().expect("tempdir");
    let mut config = test_config();
    config.api.https_listen = address;
    let error = service
        .wait(Service::start(dir.path(), config))
        .err()
        .expect("refused");
    assert!(matches!(error, ServeError::AddressInUse { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("--https-listen"),
        "{text}"
    );
}

#[test]
fn a_missing_mariadb_is_named() {
    let service = TestService::start();
    let dir = tempfile::tempdir().expect("tempdir");
    let mut config = test_config();
    config.nodes.mariadbd = "/nonexistent/mariadbd".into();
    let error = service
        .wait(Service::start(dir.path(), config))
        .err()
        .expect("refused");
    assert!(
        error.to_string().contains("/nonexistent/mariadbd"),
        "{error}"
    );
}

#[test]
fn the_admin_socket_is_private_and_answers_line_by_line() {
    use std::io::{BufRead, BufReader, Write};
    let service = TestService::start();
    let path = service.dir.path().join("admin.sock");
    let mode = path.metadata().expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let socket = std::os::unix::net::UnixStream::connect(&path).expect("connect");
    let mut lines = BufReader::new(socket.try_clone().expect("clone"));
    let mut ask = |text: &str| -> Value {
        writeln!(&socket, "{text}").expect("send");
        let mut line = String::new();
        lines.read_line(&mut line).expect("receive");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(ask("nonsense")["error"]["code"], "InvalidCommand");
    assert_eq!(
        ask(r#"{"command":"no-such"}"#)["error"]["code"],
        "InvalidCommand"
    );
    assert_eq!(
        ask(&json!({"command": "node-list"}).to_string()),
        json!({"ok": []})
    );
    assert!(ask(r#"{"command":"tenant-list"}"#)["ok"].is_array());
}

#[test]
fn a_stale_admin_socket_is_replaced() {
    let mut service = TestService::start();
    service.stop();
    let path = service.dir.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bind"));
    assert!(path.exists(), "as a killed process leaves it");
    service.restart();
    assert!(service.admin(&json!({"command": "tenant-list"})).is_array());
}

#[test]
fn files_keep_their_modes() {
    let service = TestService::start();
    let mode = |name: &str| {
        let path = service.dir.path().join(name);
        path.metadata()
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .permissions()
            .mode()
            & 0o777
    };
    for name in [
        "credentials.json",
        "admin.sock",
        "tls/ca.key",
        "tls/server.key",
        "store.key",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}
