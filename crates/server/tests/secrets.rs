//! What must never be logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::client::{Connection, exchange};
use crate::support::{TestService, acs3};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn neither_passwords_nor_keys_nor_signatures_are_logged() {
    const PASSWORD: &str = "Hunter2-Secret";
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_env_filter("trace,hyper=info")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let service = TestService::start();
    let parameters = [
        ("RegionId", "cn-hangzhou"),
        ("ZoneId", "cn-hangzhou-b"),
        ("DBName", "app"),
        ("AccountName", "app"),
        ("AccountPassword", PASSWORD),
        // Refused, so that no node is made.
        ("NodeNumber", "2"),
        ("NodeSpec", "petadata.s2.large"),
    ];
    let ca = service.dir.path().join("tls/ca.pem");
    let mut signatures = Vec::new();
    let mut send = |request: String, tls: bool| {
        let signature = request.split("Signature=").nth(1).expect("a signature");
        signatures.push(signature[..20].to_owned());
        if tls {
            let mut connection = Connection::open_tls(service.https, &ca);
            connection.send(request.as_bytes());
            connection.receive();
        } else {
            exchange(service.http, request.as_bytes());
        }
    };
    for tls in [true, false] {
        let query = service.form("GET", "CreateInstance", &parameters);
        send(
            format!("GET /?{query} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            tls,
        );
        let damaged = query.replace("Version=2016", "Version=2017");
        send(
            format!("GET /?{damaged} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            tls,
        );
        let forged = query.replace("SignatureNonce=", "SignatureNonce=x");
        send(
            format!("GET /?{forged} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            tls,
        );
        let broken = query.replace("NodeNumber=2", "NodeNumber=%zz");
        send(
            format!("GET /?{broken} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            tls,
        );
    }
    exchange(
        service.http,
        &acs3(
            &service.key,
            "POST",
            "CreateInstance",
            &parameters,
            b"",
            &[],
        ),
    );
    let secret = service.key.secret.clone();
    drop(service);
    let log = String::from_utf8(captured.0.lock().expect("lock").clone()).expect("text");
    assert!(
        log.matches("openpeta::access").count() >= 9,
        "every call has its line:\n{log}"
    );
    for (what, text) in [("password", PASSWORD), ("secret", secret.as_str())] {
        assert!(!log.contains(text), "the {what} was logged");
    }
    for signature in signatures {
        assert!(!log.contains(&signature), "a signature was logged");
    }
}
